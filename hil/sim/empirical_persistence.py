"""How far a measured cell stays the same from pulse to pulse.

Readings are replaced by the normal scores of their rank within a step of the sweep, so that every
step counts alike; the share of a cell is then one analysis of variance over all steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hil.sim.fit.data import Sweep

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LOWEST_ROWS = 8
"""Fewer rows than that say nothing."""
MOVING_RATIO = 1.05
"""A step moves its cells if it moves the median by this."""
NEIGHBOURS, STEP_MOVES = 32, 0.02  # rows from near states; median change of ln G of a step


def sweep_starts(sweep: Sweep, ln_before: F64) -> tuple[F64, I64]:
    """ln G at the start of the sweep of each row, and the sweep's number."""
    first = sweep.first_rows()
    number = np.cumsum(np.isin(np.arange(ln_before.size), first)) - 1
    return ln_before[first][number], number


def _scores(sweep: Sweep) -> tuple[I64, I64, F64]:
    """Cell, step and normal score of the reading within its step, where the sweep moves cells."""
    cells, steps, scores = [], [], []
    volts = np.round(sweep.volts, 4)
    for step in np.unique(volts):
        rows = np.flatnonzero((volts == step) & (sweep.width_s == sweep.width_s[0]))
        change = np.abs(np.log(sweep.after_siemens[rows] / _start_of(sweep)[rows]))
        if rows.size < LOWEST_ROWS or np.median(change) < np.log(MOVING_RATIO):
            continue
        rank = np.argsort(np.argsort(sweep.after_siemens[rows], kind="stable"), kind="stable")
        cells.append(sweep.cell[rows])
        steps.append(np.full(rows.size, round(step * 1e4)))
        scores.append(ndtri((rank + 0.5) / rows.size))
    if not cells:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0)
    return np.concatenate(cells), np.concatenate(steps), np.concatenate(scores)


def _start_of(sweep: Sweep) -> F64:
    return np.exp(sweep_starts(sweep, np.log(sweep.before_siemens))[0])


def device_shares(sweeps: dict[str, Sweep]) -> dict[str, float]:
    """Correlation of a cell with itself at one step, by table."""
    found = {name: _device_share(sweep) for name, sweep in sweeps.items()}
    known = {name: value for name, value in found.items() if value is not None}
    out = {}
    for name, value in found.items():
        alike = [v for n, v in known.items() if n[:3] == name[:3]]
        out[name] = value if value is not None else float(np.mean(alike or [0.0]))
    return out


def _device_share(sweep: Sweep) -> float | None:
    """Variance between cells over all variance; None where each cell was pulsed once."""
    return _share(*_scores(sweep))


def step_share(sweep: Sweep) -> float:
    """The same for the ranks among rows that started from near states."""
    cells, steps, scores = [], [], []
    ln_b, ln_a = np.log(sweep.before_siemens), np.log(sweep.after_siemens)
    volts = np.round(sweep.volts, 4)
    for step in np.unique(volts):
        rows = np.flatnonzero(volts == step)
        rows = rows[np.argsort(ln_b[rows], kind="stable")]
        if rows.size < NEIGHBOURS or np.median(np.abs(ln_a[rows] - ln_b[rows])) < STEP_MOVES:
            continue
        middle = np.arange(rows.size)
        low = np.clip(middle - NEIGHBOURS // 2, 0, rows.size - NEIGHBOURS)
        around = ln_a[rows][low[:, None] + np.arange(NEIGHBOURS)]
        rank = (around < ln_a[rows][:, None]).sum(axis=1)
        cells.append(sweep.cell[rows])
        steps.append(np.full(rows.size, round(step * 1e4)))
        scores.append(ndtri((rank + 0.5) / NEIGHBOURS))
    if not cells:
        return 0.0
    share = _share(np.concatenate(cells), np.concatenate(steps), np.concatenate(scores))
    return share if share is not None else 0.0


def _share(cell: I64, step: I64, score: F64) -> float | None:
    if not cell.size:
        return None
    groups = np.unique(np.stack([step, cell]), axis=1, return_inverse=True, return_counts=True)
    inverse, count = groups[1].ravel(), groups[2]
    free = int((count - 1).sum())
    if free < LOWEST_ROWS:
        return None
    mean = np.bincount(inverse, score) / count
    within = float(((score - mean[inverse]) ** 2).sum()) / free
    return float(np.clip(1.0 - within / max(float(score.var()), 1e-12), 0.0, 0.98))


def cycle_memory(sweep: Sweep) -> float:
    """Correlation of a cell's deviation from its own mean, from one step of a sweep to the next."""
    cell, step, score = _scores(sweep)
    volts = np.round(sweep.volts, 4)
    rows = np.concatenate(
        [np.flatnonzero(np.round(volts * 1e4) == s) for s in np.unique(step)] or [np.zeros(0, int)]
    ).astype(np.int64)
    if rows.size < LOWEST_ROWS:
        return 0.0
    key = np.unique(np.stack([step, cell]), axis=1, return_inverse=True)[1].ravel()
    rest = score - (np.bincount(key, score) / np.bincount(key))[key]
    order = np.lexsort((step, sweep.sweep[rows]))
    same = np.diff(sweep.sweep[rows][order]) == 0
    a, b = rest[order][:-1][same], rest[order][1:][same]
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / spread, 0.0, 0.95)) if spread > 0.0 else 0.0
