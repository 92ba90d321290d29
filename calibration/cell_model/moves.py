"""How a start model is moved to become another one: the numbers of a fit, and how likely each is.

Technologies differ from one another in whole curves first: a threshold, a slope, what a longer
pulse is worth, a scale of the line voltages, thresholds, slopes and depth of RESET. These numbers
may move far (their priors are what a uniform third more or less would give). Beside them the SET
curve may bend a little from level to level, and RESET depth from knot to knot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.cell_model.model import CellModel

F64 = NDArray[np.float64]

_KNOTS_SIEMENS = (5e-6, 40e-6, 90e-6, 130e-6, 170e-6, 210e-6, 240e-6)
_KNOTS_DEPTH = (0.0, 0.5, 1.0, 1.8, 3.0)
GLOBAL = (
    ("set_shift_volts", 0.25),
    ("set_ln_slope", 0.2),
    ("set_ln_width", 0.2),
    ("line_shift_volts", 0.04),
    ("line_ln_scale", 0.2),
    ("reset_gate_shift_volts", 0.3),
    ("reset_gate_ln_slope", 0.2),
    ("reset_line_shift_volts", 0.15),
    ("reset_line_ln_slope", 0.2),
    ("reset_ln_depth", 0.2),
)
_BEND_VOLTS = 0.02  # of the SET gate curve, from one knot to the next
_BEND_LN = 0.06  # of the RESET depth at a knot
SIGMA = np.concatenate(
    [
        [sigma for _, sigma in GLOBAL],
        np.full(len(_KNOTS_SIEMENS), _BEND_VOLTS),
        np.full(len(_KNOTS_DEPTH), _BEND_LN),
    ]
)
"""Standard deviations of all numbers: the global ones, then both kinds of bends."""
SIZE = SIGMA.size


def moved(start: CellModel, x: F64) -> CellModel:
    """`start` with its curves moved, stretched and bent by x (SIZE,); monotone as before."""
    by = dict(zip((name for name, _ in GLOBAL), x, strict=False))
    first = len(GLOBAL) + len(_KNOTS_SIEMENS)
    return replace(
        start,
        set=_moved_set(start, by, x[len(GLOBAL) : first]),
        reset=_moved_reset(start, by, x[first:]),
    )


def _moved_set(start: CellModel, by: dict[str, float], bends: F64) -> Any:
    s = start.set
    table = np.array(s.gate_volts)
    onset = table[0]
    slower = onset[0] + np.exp(by["set_ln_width"]) * (onset - onset[0])
    bend = np.interp(s.levels_siemens, _KNOTS_SIEMENS, np.cumsum(bends) - bends[0])
    gates = slower + by["set_shift_volts"] + np.exp(by["set_ln_slope"]) * (table - onset)
    lines = np.exp(by["line_ln_scale"]) * np.array(s.line_volts) + by["line_shift_volts"]
    return replace(
        s,
        gate_volts=tuple(tuple(float(v) for v in row) for row in _rising(gates + bend[:, None])),
        line_volts=tuple(float(v) for v in _rising(lines)),
    )


def _moved_reset(start: CellModel, by: dict[str, float], bends: F64) -> Any:
    r, factor = start.reset, float(np.exp(by["reset_ln_depth"]))

    def deeper(depth: tuple[float, ...]) -> tuple[float, ...]:
        d = np.asarray(depth)
        bent = d * factor * np.exp(np.interp(d, _KNOTS_DEPTH, bends))
        return tuple(float(v) for v in np.maximum.accumulate(np.where(d > 0.0, bent, d)))

    def stretched(volts: tuple[float, ...], depth: tuple[float, ...], axis: str) -> Any:
        v = np.asarray(volts)
        onset = float(np.interp(0.0, depth, v))
        above = np.maximum(v - onset, 0.0) * np.exp(by[f"reset_{axis}_ln_slope"])
        now = np.minimum(v, onset) + above + by[f"reset_{axis}_shift_volts"]
        return tuple(float(x) for x in _rising(now))

    return replace(
        r,
        gate_volts=stretched(r.gate_volts, r.gate_depth_ln, "gate"),
        line_volts=stretched(r.line_volts, r.line_depth_ln, "line"),
        gate_depth_ln=deeper(r.gate_depth_ln),
        line_depth_ln=deeper(r.line_depth_ln),
    )


def _rising(values: F64, step: float = 1e-4) -> F64:
    """The values made to rise by at least `step` along the first axis, and positive."""
    ramp = step * np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(np.maximum.accumulate(np.maximum(values, 0.01) - ramp, axis=0) + ramp)
