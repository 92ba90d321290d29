"""The figures by which measured and simulated cells are compared, computed alike for both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# Conductance bins in which the read noise is judged (siemens).
NOISE_BINS = ((8e-6, 30e-6), (30e-6, 60e-6), (60e-6, 100e-6), (100e-6, 150e-6), (150e-6, 200e-6))
QUIET_GATE_VOLTS = 1.9  # word line up to which a RESET sweep at VSL 2.8 V moves no cell


class Rows(Protocol):
    """What a measured `Sweep` and a simulated `Replay` have in common."""

    @property
    def cell(self) -> I64:
        """Cell number of each row."""

    @property
    def sweep(self) -> I64:
        """Sweep number of each row."""

    @property
    def volts(self) -> F64:
        """Swept voltage of each row."""

    @property
    def before_siemens(self) -> F64:
        """Reading before the pulse."""

    @property
    def after_siemens(self) -> F64:
        """Verify reading after the pulse."""


def robust_deviation(values: ArrayLike) -> float:
    """1.4826 times the median absolute deviation: the sd of a normal distribution."""
    x = np.asarray(values, dtype=np.float64)
    return float(1.4826 * np.median(np.abs(x - np.median(x))))


@dataclass(frozen=True)
class MedianCurve:
    """Median conductance at each voltage step, with how many rows and cells are behind it."""

    volts: F64
    siemens: F64
    rows: I64
    cells: I64

    def at_least(self, cells: int) -> MedianCurve:
        """Only the steps that at least `cells` cells reached."""
        keep = self.cells >= cells
        return MedianCurve(self.volts[keep], self.siemens[keep], self.rows[keep], self.cells[keep])

    def at(self, volts: float | F64) -> F64:
        """Median at other voltages, linear between steps, flat beyond."""
        return np.asarray(np.interp(volts, self.volts, self.siemens))


def median_curve(rows: Rows) -> MedianCurve:
    """Medians of the verify readings over the swept voltage."""
    volts = np.round(rows.volts, 4)
    steps, number = np.unique(volts, return_inverse=True)
    order = np.argsort(number, kind="stable")
    edges = np.searchsorted(number[order], np.arange(steps.size + 1))
    groups = [order[a:b] for a, b in pairwise(edges)]
    return MedianCurve(
        steps,
        np.array([np.median(rows.after_siemens[group]) for group in groups]),
        np.array([group.size for group in groups]),
        np.array([np.unique(rows.cell[group]).size for group in groups]),
    )


def crossing_volts(curve: MedianCurve, siemens: ArrayLike) -> F64:
    """Voltage at which a rising median curve passes each level; NaN outside it."""
    rising = np.maximum.accumulate(curve.siemens) + 1e-15 * np.arange(curve.siemens.size)
    level = np.asarray(siemens, dtype=np.float64)
    volts = np.interp(level, rising, curve.volts)
    volts[(level < rising[0]) | (level > rising[-1])] = np.nan
    return np.asarray(volts)


def transition_volts(curve: MedianCurve) -> float:
    """Voltage at which a falling median curve passes half of its starting value."""
    half = 0.5 * float(np.median(curve.siemens[:5]))
    below = int(np.flatnonzero(curve.siemens < half)[0])
    high, low = curve.siemens[below - 1], curve.siemens[below]
    share = (np.log(high) - np.log(half)) / (np.log(high) - np.log(low))
    return float(curve.volts[below - 1] + share * (curve.volts[below] - curve.volts[below - 1]))


@dataclass(frozen=True)
class Spread:
    """Standard deviations at one voltage: within a cell over its sweeps, and of cell means."""

    cycle_to_cycle: float
    device_to_device: float


def spread_at(rows: Rows, volts: float, logarithmic: bool, cells: I64 | None = None) -> Spread:
    """Spread of the verify readings at one step; cells with fewer than 5 sweeps are left out.

    `cells` repeats or leaves out cells, for a bootstrap. Siemens, or ln G if `logarithmic`.
    """
    here = np.abs(rows.volts - volts) < 1e-3
    value = np.log(rows.after_siemens[here]) if logarithmic else rows.after_siemens[here]
    owner = rows.cell[here]
    names, inverse, count = np.unique(owner, return_inverse=True, return_counts=True)
    total = np.bincount(inverse, value)
    mean = total / count
    variance = np.bincount(inverse, (value - mean[inverse]) ** 2) / np.maximum(count - 1, 1)
    if cells is None:
        weight = np.ones(names.size)
    else:
        weight = np.bincount(cells, minlength=int(names.max()) + 1)[names].astype(np.float64)
    weight = np.where(count >= 5, weight, 0.0)
    total_weight = weight.sum()
    centre = float((weight * mean).sum() / total_weight)
    between = (weight * (mean - centre) ** 2).sum() / max(total_weight - 1.0, 1.0)
    return Spread(float(np.sqrt((weight * variance).sum() / total_weight)), float(np.sqrt(between)))


@dataclass(frozen=True)
class Reread:
    """Relative deviation of one reading, in one conductance bin, from pairs of readings."""

    standard: float
    robust: float
    pairs: int


def reread_pairs(rows: Rows) -> tuple[F64, F64]:
    """A verify reading and the next reading of the same cell, no pulse between: two arrays."""
    same = (np.diff(rows.sweep) == 0) & (np.diff(rows.cell) == 0)
    return rows.after_siemens[:-1][same], rows.before_siemens[1:][same]


def reread(first: F64, second: F64) -> list[Reread]:
    """Standard and robust relative deviation in each of NOISE_BINS.

    The deviation of one reading is that of the ratio of two, over sqrt(2).
    """
    out = []
    for low, high in NOISE_BINS:
        inside = (first >= low) & (first < high)
        ratio = second[inside] / first[inside] - 1.0
        if ratio.size == 0:
            out.append(Reread(float("nan"), float("nan"), 0))
            continue
        root = float(np.sqrt(2.0))
        out.append(Reread(float(ratio.std()) / root, robust_deviation(ratio) / root, ratio.size))
    return out


def quiet_readings(rows: Rows) -> F64:
    """ln of successive readings of cells that nothing moves: shape (sweeps, readings).

    From a RESET sweep over the word line, below its threshold: two readings per step.
    """
    quiet = rows.volts <= QUIET_GATE_VOLTS + 1e-6
    key = rows.cell[quiet] * (int(rows.sweep.max()) + 1) + rows.sweep[quiet]
    pairs = np.stack([rows.before_siemens[quiet], rows.after_siemens[quiet]], axis=1)
    _names, start, count = np.unique(key, return_index=True, return_counts=True)
    steps = int(count.max())
    full = start[count == steps]
    return np.log(np.stack([pairs[s : s + steps].ravel() for s in full]))


def lag_one(readings: F64) -> float:
    """Autocorrelation from one reading to the next, each sequence about its own mean."""
    x = readings - readings.mean(axis=1, keepdims=True)
    size = x.shape[1]
    return float((x[:, 1:] * x[:, :-1]).sum() / (x * x).sum() * size / (size - 1))
