"""What a re-trim is asked for, and what it did."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.relaxation import RelaxationLaw
from drivers.rram.geometry import Cells
from protocols.errors import InputError

MAX_SAMPLES = 64  # conversions of one reading; the board adds up no more


@dataclass(frozen=True)
class RetrimParams:
    """How long to wait, how well to look, what counts as moved. This project's choice.

    Attributes:
        waits_s: wait before each round's readings; their number is the number of rounds.
        horizon_s: time after the last round at which cells shall be right.
        samples: conversions per reading; every cell is read twice in a round. Read noise is
            correlated from conversion to conversion, so few of them tell little.
        least_gain: a cell has moved when the expected square of its error is this many times what
            a renewal would leave, ...
        least_siemens: ... and more than this (squared) above it.
        pulse_budget: pulses that one cell may get in all rounds together; beyond, it is kept.
        programming_siemens: rms error that the programmer is expected to leave.
        lowest_siemens, highest_siemens: aims stay inside.
    """

    waits_s: tuple[float, ...] = (60.0,) * 2 + (120.0,) * 2 + (240.0,) * 2 + (480.0, 240.0, 120.0)
    horizon_s: float = 3600.0
    samples: int = 64
    least_gain: float = 2.0
    least_siemens: float = 1e-6
    pulse_budget: int = 400
    programming_siemens: float = 1.5e-6
    lowest_siemens: float = 20e-6
    highest_siemens: float = 225e-6

    def __post_init__(self) -> None:
        times = (*self.waits_s, self.horizon_s)
        if not self.waits_s or not all(math.isfinite(t) and t > 0.0 for t in times):
            raise InputError(
                f"waits_s={self.waits_s}, horizon_s={self.horizon_s}: one or more waits and a "
                "horizon, all above 0 s, are needed."
            )
        if not 1 <= self.samples <= MAX_SAMPLES:
            raise InputError(f"samples={self.samples} must lie in 1 to {MAX_SAMPLES}.")
        if not (math.isfinite(self.least_gain) and self.least_gain >= 1.0):
            raise InputError(f"least_gain={self.least_gain} must be at least 1.")
        for name in ("least_siemens", "programming_siemens"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise InputError(f"{name}={getattr(self, name)} must not be negative.")
        if self.pulse_budget < 1:
            raise InputError(f"pulse_budget={self.pulse_budget} must be at least 1.")
        if not 0.0 < self.lowest_siemens < self.highest_siemens:
            raise InputError(
                f"0 < lowest_siemens < highest_siemens is needed, got {self.lowest_siemens:g}, "
                f"{self.highest_siemens:g}."
            )


@dataclass(frozen=True)
class RetrimRound:
    """One round.

    Attributes:
        wait_s: the wait before it.
        touched: cells that were pulsed, `pulses` how often together.
        reads: conversions of the round's readings, and the programmer's reads where it counts them.
        error_siemens: rms error of the weights by this round's readings, before its pulses.
        forecast_siemens: the same as expected at the horizon.
    """

    wait_s: float
    touched: int
    pulses: int
    reads: int
    error_siemens: float
    forecast_siemens: float


@dataclass(frozen=True)
class RetrimResult:
    """What re-trimming did; arrays (n,) in the order of `cells`.

    Attributes:
        target_siemens: as given, but both arms of a corrected pair shifted by the same amount, so
            that their difference is what it was.
        before_siemens, reading_siemens: mean readings before the first and after the last round.
        pulses: extra pulses; `reads`: extra conversions of all cells together.
        hopeless: cells that the programmer could not move; they are left alone.
        age_s: time since each cell's last pulse, at the last reading.
        law: how this chip relaxes, as learned; None when too few cells were read to learn it.
        error_before_siemens, error_after_siemens: rms error of the weights by those readings.
    """

    cells: Cells
    target_siemens: FloatArray
    before_siemens: FloatArray
    reading_siemens: FloatArray
    pulses: IntArray
    sets: IntArray
    resets: IntArray
    reads: int
    hopeless: BoolArray
    age_s: FloatArray
    rounds: tuple[RetrimRound, ...]
    law: RelaxationLaw | None
    error_before_siemens: float
    error_after_siemens: float
    bench_s: float

    def summary(self) -> dict[str, float]:
        """Figures for a table; extra pulses are those per cell of all cells."""
        n = max(len(self.cells), 1)
        return {
            "cells": len(self.cells),
            "rounds": len(self.rounds),
            "cells_touched": int(np.count_nonzero(self.pulses)),
            "extra_pulses": int(self.pulses.sum()),
            "extra_pulses_mean": float(self.pulses.sum()) / n,
            "extra_pulses_most": int(self.pulses.max(initial=0)),
            "extra_reads_mean": self.reads / n,
            "error_before_siemens": self.error_before_siemens,
            "error_after_siemens": self.error_after_siemens,
            "bench_s": self.bench_s,
        }

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            **self.summary(),
            "per_round": [asdict(one) for one in self.rounds],
            "law": None if self.law is None else self.law.to_dict(),
            "rows": self.cells.rows.tolist(),
            "columns": self.cells.columns.tolist(),
            "target_siemens": self.target_siemens.tolist(),
            "before_siemens": self.before_siemens.tolist(),
            "reading_siemens": self.reading_siemens.tolist(),
            "pulses": self.pulses.tolist(),
            "age_s": self.age_s.tolist(),
            "hopeless": np.flatnonzero(self.hopeless).tolist(),
        }
