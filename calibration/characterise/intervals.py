"""Estimates with their confidence intervals: what every routine of this folder ends in.

Cells are the independent units: readings of one cell are correlated, so resampling draws whole
cells. All resampling is seeded; the same readings give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr, ndtri, stdtrit

from calibration.arrays import FloatArray
from protocols.errors import InputError

RESAMPLES = 400
"""Bootstrap samples; the ends of a 95 % interval then rest on ten samples each side."""
SEED = 20240601  # of the resampling; any number would do
ROBUST = 1.4826  # standard deviation of a normal over its median absolute deviation


@dataclass(frozen=True)
class Interval:
    """A figure and the interval that holds its true value at the stated confidence.

    Attributes:
        value: the estimate; NaN where nothing could be estimated.
        low, high: ends of the interval.
        unit: SI unit, "" for a plain number.
        confidence: two-sided.
    """

    value: float
    low: float
    high: float
    unit: str = ""
    confidence: float = 0.95

    @property
    def half_width(self) -> float:
        """Half the length of the interval; infinite where there is none."""
        width = 0.5 * (self.high - self.low)
        return width if math.isfinite(width) else math.inf

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, object]:
        """Plain values; what is not finite becomes None."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        finite = {key: value if math.isfinite(value) else None for key, value in ends.items()}
        return {**finite, "unit": self.unit, "confidence": self.confidence}

    @classmethod
    def nothing(cls, unit: str = "", confidence: float = 0.95) -> Interval:
        """No estimate: everything is possible."""
        return cls(math.nan, -math.inf, math.inf, unit, confidence)


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence level. Raises InputError."""
    if not 0.5 <= confidence < 1.0:
        raise InputError(f"A confidence of {confidence} is not possible; 0.5 to below 1 is.")


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """A fraction by the score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927)."""
    if trials < 1:
        return Interval.nothing("", confidence)
    z = float(ndtri(0.5 + 0.5 * confidence))
    share = successes / trials
    scale = 1.0 + z * z / trials
    middle = (share + 0.5 * z * z / trials) / scale
    half = z * math.sqrt(share * (1.0 - share) / trials + 0.25 * (z / trials) ** 2) / scale
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0), "", confidence)


def quantile_interval(
    values: FloatArray, share: float = 0.5, unit: str = "", confidence: float = 0.95
) -> Interval:
    """A quantile of a population, by order statistics: exact for any distribution.

    Args:
        values: (n,) independent values.
        share: 0.5 is the median.
    """
    ordered = np.sort(values[np.isfinite(values)])
    n = ordered.size
    if n < 6:
        return Interval.nothing(unit, confidence)
    tail = 0.5 * (1.0 - confidence)
    below_share = bdtr(np.arange(n + 1), n, share)  # probability of at most k values below it
    below = int(np.searchsorted(below_share, tail)) - 1
    above = int(np.searchsorted(below_share, 1.0 - tail))
    low = ordered[below] if below >= 0 else -math.inf
    high = ordered[above] if above < n else math.inf
    return Interval(float(np.quantile(ordered, share)), float(low), float(high), unit, confidence)


def bootstrap(
    cells: FloatArray,
    statistic: Callable[[FloatArray], float],
    unit: str = "",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bias-corrected bootstrap over cells (B. Efron, J. Am. Stat. Assoc. 82, 171, 1987).

    Without acceleration, and widened as Student's t is against the normal, because n is finite.
    The 95 % interval of a spread of 60 cells holds the truth in about 90 % of cases.

    Args:
        cells: (n, ...) one entry per cell; cells with a NaN are left out.
        statistic: the figure of such an array.
    """
    flat = cells.reshape(len(cells), -1) if cells.size else np.empty((0, 1))
    kept = cells[np.flatnonzero(np.isfinite(flat).all(axis=1))]
    n = len(kept)
    if n < 4:
        return Interval.nothing(unit, confidence)
    rng = np.random.default_rng(SEED + n)
    drawn = [statistic(kept[rng.integers(0, n, n)]) for _ in range(resamples)]
    value, found = statistic(kept), np.asarray(drawn)[np.isfinite(drawn)]
    if found.size < resamples // 2 or not math.isfinite(value):
        return Interval.nothing(unit, confidence)
    low, high = np.quantile(found, _shares(found, value, n, confidence))
    return Interval(value, float(min(low, value)), float(max(high, value)), unit, confidence)


def _shares(drawn: FloatArray, value: float, n: int, confidence: float) -> FloatArray:
    """Which quantiles of bootstrapped values are the ends of the interval."""
    reach = float(stdtrit(n - 1, 0.5 + 0.5 * confidence)) * math.sqrt(n / (n - 1))
    below = (np.count_nonzero(drawn < value) + 0.5 * np.count_nonzero(drawn == value)) / drawn.size
    shift = float(ndtri(np.clip(below, 0.5 / drawn.size, 1.0 - 0.5 / drawn.size)))
    return np.asarray(ndtr([2.0 * shift - reach, 2.0 * shift + reach]))


def mean_interval(values: FloatArray, unit: str = "", confidence: float = 0.95) -> Interval:
    """The mean of independent values by Student's t; values that are NaN are left out."""
    kept = values[np.isfinite(values)]
    if kept.size < 3:
        return Interval.nothing(unit, confidence)
    middle = float(kept.mean())
    error = float(kept.std(ddof=1)) / math.sqrt(kept.size)
    half = float(stdtrit(kept.size - 1, 0.5 + 0.5 * confidence)) * error
    return Interval(middle, middle - half, middle + half, unit, confidence)


def robust_sd(values: FloatArray) -> float:
    """1.4826 times the median absolute deviation from the median."""
    if not values.size:
        return math.nan
    return ROBUST * float(np.median(np.abs(values - np.median(values))))
