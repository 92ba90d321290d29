"""What can be taken from the tables directly, and the figures that no table holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from hil.sim.fit.data import (
    CyclingData,
    FormingData,
    ProgrammingData,
    RelaxationData,
    Sweep,
    read_cycling,
    read_forming,
    read_programming,
    read_relaxation,
    read_sweep,
)
from hil.sim.fit.figures import MedianCurve, crossing_volts, median_curve, robust_deviation

F64 = NDArray[np.float64]

SOURCE = (
    "A. Levy et al., RADAR: A Fast and Energy-Efficient Programming Technique for Multiple "
    "Bits-Per-Cell RRAM Arrays, IEEE TED 2021, doi 10.1109/TED.2021.3097975"
)
MICRO = 1e-6
LEVELS = MICRO * np.array(
    [1, 4, 10, 20, 30, 45, 60, 80, 100, 120, 140, 160, 175, 190, 200, 210, 220, 228, 234, 240, 250]
)
WIDTHS = np.array([1e-7, 2e-7, 1e-6, 1e-5])
SHARED_LEVEL = 205e-6  # from here on up one curve holds for all widths from 200 ns


@dataclass(frozen=True)
class Tables:
    """Everything that the fit reads."""

    set_gate: Sweep
    set_line: Sweep
    reset_gate: Sweep
    reset_line: Sweep
    high_100ns: Sweep
    high_1us: Sweep
    high_10us: Sweep
    high_widths: Sweep
    staircase: Sweep
    forming: FormingData
    cycling: CyclingData
    programming: ProgrammingData
    relaxation: RelaxationData


def read_tables(folder: Path) -> Tables:
    """Read and check every table. Raises DataError for the first that is missing or damaged."""
    return Tables(
        set_gate=read_sweep(folder, "set-sweep-wl-200ns"),
        set_line=read_sweep(folder, "set-sweep-bl-200ns"),
        reset_gate=read_sweep(folder, "reset-sweep-wl-200ns"),
        reset_line=read_sweep(folder, "reset-sweep-sl-200ns"),
        high_100ns=read_sweep(folder, "set-from-hrs-wl-100ns"),
        high_1us=read_sweep(folder, "set-from-hrs-wl-1us"),
        high_10us=read_sweep(folder, "set-from-hrs-wl-10us"),
        high_widths=read_sweep(folder, "set-from-hrs-bl-100ns"),
        staircase=read_sweep(folder, "set-noreset-wl-400ns"),
        forming=read_forming(folder),
        cycling=read_cycling(folder),
        programming=read_programming(folder),
        relaxation=read_relaxation(folder),
    )


def smooth_curve(sweep: Sweep, step_volts: float, low: float, high: float) -> MedianCurve:
    """Rising median curve between two voltages, over steps of `step_volts` with 20 cells each."""
    inside = (sweep.volts > low - 1e-6) & (sweep.volts < high + 1e-6)
    part = sweep.select(inside)
    steps = np.round(np.round(part.volts / step_volts) * step_volts, 4)
    which = "gate_volts" if sweep.swept == "gate" else "line_volts"
    coarse = Sweep(**{**part.__dict__, which: steps})
    curve = median_curve(coarse)
    rising = isotonic_regression(curve.siemens, weights=curve.rows.astype(float)).x
    return MedianCurve(curve.volts, rising, curve.rows, curve.cells)


def set_table(tables: Tables) -> F64:
    """Word-line voltage of each level (rows) at each width (columns), from the median curves.

    At 200 ns the sweeps start at 166 uS; below, the 400 ns staircase stands for it, which joins
    them without a step.
    """
    at_100 = _column_100ns(tables)
    sweep = smooth_curve(tables.set_gate, 0.05, 2.0, 2.45)
    staircase = smooth_curve(tables.staircase, 0.02, 1.80, 2.04)
    at_200 = np.where(
        1.04 * sweep.siemens[0] < LEVELS,
        crossing_volts(sweep, LEVELS),
        crossing_volts(staircase, LEVELS),
    )
    at_1000 = crossing_volts(smooth_curve(tables.high_1us, 0.02, 1.55, 2.6), LEVELS)
    at_10000 = crossing_volts(smooth_curve(tables.high_10us, 0.02, 1.40, 2.6), LEVELS)
    shared = _shared_upper_levels(tables)
    top = LEVELS >= SHARED_LEVEL
    for column in (at_200, at_1000, at_10000):
        column[top] = shared[top]
    return order_table(_fill(np.stack([at_100, at_200, at_1000, at_10000], axis=1)))


def _column_100ns(tables: Tables) -> F64:
    """From the 100 ns sweeps; above their reach the shape of the other 100 ns table, shifted."""
    wide = tables.high_widths
    near = crossing_volts(smooth_curve(tables.high_100ns, 0.01, 2.10, 2.66), LEVELS)
    other = crossing_volts(
        smooth_curve(wide.select(np.isclose(wide.width_s, 1e-7)), 0.02, 2.1, 3.0), LEVELS
    )
    both = np.isfinite(near) & np.isfinite(other)
    last = np.flatnonzero(both)[-1]
    return np.where(np.isfinite(near), near, other + (near[last] - other[last]))


def _shared_upper_levels(tables: Tables) -> F64:
    """One voltage per upper level for all long widths.

    The upper end differs by some 8 % from table to table (other cells of other chips) without
    order in the width, so one curve between them is fitted: the mean of the measured medians.
    """
    grid = np.array([2.0, 2.1, 2.2, 2.3, 2.4, 2.45])
    curves = [
        smooth_curve(tables.set_gate, 0.05, 2.0, 2.45),
        smooth_curve(tables.high_1us, 0.02, 1.55, 3.0),
        smooth_curve(tables.high_10us, 0.02, 1.40, 3.0),
    ]
    mean = np.average([curve.at(grid) for curve in curves], axis=0, weights=[2.0, 1.0, 1.0])
    line = median_curve(tables.set_line).at_least(20)
    ends = [float(line.siemens[line.volts >= 1.5].max()), *(c.siemens[-1] for c in curves[1:])]
    volts, siemens = np.append(grid, 3.0), np.append(mean, np.mean([ends[0], np.mean(ends[1:])]))
    slope = (volts[-1] - volts[-2]) / (siemens[-1] - siemens[-2])
    beyond = volts[-1] + slope * np.maximum(LEVELS - siemens[-1], 0.0)
    inside = np.interp(LEVELS, siemens, volts)
    return np.asarray(np.where(siemens[-1] < LEVELS, beyond, inside))


def _fill(table: F64) -> F64:
    """Levels that a width did not reach: above as the next longer width, below a threshold."""
    table = table.copy()
    for column in range(table.shape[1]):
        volts = table[:, column]
        known = np.flatnonzero(np.isfinite(volts))
        neighbour = table[:, min(column + 1, table.shape[1] - 1)]
        for row in range(known[-1] + 1, volts.size):  # upwards: as the next longer width does
            step = neighbour[row] - neighbour[row - 1] if column < table.shape[1] - 1 else 0.1
            volts[row] = volts[row - 1] + max(float(np.nan_to_num(step, nan=0.1)), 0.03)
        for row in range(known[0] - 1, -1, -1):  # downwards: the threshold
            volts[row] = volts[row + 1] - 0.01
    return table


def order_table(table: F64) -> F64:
    """Rising in level, not rising in width: what the profile demands and what is sane."""
    table = np.minimum.accumulate(table, axis=1)
    for row in range(1, len(table)):
        table[row] = np.maximum(table[row], table[row - 1] + 1e-3)
    step = table[:, 0] - table[:, 1]  # the extension to short widths must keep the order, too
    for row in range(1, len(table)):
        least = (table[row - 1, 0] + 3.0 * step[row - 1] + 1e-3 - table[row, 0]) / 3.0
        step[row] = max(step[row], least)
    table[:, 1] = np.minimum(table[:, 1], table[:, 0] - step)
    return np.asarray(table)


def line_table(tables: Tables) -> tuple[F64, F64]:
    """Bit-line voltages of a ladder of levels. Below the start of the sweeps: assumption."""
    curve = smooth_curve(tables.set_line, 0.05, 0.4, 1.65)
    levels = MICRO * np.array([168, 171, 178, 189, 201, 213, 223, 230, 237, 241])
    volts = crossing_volts(curve, levels)
    keep = np.isfinite(volts)
    below = MICRO * np.array([1.0, 100.0, 160.0]), np.array([0.40, 0.48, 0.54])
    above = MICRO * np.array([250.0, 270.0]), np.array([2.0, 3.0])
    return (
        np.concatenate([below[0], levels[keep], above[0]]),
        np.concatenate([below[1], np.maximum.accumulate(volts[keep]), above[1]]),
    )


GATE_KNOTS = np.array(
    [1.8, 2.1, 2.2, 2.25, 2.3, 2.35, 2.4, 2.45, 2.5, 2.6, 2.7, 2.8, 2.9, 3.0, 3.2, 3.5, 4.0]
)
LINE_KNOTS = np.array(
    [0.3, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.5]
)


def depth_knots(sweep: Sweep, knots: F64, reference: float) -> F64:
    """Logarithmic depth of the measured medians below `reference`, at the knots."""
    curve = median_curve(sweep).at_least(20)
    depth = np.log(reference) - np.log(curve.at(knots))
    depth[0] = -2.0  # well below the threshold: nothing
    return np.asarray(np.maximum.accumulate(depth))


def forming_law(data: FormingData) -> dict[str, Any]:
    """Quantiles of the forming voltage (in the middle of its step) and of the conductance."""
    share = np.array(
        [0.0, 0.001, 0.005, 0.01, 0.03, 0.045, 0.06, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.995, 1.0]
    )
    tried = data.line_volts[np.abs(data.gate_volts - 2.0) < 1e-6]
    ordered = np.sort(tried) - 0.05 * (1.0 - (np.arange(tried.size) + 0.5) / tried.size)
    volts = np.maximum.accumulate(np.quantile(ordered, share) + 1e-4 * np.arange(share.size))
    siemens = np.quantile(data.after_siemens, np.clip(share, 0.002, 0.998))
    return {
        "quantiles": share.tolist(),
        "line_volts": volts.tolist(),
        "siemens": siemens.tolist(),
        "reference_gate_volts": float(np.median(data.gate_volts)),
        "reference_width_s": 1e-6,
        "volts_per_decade": 0.1,
        "gate_threshold_volts": 0.8,
    }


def settled_noise(tables: Tables, correlation: float) -> tuple[F64, F64]:
    """Standard and robust relative noise of settled cells in the lower three noise bins.

    From the staircase below its threshold: the cells are read again and again and nothing moves
    them; the first readings, in which they still settle, are left out.
    """
    rows = tables.staircase.select(tables.staircase.volts < 1.68)
    first, settled = rows.first_rows(), 12
    edges = np.append(first, rows.cell.size)
    found: dict[int, list[F64]] = {0: [], 1: [], 2: []}
    for start, stop in pairwise(edges):
        pairs = np.stack([rows.before_siemens, rows.after_siemens], axis=1)[start + settled : stop]
        g = pairs.ravel()
        bin_number = int(np.searchsorted([8e-6, 30e-6, 60e-6, 100e-6], np.median(g))) - 1
        if bin_number in found and g.size > 8:
            found[bin_number].append(np.diff(np.log(g)))
    root = np.sqrt(2.0 * (1.0 - correlation))
    steps = [np.concatenate(found[k]) for k in range(3)]
    return (
        np.array([d.std() for d in steps]) / root,
        np.array([robust_deviation(d) for d in steps]) / root,
    )
