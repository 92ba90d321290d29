"""How many readings a verify should average, from noise that was measured.

The readings of a cell are correlated from one to the next, so the mean of n is less certain than
1 / sqrt(n) says; what averaging gains is measured on means of n neighbours. The number that is
recommended is the smallest that leaves a fixed share of the tolerance of programming, or, where
none does, the one after which doubling gains next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.characterise.read_noise import deviations
from calibration.programming import default_tolerance

AVERAGED = (1, 2, 4, 8, 16, 32, 64)
CELLS, RESISTORS = "cells", "reference resistors"
LEAST_GAIN = 0.9
"""Doubling the readings is worth it while it leaves at most this share of the noise."""
LEAST_MEANS = 8
"""Means of n neighbours that a series must have for its scatter to count."""
_LINE = 2  # degrees of freedom that the straight line through a series takes


@dataclass(frozen=True)
class VerifyReads:
    """What is recommended.

    Attributes:
        averaged: numbers of readings that were looked at.
        shares: noise of such a mean over the tolerance of programming, the typical cell.
        reads: the number recommended, and `share` what it leaves.
        measured_on: `CELLS` or `RESISTORS`.
    """

    averaged: tuple[int, ...]
    shares: tuple[float, ...]
    reads: int
    share: float
    measured_on: str

    @property
    def sentence(self) -> str:
        """For a person."""
        times = "once" if self.reads == 1 else f"{self.reads} times"
        if self.measured_on != CELLS:
            return (
                f"The read path alone asks for each cell to be read {times} in a verify; what cells"
                " need is not known before some are formed"
            )
        return f"Read each cell {times} in a verify: programming: {{confirm_samples: {self.reads}}}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the key of the bench file that takes the number."""
        return {
            "averaged": list(self.averaged),
            "shares_of_tolerance": list(self.shares),
            "reads": self.reads,
            "share_of_tolerance": self.share,
            "measured_on": self.measured_on,
            "bench_file": {"programming": {"confirm_samples": self.reads}},
        }


def recommended(
    averaged: Sequence[int], shares: Sequence[float], wanted: float, measured_on: str
) -> VerifyReads:
    """The number of readings for noise of `shares` of the tolerance at `averaged` readings."""
    small = [k for k, share in enumerate(shares) if share <= wanted]
    best = small[0] if small else _flat(shares)
    return VerifyReads(
        tuple(averaged),
        tuple(float(s) for s in shares),
        averaged[best],
        float(shares[best]),
        measured_on,
    )


def _flat(shares: Sequence[float]) -> int:
    """The first place after which doubling gains next to nothing."""
    for k in range(len(shares) - 1):
        if shares[k + 1] > LEAST_GAIN * shares[k]:
            return k
    return len(shares) - 1


def cell_shares(readings_siemens: FloatArray) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Numbers of readings, and the noise of their mean over the tolerance, the median cell.

    Args:
        readings_siemens: (cells, n) single readings of each cell in turn.
    """
    count = readings_siemens.shape[1]
    level = readings_siemens.mean(axis=1)
    apart = deviations(readings_siemens) * level[:, None] / default_tolerance(level)[:, None]
    numbers = tuple(n for n in AVERAGED if count // n >= LEAST_MEANS)
    return numbers, tuple(_median_scatter(apart, n) for n in numbers)


def _median_scatter(apart: FloatArray, number: int) -> float:
    means = apart[:, : apart.shape[1] // number * number]
    means = means.reshape(len(apart), -1, number).mean(axis=2)
    return float(np.median(np.sqrt(np.sum(means**2, axis=1) / (means.shape[1] - _LINE))))


def resistor_shares(sd_codes: Sequence[float], code_siemens: float) -> tuple[float, ...]:
    """Noise of the read path alone over the tightest tolerance of programming."""
    tightest = float(default_tolerance(np.array([math.inf]))[0])
    return tuple(sd * code_siemens / tightest for sd in sd_codes)
