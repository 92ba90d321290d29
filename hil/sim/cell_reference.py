"""The equations of `cell_kernels` once more, in plain numpy: the reference for the tests.

Vectorised over cells, each at most once per call; `parameters` is the record of `cell_parameters`.
Nothing here is used to simulate: it says, in another way, what the compiled code must do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.sim import cell_kernels as k
from hil.sim.draws import normal_lanes_reference, uniform_lanes_reference

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
State = NDArray[np.void]


def _normals(p: Any, stream: int, cell: Any, b: Any = 0, c: Any = 0) -> F64:
    lanes = normal_lanes_reference(int(p["seed"]), stream, cell, b, c)
    return np.moveaxis(lanes, -1, 0)


def _soft(x: F64, limit: float) -> F64:
    return np.asarray(x / np.sqrt(1.0 + (x / limit) ** 2))


def _clip_activity(x: F64) -> F64:
    return np.clip(x, 0.0, 1.0)


def compliance(gate: F64, log_width: F64, p: Any) -> F64:
    """Conductance at which the select transistor stops a SET pulse."""
    axis, levels, table = p["set_log_widths"], p["set_levels"], p["set_gate_volts"]
    column = np.clip(np.searchsorted(axis, log_width, side="left") - 1, 0, axis.size - 2)
    share = (log_width - axis[column]) / (axis[column + 1] - axis[column])
    share = np.clip(share, k.SHORTEST_SHARE, 1.0)
    volts = table[:, column] + share * (table[:, column + 1] - table[:, column])
    out = np.empty(gate.shape)
    for n, (g, v) in enumerate(zip(gate, volts.T, strict=True)):
        out[n] = np.interp(g, v, levels) if g >= v[0] else levels[0] * max(g, 0.0) / v[0]
    return out


def set_aim(gate: F64, line: F64, log_width: F64, p: Any) -> F64:
    """Conductance that a SET pulse aims at in a typical cell."""
    by_line = np.interp(line, p["set_line_volts"], p["set_line_levels"])
    first = p["set_line_volts"][0]
    by_line = np.where(line < first, by_line * np.maximum(line, 0.0) / first, by_line)
    return np.asarray(np.minimum(compliance(gate, log_width, p), by_line))


def reset_depth(gate: F64, line: F64, log_width: F64, p: Any) -> F64:
    """Logarithmic depth that a RESET pulse aims at in a typical cell."""
    shift = p["reset_volts_per_decade"] * (log_width - p["reset_log_width"])
    by_gate = np.interp(gate + shift, p["reset_gate_volts"], p["reset_gate_depth"])
    by_line = np.interp(line + shift, p["reset_line_volts"], p["reset_line_depth"])
    return np.asarray(np.minimum(by_gate, by_line))


def _faults(cell: I64, p: Any) -> tuple[Any, Any, Any]:
    u = uniform_lanes_reference(int(p["seed"]), k.STREAM_FAULT, cell)
    low = u[:, 0] < p["stuck_low"]
    high = ~low & (u[:, 0] < p["stuck_low"] + p["stuck_high"])
    return low, high, u[:, 1] < p["weak"]


def programmed(state: State, cell: I64, p: Any) -> F64:
    """Conductance right after the pulse that last moved each cell."""
    pristine = p["pristine"] * np.exp(p["pristine_ln"] * _normals(p, k.STREAM_DEVICE, cell)[3])
    value = np.where(state["formed"][cell] == 1, state["siemens"][cell], pristine)
    return np.where(_faults(cell, p)[1], p["stuck_high_siemens"], value)


def mean(state: State, cell: I64, now: float, p: Any) -> F64:
    """Long-run mean conductance of each cell at `now`."""
    start = programmed(state, cell, p)
    s = state[cell]
    elapsed = np.maximum(now - s["program_time_s"], 0.0)
    decades = np.log10(1.0 + elapsed / p["relax_onset"])
    ln = np.log(np.maximum(s["siemens"], 1e-30))
    sigma = np.interp(ln, p["relax_ln"], p["relax_sigma"]) / np.sqrt(k.BINS_PER_DECADE)
    tail = np.interp(ln, p["relax_ln"], p["relax_tail"])
    move = decades * np.interp(ln, p["relax_ln"], p["relax_drift"])
    bins = decades * k.BINS_PER_DECADE
    for number in range(int(np.ceil(bins.max(initial=0.0)))):
        draw, size, _a, _b = _normals(p, k.STREAM_RELAX, cell, s["program_pulse"], number)
        part = np.clip(bins - number, 0.0, 1.0)
        move = move + part * sigma * draw * np.exp(tail * size - tail**2)
    relaxed = np.clip(np.exp(ln + _soft(move, k.RELAX_LIMIT)), p["lowest"], p["highest"])
    still = (s["formed"] == 0) | (elapsed == 0.0) | (s["program_pulse"] == 0)
    return np.where(still, start, relaxed)


def _program(state: State, cell: I64, ln: F64, now: float, p: Any) -> None:
    state["siemens"][cell] = np.clip(np.exp(ln), p["lowest"], p["highest"])
    state["program_pulse"][cell] = state["pulse_count"][cell]
    state["program_time_s"][cell] = now


def _cycle_draw(state: State, cell: I64, draw: F64, direction: int, memory: float) -> F64:
    same = state["cycle_direction"][cell] == direction
    kept = memory * state["cycle"][cell] + np.sqrt(1.0 - memory**2) * draw
    out = np.where(same, kept, draw)
    state["cycle_direction"][cell] = direction
    state["cycle"][cell] = out
    return out


def _weakness(normal: F64, p: Any) -> F64:
    return _soft((np.exp(p["drive_skew"] * normal) - 1.0) / p["drive_skew"], p["drive_limit"])


def _set(
    state: State, cell: I64, gate: float, line: float, log_width: float, now: float, p: Any
) -> None:
    block0 = _normals(p, k.STREAM_DEVICE, cell)
    block1 = _normals(p, k.STREAM_DEVICE, cell, 1)
    ln = np.log(mean(state, cell, now, p))
    acting = log_width + p["set_device"][1] * block0[1]
    gain = np.exp(p["set_device"][0] * block1[1] - p["drive"][0] * _weakness(block0[0], p))
    gain = np.where(_faults(cell, p)[2], gain * p["weak_gain"], gain)
    gates, lines = np.full(cell.size, gate), line + p["set_device"][2] * block0[2]
    typical = np.log(np.maximum(set_aim(gates, lines, acting, p) * gain, p["lowest"]))
    activity = _clip_activity(1.0 + (typical - ln) / p["set_band"])
    on = np.flatnonzero(activity > 0.0)
    cell, ln, typical, activity = cell[on], ln[on], typical[on], activity[on]
    draw = _normals(p, k.STREAM_PULSE, cell, state["pulse_count"][cell], 0)[0]
    draw = _cycle_draw(state, cell, draw, 1, p["set_memory"])
    lines = lines[on] + p["set_cycle"][2] * draw
    acting = acting[on] + p["set_cycle"][1] * draw
    drawn = np.log(np.maximum(set_aim(gates[on], lines, acting, p) * gain[on], p["lowest"]))
    move = np.maximum(typical - ln, 0.0) + drawn + p["set_cycle"][0] * draw - typical
    move = np.where(move < 0.0, move * p["set_against"], move)
    _program(state, cell, ln + activity * move, now, p)


def _reset(
    state: State, cell: I64, gate: float, line: float, log_width: float, now: float, p: Any
) -> None:
    ln = np.log(mean(state, cell, now, p))
    weak = _weakness(_normals(p, k.STREAM_DEVICE, cell)[0], p)
    cycles = state["cycle_count"][cell]
    wear = 1.0 - p["wear_per_decade"] * np.log10(1.0 + cycles / p["wear_onset"])
    spread = np.exp(p["reset_device"] * _normals(p, k.STREAM_DEVICE, cell, 1)[0])
    factor = np.maximum(wear, 0.1) * spread
    gates, lines = gate - p["drive"][1] * weak, line - p["drive"][2] * weak
    widths = np.full(cell.size, log_width)
    depth = reset_depth(gates, lines, widths, p)
    depth = np.where(depth > 0.0, depth * factor, depth)
    above = ln - p["reset_ln"] + depth
    activity = _clip_activity(1.0 + above / p["reset_band"])
    activity = activity * _clip_activity(1.0 + depth / k.RESET_ONSET)
    on = np.flatnonzero(activity > 0.0)
    cell, depth, above = cell[on], depth[on], above[on]
    normal = _normals(p, k.STREAM_PULSE, cell, state["pulse_count"][cell], 1)
    draw = _cycle_draw(state, cell, normal[0], -1, p["reset_memory"])
    shifted = gates[on] + p["reset_cycle"][1] * draw, lines[on] + p["reset_cycle"][2] * draw
    drawn = reset_depth(*shifted, widths[on], p)
    deeper = drawn * factor[on] * np.exp(p["reset_cycle"][0] * normal[1])
    drawn = np.where(drawn > 0.0, deeper, drawn)
    deep = np.clip(2.0 * depth - 1.0, 0.0, 1.0)
    pull = -np.maximum(above, 0.0) - deep * np.minimum(above, 0.0)
    move = activity[on] * (pull + np.maximum(depth, 0.0) - np.maximum(drawn, 0.0))
    state["cycle_count"][cell[move < -1.0]] += 1
    _program(state, cell, ln[on] + move, now, p)


def pulse(
    state: State,
    cell: I64,
    polarity: int,
    gate: float,
    line: float,
    width_s: float,
    now: float,
    parameters: State,
) -> None:
    """One pulse for each of `cell` (distinct, formed); like `CellArray.pulse`."""
    p = parameters[0]
    state["pulse_count"][cell] += 1
    state["last_pulse_time_s"][cell] = now
    state["highest_volts"][cell] = np.maximum(state["highest_volts"][cell], np.float32(line))
    state["set_count" if polarity > 0 else "reset_count"][cell] += 1
    low, high, _weak = _faults(cell, p)
    apply = _set if polarity > 0 else _reset
    apply(state, cell[~low & ~high], gate, line, float(np.log10(width_s)), now, p)


def noise_amplitude(state: State, cell: I64, p: Any) -> F64:
    """Standard deviation of the relative read noise of each cell, this programming's scale in."""
    ln = np.log(programmed(state, cell, p))
    sigma = np.interp(ln, p["noise_ln"], p["noise_sigma"])
    tail = np.interp(ln, p["noise_ln"], p["noise_tail"])
    size = _normals(p, k.STREAM_SCALE, cell, state["program_pulse"][cell])[0]
    return np.asarray(sigma * np.exp(tail * size - tail**2))


def read(state: State, cell: I64, now: float, parameters: State) -> F64:
    """One reading of each of `cell` (distinct); like `CellArray.read`."""
    p = parameters[0]
    state["read_count"][cell] += 1
    state["last_read_time_s"][cell] = now
    number, key = state["read_count"][cell], state["program_pulse"][cell]
    draw = _normals(p, k.STREAM_READ, cell, key, number)[0]
    memory = p["noise_correlation"]
    kept = memory * state["noise"][cell] + np.sqrt(1.0 - memory**2) * draw
    state["noise"][cell] = np.where(state["noise_key"][cell] == key + 1, kept, draw)
    state["noise_key"][cell] = key + 1
    deviation = _soft(noise_amplitude(state, cell, p) * state["noise"][cell], k.NOISE_LIMIT)
    return np.asarray(mean(state, cell, now, p) * (1.0 + deviation))
