"""The equations of one cell, compiled. `hil/sim/cells.py` is the door to them.

Kinds of equations, and where they come from:

- SET. Growth stops where the select transistor limits the current, so the word line sets the
  conductance that a pulse aims at (D. Ielmini, "Modeling the universal set/reset characteristics
  of bipolar RRAM", IEEE TED 58, 4309, 2011); short pulses reach less. The aim is a fitted monotone
  table over word line and width, limited by a second one over the bit line.
- RESET. The aim is a logarithmic depth below a reference, the smaller of what the source line and
  the word line allow; both are fitted monotone curves. Spreads multiply the depth, so that a pulse
  that does nothing has no spread.
- A pulse moves the logarithm of the conductance by `a * (pull + scatter)`: `pull` leads to the
  cell's own aim, `scatter` is what this one pulse adds, and the activity `a` falls from 1 to
  exactly 0 over a band as the aim falls short of the present state. A pulse that is too weak leaves
  no trace. A SET pulse never pulls down; a RESET pulse in a deep cell draws its state anew about
  the aim, upwards too, as repeated RESET pulses of the measured cells do.
- Relaxation. ln G moves by independent increments in logarithmic time, one keyed draw per half
  decade since the programming, linear within a half decade; so a conductance is a function of the
  programming and the time alone, and reading has no effect on it.
- Read noise. First-order autoregression in the number of reads, relative amplitude by state, with
  a lognormal scale per programming for its heavy tails (the sum of telegraph fluctuators of which
  few dominate: S. Ambrogio et al., IEEE TED 61, 2920, 2014).

Lines of the tables are linear between knots, flat beyond them in level, and the width axis is
extended below its first column along the first segment (by at most three times its length, to
12 ns in the shipped profile) and held above the last.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hil.sim.cell_curves import interpolate, soft_limit
from hil.sim.draws import normals4, philox_words

F64 = NDArray[np.float64]

# Streams of the keyed draws: which question a counter answers. Never reuse or renumber one, or
# every seed becomes another chip. (In this file because the compiler caches by file.)
STREAM_DEVICE = 101  # (cell, block): what is fixed in a cell
STREAM_PULSE = 102  # (cell, pulse): what differs from pulse to pulse
STREAM_RELAX = 103  # (cell, pulse, bin of logarithmic time)
STREAM_READ = 104  # (cell, pulse, read)
STREAM_SOLVE = 105  # (cell, trajectory, pulse)
STREAM_SCALE = 106  # (cell, pulse): size of the read noise of this programming
STREAM_FAULT = 107  # (cell): uniforms

BINS_PER_DECADE = 2.0  # of the relaxation's logarithmic time
SHORTEST_SHARE = -3.0  # how far the SET table is extended to short widths, in first columns
NOISE_LIMIT = 0.6  # a reading never deviates further than this fraction (smooth limit)
RESET_ONSET = 0.3  # a RESET pulse whose depth is this far below 0 leaves no trace
RELAX_LIMIT = 1.5  # nor does ln G relax further than this (smooth limit)


@numba.njit(cache=True)
def width_column(log_width: float, log_widths: F64) -> tuple[int, float]:  # pragma: no cover
    """Column and share of the next one for a width: extended downwards, held upwards."""
    last = log_widths.size - 1
    column = 0
    while column < last - 1 and log_width > log_widths[column + 1]:
        column += 1
    share = (log_width - log_widths[column]) / (log_widths[column + 1] - log_widths[column])
    return column, min(max(share, SHORTEST_SHARE), 1.0)


@numba.njit(cache=True)
def compliance(gate: float, log_width: float, p: Any) -> float:  # pragma: no cover - compiled
    """Conductance at which the select transistor stops a SET pulse."""
    column, share = width_column(log_width, p.set_log_widths)
    levels, table = p.set_levels, p.set_gate_volts
    low, high = -1, levels.size - 1
    if gate >= table[high, column] + share * (table[high, column + 1] - table[high, column]):
        return levels[high]
    while high - low > 1:  # the row below which the gate voltage lies
        middle = (low + high) // 2
        volts = table[middle, column] + share * (table[middle, column + 1] - table[middle, column])
        if gate < volts:
            high = middle
        else:
            low = middle
    above = table[high, column] + share * (table[high, column + 1] - table[high, column])
    if low < 0:
        return levels[0] * max(gate, 0.0) / above
    below = table[low, column] + share * (table[low, column + 1] - table[low, column])
    return levels[low] + (gate - below) / (above - below) * (levels[high] - levels[low])


@numba.njit(cache=True)
def set_aim(
    gate: float, line: float, log_width: float, p: Any
) -> float:  # pragma: no cover - compiled
    """Conductance that a SET pulse aims at in a typical cell."""
    by_line = interpolate(line, p.set_line_volts, p.set_line_levels)
    if line < p.set_line_volts[0]:
        by_line *= max(line, 0.0) / p.set_line_volts[0]
    return min(compliance(gate, log_width, p), by_line)


@numba.njit(cache=True)
def reset_depth(
    gate: float, line: float, log_width: float, p: Any
) -> float:  # pragma: no cover - compiled
    """Logarithmic depth below the reference that a RESET pulse aims at in a typical cell."""
    shift = p.reset_volts_per_decade * (log_width - p.reset_log_width)
    by_gate = interpolate(gate + shift, p.reset_gate_volts, p.reset_gate_depth)
    by_line = interpolate(line + shift, p.reset_line_volts, p.reset_line_depth)
    return min(by_gate, by_line)


@numba.njit(cache=True)
def device(cell: int, block: int, p: Any) -> tuple[float, float, float, float]:  # pragma: no cover
    """Four normals that belong to the cell for ever."""
    return normals4(p.seed, cell, block, 0, STREAM_DEVICE)


@numba.njit(cache=True)
def weakness(normal: float, p: Any) -> float:  # pragma: no cover - compiled
    """How weakly a cell is driven: 0 in the median cell, with a long tail of weak ones."""
    return soft_limit((np.exp(p.drive_skew * normal) - 1.0) / p.drive_skew, p.drive_limit)


@numba.njit(cache=True)
def fault(cell: int, p: Any) -> tuple[bool, bool, bool]:  # pragma: no cover - compiled
    """Whether a cell is stuck at its pristine value, stuck in a low resistance, or weak."""
    if p.stuck_low + p.stuck_high + p.weak == 0.0:
        return False, False, False
    w0, w1, _w2, _w3 = philox_words(p.seed, cell, 0, 0, STREAM_FAULT)
    stuck = (np.float64(w0) + 0.5) * 2.0**-32
    weak = (np.float64(w1) + 0.5) * 2.0**-32
    low = stuck < p.stuck_low
    high = (not low) and stuck < p.stuck_low + p.stuck_high
    return low, high, weak < p.weak


@numba.njit(cache=True)
def forming_volts(cell: int, p: Any) -> float:  # pragma: no cover - compiled
    """Line voltage at which a pristine cell forms, at the reference width."""
    _w0, _w1, w2, _w3 = philox_words(p.seed, cell, 0, 0, STREAM_FAULT)
    return interpolate((np.float64(w2) + 0.5) * 2.0**-32, p.form_quantiles, p.form_volts)


@numba.njit(cache=True)
def programmed(cell: int, s: Any, p: Any) -> float:  # pragma: no cover - compiled
    """Conductance right after the pulse that last moved the cell; pristine if none formed it."""
    if fault(cell, p)[1]:
        return p.stuck_high_siemens
    if s.formed == 1:
        return s.siemens
    return p.pristine * np.exp(p.pristine_ln * device(cell, 0, p)[3])


@numba.njit(cache=True)
def relaxed(cell: int, s: Any, now: float, p: Any) -> float:  # pragma: no cover - compiled
    """Long-run mean conductance of a cell at time `now`."""
    if s.formed == 0:
        return programmed(cell, s, p)
    elapsed = now - s.program_time_s
    if elapsed <= 0.0 or s.program_pulse == 0:
        return s.siemens
    decades = np.log10(1.0 + elapsed / p.relax_onset)
    ln = np.log(s.siemens)
    sigma = interpolate(ln, p.relax_ln, p.relax_sigma) / np.sqrt(BINS_PER_DECADE)
    move = 0.0
    if sigma > 0.0:
        tail = interpolate(ln, p.relax_ln, p.relax_tail)
        left = decades * BINS_PER_DECADE
        number = 0
        while left > 0.0:
            draw, size, _n2, _n3 = normals4(p.seed, cell, s.program_pulse, number, STREAM_RELAX)
            move += min(left, 1.0) * sigma * draw * np.exp(tail * size - tail * tail)
            left -= 1.0
            number += 1
    move += decades * interpolate(ln, p.relax_ln, p.relax_drift)
    return min(max(np.exp(ln + soft_limit(move, RELAX_LIMIT)), p.lowest), p.highest)


@numba.njit(cache=True)
def _form(
    cell: int, s: Any, gate: float, line: float, log_width: float, now: float, p: Any
) -> None:
    volts = forming_volts(cell, p) - p.form_volts_per_decade * (log_width - p.form_log_width)
    if line < volts or gate < p.form_gate_threshold:
        return
    limit = set_aim(gate, line, log_width, p)
    word, _w1, _w2, _w3 = philox_words(p.seed, cell, s.pulse_count, 2, STREAM_PULSE)
    share = (np.float64(word) + 0.5) * 2.0**-32
    siemens = interpolate(share, p.form_quantiles, p.form_siemens)
    reference = set_aim(p.form_gate, line, p.form_log_width, p)
    s.siemens = min(max(siemens * limit / reference, p.lowest), p.highest)
    s.formed = 1
    s.form_count += 1
    s.program_pulse = s.pulse_count
    s.program_time_s = now


@numba.njit(cache=True)
def _program(s: Any, ln: float, now: float, p: Any) -> None:  # pragma: no cover - compiled
    s.siemens = min(max(np.exp(ln), p.lowest), p.highest)
    s.program_pulse = s.pulse_count
    s.program_time_s = now


@numba.njit(cache=True)
def _cycle_draw(s: Any, draw: float, direction: int, memory: float) -> float:  # pragma: no cover
    """Cycle-to-cycle deviation of this pulse, correlated with the last one of its direction."""
    if s.cycle_direction == direction:
        draw = memory * s.cycle + np.sqrt(1.0 - memory * memory) * draw
    s.cycle_direction = direction
    s.cycle = draw
    return draw


@numba.njit(cache=True)
def _set(
    cell: int, s: Any, gate: float, line: float, log_width: float, now: float, p: Any
) -> None:  # pragma: no cover - compiled
    d0, d1, d2, _d3 = device(cell, 0, p)
    ln = np.log(relaxed(cell, s, now, p))
    acting = log_width + p.set_device[1] * d1
    _d0, d4, _d5, _d6 = device(cell, 1, p)
    gain = np.exp(p.set_device[0] * d4 - p.drive[0] * weakness(d0, p))
    if fault(cell, p)[2]:
        gain *= p.weak_gain
    line += p.set_device[2] * d2
    typical = np.log(max(set_aim(gate, line, acting, p) * gain, p.lowest))
    activity = min(max(1.0 + (typical - ln) / p.set_band, 0.0), 1.0)
    if activity == 0.0:
        return
    draw, _n1, _n2, _n3 = normals4(p.seed, cell, s.pulse_count, 0, STREAM_PULSE)
    draw = _cycle_draw(s, draw, 1, p.set_memory)
    drawn = set_aim(gate, line + p.set_cycle[2] * draw, acting + p.set_cycle[1] * draw, p)
    scatter = np.log(max(drawn * gain, p.lowest)) + p.set_cycle[0] * draw - typical
    move = max(typical - ln, 0.0) + scatter
    if move < 0.0:
        move *= p.set_against
    _program(s, ln + activity * move, now, p)


@numba.njit(cache=True)
def _reset(
    cell: int, s: Any, gate: float, line: float, log_width: float, now: float, p: Any
) -> None:  # pragma: no cover - compiled
    d0, _d1, _d2, _d3 = device(cell, 1, p)
    ln = np.log(relaxed(cell, s, now, p))
    wear = 1.0 - p.wear_per_decade * np.log10(1.0 + s.cycle_count / p.wear_onset)
    factor = max(wear, 0.1) * np.exp(p.reset_device * d0)
    weak = weakness(device(cell, 0, p)[0], p)
    gate -= p.drive[1] * weak
    line -= p.drive[2] * weak
    depth = reset_depth(gate, line, log_width, p)
    if depth > 0.0:
        depth *= factor
    above = ln - p.reset_ln + depth  # how far the cell is above its aim
    activity = min(max(1.0 + above / p.reset_band, 0.0), 1.0)
    activity *= min(max(1.0 + depth / RESET_ONSET, 0.0), 1.0)
    if activity == 0.0:
        return
    draw, fresh, _n2, _n3 = normals4(p.seed, cell, s.pulse_count, 1, STREAM_PULSE)
    draw = _cycle_draw(s, draw, -1, p.reset_memory)
    drawn = reset_depth(
        gate + p.reset_cycle[1] * draw, line + p.reset_cycle[2] * draw, log_width, p
    )
    if drawn > 0.0:
        drawn *= factor * np.exp(p.reset_cycle[0] * fresh)
    scatter = max(depth, 0.0) - max(drawn, 0.0)
    deep = min(max(2.0 * depth - 1.0, 0.0), 1.0)
    pull = -max(above, 0.0) - deep * min(above, 0.0)
    move = activity * (pull + scatter)
    if move < -1.0:
        s.cycle_count += 1
    _program(s, ln + move, now, p)


@numba.njit(cache=True, nogil=True)
def pulse_cells(
    state: Any,
    index: Any,
    polarity: Any,
    gate: F64,
    line: F64,
    log_width: F64,
    now: F64,
    parameters: Any,
) -> None:  # pragma: no cover - compiled
    """Give `index[k]` its pulse k, in order. Arrays of length 1 hold for all."""
    p = parameters[0]
    for k in range(index.size):
        cell = index[k]
        s = state[cell]
        direction = polarity[k if polarity.size > 1 else 0]
        vg, vl = gate[k if gate.size > 1 else 0], line[k if line.size > 1 else 0]
        lw, t = log_width[k if log_width.size > 1 else 0], now[k if now.size > 1 else 0]
        s.pulse_count += 1
        s.last_pulse_time_s = t
        s.highest_volts = max(s.highest_volts, np.float32(vl))
        low, high, _weak = fault(cell, p)
        if low or high:
            pass
        elif direction > 0 and s.formed == 0:
            _form(cell, s, vg, vl, lw, t, p)
        elif direction > 0:
            _set(cell, s, vg, vl, lw, t, p)
        elif s.formed == 1:
            _reset(cell, s, vg, vl, lw, t, p)
        if direction > 0:
            s.set_count += 1
        else:
            s.reset_count += 1


@numba.njit(cache=True, nogil=True)
def mean_cells(
    state: Any, index: Any, now: F64, parameters: Any, out: F64
) -> None:  # pragma: no cover - compiled
    """Long-run mean conductance of each index at its time."""
    p = parameters[0]
    for k in range(index.size):
        out[k] = relaxed(index[k], state[index[k]], now[k if now.size > 1 else 0], p)


@numba.njit(cache=True)
def _noise_amplitude(cell: int, s: Any, p: Any) -> float:  # pragma: no cover - compiled
    ln = np.log(programmed(cell, s, p))
    sigma = interpolate(ln, p.noise_ln, p.noise_sigma)
    tail = interpolate(ln, p.noise_ln, p.noise_tail)
    if sigma == 0.0 or tail == 0.0:
        return sigma
    size, _n1, _n2, _n3 = normals4(p.seed, cell, s.program_pulse, 0, STREAM_SCALE)
    return sigma * np.exp(tail * size - tail * tail)


@numba.njit(cache=True, nogil=True)
def read_cells(
    state: Any, index: Any, now: F64, parameters: Any, out: F64
) -> None:  # pragma: no cover - compiled
    """One reading per index, in order; a repeated index is read again."""
    p = parameters[0]
    innovation = np.sqrt(1.0 - p.noise_correlation**2)
    for k in range(index.size):
        cell = index[k]
        s = state[cell]
        t = now[k if now.size > 1 else 0]
        s.read_count += 1
        s.last_read_time_s = t
        mean = relaxed(cell, s, t, p)
        amplitude = _noise_amplitude(cell, s, p)
        if amplitude == 0.0:
            out[k] = mean
            continue
        draw, _n1, _n2, _n3 = normals4(p.seed, cell, s.program_pulse, s.read_count, STREAM_READ)
        if s.noise_key != s.program_pulse + np.uint32(1):  # a new filament, a new memory
            s.noise_key = s.program_pulse + np.uint32(1)
            s.noise = draw
        else:
            s.noise = p.noise_correlation * s.noise + innovation * draw
        out[k] = mean * (1.0 + soft_limit(amplitude * s.noise, NOISE_LIMIT))


@numba.njit(cache=True, nogil=True)
def solve_noise_cells(
    state: Any, index: Any, trajectories: Any, parameters: Any, out: Any
) -> None:  # pragma: no cover - compiled
    """Relative deviation of each cell (columns) in each trajectory (rows)."""
    p = parameters[0]
    for m in range(index.size):
        cell = index[m]
        s = state[cell]
        amplitude = _noise_amplitude(cell, s, p)
        for n in range(trajectories.size):
            if amplitude == 0.0:
                out[n, m] = 0.0
                continue
            draw, _n1, _n2, _n3 = normals4(
                p.seed, cell, trajectories[n], s.program_pulse, STREAM_SOLVE
            )
            out[n, m] = soft_limit(amplitude * draw, NOISE_LIMIT)


@numba.njit(cache=True, nogil=True)
def place_cells(
    state: Any, index: Any, siemens: F64, now: F64, parameters: Any
) -> None:  # pragma: no cover - compiled
    """Put cells at a conductance as if a perfect pulse had done it; stuck cells stay."""
    p = parameters[0]
    for k in range(index.size):
        low, high, _weak = fault(index[k], p)
        if low or high:
            continue
        s = state[index[k]]
        s.pulse_count += 1
        s.formed = 1
        t = now[k if now.size > 1 else 0]
        s.last_pulse_time_s = t
        s.cycle_direction = 0
        _program(s, np.log(siemens[k if siemens.size > 1 else 0]), t, p)
