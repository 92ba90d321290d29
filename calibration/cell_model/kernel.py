"""What the model expects of one pulse, compiled: latent figures of a cell in, ln G out.

The latent figures are standard normals. `LATENTS` of them belong to the cell (weak access path,
switching time, line voltage, SET gain, RESET depth); one belongs to the cycle and is remembered
from pulse to pulse of one direction; one is fresh with each pulse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.cell_model.model import CellModel

F64 = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., object])

LATENTS = 5
WEAK, TIME, LINE, GAIN, DEPTH = range(LATENTS)
CYCLE = LATENTS  # its place after the cell's own figures
_ONSET = 0.3  # a RESET whose depth is this far below zero does nothing
_EXTEND = 3.0  # first columns of the SET table by which short widths extend it
_MOST = 1.5  # relaxation of ln G is limited smoothly to this


def compiled(function: Function) -> Function:
    """numba's njit with a disk cache; a type checker keeps the function's type."""
    return cast(Function, numba.njit(cache=True)(function))


def compiled_fast(function: Function) -> Function:
    """The same for inner loops: terms may be added in another order, and nothing is divided by
    zero in them; results differ by rounding."""
    flags = {"contract", "reassoc", "arcp", "nsz"}
    return cast(Function, numba.njit(cache=True, error_model="numpy", fastmath=flags)(function))


class Numbers(NamedTuple):
    """A model as plain arrays for the compiled functions."""

    levels: F64
    log_widths: F64
    gate_table: F64  # (levels, widths)
    line_levels: F64
    line_volts: F64
    set_band: float
    against: float
    set_device: F64  # gain, log width, line
    set_cycle: F64
    reset_ln: float
    reset_gate: F64
    reset_gate_depth: F64
    reset_line: F64
    reset_line_depth: F64
    reset_log_width: float
    reset_per_decade: float
    reset_band: float
    reset_device: float
    reset_cycle: F64  # depth, gate, line
    drive: F64  # SET gain, RESET gate, RESET line
    skew: float
    limit: float
    noise_ln: F64
    noise_sigma: F64
    noise_tail: F64
    relax_ln: F64
    relax_sigma: F64
    relax_tail: F64
    relax_drift: F64
    onset_s: float
    lowest: float
    highest: float


def numbers(model: CellModel) -> Numbers:
    """Flatten a model."""
    s, r, d, n, x = model.set, model.reset, model.drive, model.read_noise, model.relaxation
    return Numbers(
        levels=_array(s.levels_siemens),
        log_widths=np.log10(_array(s.widths_s)),
        gate_table=_array(s.gate_volts),
        line_levels=_array(s.line_levels_siemens),
        line_volts=_array(s.line_volts),
        set_band=s.redraw_band_ln,
        against=s.against,
        set_device=_array((s.device_gain, s.device_log_width, s.device_line_volts)),
        set_cycle=_array((s.cycle_gain, s.cycle_log_width, s.cycle_line_volts)),
        reset_ln=float(np.log(r.reference_siemens)),
        reset_gate=_array(r.gate_volts),
        reset_gate_depth=_array(r.gate_depth_ln),
        reset_line=_array(r.line_volts),
        reset_line_depth=_array(r.line_depth_ln),
        reset_log_width=float(np.log10(r.reference_width_s)),
        reset_per_decade=r.volts_per_decade,
        reset_band=r.redraw_band_ln,
        reset_device=r.device_depth_ln,
        reset_cycle=_array((r.cycle_depth_ln, r.cycle_gate_volts, r.cycle_line_volts)),
        drive=_array((d.set_gain, d.reset_gate_volts, d.reset_line_volts)),
        skew=d.skew,
        limit=d.limit,
        noise_ln=np.log(_array(n.siemens)),
        noise_sigma=_array(n.sigma),
        noise_tail=_array(n.tail),
        relax_ln=np.log(_array(x.siemens)),
        relax_sigma=_array(x.sigma),
        relax_tail=_array(x.tail),
        relax_drift=_array(x.drift),
        onset_s=x.onset_s,
        lowest=float(np.log(model.bounds.lowest_siemens)),
        highest=float(np.log(model.bounds.highest_siemens)),
    )


def _array(values: ArrayLike) -> F64:
    return np.ascontiguousarray(values, dtype=np.float64)


@compiled
def curve(x: float, at: F64, value: F64) -> float:  # pragma: no cover - compiled
    """Straight lines between knots, flat outside."""
    n = at.size
    if x <= at[0]:
        return float(value[0])
    if x >= at[n - 1]:
        return float(value[n - 1])
    low = np.searchsorted(at, x, side="right") - 1
    share = (x - at[low]) / (at[low + 1] - at[low])
    return float(value[low] + share * (value[low + 1] - value[low]))


@compiled
def soft(x: float, limit: float) -> float:  # pragma: no cover - compiled
    """Slope 1 at zero, never beyond +-limit."""
    return float(x / np.sqrt(1.0 + (x / limit) ** 2))


@compiled
def gate_level(gate: float, log_width: float, m: Any) -> float:  # pragma: no cover - compiled
    """Conductance at which a typical cell's transistor stops a SET."""
    last = m.log_widths.size - 2
    column = 0
    while column < last and log_width > m.log_widths[column + 1]:
        column += 1
    step = m.log_widths[column + 1] - m.log_widths[column]
    share = min(max((log_width - m.log_widths[column]) / step, -_EXTEND), 1.0)
    low, high = 0, m.levels.size - 1
    table = m.gate_table
    top = table[high, column] + share * (table[high, column + 1] - table[high, column])
    if gate >= top:
        return float(m.levels[high])
    bottom = table[0, column] + share * (table[0, column + 1] - table[0, column])
    if gate < bottom:
        return float(m.levels[0] * max(gate, 0.0) / bottom)
    v_low, v_high = bottom, top
    while high - low > 1:
        middle = (low + high) // 2
        volts = table[middle, column] + share * (table[middle, column + 1] - table[middle, column])
        if gate < volts:
            high, v_high = middle, volts
        else:
            low, v_low = middle, volts
    part = (gate - v_low) / (v_high - v_low)
    return float(m.levels[low] + part * (m.levels[high] - m.levels[low]))


@compiled
def set_level(
    gate: float, line: float, log_width: float, m: Any
) -> float:  # pragma: no cover - compiled
    """ln of the conductance at which a SET of a typical cell ends."""
    by_line = curve(line, m.line_volts, m.line_levels)
    if line < m.line_volts[0]:
        by_line *= max(line, 0.0) / m.line_volts[0]
    level = min(gate_level(gate, log_width, m), by_line)
    return float(np.log(level)) if level > 1e-12 else m.lowest


@compiled
def reset_level(
    gate: float, line: float, log_width: float, m: Any
) -> float:  # pragma: no cover - compiled
    """Depth in ln below the reference that a RESET of a typical cell reaches."""
    shift = m.reset_per_decade * (log_width - m.reset_log_width)
    by_gate = curve(gate + shift, m.reset_gate, m.reset_gate_depth)
    return min(by_gate, curve(line + shift, m.reset_line, m.reset_line_depth))


@compiled
def after_set(
    ln: float, gate: float, line: float, log_width: float, z: F64, m: Any
) -> float:  # pragma: no cover - compiled
    """ln G after a SET of a cell at `ln` with latent figures z (LATENTS, cycle, fresh)."""
    weak = soft((np.exp(m.skew * z[WEAK]) - 1.0) / m.skew, m.limit)
    gain = m.set_device[0] * z[GAIN] - m.drive[0] * weak
    acting = log_width + m.set_device[1] * z[TIME]
    line = line + m.set_device[2] * z[LINE]
    typical = max(set_level(gate, line, acting, m) + gain, m.lowest)
    activity = min(max(1.0 + (typical - ln) / m.set_band, 0.0), 1.0)
    if activity == 0.0:
        return ln
    c = z[CYCLE]
    drawn = set_level(gate, line + m.set_cycle[2] * c, acting + m.set_cycle[1] * c, m) + gain
    move = max(typical - ln, 0.0) + max(drawn, m.lowest) + m.set_cycle[0] * c - typical
    if move < 0.0:
        move *= m.against
    return float(min(max(ln + activity * move, m.lowest), m.highest))


@compiled
def after_reset(
    ln: float, gate: float, line: float, log_width: float, z: F64, m: Any
) -> float:  # pragma: no cover - compiled
    """ln G after a RESET of a cell at `ln` with latent figures z (LATENTS, cycle, fresh)."""
    weak = soft((np.exp(m.skew * z[WEAK]) - 1.0) / m.skew, m.limit)
    factor = np.exp(m.reset_device * z[DEPTH])
    gate, line = gate - m.drive[1] * weak, line - m.drive[2] * weak
    depth = reset_level(gate, line, log_width, m)
    if depth > 0.0:
        depth *= factor
    above = ln - m.reset_ln + depth
    activity = min(max(1.0 + above / m.reset_band, 0.0), 1.0)
    activity *= min(max(1.0 + depth / _ONSET, 0.0), 1.0)
    if activity == 0.0:
        return ln
    c = z[CYCLE]
    drawn = reset_level(gate + m.reset_cycle[1] * c, line + m.reset_cycle[2] * c, log_width, m)
    if drawn > 0.0:
        drawn *= factor * np.exp(m.reset_cycle[0] * z[CYCLE + 1])
    deep = min(max(2.0 * depth - 1.0, 0.0), 1.0)
    pull = -max(above, 0.0) - deep * min(above, 0.0)
    move = activity * (pull + max(depth, 0.0) - max(drawn, 0.0))
    return float(min(max(ln + move, m.lowest), m.highest))


@compiled
def noise(ln: float, z: float, scale: float, m: Any) -> float:  # pragma: no cover - compiled
    """Relative deviation of one reading: normals for its value and for its heavy tail."""
    tail = curve(ln, m.noise_ln, m.noise_tail)
    size = curve(ln, m.noise_ln, m.noise_sigma) * np.exp(tail * scale - tail * tail)
    return soft(size * z, 0.6)


@compiled
def relaxation(
    ln: float, decades: float, z: float, scale: float, m: Any
) -> float:  # pragma: no cover - compiled
    """Movement of ln G over some decades of time."""
    tail = 0.7 * curve(ln, m.relax_ln, m.relax_tail)
    size = curve(ln, m.relax_ln, m.relax_sigma) * np.exp(tail * scale - tail * tail)
    drift = curve(ln, m.relax_ln, m.relax_drift) * decades
    return soft(size * np.sqrt(decades) * z + drift, _MOST)
