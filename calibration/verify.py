"""Verify: read programmed cells again, some time later, and compare with what they shall hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from calibration.programming import ProgramParams
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from protocols.errors import InputError


@dataclass(frozen=True)
class VerifyParams:
    """How often each cell is read, and how close it must be.

    Attributes:
        samples: readings averaged per cell. Read noise is correlated from read to read, so n
            readings do not give 1 / sqrt(n).
        tolerance_siemens: a scalar, one per cell, or None for the programming routines' default.
    """

    samples: int = 8
    tolerance_siemens: float | FloatArray | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"samples={self.samples} must be at least 1.")


@dataclass(frozen=True)
class ErrorStatistics:
    """Reading minus target over cells, in siemens."""

    mean: float
    rms: float
    robust_sd: float
    p99: float
    worst: float


@dataclass(frozen=True)
class VerifyResult:
    """One averaged reading per cell against its target; arrays in the order of `cells`.

    `read_at_s` is the board's time after the readings.
    """

    cells: Cells
    target_siemens: FloatArray
    tolerance_siemens: FloatArray
    reading_siemens: FloatArray
    bench_s: float
    read_at_s: float = 0.0

    @property
    def error_siemens(self) -> FloatArray:
        """(n,) reading minus target."""
        return self.reading_siemens - self.target_siemens

    @property
    def in_tolerance(self) -> BoolArray:
        """(n,) whether the reading is within tolerance."""
        return np.asarray(np.abs(self.error_siemens) <= self.tolerance_siemens)

    @property
    def out(self) -> Cells:
        """The cells that are out of tolerance."""
        return self.cells[np.flatnonzero(~self.in_tolerance)]

    def statistics(self) -> ErrorStatistics:
        """Error over all cells; zeros when there are none."""
        error = self.error_siemens
        if not error.size:
            return ErrorStatistics(0.0, 0.0, 0.0, 0.0, 0.0)
        size, middle = np.abs(error), float(np.median(error))
        return ErrorStatistics(
            mean=float(error.mean()),
            rms=float(np.sqrt(np.mean(error**2))),
            robust_sd=1.4826 * float(np.median(np.abs(error - middle))),
            p99=float(np.percentile(size, 99)),
            worst=float(size.max()),
        )

    def map(self, rows: int, columns: int) -> FloatArray:
        """(rows, columns) readings in siemens, NaN where no cell was read."""
        out = np.full((rows, columns), np.nan)
        out[self.cells.rows, self.cells.columns] = self.reading_siemens
        return out

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "cells": len(self.cells),
            "in_tolerance": int(self.in_tolerance.sum()),
            "statistics_siemens": asdict(self.statistics()),
            "bench_s": self.bench_s,
            "read_at_s": self.read_at_s,
            "rows": self.cells.rows.tolist(),
            "columns": self.cells.columns.tolist(),
            "target_siemens": self.target_siemens.tolist(),
            "tolerance_siemens": self.tolerance_siemens.tolist(),
            "reading_siemens": self.reading_siemens.tolist(),
        }


def verify(
    macro: Macro,
    cells: Cells,
    targets: FloatArray,
    params: VerifyParams | None = None,
    progress: Progress | None = None,
) -> VerifyResult:
    """Read `cells` and compare with `targets` (n,) siemens. Drives nothing above the read level.

    Raises:
        InputError: not one positive target per cell.
    """
    chosen, report = params or VerifyParams(), progress or silent
    wanted = np.asarray(targets, dtype=np.float64)
    if wanted.shape != (len(cells),) or not np.all(np.isfinite(wanted) & (wanted > 0.0)):
        raise InputError(f"Verify needs one positive target for each of {len(cells)} cells.")
    tolerance = ProgramParams(tolerance_siemens=chosen.tolerance_siemens).tolerances(wanted)
    start_s = macro.time_s
    report(0, len(cells), "reading", None)
    reading = macro.read(cells, samples=chosen.samples)
    report(len(cells), len(cells), "read", reading)
    spent_s = macro.time_s - start_s
    return VerifyResult(cells, wanted, tolerance, reading, spent_s, macro.time_s)
