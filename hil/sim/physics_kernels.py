"""A 1T1R cell of the JART model with its variability, compiled. `physics.py` is the door.

The state of a cell is its conductance; the model's N follows from it (`jart.vacancies`), so a pulse
that does nothing leaves it alone. Readings fluctuate and settle as the number of vacancies in the
disc says, n = N A l: jumps of single vacancies move ln N by a share of 1 / sqrt(n).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hil.sim import jart
from hil.sim.cell_curves import soft_limit
from hil.sim.cell_kernels import fault, forming_volts, programmed
from hil.sim.draws import normals4

F64 = NDArray[np.float64]

STREAM_DEVICE = 141  # (cell)
STREAM_PULSE = 142  # (cell, pulse)
STREAM_SETTLE = 143  # (cell, programming pulse)
STREAM_READ = 144  # (cell, programming pulse, read)
STREAM_SOLVE = 145  # (cell, trajectory, programming pulse)

MOVED_LN = 1e-3  # a pulse that changes ln N by less leaves no trace
NOISE_LIMIT = 0.5
FORMED_N = 0.03  # N right after the breakdown, before the pulse goes on


@numba.njit(cache=True)
def cell_of(cell: int, draw: float, p: Any, v: Any, nominal: Any) -> Any:
    """The model's parameters of a cell in one pulse; `draw` is the pulse's own normal."""
    d0, d1, d2, d3 = normals4(p.seed, cell, 0, 0, STREAM_DEVICE)
    d4, d5, _d6, _d7 = normals4(p.seed, cell, 1, 0, STREAM_DEVICE)
    on = v.device_on
    weak = v.weak_gain if fault(cell, p)[2] else 1.0
    own_radius = v.radius_device * on * d0
    heat = v.heat_device * on * d5 + v.heat_cycle * v.cycle_on * draw
    return jart.CellModel(
        nominal.radius_m * math.exp(own_radius + v.radius_cycle * v.cycle_on * draw),
        nominal.disc_m * math.exp(v.disc_device * on * d1),
        nominal.n_min * math.exp(v.n_min_device * on * d2),
        nominal.n_max * math.exp(v.n_max_device * on * d3),
        nominal.gain * weak,
        nominal.threshold + v.threshold_device * on * d4,
        nominal.heat_set,
        nominal.heat_reset * math.exp(heat),
        nominal.step_ln,
    )


@numba.njit(cache=True)
def _vacancy_share(siemens: float, nominal: Any) -> tuple[float, float]:
    """1 / sqrt(number of vacancies in the disc), and d ln G / d ln N."""
    n = jart.vacancies(siemens, nominal.radius_m)
    count = n * 1e26 * math.pi * nominal.radius_m**2 * nominal.disc_m
    slope = math.log(jart.conductance(1.01 * n, nominal.radius_m) / siemens) / math.log(1.01)
    return 1.0 / math.sqrt(count), slope


@numba.njit(cache=True)
def settled(cell: int, s: Any, now: float, p: Any, v: Any, nominal: Any) -> Any:
    """Mean conductance of a cell at `now`."""
    if s.formed == 0 or s.program_pulse == 0 or v.settle_on == 0.0 or fault(cell, p)[1]:
        return programmed(cell, s, p)
    elapsed = now - s.program_time_s
    if elapsed <= 0.0:
        return s.siemens
    share, slope = _vacancy_share(s.siemens, nominal)
    draw, _n1, _n2, _n3 = normals4(p.seed, cell, s.program_pulse, 0, STREAM_SETTLE)
    spread = v.settle_vacancies * share * slope * math.sqrt(math.log10(1.0 + elapsed / v.onset_s))
    ln = math.log(s.siemens) + soft_limit(spread * draw, 1.0)
    return min(max(math.exp(ln), p.lowest), p.highest)


@numba.njit(cache=True)
def _program(s: Any, siemens: float, now: float, p: Any) -> None:
    s.siemens = min(max(siemens, p.lowest), p.highest)
    s.program_pulse = s.pulse_count
    s.program_time_s = now


@numba.njit(cache=True)
def _drive(
    cell: int, s: Any, direction: int, gate: float, line: float, width: float, now: float,
    p: Any, v: Any, nominal: Any,
) -> None:  # fmt: skip
    draw, _n1, _n2, _n3 = normals4(p.seed, cell, s.pulse_count, 0, STREAM_PULSE)
    if s.cycle_direction == direction:
        draw = v.memory * s.cycle + math.sqrt(1.0 - v.memory**2) * draw
    s.cycle_direction = direction
    s.cycle = draw
    c = cell_of(cell, draw, p, v, nominal)
    if s.formed == 1:
        n = jart.vacancies(settled(cell, s, now, p, v, nominal), c.radius_m)
        n = min(max(n, c.n_min), c.n_max)
    else:
        volts = forming_volts(cell, p) - p.form_volts_per_decade * (
            math.log10(width) - p.form_log_width
        )
        if direction < 0 or line < volts or gate <= c.threshold:
            return
        n = FORMED_N
    after = jart.pulse(direction, gate, line, width, n, c)
    if s.formed == 1 and abs(math.log(after / n)) < MOVED_LN:
        return
    if after < n / math.e:
        s.cycle_count += 1
    if s.formed == 0:
        s.formed = 1
        s.form_count += 1
    _program(s, jart.conductance(after, c.radius_m), now, p)


@numba.njit(cache=True, nogil=True)
def pulse_cells(
    state: Any, index: Any, polarity: Any, gate: F64, line: F64, width: F64, now: F64,
    parameters: Any, v: Any, nominal: Any,
) -> None:  # fmt: skip
    """Give `index[k]` its pulse k, in order. Arrays of length 1 hold for all."""
    p = parameters[0]
    for k in range(index.size):
        cell = index[k]
        s = state[cell]
        direction = polarity[k if polarity.size > 1 else 0]
        vg, vl = gate[k if gate.size > 1 else 0], line[k if line.size > 1 else 0]
        w, time = width[k if width.size > 1 else 0], now[k if now.size > 1 else 0]
        s.pulse_count += 1
        s.last_pulse_time_s = time
        s.highest_volts = max(s.highest_volts, np.float32(vl))
        low, high, _weak = fault(cell, p)
        if not (low or high):
            _drive(cell, s, direction, vg, vl, w, time, p, v, nominal)
        if direction > 0:
            s.set_count += 1
        else:
            s.reset_count += 1


@numba.njit(cache=True, nogil=True)
def mean_cells(
    state: Any, index: Any, now: F64, parameters: Any, v: Any, nominal: Any, out: F64
) -> None:
    """Mean conductance of each index at its time."""
    for k in range(index.size):
        time = now[k if now.size > 1 else 0]
        out[k] = settled(index[k], state[index[k]], time, parameters[0], v, nominal)


@numba.njit(cache=True)
def _amplitude(cell: int, s: Any, p: Any, v: Any, nominal: Any) -> float:
    siemens = programmed(cell, s, p)
    share, slope = _vacancy_share(siemens, nominal)
    return float(v.noise_vacancies * v.noise_on * share * slope) if s.formed == 1 else 0.0


@numba.njit(cache=True, nogil=True)
def read_cells(
    state: Any, index: Any, now: F64, parameters: Any, v: Any, nominal: Any, out: F64
) -> None:
    """One reading per index, in order; a repeated index is read again."""
    p = parameters[0]
    for k in range(index.size):
        cell = index[k]
        s = state[cell]
        time = now[k if now.size > 1 else 0]
        s.read_count += 1
        s.last_read_time_s = time
        draw, _n1, _n2, _n3 = normals4(p.seed, cell, s.program_pulse, s.read_count, STREAM_READ)
        if s.noise_key != s.program_pulse + np.uint32(1):
            s.noise_key = s.program_pulse + np.uint32(1)
            s.noise = draw
        else:
            s.noise = v.noise_memory * s.noise + math.sqrt(1.0 - v.noise_memory**2) * draw
        amplitude = _amplitude(cell, s, p, v, nominal)
        mean = settled(cell, s, time, p, v, nominal)
        out[k] = mean * (1.0 + soft_limit(amplitude * s.noise, NOISE_LIMIT))


@numba.njit(cache=True, nogil=True)
def solve_noise_cells(
    state: Any, index: Any, trajectories: Any, parameters: Any, v: Any, nominal: Any, out: Any
) -> None:
    """Relative deviation of each cell (columns) in each trajectory (rows)."""
    p = parameters[0]
    for m in range(index.size):
        cell = index[m]
        s = state[cell]
        amplitude = _amplitude(cell, s, p, v, nominal)
        for n in range(trajectories.size):
            draw, _n1, _n2, _n3 = normals4(
                p.seed, cell, trajectories[n], s.program_pulse, STREAM_SOLVE
            )
            out[n, m] = soft_limit(amplitude * draw, NOISE_LIMIT)
