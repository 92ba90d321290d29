"""Measured pulses as rows (G before, pulse) -> G after: what the empirical cells draw from.

The tables are those of `hil/sim/fit/data.py` (A. Levy et al., IEEE TED 2021, doi
10.1109/TED.2021.3097975); the project does not ship them. Which rows a grid point has:

    SET    100 ns          VBL 2 V over VWL, a RESET before each pulse
    SET    1 us, 10 us     VBL 2 V over VWL, one pulse per cell from the high-resistance state
    SET    100-300 ns      VBL 3.3 V over VWL, from the high-resistance state (ten cells)
    SET    200 ns          VBL 2 V over VWL, and VWL 3 V over VBL, from 166 uS
    SET    400 ns          VBL 2 V over VWL, a staircase without RESET
    RESET  200 ns          VSL 2.8 V over VWL, and VWL 3.5 V over VSL, from 166 uS
    form   VWL 2 V over VBL; its width is not known, 1 us is this project's assumption

This project's choices, because rows alone do not make a chip:

- Of a sweep that is not reversed between its pulses a row says two things: where a pulse leads a
  cell that the pulse before it left there (a step), and where it leads from the start of the sweep
  (a jump, as "the strongest pulse decides"). A cell whose last pulse was of the same direction
  draws steps where there are some near its state, any other draws jumps. A sweep that stopped
  keeps its last reading in the jumps. Tables with one start per pulse have jumps alone, and so has
  the 200 ns SET over VWL, whose only start is that of its sweep.
- Points are left out that fewer than two thirds of the sweeps reached (those left are the weak
  cells), and those of the 200 ns SET sweeps that do not move the median by 5 %: they were measured
  from 166 uS alone, where they do nothing, and say nothing of a high-resistance cell.
- A row moved its cell if G changed by more than 97.5 % of the pulses far below any threshold do.
- How far a cell stays the same from pulse to pulse is estimated by analysis of variance on the
  normal scores of a table, for steps on the ranks among rows from near states (most of what stays
  is in the state); tables with one pulse per cell take the mean of the same direction.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.sim.empirical_persistence import (
    LOWEST_ROWS,
    MOVING_RATIO,
    cycle_memory,
    device_shares,
    step_share,
    sweep_starts,
)
from hil.sim.fit.data import SWEEP_FILES, Sweep, read_forming, read_sweep
from hil.sim.pulse_grid import GridPulse, PulseGrid
from protocols.errors import DataError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

FORM_WIDTH_S = 1.0e-6
FORM_GATE_VOLTS = 2.0
FORM_STEP_VOLTS = 0.05  # of the measured ramp: a cell that formed at a step had all those before
REACHED_SHARE = 2.0 / 3.0
ACTING_SHARE = 0.1
NEAR_ONE_START, NEAR_MANY_STARTS = 0.03, 0.2  # of ln G
QUIET_QUANTILE = 0.975
LEVEL_EDGES = np.log(1e-6 * np.array([8.0, 30.0, 60.0, 100.0]))  # where noise is told apart
SERIES_READS = 64
_FROM_LOW = {"set-sweep-wl-200ns", "set-sweep-bl-200ns"}
_JUMPS = {"set-sweep-bl-200ns", "reset-sweep-wl-200ns", "reset-sweep-sl-200ns"}
_JUMPS |= {"set-noreset-wl-400ns"}
_ONE_START = _FROM_LOW | {"reset-sweep-wl-200ns", "reset-sweep-sl-200ns"}
_QUIET_GATE = {"reset-sweep-wl-200ns": 1.9, "set-noreset-wl-400ns": 1.65}
_LINE_SWEEP = "set-sweep-bl-200ns"


@dataclass(frozen=True)
class MeasuredRows:
    """Rows by grid point, steps and jumps sorted by `ln_before` each; all logarithms of siemens.

    Attributes:
        grid: the points; of each, `first` to `middle` (points,) are the steps and from there to
            `last` the jumps. Most points have only jumps, some forming pulses no rows. `near`
            (points,): how far in ln G a jump's start may be off and still count as the same.
            `reaches` (points,): whether a state below all rows is taken to where they went. `own`
            (points,): whether the rows are its own (a forming pulse borrows them).
        ln_before, ln_after, moved: (rows,).
        device, device_step: (points,) correlation of a cell with itself, on normal scores.
        memory: of the cycle-to-cycle draw, (2,): from one SET to the next, from one RESET.
        form_volts, form_ln: (cells,) sorted by voltage.
        settle_ln, settle_move: (pairs,) verify reading after a pulse that moved, sorted, and how
            much ln G had changed at the next reading.
        series_ln (series,), series (series, SERIES_READS): readings of cells at rest, as deviation
            of ln G from their median, sorted by level.
        fingerprint: CRC-32 of all of it.
    """

    grid: PulseGrid
    first: I64
    middle: I64
    last: I64
    near: F64
    reaches: Bools
    own: Bools
    ln_before: F64
    ln_after: F64
    moved: Bools
    device: F64
    device_step: F64
    memory: F64
    form_volts: F64
    form_ln: F64
    settle_ln: F64
    settle_move: F64
    series_ln: F64
    series: F64
    fingerprint: int

    @property
    def programming(self) -> list[GridPulse]:
        """The points that can be programmed with: of rows of their own, a tenth of which moved."""
        return [
            pulse
            for k, pulse in enumerate(self.grid)
            if self.own[k] and self.moved[self.first[k] : self.last[k]].mean() >= ACTING_SHARE
        ]


@dataclass(frozen=True)
class _Point:
    pulse: GridPulse
    steps: F64  # (rows, 2) ln G before and after
    jumps: F64
    device: float
    device_step: float
    near: float
    reaches: bool


def read_rows(folder: Path) -> MeasuredRows:
    """All rows of the tables in `folder`.

    Raises:
        DataError: a table is missing or damaged, or too small to draw from.
    """
    sweeps = {name: read_sweep(folder, name) for name in SWEEP_FILES}
    series_ln, series, quiet = _quiet(sweeps)
    limit = _quiet_limits(quiet)
    device = device_shares(sweeps)
    step = {name: step_share(sweeps[name]) for name in sorted(_JUMPS)}
    points = [p for n, s in sweeps.items() for p in _points(s, device[n], step.get(n, 0.0))]
    if not points:
        raise DataError(f"{folder}: no pulse has the {LOWEST_ROWS} rows that are drawn from.")
    forming = read_forming(folder)
    order = np.argsort(forming.line_volts, kind="stable")
    settle_ln, settle_move = _settling(sweeps, limit)
    memory = np.array([cycle_memory(sweeps["set-sweep-wl-200ns"]), 0.0])
    volts, form_ln = forming.line_volts[order], np.log(forming.after_siemens[order])
    return _gather(
        points, limit, memory, (volts, form_ln), (settle_ln, settle_move), (series_ln, series)
    )


# --- points ----------------------------------------------------------------------------------


def _points(sweep: Sweep, device: float, device_step: float) -> Iterator[_Point]:
    """The grid points of one table, with their rows."""
    ln_b, ln_a = np.log(sweep.before_siemens), np.log(sweep.after_siemens)
    start, number = sweep_starts(sweep, ln_b)
    polarity = 1 if sweep.name.startswith("set") else -1
    for width in np.unique(sweep.width_s):
        wide = sweep.width_s == width
        steps = np.unique(np.round(sweep.volts[wide], 4))
        here = [np.flatnonzero(wide & (np.abs(sweep.volts - v) < 1e-6)) for v in steps]
        most = max(rows.size for rows in here)
        last: dict[int, tuple[float, float]] = {}
        for rows in here:
            last |= {int(number[r]): (float(start[r]), float(ln_a[r])) for r in rows}
            if rows.size < max(REACHED_SHARE * most, LOWEST_ROWS):
                continue
            if sweep.name in _FROM_LOW and not _moves(ln_a[rows], start[rows]):
                continue
            gate, line = sweep.gate_volts[rows[0]], sweep.line_volts[rows[0]]
            pulse = GridPulse(polarity, *(float(f"{v:.6g}") for v in (gate, line, width)))
            pairs = np.stack([ln_b[rows], ln_a[rows]], axis=1)
            chained = sweep.name in _JUMPS
            yield _Point(
                pulse=pulse,
                steps=pairs if chained else pairs[:0],
                jumps=np.array(list(last.values())) if chained else pairs,
                device=device,
                device_step=device_step,
                near=NEAR_ONE_START if sweep.name in _ONE_START else NEAR_MANY_STARTS,
                reaches=sweep.name != _LINE_SWEEP,
            )


def _moves(ln_after: F64, ln_start: F64) -> bool:
    return bool(np.median(ln_after) - np.median(ln_start) >= np.log(MOVING_RATIO))


# --- readings at rest ------------------------------------------------------------------------


def _quiet(sweeps: dict[str, Sweep]) -> tuple[F64, F64, tuple[F64, F64]]:
    """Series of readings of cells at rest, and the pairs of readings about a pulse too weak."""
    levels, series, pairs = [], [], []
    for name, highest in _QUIET_GATE.items():
        sweep = sweeps[name]
        rows = np.flatnonzero(sweep.gate_volts <= highest + 1e-6)
        both = np.log(np.stack([sweep.before_siemens[rows], sweep.after_siemens[rows]], axis=1))
        pairs.append(both)
        for number in np.unique(sweep.sweep[rows]):
            readings = both[sweep.sweep[rows] == number].ravel()
            for part in range(0, readings.size - SERIES_READS + 1, SERIES_READS):
                piece = readings[part : part + SERIES_READS]
                levels.append(float(np.median(piece)))
                series.append(piece - levels[-1])
    if not series:
        raise DataError(f"no cell has {SERIES_READS} readings at rest ({', '.join(_QUIET_GATE)}).")
    order = np.argsort(levels, kind="stable")
    all_pairs = np.concatenate(pairs)
    return np.array(levels)[order], np.array(series)[order], (all_pairs[:, 0], all_pairs[:, 1])


def _quiet_limits(quiet: tuple[F64, F64]) -> F64:
    """Largest change of ln G that readings alone make, by level (see LEVEL_EDGES)."""
    before, after = quiet
    bins = np.digitize(before, LEVEL_EDGES)
    change = np.abs(after - before)
    limits = np.full(LEVEL_EDGES.size + 1, np.nan)
    for k in range(limits.size):
        if (bins == k).sum() >= LOWEST_ROWS:
            limits[k] = np.quantile(change[bins == k], QUIET_QUANTILE)
    known = np.flatnonzero(np.isfinite(limits))
    return np.asarray(np.interp(np.arange(limits.size), known, limits[known]))


def _has_moved(ln_before: F64, ln_after: F64, limit: F64) -> Bools:
    return np.abs(ln_after - ln_before) > limit[np.digitize(ln_before, LEVEL_EDGES)]


def _settling(sweeps: dict[str, Sweep], limit: F64) -> tuple[F64, F64]:
    """Verify reading after a pulse that moved its cell, and the change up to the next reading."""
    levels, moves = [], []
    for name in sorted(_JUMPS):
        sweep = sweeps[name]
        ln_b, ln_a = np.log(sweep.before_siemens), np.log(sweep.after_siemens)
        use = (np.diff(sweep.sweep) == 0) & _has_moved(ln_b, ln_a, limit)[:-1]
        levels.append(ln_a[:-1][use])
        moves.append((ln_b[1:] - ln_a[:-1])[use])
    level, move = np.concatenate(levels), np.concatenate(moves)
    if level.size < LOWEST_ROWS:
        raise DataError("the sweeps have no readings after pulses that moved a cell.")
    order = np.argsort(level, kind="stable")
    return level[order], move[order]


# --- together --------------------------------------------------------------------------------


def _gather(
    points: list[_Point],
    limit: F64,
    memory: F64,
    forming: tuple[F64, F64],
    settling: tuple[F64, F64],
    series: tuple[F64, F64],
) -> MeasuredRows:
    by_pulse: dict[GridPulse, list[_Point]] = {}
    for point in points:
        by_pulse.setdefault(point.pulse, []).append(point)
    count = round((float(forming[0][-1]) - float(forming[0][0])) / FORM_STEP_VOLTS) + 1
    ramp = np.round(forming[0][0] + FORM_STEP_VOLTS * np.arange(count), 4)
    form_pulses = [GridPulse(1, FORM_GATE_VOLTS, float(v), FORM_WIDTH_S) for v in ramp]
    grid = PulseGrid([*by_pulse, *form_pulses])
    blocks = []
    for pulse in grid:
        here = by_pulse.get(pulse, [])
        blocks += [_sorted_rows([p.steps for p in here]), _sorted_rows([p.jumps for p in here])]
    edges = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64)
    first, middle, last = edges[:-1:2].copy(), edges[1::2].copy(), edges[2::2].copy()
    own = first != last
    _alias_forming(grid, first, middle, last)
    ln_before, ln_after = np.ascontiguousarray(np.concatenate(blocks).T)
    moved = _has_moved(ln_before, ln_after, limit)
    device, step, near = (
        np.array([_mean([getattr(p, name) for p in by_pulse.get(pulse, [])]) for pulse in grid])
        for name in ("device", "device_step", "near")
    )
    reaches = np.array([all(p.reaches for p in by_pulse.get(pulse, [])) for pulse in grid])
    arrays = (ln_before, ln_after, device, step, memory, *forming, *settling, *series)
    print_ = zlib.crc32(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays))
    return MeasuredRows(
        grid, first, middle, last, near, reaches, own, ln_before, ln_after, moved, device, step,
        memory, *forming, *settling, *series, print_,
    )  # fmt: skip


def _sorted_rows(parts: list[F64]) -> F64:
    """Rows (rows, 2) in order of what was before."""
    rows = np.concatenate([np.zeros((0, 2)), *parts])
    return np.asarray(rows[np.argsort(rows[:, 0], kind="stable")])


def _alias_forming(grid: PulseGrid, first: I64, middle: I64, last: I64) -> None:
    """A forming pulse on a formed cell: as the SET of its gate, width and a bit line of 2 V."""
    rows = {pulse: (first[k], middle[k], last[k]) for k, pulse in enumerate(grid)}
    for k, pulse in enumerate(grid):
        like = GridPulse(1, FORM_GATE_VOLTS, 2.0, FORM_WIDTH_S)
        empty = first[k] == last[k]
        if empty and pulse.polarity > 0 and pulse.line_volts > 2.0 and like in rows:
            first[k], middle[k], last[k] = rows[like]


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
