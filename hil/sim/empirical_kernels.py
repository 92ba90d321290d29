"""How an empirical cell draws from measured rows, compiled. `empirical.py` is the door.

A pulse of a grid point on a cell at G:

1. Of the steps or the jumps of the point (see `empirical_rows.py`) the rows whose G before is
   nearest in ln G, at least ROWS_MIN of them and, as far as there are more within BAND, at most
   ROWS_MAX.
2. What each of them would make of this cell. A row that did not move its cell leaves it as it is.
   A row from near G leads where it led; what it started above or below G fades with how far it
   moved. A row from further away is extended by the rule that the strongest pulse decides: a SET
   is stopped by its current limit and never lowers, a RESET never raises. (A SET over the bit line
   says nothing of states below its rows, and does nothing there.)
3. Of these outcomes, in order, the one at the quantile of this pulse: a normal of the cell and one
   of the pulse, mixed by the measured correlation of a cell with itself.

The verify reading is the drawn one. As measured, the cell then settles: by a measured change from
a verify reading to the next, in logarithmic time up to SETTLED_S (the time base is not measured;
it is that of the fit). Readings deviate from the settled mean by a measured series of a cell at
rest at a near level, entered at a random place and read up and down.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hil.sim.cell_kernels import fault, programmed
from hil.sim.draws import normals4, philox_words

F64 = NDArray[np.float64]

STREAM_DEVICE = 132  # (cell)
STREAM_PULSE = 133  # (cell, pulse)
STREAM_SETTLE = 134  # (cell, programming pulse)
STREAM_SERIES = 135  # (cell, programming pulse)
STREAM_SOLVE = 136  # (cell, trajectory, programming pulse)

ROWS_MIN, ROWS_MAX = 16, 48
BAND = 0.2  # of ln G: what counts as near
SETTLE_NEAR = 64  # changes after a verify reading to choose from
SERIES_NEAR = 8  # series to choose from
SETTLE_ONSET_S, SETTLED_S = 1e-3, 0.2  # verify and next reading, as the fit assumes them
_UNIFORM = 2.0**-32


@numba.njit(cache=True)
def window(values: F64, first: int, last: int, at: float, least: int, most: int) -> Any:
    """Bounds of the entries of sorted `values[first:last]` that are nearest to `at`."""
    low = first + np.searchsorted(values[first:last], at)
    high = low
    while high - low < most:
        below = at - values[low - 1] if low > first else np.inf
        above = values[high] - at if high < last else np.inf
        nearest = min(below, above)
        if nearest == np.inf or (nearest > BAND and high - low >= least):
            break
        if below <= above:
            low -= 1
        else:
            high += 1
    return low, high


@numba.njit(cache=True)
def outcome(
    ln: float, before: float, after: float, direction: int, near: float, reaches: bool
) -> float:
    """Where a row that moved its cell leads a cell at `ln`."""
    off = ln - before
    if abs(off) <= near:
        return after + off * math.exp(-abs(after - before) / near)
    if direction > 0:
        return max(ln, after) if off > 0.0 or reaches else ln
    return min(ln, after)


@numba.njit(cache=True)
def quantile_of(cell: int, s: Any, direction: int, step: bool, point: int, p: Any, t: Any) -> float:
    """The quantile of this pulse, 0 to 1. Of a step the state has the memory, not the draw."""
    device = t.device_step[point] if step else t.device[point]
    d0, d1, _d2, _d3 = normals4(p.seed, cell, 0, 0, STREAM_DEVICE)
    draw, _n1, _n2, _n3 = normals4(p.seed, cell, s.pulse_count, 0, STREAM_PULSE)
    memory = t.memory[0] if direction > 0 else t.memory[1]
    if s.cycle_direction == direction and not step:
        draw = memory * s.cycle + math.sqrt(1.0 - memory * memory) * draw
    s.cycle_direction = direction
    s.cycle = draw
    own = d0 if direction > 0 else d1
    mixed = t.device_on * math.sqrt(device) * own + t.cycle_on * math.sqrt(1.0 - device) * draw
    return 0.5 * math.erfc(-mixed / math.sqrt(2.0))


@numba.njit(cache=True)
def _program(s: Any, ln: float, now: float, p: Any) -> None:
    s.siemens = min(max(math.exp(ln), p.lowest), p.highest)
    s.program_pulse = s.pulse_count
    s.program_time_s = now


@numba.njit(cache=True)
def _form(cell: int, s: Any, gate: float, line: float, now: float, p: Any, t: Any) -> None:
    word, _w1, _w2, _w3 = philox_words(p.seed, cell, 1, 0, STREAM_DEVICE)
    row = int((float(word) + 0.5) * _UNIFORM * t.form_volts.size)
    if line + 1e-6 < t.form_volts[row] or gate < p.form_gate_threshold:
        return
    s.formed = 1
    s.form_count += 1
    _program(s, t.form_ln[row], now, p)


@numba.njit(cache=True)
def _rows(ln: float, again: bool, point: int, t: Any) -> Any:
    """Bounds of the rows to draw from, and whether they are steps.

    `again`: the pulse before was of the same direction.
    """
    first, middle, last = t.first[point], t.middle[point], t.last[point]
    if again and first < middle:
        low, high = window(t.ln_before, first, middle, ln, ROWS_MIN, ROWS_MAX)
        few = high - low < ROWS_MIN or abs(t.ln_before[low] - ln) > BAND
        if not (few or abs(t.ln_before[high - 1] - ln) > BAND):
            return low, high, True
    low, high = window(t.ln_before, middle, last, ln, ROWS_MIN, ROWS_MAX)
    return low, high, False


@numba.njit(cache=True)
def _switch(cell: int, s: Any, direction: int, point: int, now: float, p: Any, t: Any) -> None:
    if t.first[point] == t.last[point]:
        return
    ln = math.log(settled(cell, s, now, p, t))
    low, high, step = _rows(ln, s.cycle_direction == direction, point, t)
    near = BAND if step else t.near[point]
    outcomes = np.empty(ROWS_MAX)
    n = high - low
    for k in range(n):
        leads = ln
        if t.moved[low + k]:
            before, after = t.ln_before[low + k], t.ln_after[low + k]
            leads = outcome(ln, before, after, direction, near, t.reaches[point])
        place = k
        while place > 0 and outcomes[place - 1] > leads:
            outcomes[place] = outcomes[place - 1]
            place -= 1
        outcomes[place] = leads
    pick = min(int(quantile_of(cell, s, direction, step, point, p, t) * n), n - 1)
    if outcomes[pick] == ln:
        return
    if outcomes[pick] < ln - 1.0:
        s.cycle_count += 1
    _program(s, outcomes[pick], now, p)


@numba.njit(cache=True, nogil=True)
def pulse_cells(
    state: Any,
    index: Any,
    polarity: Any,
    gate: F64,
    line: F64,
    point: Any,
    now: F64,
    parameters: Any,
    tables: Any,
) -> None:
    """Give `index[k]` its pulse k, in order. Arrays of length 1 hold for all."""
    p, t = parameters[0], tables
    for k in range(index.size):
        cell = index[k]
        s = state[cell]
        direction = polarity[k if polarity.size > 1 else 0]
        vg, vl = gate[k if gate.size > 1 else 0], line[k if line.size > 1 else 0]
        time = now[k if now.size > 1 else 0]
        s.pulse_count += 1
        s.last_pulse_time_s = time
        s.highest_volts = max(s.highest_volts, np.float32(vl))
        low, high, _weak = fault(cell, p)
        if not (low or high):
            if s.formed == 1:
                _switch(cell, s, direction, point[k if point.size > 1 else 0], time, p, t)
            elif direction > 0:
                _form(cell, s, vg, vl, time, p, t)
        if direction > 0:
            s.set_count += 1
        else:
            s.reset_count += 1


@numba.njit(cache=True)
def settled(cell: int, s: Any, now: float, p: Any, t: Any) -> Any:
    """Mean conductance of a cell at `now`, without the deviations of its readings."""
    if s.formed == 0 or s.program_pulse == 0 or t.settle_on == 0.0 or fault(cell, p)[1]:
        return programmed(cell, s, p)
    elapsed = now - s.program_time_s
    if elapsed <= 0.0:
        return s.siemens
    share = math.log(1.0 + elapsed / SETTLE_ONSET_S) / math.log(1.0 + SETTLED_S / SETTLE_ONSET_S)
    ln = math.log(s.siemens)
    low, high = window(t.settle_ln, 0, t.settle_ln.size, ln, SETTLE_NEAR, SETTLE_NEAR)
    word, _w1, _w2, _w3 = philox_words(p.seed, cell, s.program_pulse, 0, STREAM_SETTLE)
    row = low + int((float(word) + 0.5) * _UNIFORM * (high - low))
    ln += min(share, 1.0) * t.settle_move[row]
    return min(max(math.exp(ln), p.lowest), p.highest)


@numba.njit(cache=True, nogil=True)
def mean_cells(state: Any, index: Any, now: F64, parameters: Any, tables: Any, out: F64) -> None:
    """Mean conductance of each index at its time."""
    for k in range(index.size):
        time = now[k if now.size > 1 else 0]
        out[k] = settled(index[k], state[index[k]], time, parameters[0], tables)


@numba.njit(cache=True)
def _series_of(cell: int, s: Any, p: Any, t: Any) -> Any:
    """Series that this programming of the cell has, and where it enters it."""
    w0, w1, _w2, _w3 = philox_words(p.seed, cell, s.program_pulse, 0, STREAM_SERIES)
    ln = math.log(programmed(cell, s, p))
    low, high = window(t.series_ln, 0, t.series_ln.size, ln, SERIES_NEAR, SERIES_NEAR)
    length = t.series.shape[1]
    return (
        low + int((float(w0) + 0.5) * _UNIFORM * (high - low)),
        int((float(w1) + 0.5) * _UNIFORM * 2 * (length - 1)),
    )


@numba.njit(cache=True, nogil=True)
def read_cells(state: Any, index: Any, now: F64, parameters: Any, tables: Any, out: F64) -> None:
    """One reading per index, in order; a repeated index is read again."""
    p, t = parameters[0], tables
    length = t.series.shape[1]
    for k in range(index.size):
        cell = index[k]
        s = state[cell]
        time = now[k if now.size > 1 else 0]
        s.read_count += 1
        s.last_read_time_s = time
        fresh = s.noise_key != s.program_pulse + np.uint32(1)
        s.noise_key = s.program_pulse + np.uint32(1)
        s.noise = 0.0 if fresh else s.noise + 1.0  # readings since the programming
        row, start = _series_of(cell, s, p, t)
        place = (start + int(s.noise)) % (2 * (length - 1))
        place = min(place, 2 * (length - 1) - place)
        mean = settled(cell, s, time, p, t)
        out[k] = mean * math.exp(t.noise_on * t.series[row, place])


@numba.njit(cache=True, nogil=True)
def solve_noise_cells(
    state: Any, index: Any, trajectories: Any, parameters: Any, tables: Any, out: Any
) -> None:
    """Relative deviation of each cell (columns) in each trajectory (rows)."""
    p, t = parameters[0], tables
    for m in range(index.size):
        cell = index[m]
        s = state[cell]
        row, _start = _series_of(cell, s, p, t)
        for n in range(trajectories.size):
            word, _w1, _w2, _w3 = philox_words(
                p.seed, cell, trajectories[n], s.program_pulse, STREAM_SOLVE
            )
            place = int((float(word) + 0.5) * _UNIFORM * t.series.shape[1])
            out[n, m] = math.exp(t.noise_on * t.series[row, place]) - 1.0
