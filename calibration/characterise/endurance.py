"""Endurance: how the switching window closes with cycles. It wears the cells that it is done on.

A few cells are cycled between RESET and SET, and read after every pulse. The depth of the window,
ln(low resistance state / high resistance state), is followed over the logarithm of the cycles: the
figure is how much of it a decade of cycles costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from calibration.arrays import FloatArray
from calibration.characterise.common import (
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    Stop,
    adapt,
    need,
)
from calibration.characterise.intervals import Interval, bootstrap
from calibration.characterise.sweeps import Pulse
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError
from protocols.messages import Operation

KIND = "endurance"
PARTS_PER_DECADE = 6


@dataclass(frozen=True)
class EnduranceParams(RoutineParams):
    """Which pulses, how many, and when they are enough.

    Attributes:
        set, reset: the pulses of a cycle.
        cells: cells that are cycled; they are worn afterwards.
        pulses_per_cell: two per cycle.
        cycles_per_round: cycles between two looks at the figures.
        from_cycle: cycles before it do not count for the slope, because the window settles first.
        slope_half_width: of the interval of the loss of depth per decade, in ln.
        closed_depth_ln: the routine ends when the typical window is smaller than this.
    """

    set: Pulse = field(default_factory=lambda: Pulse(2.3, 2.0, 1e-6))
    reset: Pulse = field(default_factory=lambda: Pulse(3.5, 2.8, 200e-9))
    cells: int = 16
    pulses_per_cell: int = 2000
    cycles_per_round: int = 50
    from_cycle: int = 10
    slope_half_width: float = 0.06
    closed_depth_ln: float = 0.7

    def cost(self, available: int) -> Cost:
        """The whole budget."""
        cells = min(self.cells, available)
        pulses = cells * self.pulses_per_cell
        return Cost(cells, pulses, self.pulses_per_cell, pulses)


def run(rig: Rig, params: EnduranceParams) -> Characterisation:
    """Depth of the window over cycles, on the last of the cells (those least used otherwise)."""
    need(rig.cells, 4, KIND)
    if params.pulses_per_cell < 4 * params.from_cycle:
        raise InputError(
            f"{params.pulses_per_cell} pulses per cell are too few: the slope needs cycles from "
            f"{params.from_cycle} to at least {2 * params.from_cycle}."
        )
    cells = rig.cells[len(rig.cells) - min(params.cells, len(rig.cells)) :]
    states: list[FloatArray] = []

    def grow() -> Stop | None:
        done = sum(part.shape[1] for part in states)
        left = params.pulses_per_cell // 2 - done
        if left < 1:
            return Stop.PULSES
        states.append(_cycle(rig, cells, min(params.cycles_per_round, left), params))
        rig.progress(done, params.pulses_per_cell // 2, f"endurance: {done} cycles", None)
        return Stop.CLOSED if _closed(states[-1], params) else None

    def tight() -> bool:
        total = sum(part.shape[1] for part in states)
        if total < 10 * params.from_cycle:
            return False
        return _loss(states, params).half_width <= params.slope_half_width

    stop = adapt(rig, params, grow, tight)
    together = np.concatenate(states, axis=1)
    return Characterisation(
        KIND,
        _figures(states, params),
        {
            "high_resistance_siemens": together[:, :, 0],
            "low_resistance_siemens": together[:, :, 1],
            "rows": cells.rows,
            "columns": cells.columns,
        },
        rig.account(stop),
        params.asked(),
        ("The cells were worn by it and are best not used for a network.",),
    )


def _cycle(rig: Rig, cells: Cells, cycles: int, params: EnduranceParams) -> FloatArray:
    """(cells, cycles, 2): conductance after each RESET and each SET."""
    n, parts = len(cells), []
    for operation, pulse in ((Operation.RESET, params.reset), (Operation.SET, params.set)):
        parts.append(
            PulseBatch(
                cells,
                np.array(int(operation)),
                np.array(pulse.gate_volts),
                np.array(pulse.line_volts),
                np.array(pulse.width_s),
            )
        )
    with rig.armed():
        found = rig.pulse(PulseBatch.join(parts * cycles), f"endurance, {cycles} cycles")
    return found.reshape(cycles, 2, n).transpose(2, 0, 1)


def depth(states: FloatArray) -> FloatArray:
    """ln of low over high resistance state's conductance, (cells, cycles)."""
    return np.asarray(np.log(np.maximum(states[..., 1], 1e-9) / np.maximum(states[..., 0], 1e-9)))


def _closed(states: FloatArray, params: EnduranceParams) -> bool:
    return bool(np.median(depth(states)) < params.closed_depth_ln)


def binned(depths: FloatArray, first: int) -> tuple[FloatArray, FloatArray]:
    """Depth in equal parts of a decade from cycle `first` on.

    Returns log10 of the cycle of each part (parts,) and each cell's median there (cells, parts).
    """
    last = depths.shape[1]
    count = max(round(PARTS_PER_DECADE * np.log10(max(last / first, 1.01))), 1)
    edges = np.unique(np.rint(np.geomspace(first, last + 1, count + 1)).astype(int))
    parts = [np.arange(a, b) for a, b in pairwise(edges)]
    x = np.array([np.log10(part).mean() for part in parts])
    y = np.stack([np.median(depths[:, part - 1], axis=1) for part in parts], axis=1)
    return x, y


def slope(parts: FloatArray, x: FloatArray) -> float:
    """Loss of depth per decade of cycles, of the typical cell."""
    if x.size < 3:
        return float("nan")
    centred = x - x.mean()
    return float(-centred @ np.median(parts, axis=0) / (centred @ centred))


def _figures(states: list[FloatArray], params: EnduranceParams) -> dict[str, Interval]:
    depths, level = depth(np.concatenate(states, axis=1)), params.confidence
    first = min(params.from_cycle, depths.shape[1])
    x, parts = binned(depths, first)
    start = np.median(depths[:, :first], axis=1)
    together = np.column_stack([start, parts])

    def relative(cells: FloatArray) -> float:
        return slope(cells[:, 1:], x) / float(np.median(cells[:, 0]))

    return {
        "depth_start_ln": bootstrap(start, _middle, "", level),
        "depth_end_ln": bootstrap(np.median(depths[:, -first:], axis=1), _middle, "", level),
        "loss_per_decade_ln": _loss(states, params),
        "loss_per_decade_share": bootstrap(together, relative, "1/decade", level),
    }


def _loss(states: list[FloatArray], params: EnduranceParams) -> Interval:
    depths = depth(np.concatenate(states, axis=1))
    x, parts = binned(depths, min(params.from_cycle, depths.shape[1]))
    return bootstrap(parts, partial(slope, x=x), "1/decade", params.confidence)


def _middle(values: FloatArray) -> float:
    return float(np.median(values))
