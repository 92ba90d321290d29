"""How cells of one chip relax, learned from their own readings, and what a fresh pulse would bring.

Conductances move by themselves in logarithmic time: the law assumed here is that ln G drifts and
spreads by independent increments per decade of the time since the cell's last pulse. That law is an
assumption at room temperature (the published tables hold bakes, not a room-temperature series);
its two figures, drift and spread per decade, are measured on the chip at hand for every level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from protocols.errors import CalibrationError

SHORTEST_S = 1e-3  # age of a cell that was read right after its pulse (this project's choice)
BINS = 8
MIN_PER_BIN = 12  # cells that a level's figures are drawn from; fewer are pooled with neighbours
LARGEST_LN = 1.0  # a cell that moves further is not relaxing: it was disturbed or is defective
_CENTRE_FRACTION = 0.1  # trimmed from both ends of a level's moves before their mean is taken


def decades(age_s: FloatArray | float, later_s: FloatArray | float) -> FloatArray:
    """log10 of (age + later) over age: decades of time that pass `later_s` after an age."""
    age = np.maximum(np.asarray(age_s, dtype=np.float64), SHORTEST_S)
    return np.asarray(np.log10((age + np.asarray(later_s)) / age))


@dataclass(frozen=True, eq=False)
class RelaxationLaw:
    """Drift and spread of ln G per decade of time, by conductance.

    Attributes:
        siemens: (m,) levels, rising; figures are linear in between and flat beyond.
        drift: (m,) mean move of ln G per decade.
        spread: (m,) root mean square move about it per root decade.
        moves: (k,) moves in units of their spread, as measured: the shape of the distribution,
            which has heavy tails.
    """

    siemens: FloatArray
    drift: FloatArray
    spread: FloatArray
    moves: FloatArray

    def drift_at(self, siemens: FloatArray) -> FloatArray:
        """(n,) drift of ln G per decade."""
        return np.interp(siemens, self.siemens, self.drift)

    def spread_at(self, siemens: FloatArray) -> FloatArray:
        """(n,) spread of ln G per root decade."""
        return np.interp(siemens, self.siemens, self.spread)

    def forecast(
        self, siemens: FloatArray, age_s: FloatArray, later_s: float
    ) -> tuple[FloatArray, FloatArray]:
        """Expected conductance of cells `later_s` from now, and its spread, both in siemens (n,).

        `age_s` is the time since each cell's last pulse.
        """
        passed = decades(age_s, later_s)
        expected = siemens * np.exp(self.drift_at(siemens) * passed)
        return expected, siemens * self.spread_at(siemens) * np.sqrt(passed)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "siemens": self.siemens.tolist(),
            "drift_per_decade": self.drift.tolist(),
            "spread_per_root_decade": self.spread.tolist(),
        }

    @classmethod
    def assumed(cls) -> RelaxationLaw:
        """The law of published 1T1R cells, for chips that say too little about themselves.

        Spread of levels before and after 30 min at 80 C (data of A. Levy et al., IEEE TED 2021)
        as it is spread over the decades between a verify read and an hour: an assumption.
        """
        return cls(
            siemens=np.array([42e-6, 78e-6, 123e-6, 167e-6, 240e-6]),
            drift=np.array([-0.05, -0.026, -0.007, -0.002, 0.0]),
            spread=np.array([0.13, 0.066, 0.029, 0.006, 0.004]),
            moves=np.array([-3.0, -0.7, -0.3, -0.1, 0.1, 0.3, 0.7, 3.0]),
        )

    @classmethod
    def measured(
        cls,
        before: FloatArray,
        after: FloatArray,
        passed: FloatArray,
        noise_ln: FloatArray | float = 0.0,
    ) -> RelaxationLaw:
        """The law that two readings of the same cells show.

        Args:
            before, after: (n,) readings in siemens, no pulse in between.
            passed: (n,) decades of time since the last pulse that lie between them.
            noise_ln: standard deviation of the difference of two readings' ln without any move;
                it is taken off the spread.

        Raises:
            CalibrationError: too few cells were read twice to draw a law from.
        """
        usable = _usable(before, after, passed)
        if usable.sum() < MIN_PER_BIN:
            raise CalibrationError(
                f"{int(usable.sum())} cells were read twice without a pulse in between; at least "
                f"{MIN_PER_BIN} are needed to learn how this chip relaxes."
            )
        level, move, span = before[usable], np.log(after / before)[usable], passed[usable]
        noise = np.broadcast_to(np.asarray(noise_ln, dtype=np.float64), before.shape)[usable]
        order = np.argsort(level, kind="stable")
        parts = np.array_split(order, max(1, min(BINS, len(order) // MIN_PER_BIN)))
        siemens = np.array([np.median(level[part]) for part in parts])
        drift = np.array([_centre(move[p] / span[p], span[p]) for p in parts])
        rest = move - np.interp(level, siemens, drift) * span
        spread = np.array([_spread(rest[p], span[p], noise[p]) for p in parts])
        keep = np.concatenate([[True], np.diff(siemens) > 0.0])  # np.interp needs rising levels
        siemens, drift, spread = siemens[keep], drift[keep], spread[keep]
        scale = np.interp(level, siemens, spread) * np.sqrt(span)
        return cls(siemens, drift, spread, rest / np.maximum(scale, 1e-12))


def _usable(before: FloatArray, after: FloatArray, passed: FloatArray) -> BoolArray:
    good = (before > 0.0) & (after > 0.0) & (passed > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        good &= np.abs(np.log(after / before)) < LARGEST_LN
    return np.asarray(good)


def _centre(rate: FloatArray, weight: FloatArray) -> float:
    """Mean rate without the outermost cells, weighted by the decades behind each."""
    order = np.argsort(rate)
    cut = int(_CENTRE_FRACTION * len(order))
    inner = order[cut : len(order) - cut]
    return float(np.average(rate[inner], weights=weight[inner]))


def _spread(rest: FloatArray, span: FloatArray, noise: FloatArray) -> float:
    variance = float(np.sum(rest**2 - noise**2) / np.sum(span))
    floor = float(np.sum(rest**2) / np.sum(span)) * 0.05
    return float(np.sqrt(max(variance, floor)))
