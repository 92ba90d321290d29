"""What every programming routine takes and gives. One routine per file beside this one.

A routine drives cells to targets by pulses and verifying reads. It tells of every cell what it
asked for, what the cell reads at the end, how many pulses that took and, when the cell is not where
it should be, why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.programming.menu import PulseMenu
from calibration.progress import Progress
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from protocols.errors import InputError, TargetError

# Spread of a level right after programming, measured 1T1R cells (data of A. Levy et al., IEEE TED
# 2021, windows of 7.5 uS, robust standard deviation): a cell cannot be held tighter than it moves
# by itself. Used as the tolerance, so that "in tolerance" asks the same of every state.
_SPREAD_AT_SIEMENS = (20e-6, 45e-6, 80e-6, 120e-6, 160e-6, 205e-6)
_SPREAD_SIEMENS = (10.6e-6, 11.9e-6, 9.0e-6, 6.1e-6, 2.8e-6, 2.2e-6)


def default_tolerance(targets: FloatArray) -> FloatArray:
    """Tolerance in siemens, (n,), for targets (n,): 2.2 uS at 205 uS, 2.8 at 160, 6.1 at 120.

    The tolerance of a pair with both arms near the top is then about 2 % of the default window of
    100 uS, and the error left inside it about 1 %, at which samples are good; the wider
    tolerances fall on the few large weights.
    """
    return np.interp(targets, _SPREAD_AT_SIEMENS, _SPREAD_SIEMENS)


SETTLE_LONG_S = (0.0,) * 3 + (1.0, 3.0, 10.0, 30.0) + (100.0,) * 3 + (30.0, 10.0, 3.0, 1.0, 0.0)
"""Waits (`ProgramParams.settle_s`) that leave a network settled: what moves within minutes has
moved and was corrected, and the few cells of the last corrections get short waits of their own.
"""


class CellStatus(IntEnum):
    """What became of a cell."""

    IN_TOLERANCE = 0
    BUDGET = 1
    STUCK_LOW = 2
    STUCK_HIGH = 3
    UNFORMED = 4
    MOVED = 5
    NOT_DRIVEN = 6

    @property
    def reason(self) -> str:
        """One sentence for a report."""
        return _REASONS[self]


_REASONS = {
    CellStatus.IN_TOLERANCE: "reads within tolerance at the end",
    CellStatus.BUDGET: "its pulse budget is used up, or nearly so and it was left close by",
    CellStatus.STUCK_LOW: "stays below the target at the strongest SET pulse allowed",
    CellStatus.STUCK_HIGH: "stays above the target at the strongest RESET pulse allowed",
    CellStatus.UNFORMED: "was never formed, or reads as if it were open",
    CellStatus.MOVED: "was within the aim when programmed and moved out before the last confirm",
    CellStatus.NOT_DRIVEN: "dry run: nothing was driven",
}


@dataclass(frozen=True)
class ProgramParams:
    """What all programming routines share.

    Attributes:
        tolerance_siemens: a cell is in tolerance when its confirming read is this close to the
            target; a scalar or one per cell. None is `default_tolerance`.
        aim_fraction: pulsing stops at this fraction of the tolerance, by a single read, so that
            read noise and relaxation have room.
        pulse_budget: pulses that one cell may get.
        unformed_siemens: a cell that reads below it is not formed and gets no pulse.
        lowest_siemens, highest_siemens: targets outside are refused.
        confirm_samples: readings averaged in the confirming read.
        settle_s: seconds to wait before each confirming read, and by their number how often the
            cells are confirmed and those that moved out programmed again. The board is disarmed
            meanwhile. Conductances relax in logarithmic time, so that the longer the last waits
            are, the less moves after them.
        armed_s: time for which the board is armed.
        tries_at_stop: strongest pulses in a row, without getting there, before a cell that did
            answer is called stuck.
        count_in: "confirmed": a cell is finished by the confirming reads (averages, after each
            wait), the rule for a chip that is to be used. "reading": it is finished by the one
            verify read after its pulse and never looked at again, as published benches count;
            then there are no waits and no confirming reads.
        menu: the only pulses that may be given; each one that a routine wants is replaced by the
            nearest of them. None: any pulse within the limits.
    """

    tolerance_siemens: float | FloatArray | None = None
    aim_fraction: float = 0.5
    pulse_budget: int = 200
    unformed_siemens: float = 1e-6
    lowest_siemens: float = 2e-6
    highest_siemens: float = 230e-6
    confirm_samples: int = 8
    settle_s: tuple[float, ...] = (0.0,) * 10
    armed_s: float = 600.0
    tries_at_stop: int = 6
    count_in: Literal["reading", "confirmed"] = "confirmed"
    menu: PulseMenu | None = None

    def __post_init__(self) -> None:
        if self.count_in not in ("reading", "confirmed"):
            raise InputError(f"count_in={self.count_in!r}: it is 'reading' or 'confirmed'.")
        if not 0.0 < self.aim_fraction <= 1.0:
            raise InputError(f"aim_fraction={self.aim_fraction} must lie in (0, 1].")
        if not self.settle_s or not all(math.isfinite(s) and s >= 0.0 for s in self.settle_s):
            raise InputError(f"settle_s={self.settle_s}: one or more times >= 0 s are needed.")
        for name in ("pulse_budget", "confirm_samples", "tries_at_stop"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1.")
        if not 0.0 < self.unformed_siemens < self.lowest_siemens < self.highest_siemens:
            raise InputError(
                "0 < unformed_siemens < lowest_siemens < highest_siemens is needed, got "
                f"{self.unformed_siemens:g}, {self.lowest_siemens:g}, {self.highest_siemens:g}."
            )

    def tolerances(self, targets: FloatArray) -> FloatArray:
        """(n,) tolerance of each target. Raises InputError unless positive and one or n."""
        if self.tolerance_siemens is None:
            return default_tolerance(targets)
        given = np.asarray(self.tolerance_siemens, dtype=np.float64)
        if given.shape not in ((), targets.shape) or not np.all(np.isfinite(given) & (given > 0.0)):
            raise InputError(
                f"tolerance_siemens must be one positive number or {targets.size}, in siemens."
            )
        return np.broadcast_to(given, targets.shape).copy()

    def check_targets(self, cells: Cells, targets: FloatArray) -> FloatArray:
        """The targets as float64 (n,).

        Raises:
            TargetError: not one finite target per cell, or one outside the range; names the cell.
        """
        wanted = np.asarray(targets, dtype=np.float64)
        if wanted.shape != (len(cells),):
            raise TargetError(f"{wanted.shape} targets for {len(cells)} cells.")
        bad = ~((wanted >= self.lowest_siemens) & (wanted <= self.highest_siemens))
        if bad.any():
            k = int(np.flatnonzero(bad)[0])
            raise TargetError(
                f"The target of cell ({cells.rows[k]}, {cells.columns[k]}), {wanted[k]:.4g} S, "
                f"lies outside {self.lowest_siemens:.4g} to {self.highest_siemens:.4g} S "
                f"({int(bad.sum())} such targets)."
            )
        return wanted


@dataclass(frozen=True)
class ProgramResult:
    """What programming did to each cell, in the order of `cells`.

    Attributes:
        target_siemens, tolerance_siemens: what was asked.
        reached_siemens: the last confirming read, or the last verify read where cells are counted
            by reading.
        pulses, sets, resets: counts of this routine's pulses.
        reads: readings taken of each cell; a read of k samples counts k.
        status: a `CellStatus` per cell.
        rounds: batches of pulses; `round_trips`: those and the confirming reads on the line.
        bench_s: time on the board's clock (virtual on a simulated board).
        passes: cells still out of tolerance after each confirming read.
    """

    algorithm: str
    cells: Cells
    target_siemens: FloatArray
    tolerance_siemens: FloatArray
    reached_siemens: FloatArray
    sets: IntArray
    resets: IntArray
    reads: IntArray
    status: IntArray
    rounds: int
    round_trips: int
    bench_s: float
    passes: tuple[int, ...] = field(default=())

    @property
    def pulses(self) -> IntArray:
        """(n,) SET and RESET pulses together."""
        return self.sets + self.resets

    @property
    def error_siemens(self) -> FloatArray:
        """(n,) reached minus target."""
        return self.reached_siemens - self.target_siemens

    @property
    def in_tolerance(self) -> BoolArray:
        """(n,) by the last confirming read."""
        return np.asarray(self.status == CellStatus.IN_TOLERANCE)

    @property
    def failures(self) -> list[tuple[int, int, str]]:
        """(row, column, what is wrong) of every cell that is not in tolerance."""
        return [
            (int(self.cells.rows[k]), int(self.cells.columns[k]), self._sentence(int(k)))
            for k in np.flatnonzero(~self.in_tolerance)
        ]

    def _sentence(self, k: int) -> str:
        status = CellStatus(int(self.status[k]))
        return (
            f"target {self.target_siemens[k] * 1e6:.1f} uS, reads "
            f"{self.reached_siemens[k] * 1e6:.1f} uS after {self.pulses[k]} pulses: {status.reason}"
        )

    def summary(self) -> dict[str, float]:
        """Figures for a table; pulses are those of one cell."""
        pulses = self.pulses
        some = len(self.cells) > 0
        return {
            "cells": len(self.cells),
            "in_tolerance": int(self.in_tolerance.sum()),
            "pulses_mean": float(pulses.mean()) if some else 0.0,
            "pulses_median": float(np.median(pulses)) if some else 0.0,
            "pulses_p99": float(np.percentile(pulses, 99)) if some else 0.0,
            "reads_mean": float(self.reads.mean()) if some else 0.0,
            "rms_error_siemens": float(np.sqrt(np.mean(self.error_siemens**2))) if some else 0.0,
            "rounds": self.rounds,
            "round_trips": self.round_trips,
            "bench_s": self.bench_s,
        }

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: the summary, every array and the failures."""
        return {
            "algorithm": self.algorithm,
            **self.summary(),
            "passes": list(self.passes),
            "rows": self.cells.rows.tolist(),
            "columns": self.cells.columns.tolist(),
            "target_siemens": self.target_siemens.tolist(),
            "tolerance_siemens": self.tolerance_siemens.tolist(),
            "reached_siemens": self.reached_siemens.tolist(),
            "sets": self.sets.tolist(),
            "resets": self.resets.tolist(),
            "reads": self.reads.tolist(),
            "status": [CellStatus(int(s)).name.lower() for s in self.status],
            "failures": self.failures,
        }


class Programmer(Protocol):
    """A programming routine."""

    name: str

    def run(
        self,
        macro: Macro,
        cells: Cells,
        targets: FloatArray,
        progress: Progress | None = None,
    ) -> ProgramResult:
        """Drive `cells` to `targets` (n,) siemens.

        Raises:
            InputError: no cells.
            TargetError: a target is outside the range that the parameters allow, or a tolerance
                below what reads can tell.
            LimitError: a pulse of the routine would go over a limit of the board.
            NotFormedError: none of the cells was ever formed.
            SafetyError: the board is in its safe state.
        """
        ...
