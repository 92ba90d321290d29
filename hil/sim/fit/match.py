"""Corrections that bring simulated figures to measured ones, one small rule per group.

Each rule compares a figure of the measured tables with the same figure of the replayed protocol
and moves the parameter that governs it, damped; a fixed number of rounds makes it deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from hil.sim.cells import CellArray, robust_ratio
from hil.sim.effects import Effects
from hil.sim.fit.figures import (
    MedianCurve,
    Reread,
    Rows,
    crossing_volts,
    lag_one,
    median_curve,
    quiet_readings,
    reread,
    reread_pairs,
    spread_at,
)
from hil.sim.fit.replay import (
    Die,
    Replay,
    replay_cycling,
    replay_from_high,
    replay_single,
    replay_sweep,
)
from hil.sim.fit.start import GATE_KNOTS, LEVELS, LINE_KNOTS, SHARED_LEVEL, Tables, order_table
from hil.sim.profile import Profile

F64 = NDArray[np.float64]
Draft = dict[str, Any]

DAMPING = 0.6
MINIMUM_CELLS = 20

# Voltages at which the spreads are matched: (sweep, voltages, logarithmic).
SPREAD_POINTS: dict[str, tuple[str, tuple[float, ...], bool]] = {
    "set_gate_first": ("set_gate", (2.1,), False),
    "set_gate_all": ("set_gate", (2.1, 2.2, 2.4), False),
    "high_100ns": ("high_100ns", (2.32, 2.4, 2.48, 2.56), False),
    "set_line_low": ("set_line", (0.8, 0.9, 1.0), False),
    "set_line_high": ("set_line", (1.2, 1.4), False),
    "reset_gate_low": ("reset_gate", (2.4, 2.45, 2.5), True),
    "reset_gate_high": ("reset_gate", (2.7, 2.8, 2.9), True),
    "reset_line_low": ("reset_line", (0.9, 0.95, 1.0), True),
    "reset_line_high": ("reset_line", (1.2, 1.3, 1.5), True),
}


@dataclass(frozen=True)
class Simulated:
    """The replayed protocols of one profile."""

    set_gate: Replay
    set_line: Replay
    reset_gate: Replay
    reset_line: Replay
    high_100ns: Replay
    high_1us: Replay
    high_10us: Replay
    cycling_high: F64  # high conductances of cycled cells: (cells, cycles)


def simulate(
    tables: Tables,
    profile: Profile,
    seed: int,
    copies: int,
    effects: Effects | None = None,
    cells: type[CellArray] = CellArray,
) -> Simulated:
    """Replay every protocol that is matched, with `copies` simulated cells per measured one."""

    def die(number: int, cells_per_cell: int) -> Die:
        return Die(profile, seed + number, cells_per_cell, effects, cells)

    few = max(1, copies // 4)
    return Simulated(
        set_gate=replay_sweep(tables.set_gate, die(0, copies)),
        set_line=replay_sweep(tables.set_line, die(1, copies)),
        reset_gate=replay_sweep(tables.reset_gate, die(2, copies)),
        reset_line=replay_sweep(tables.reset_line, die(3, copies)),
        high_100ns=replay_from_high(tables.high_100ns, die(4, few)),
        high_1us=replay_single(tables.high_1us, die(5, copies)),
        high_10us=replay_single(tables.high_10us, die(6, copies)),
        cycling_high=replay_cycling(tables.cycling, die(7, 1))[0],
    )


def match_set_table(draft: Draft, tables: Tables, simulated: Simulated) -> None:
    """Shift the knots of each width by the difference of the crossing voltages."""
    table = np.array(draft["set"]["gate_volts"])
    columns = (
        (0, tables.high_100ns, simulated.high_100ns, 0.02),
        (1, tables.set_gate, simulated.set_gate, 0.05),
        (2, tables.high_1us, simulated.high_1us, 0.01),
        (3, tables.high_10us, simulated.high_10us, 0.01),
    )
    for column, measured, replayed, step in columns:
        shift = crossing_shift(_coarse(measured, step), _coarse(replayed, step), LEVELS)
        shift[LEVELS >= SHARED_LEVEL] = 0.0
        if column == 1:  # a sweep from 166 uS says nothing of the levels below
            shift[LEVELS < 172e-6] = 0.0
        table[:, column] += DAMPING * np.clip(shift, -0.05, 0.05)
        if column != 1:
            _tie_threshold(table[:, column], 1.5 * float(median_curve(measured).siemens[0]))
    draft["set"]["gate_volts"] = order_table(table).tolist()


def _tie_threshold(volts: F64, seen_siemens: float) -> None:
    """Levels too low to be told from the start of the sweep: just below the first one above."""
    hidden = int(np.count_nonzero(seen_siemens > LEVELS))
    volts[:hidden] = volts[hidden] - 0.01 * np.arange(hidden, 0, -1)


def _coarse(rows: Rows, step: float) -> MedianCurve:
    curve = median_curve(rows)
    keep = curve.cells >= min(MINIMUM_CELLS, int(curve.cells.max()))
    volts = np.round(np.round(curve.volts / step) * step, 4)
    keep &= np.abs(volts - curve.volts) < 1e-6
    return MedianCurve(curve.volts[keep], curve.siemens[keep], curve.rows[keep], curve.cells[keep])


def crossing_shift(measured: MedianCurve, replayed: MedianCurve, levels: F64) -> F64:
    """Measured less simulated crossing voltage; a level not crossed takes its neighbour's."""
    shift = crossing_volts(measured, levels) - crossing_volts(replayed, levels)
    known = np.flatnonzero(np.isfinite(shift))
    if known.size == 0:
        return np.zeros(levels.size)
    return np.asarray(np.interp(np.arange(levels.size), known, shift[known]))


def match_line_table(draft: Draft, tables: Tables, simulated: Simulated) -> None:
    """The same for the bit-line curve, where its sweep covers it."""
    law = draft["set"]
    levels, volts = np.array(law["line_levels_siemens"]), np.array(law["line_volts"])
    measured, replayed = median_curve(tables.set_line), median_curve(simulated.set_line)
    shift = crossing_shift(measured.at_least(MINIMUM_CELLS), replayed, levels)
    inside = (levels > 167e-6) & (levels < 232e-6)
    volts = volts + DAMPING * np.where(inside, np.clip(shift, -0.05, 0.05), 0.0)
    for knot in range(1, volts.size):
        volts[knot] = max(volts[knot], volts[knot - 1] + 1e-3)
    law["line_volts"] = volts.tolist()


QUIET_SHARE = 0.975  # a median above this share of the start has not moved
SLOPE_PER_VOLT = 6.0  # of the depth below the first step that moves a cell


def match_reset_depth(draft: Draft, tables: Tables, simulated: Simulated) -> None:
    """Move the depths by the logarithm of the ratio of the medians."""
    for name, knots, measured, replayed in (
        ("gate", GATE_KNOTS, tables.reset_gate, simulated.reset_gate),
        ("line", LINE_KNOTS, tables.reset_line, simulated.reset_line),
    ):
        depth = np.array(draft["reset"][f"{name}_depth_ln"])
        want = median_curve(measured).at_least(MINIMUM_CELLS)
        have = median_curve(replayed).at_least(MINIMUM_CELLS)
        inside = (knots <= want.volts.max()) & (knots <= have.volts.max())
        move = np.clip(np.log(have.at(knots)) - np.log(want.at(knots)), -0.3, 0.3)
        depth += DAMPING * np.where(inside, move, 0.0)
        depth[~inside] = depth[inside][-1]
        moving = want.at(knots) < QUIET_SHARE * want.siemens[0]
        weight = np.sqrt(np.interp(knots, want.volts, want.rows))
        draft["reset"][f"{name}_depth_ln"] = order_depth(knots, depth, moving, weight).tolist()


def order_depth(knots: F64, depth: F64, moving: NDArray[np.bool_], weight: F64) -> F64:
    """Not falling over the voltage; below the first moving knot a straight line downwards."""
    first = int(np.flatnonzero(moving)[0])
    out = depth.copy()
    out[first:] = isotonic_regression(depth[first:], weights=weight[first:]).x
    out[first] = max(out[first], 0.01)
    out[first:] = np.maximum.accumulate(out[first:])
    out[:first] = np.maximum(out[first] - SLOPE_PER_VOLT * (knots[first] - knots[:first]), -2.0)
    return out


def _ratio(measured: float, replayed: float) -> float:
    return float(np.clip((measured / max(replayed, 1e-12)) ** DAMPING, 0.7, 1.4))


def spread_ratios(tables: Tables, simulated: Simulated) -> dict[str, tuple[float, float]]:
    """Measured over simulated spread (cycle to cycle, device to device) at each group of points."""
    out = {}
    for name, (sweep, volts, logarithmic) in SPREAD_POINTS.items():
        have = [spread_at(getattr(simulated, sweep), v, logarithmic) for v in volts]
        want = [spread_at(getattr(tables, sweep), v, logarithmic) for v in volts]
        out[name] = (
            _ratio(
                float(np.mean([w.cycle_to_cycle for w in want])),
                float(np.mean([h.cycle_to_cycle for h in have])),
            ),
            _ratio(
                float(np.mean([w.device_to_device for w in want])),
                float(np.mean([h.device_to_device for h in have])),
            ),
        )
    return out


def match_spreads(draft: Draft, tables: Tables, simulated: Simulated) -> None:
    """Scale each spread by the figure that it governs most."""
    ratio = spread_ratios(tables, simulated)
    for law, key, point, which in (
        ("set", "cycle_log_width", "high_100ns", 0),
        ("set", "cycle_gain", "set_gate_all", 0),
        ("set", "cycle_line_volts", "set_line_low", 0),
        ("set", "device_line_volts", "set_line_low", 1),
        ("set", "device_gain", "set_gate_all", 1),
        ("reset", "cycle_gate_volts", "reset_gate_low", 0),
        ("reset", "cycle_line_volts", "reset_line_low", 0),
        ("drive", "reset_gate_volts", "reset_gate_low", 1),
        ("drive", "reset_line_volts", "reset_line_low", 1),
    ):
        draft[law][key] = float(draft[law][key] * ratio[point][which])
    both = ratio["high_100ns"][1] * ratio["set_gate_first"][1]
    draft["set"]["device_log_width"] *= float(np.sqrt(both))


def cycling_spread(siemens: F64) -> tuple[float, float]:
    """Standard deviation of ln G of cycled cells: within a cell, and of cell means."""
    ln = np.log(siemens)
    within = float(np.sqrt(ln.var(axis=1, ddof=1).mean()))
    return within, float(ln.mean(axis=1).std(ddof=1))


def match_depth_spreads(draft: Draft, tables: Tables, simulated: Simulated) -> None:
    """Spreads of the RESET depth, between the sweeps and the cycled cells.

    The sweeps stop at 100 kohm and so hide deep states; the cycled cells show them.
    """
    want = cycling_spread(tables.cycling.high_resistance_siemens)
    have = cycling_spread(simulated.cycling_high)
    ratio = spread_ratios(tables, simulated)["reset_gate_high"]
    law = draft["reset"]
    law["cycle_depth_ln"] *= float((_ratio(want[0], have[0]) * ratio[0] ** 2) ** (1 / 3))
    law["device_depth_ln"] *= float(np.sqrt(_ratio(want[1], have[1]) * ratio[1]))


def match_noise(draft: Draft, tables: Tables, simulated: Simulated) -> None:
    """Relaxation from readings soon after a pulse, read noise of quiet cells from quiet ones."""
    want, have = (_pooled(rows.reset_gate, rows.reset_line) for rows in (tables, simulated))
    relax, noise = draft["relaxation"], draft["read_noise"]
    for k in range(4):  # the first four bins lie on knots 0 to 3
        variance = relax["sigma"][k] ** 2
        excess = 2.0 * (want[k].standard ** 2 - have[k].standard ** 2)
        moved = max(variance + DAMPING * excess, 0.05 * variance)
        relax["sigma"][k] = float(np.sqrt(moved))
        relax["tail"][k] = _tail(relax["tail"][k], want[k], have[k])
    noise["sigma"][4] *= _ratio(want[4].standard, have[4].standard)
    noise["tail"][4] = _tail(noise["tail"][4], want[4], have[4])
    for table in (noise["sigma"], noise["tail"]):
        table[5] = table[4]  # above 200 uS nothing was read twice: as below
    lag = [lag_one(quiet_readings(rows.reset_gate)) for rows in (tables, simulated)]
    moved = noise["correlation"] + 0.5 * (lag[0] - lag[1])
    noise["correlation"] = float(np.clip(moved, 0.3, 0.9))


def _pooled(*sweeps: Rows) -> list[Reread]:
    pairs = [reread_pairs(rows) for rows in sweeps]
    return reread(*(np.concatenate(part) for part in zip(*pairs, strict=True)))


def _tail(tail: float, want: Reread, have: Reread) -> float:
    excess = np.log(want.standard / want.robust) - np.log(have.standard / have.robust)
    return float(np.clip(tail + DAMPING * excess, 0.0, 1.6))


def tail_of(standard: float, robust: float) -> float:
    """The `tail` of a Fluctuation whose standard and robust deviations are these."""
    grid = np.linspace(0.0, 1.8, 91)
    return float(np.interp(-robust / standard, -robust_ratio(grid), grid))
