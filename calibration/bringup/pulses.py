"""Stage 5, pulses: width, amplitude and edges at the pad of the array, by an oscilloscope.

One pulse of each kind and width at a site of the resistor board, whose resistor loads the driver
as a cell does. What the board cannot see of itself (calibration/front_end/pulse.py) is seen here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.bringup.probing import captured, edges, line_node
from calibration.bringup.resistor_board import converter_curves, measured_macro
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup import Finding
from drivers.curves import MeasuredCurves
from drivers.rram.macro import Macro
from protocols.errors import InputError
from protocols.instruments import Waveform
from protocols.messages import ArrayLine, Operation
from protocols.resistor_board import OHMS

LINE_OF = {
    Operation.SET: ArrayLine.BIT_LINE,
    Operation.FORM: ArrayLine.BIT_LINE,
    Operation.RESET: ArrayLine.SOURCE_LINE,
}


@dataclass(frozen=True)
class PulsesParams:
    """What is driven and allowed; every default is this project's choice.

    Attributes:
        line_volts, gate_volts: of a pulse.
        widths_s: one pulse of each kind for each.
        width, width_s: largest deviation of a width, relative and absolute; the larger counts.
        amplitude: largest relative deviation of an amplitude: that of a scope and a driver.
        edge: how many times the driver's time constant an edge may take.
    """

    line_volts: float = 1.5
    gate_volts: float = 1.5
    widths_s: tuple[float, ...] = (200e-9, 1e-6, 10e-6)
    width: float = 0.03
    width_s: float = 15e-9
    amplitude: float = 0.04
    edge: float = 3.0

    def __post_init__(self) -> None:
        positive = (self.line_volts, self.gate_volts, self.width, self.width_s, *self.widths_s)
        if not self.widths_s or not all(0.0 < one < 100.0 for one in positive):
            raise InputError("bring-up, pulses: volts, widths and their limits have to be positive")
        if not 0.0 < self.amplitude < 1.0 or self.edge <= 0.0:
            raise InputError("bring-up, pulses: amplitude between 0 and 1, edge positive")


@dataclass(frozen=True)
class Pulse:
    """One pulse as it was seen at the pad; NaN where nothing was."""

    operation: Operation
    asked_s: float
    width_s: float
    volts: float
    edge_s: float

    @property
    def name(self) -> str:
        """What a figure calls it."""
        return f"{self.operation.name} of {self.asked_s * 1e6:g} us"


def run(rig: Rig, params: PulsesParams) -> StageResult:
    """Every kind of pulse at every width, and the gate while it lasts."""
    macro = measured_macro(rig, _curves(rig))
    row, column = site = 0, len(OHMS) - 1  # the largest resistor, next to a cell's
    seen: list[Pulse] = []
    total = len(Operation) * len(params.widths_s)
    for kind in Operation:
        line = LINE_OF[kind]
        node = line_node("pad", line, row if line is ArrayLine.BIT_LINE else column)
        for at, width_s in enumerate(params.widths_s):
            rig.progress(len(seen), total, f"pulses: {kind.name} at {node}")
            seen.append(_pulse(rig, macro, (kind, width_s), site, (node, at == 0), params))
    gate = _gate(rig, macro, site, params)
    figures = [f for one in seen for f in _figures(rig, one, params)]
    figures.append(_gate_figure(gate, params))
    rig.progress(total, total, "pulses: done")
    data = {
        "site": list(site),
        "line_volts": params.line_volts,
        "pulses": [
            {"kind": p.operation.name.lower(), "asked_s": p.asked_s, "width_s": p.width_s,
             "volts": p.volts, "edge_s": p.edge_s}
            for p in seen
        ],
        "gate_volts": gate,
    }  # fmt: skip
    return StageResult(STAGE.name, tuple(figures), tuple(_findings(seen, gate, params)), data=data)


def _curves(rig: Rig) -> MeasuredCurves:
    """With the read paths where stage 4 left them."""
    kept = rig.found.get("resistor_board")
    return converter_curves(rig) if kept is None else MeasuredCurves.from_dict(kept["curves"])


def _pulse(
    rig: Rig,
    macro: Macro,
    asked: tuple[Operation, float],
    site: tuple[int, int],
    probe: tuple[str, bool],
    params: PulsesParams,
) -> Pulse:
    kind, width_s = asked
    shown = captured(
        rig,
        probe[0],
        lambda: macro.pulse(*site, kind, params.gate_volts, params.line_volts, width_s),
        volts=params.line_volts,
        duration_s=2.0 * width_s,
        place=probe[1],
    )
    nothing = float("nan")
    if shown is None:
        return Pulse(kind, width_s, nothing, nothing, nothing)
    volts = _top(shown, params.line_volts)
    width = _width(shown, volts)
    return Pulse(kind, width_s, width, volts, _edge(shown, volts))


def _top(seen: Waveform, expected: float) -> float:
    """The amplitude: the median of what is high, edges and overshoot aside."""
    shown = np.asarray(seen.volts, np.float64)
    high = shown[shown > 0.5 * min(expected, float(shown.max()))]
    return float(np.median(high)) if high.size else float("nan")


def _width(seen: Waveform, volts: float) -> float:
    """Between the first rise and the next fall through half of the amplitude."""
    found = edges(seen, volts)
    return float(found[1] - found[0]) if found.size >= 2 else float("nan")


def _edge(seen: Waveform, volts: float) -> float:
    """Time constant of the first rise: a tenth to nine tenths take 2.2 of them."""
    t, v = np.asarray(seen.t_s, np.float64), np.asarray(seen.volts, np.float64)
    above = np.flatnonzero(v > 0.9 * volts)
    if not above.size:
        return float("nan")
    below = np.flatnonzero(v[: above[0]] < 0.1 * volts)
    return float(t[above[0]] - t[below[-1]]) / np.log(9.0) if below.size else 0.0


def _gate(rig: Rig, macro: Macro, site: tuple[int, int], params: PulsesParams) -> float:
    """Volts at the word line's pad during the longest SET."""
    width_s = max(params.widths_s)
    shown = captured(
        rig,
        line_node("pad", ArrayLine.WORD_LINE, site[1]),
        lambda: macro.pulse(*site, Operation.SET, params.gate_volts, params.line_volts, width_s),
        volts=params.gate_volts,
        duration_s=2.0 * width_s + rig.description.timing.pulse_overhead_s,
    )
    return float("nan") if shown is None else _top(shown, params.gate_volts)


# --- figures --------------------------------------------------------------------------------------


def _allowed_s(one: Pulse, params: PulsesParams) -> float:
    return max(params.width * one.asked_s, params.width_s)


def _figures(rig: Rig, one: Pulse, params: PulsesParams) -> list[Figure]:
    allowed, share = _allowed_s(one, params), params.amplitude * params.line_volts
    edge_s, points_s = rig.description.limits.edge_s, 0.01 * one.asked_s
    return [
        Figure(f"width of {one.name}", one.width_s, "s", one.asked_s - allowed,
               one.asked_s + allowed, "Check the pulse timer, its clock and the driver"),
        Figure(f"amplitude of {one.name}", one.volts, "V", params.line_volts - share,
               params.line_volts + share, "Check the driver, its supply and what loads the line"),
        Figure(f"edge of {one.name}", one.edge_s, "s", 0.0, params.edge * edge_s + points_s,
               "Check the driver and the capacitance of the way to the pad"),
    ]  # fmt: skip


def _gate_figure(volts: float, params: PulsesParams) -> Figure:
    share = params.amplitude * params.gate_volts
    low, high = params.gate_volts - share, params.gate_volts + share
    return Figure("gate during a SET", volts, "V", low, high, "Check the driver of the word lines")


def _findings(seen: list[Pulse], gate: float, params: PulsesParams) -> list[Finding]:
    """What kind of fault it is, each once; the figures say how much."""
    del gate
    found: dict[str, Finding] = {}
    for one in seen:
        for fault, sentence, remedy in _faults(one, params):
            found.setdefault(fault, Finding(fault, (one.operation.name,), sentence, remedy))
    return list(found.values())


def _faults(one: Pulse, params: PulsesParams) -> list[tuple[str, str, str]]:
    if not np.isfinite(one.volts):
        return [
            ("no_pulse", f"nothing is seen at the pad while a {one.name} is driven",
             "Check the probe, then the driver of that line and the pulse timer")
        ]  # fmt: skip
    said = []
    miss = one.width_s - one.asked_s
    if abs(miss) > _allowed_s(one, params):
        word = "long" if miss > 0 else "short"
        said.append(
            (f"pulse_{word}",
             f"a {one.name} lasts {one.width_s * 1e6:.3g} us at the pad, it is too {word}",
             "Check the pulse timer and its clock. Drive no chip: its cells would get too much"
             if miss > 0 else "Check the pulse timer and its clock")
        )  # fmt: skip
    off = one.volts / params.line_volts - 1.0
    if abs(off) > params.amplitude:
        word = "low" if off < 0 else "high"
        said.append(
            (f"pulse_{word}",
             f"a {one.name} has {one.volts:.3f} V at the pad instead of {params.line_volts:g} V",
             "Check the driver, its supply rail, and what loads the line between it and the pad")
        )  # fmt: skip
    return said


STAGE = Stage(
    name="pulses",
    title="pulse width and amplitude at the array's pad",
    needs=Needs(instruments=("scope",), fixture="resistor board"),
    params=PulsesParams,
    run=run,
    plan="drives SET, RESET and FORM pulses of 1.5 V into a site of the resistor board",
)
