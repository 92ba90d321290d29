"""The analog loop of a board as an ngspice netlist: what an engineer would solder, part by part.

    preset -- S1 --+--||--+-- x1 -- follower -- row lines -- cells -- trans-impedance stages
                   |  C   |                      (three layers; rectifier with clamp behind
    drift, score --S2--(-)amp                     the first two, output gain behind the last)
    and noise through R

Nothing of `hil.sim` is used: conductances are resistors, a layer's output is what two op-amps make
of the currents of its pair of columns, words are voltages that multipliers multiply by x and by the
network's output, and a rate of the board description is 1 / RC. The op-amps have finite gain and
bandwidth, multipliers and rectifiers a bandwidth, switches a resistance. What the board description
does not say (`Parts`) is this project's choice, of the size of general-purpose parts.

Node names: x1, x2 (integrators), xr1 (row line), h1_3 (layer 1, output 3; from 0), s1 (network's
output), sw1 (signal of switch S1), held1 (sample and hold). Times: `Timeline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.hardware import Loop

F64 = NDArray[np.float64]
AXES = (1, 2)
SWITCHES = (("sw1", "sw2"), ("sw3", "sw4"))  # of each axis: preset, loop; S1 to S4
CLOSED, OPEN = 1.0, 0.0
REFUSED_POINT = "the points of a piecewise linear source have to follow each other in time"


@dataclass(frozen=True)
class Parts:
    """What the loop is soldered of."""

    capacitor_farad: float = 1e-6  # integrators
    word_volts: float = 10.0  # of a word at full scale
    multiplier_volts: float = 10.0  # W = X Y / this, as of common four-quadrant multipliers
    open_loop_gain: float = 1e5  # op-amps
    gain_bandwidth_hz: float = 10e6
    output_ohm: float = 50.0  # of an op-amp without feedback
    stage_bandwidth_hz: float = 1e6  # multipliers, rectifiers and limiters
    stage_output_ohm: float = 0.1  # of the same, with their feedback
    mirror_ohm: float = 2e3  # turns the current of a plus column round
    preset_ohm: float = 100.0
    hold_farad: float = 10e-9
    switch_on_ohm: float = 50.0
    switch_off_ohm: float = 1e12
    clamp_siemens: float = 10e-3  # of the integrators' limiters beyond their voltage
    edge_s: float = 1e-6  # of words and switches


@dataclass(frozen=True)
class LayerCells:
    """Conductances (inputs, outputs) of the plus and minus columns; the bias row is the last."""

    plus: F64
    minus: F64
    feedback_ohm: float

    @property
    def inputs(self) -> int:
        """Rows, that of the bias included."""
        return int(self.plus.shape[0])

    @property
    def outputs(self) -> int:
        """Pairs of columns."""
        return int(self.plus.shape[1])


@dataclass(frozen=True)
class Words:
    """What the converters give in each tick: fractions of full scale and volts."""

    drift: F64  # (ticks,)
    score: F64  # (ticks,)
    noise: F64  # (ticks, 2)
    embedding_volts: F64  # (ticks, hidden width)


@dataclass(frozen=True)
class Timeline:
    """When the switches move, in seconds: S1 and S3 preset, S2 and S4 close the loop."""

    settle_s: float
    tick_s: float
    ticks: int
    step_s: float = 100e-6  # between two pairs of switches, published firmware

    @property
    def start_s(self) -> float:
        """The first tick: the loop is closed."""
        return self.settle_s + self.step_s

    @property
    def capture_s(self) -> float:
        """The samples are held."""
        return self.start_s + self.ticks * self.tick_s

    @property
    def end_s(self) -> float:
        """End of the simulation: the loop is open, the integrators are preset again."""
        return self.capture_s + 10 * self.step_s

    @property
    def ticks_s(self) -> F64:
        """Start of each tick and end of the last one, (ticks + 1,)."""
        return np.asarray(self.start_s + self.tick_s * np.arange(self.ticks + 1))


def netlist(
    title: str,
    loop: Loop,
    layers: Sequence[LayerCells],
    words: Words,
    preset_volts: Sequence[float],
    timeline: Timeline,
    parts: Parts | None = None,
) -> str:
    """The circuit with its sources, without commands to the simulator.

    `preset_volts` are the two initial conditions.
    """
    p = parts or Parts()
    lines = [
        f"* {title}",
        *macro_models(loop, p),
        *_supplies(loop, preset_volts),
        *_switch_signals(timeline, p),
        *_word_sources(words, timeline, p),
    ]
    for axis in AXES:
        lines += integrator(loop, axis, p)
    lines += network(layers)
    return "\n".join(lines) + "\n"


# --- macro-models ----------------------------------------------------------------------------


def macro_models(loop: Loop, p: Parts) -> list[str]:
    """Sub-circuits: op-amp, trans-impedance pair, multiplier, rectifier, output stage, limiter."""
    pole = ["rp d p 1k", f"cp p 0 {1 / (2 * np.pi * p.stage_bandwidth_hz * 1e3):.6g}"]
    buffer = ["eb b 0 p 0 1", f"rb b out {p.stage_output_ohm:g}"]
    return [
        *_subckt(
            "opamp plus minus out",
            # one pole: 1 mS into R || C, then the output resistance
            "g1 0 p plus minus 1m",
            f"r1 p 0 {p.open_loop_gain / 1e-3:.6g}",
            f"c1 p 0 {1e-3 / (2 * np.pi * p.gain_bandwidth_hz):.6g}",
            "e1 o 0 p 0 1",
            f"ro o out {p.output_ohm:g}",
        ),
        *_subckt(
            "follower in out",
            "x1 in out out opamp",
        ),
        *_subckt(
            "tia plus minus out params: rf=10k",
            # out = rf (I_plus - I_minus): the first op-amp turns the current of the plus column
            "xa 0 plus a opamp",
            f"ra plus a {p.mirror_ohm:g}",
            f"rm a minus {p.mirror_ohm:g}",
            "xb 0 minus out opamp",
            "rb minus out {rf}",
        ),
        *_subckt(
            "mult xp xn y out",
            f"bd d 0 v=(v(xp)-v(xn))*v(y)/{p.multiplier_volts:g}",
            *pole,
            *buffer,
        ),
        *_subckt(
            "rectifier in out",
            f"bd d 0 v=min(max(v(in),0),{loop.hidden_clamp_volts:g})",
            *pole,
            *buffer,
        ),
        *_subckt(
            "amplifier in out",
            "xa in f a opamp",
            f"rf a f {1e3 * (loop.output_gain - 1):g}" if loop.output_gain != 1 else "rf a f 1m",
            "rg f 0 1k",
            f"bd d 0 v=min(max(v(a),{-loop.output_clamp_volts:g}),{loop.output_clamp_volts:g})",
            *pole,
            *buffer,
        ),
        *_subckt(
            "limiter x minus",
            f"bl x minus i={p.clamp_siemens:g}*(max(v(x)-{loop.integrator_clamp_volts:g},0)"
            f"+min(v(x)+{loop.integrator_clamp_volts:g},0))",
        ),
        f".model switch sw(ron={p.switch_on_ohm:g} roff={p.switch_off_ohm:g} vt=0.5 vh=0)",
    ]


def _subckt(head: str, *body: str) -> list[str]:
    return [f".subckt {head}", *(f"  {line}" for line in body), f".ends {head.split()[0]}"]


# --- sources ---------------------------------------------------------------------------------


def _supplies(loop: Loop, preset_volts: Sequence[float]) -> Iterator[str]:
    yield f"vbias bias 0 {loop.bias_volts:g}"
    for axis, volts in zip(AXES, preset_volts, strict=True):  # the preset amplifier inverts
        yield f"vinit{axis} init{axis} 0 {-volts:.9g}"


def _switch_signals(timeline: Timeline, p: Parts) -> Iterator[str]:
    """Start: S1 and S3 open, then S2 and S4 close. End: the samples are held, and back again."""
    capture, step = timeline.capture_s, timeline.step_s
    preset = ((timeline.settle_s, OPEN), (capture + 2 * step, CLOSED))
    integrate = ((timeline.start_s, CLOSED), (capture + step, OPEN))
    for axis, (s_preset, s_loop) in zip(AXES, SWITCHES, strict=True):
        yield f"* axis {axis}: {s_preset} preset, {s_loop} loop"
        yield source(f"v{s_preset}", f"{s_preset} 0", CLOSED, preset, p.edge_s)
        yield source(f"v{s_loop}", f"{s_loop} 0", OPEN, integrate, p.edge_s)
    yield source("vtrack", "track 0", CLOSED, ((capture, OPEN),), p.edge_s)


def _word_sources(words: Words, timeline: Timeline, p: Parts) -> Iterator[str]:
    """Held words: those of the first tick from the start on, each other at its tick."""

    def held(name: str, nodes: str, volts: F64) -> str:
        later = zip(timeline.ticks_s[1:-1].tolist(), volts[1:].tolist(), strict=True)
        return source(name, nodes, float(volts[0]), later, p.edge_s)

    yield held("vdrift", "drift 0", p.word_volts * words.drift)
    yield held("vscore", "score 0", p.word_volts * words.score)
    for k, axis in enumerate(AXES):  # the integrator inverts: its noise word is turned round
        yield held(f"vnoise{axis}", f"0 noise{axis}", p.word_volts * words.noise[:, k])
    for k, volts in enumerate(words.embedding_volts.T):
        yield held(f"vemb{k}", f"emb{k} 0", volts)


def source(
    name: str,
    nodes: str,
    first: float,
    changes: Iterable[tuple[float, float]],
    edge_s: float,
) -> str:
    """A voltage that is `first` and takes the value of each (time, volts) within an edge.

    Raises:
        ValueError: an edge would not be over before the next one begins.
    """
    points, volts, last_s = [f"0 {first:.9g}"], first, 0.0
    for time_s, new in changes:
        if time_s < last_s:
            raise ValueError(f"{name} at {time_s:g} s: {REFUSED_POINT}")
        if new != volts:
            points += [f"{time_s:.9g} {volts:.9g}", f"{time_s + edge_s:.9g} {new:.9g}"]
            volts, last_s = new, time_s + edge_s
    if len(points) == 1:
        return f"{name} {nodes} {first:.9g}"
    return f"{name} {nodes} pwl(\n+ " + "\n+ ".join(points) + ")"


# --- the loop --------------------------------------------------------------------------------


def integrator(loop: Loop, axis: int, p: Parts) -> list[str]:
    """Multipliers, resistors, switches, integrator and sample-and-hold of one axis.

    The integrator inverts: dx/dt = -(V_drift / R_drift + V_score / R_score + ...) / C. A positive
    rate takes the inverting input of its multiplier.
    """
    s_preset, s_loop = SWITCHES[axis - 1]
    scale = p.word_volts / p.multiplier_volts  # what a word of full scale makes of x
    r_drift = scale / (abs(loop.drift_rate_per_s) * p.capacitor_farad)
    r_score = scale / (abs(loop.score_rate_per_s) * p.capacitor_farad)
    r_noise = p.word_volts / (loop.noise_rate_volts_per_s * p.capacitor_farad)
    x, s = f"x{axis}", f"s{axis}"
    return [
        f"* axis {axis}",
        f"xmd{axis} {_inputs(x, loop.drift_rate_per_s)} drift md{axis} mult",
        f"xms{axis} {_inputs(s, loop.score_rate_per_s)} score ms{axis} mult",
        f"rd{axis} md{axis} sum{axis} {r_drift:.9g}",
        f"rs{axis} ms{axis} sum{axis} {r_score:.9g}",
        f"rn{axis} noise{axis} sum{axis} {r_noise:.9g}",
        f"s{s_loop} sum{axis} inv{axis} {s_loop} 0 switch",
        f"xi{axis} 0 inv{axis} {x} opamp",
        f"ci{axis} inv{axis} {x} {p.capacitor_farad:g}",
        f"xl{axis} {x} inv{axis} limiter",
        f"ra{axis} init{axis} pre{axis} {p.preset_ohm:g}",
        f"rb{axis} {x} pre{axis} {p.preset_ohm:g}",
        f"s{s_preset} pre{axis} inv{axis} {s_preset} 0 switch",
        f"xr{axis} {x} xr{axis} follower",
        f"sh{axis} xr{axis} hold{axis} track 0 switch",
        f"ch{axis} hold{axis} 0 {p.hold_farad:g}",
        f"xh{axis} hold{axis} held{axis} follower",
    ]


def _inputs(node: str, rate: float) -> str:
    """Both inputs of a multiplier whose output an inverting integrator turns round."""
    return f"0 {node}" if rate > 0 else f"{node} 0"


def network(layers: Sequence[LayerCells]) -> Iterator[str]:
    """Cells and stages of every layer, rectifiers and output stages."""
    rows = ["xr1", "xr2", "bias"]
    for number, cells in enumerate(layers, start=1):
        last = number == len(layers)
        yield f"* layer {number}: {cells.inputs} rows, {cells.outputs} pairs of columns"
        yield from _cells(number, rows, cells)
        for output in range(cells.outputs):
            yield from _stage(number, output, cells.feedback_ohm, last)
        rows = [*(f"h{number}_{k}" for k in range(cells.outputs)), "bias"]


def _cells(number: int, rows: Sequence[str], cells: LayerCells) -> Iterator[str]:
    for sign, siemens in (("p", cells.plus), ("m", cells.minus)):
        for row, node in enumerate(rows):
            for output, g in enumerate(siemens[row].tolist()):
                at = f"{number}_{row}_{output}"
                if g > 0:
                    yield f"r{sign}{at} {node} {sign}{number}_{output} {1 / g:.9g}"


def _stage(number: int, output: int, feedback_ohm: float, last: bool) -> Iterator[str]:
    """Trans-impedance stage of one output; a hidden one gets the embedding and rectifies."""
    at = f"{number}_{output}"
    yield f"xt{at} p{at} m{at} t{at} tia rf={feedback_ohm:.9g}"
    if last:
        yield f"xo{at} t{at} s{output + 1} amplifier"
    else:
        yield f"re{at} emb{output} p{at} {feedback_ohm:.9g}"
        yield f"xh{at} t{at} h{at} rectifier"
