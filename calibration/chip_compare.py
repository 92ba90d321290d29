"""Two chips, or one at two dates: what differs, by how much, and is it more than chance?

Every statistic has a test and a size of effect. A difference counts where both say so: where chance
would give it less often than `significance` over the whole family of tests (Holm, 1979), and where
it is large enough to matter, for with thousands of cells anything is significant. Sizes:

- Cliff's delta, the chance that a cell of B is above one of A less that of the contrary; below
  0.147 it is negligible (J. Romano et al., 2006); tested by Mann and Whitney's U;
- the largest distance between two distributions, tested by Kolmogorov and Smirnov;
- the ratio of spreads (median absolute deviations), tested by Brown and Forsythe;
- the difference of two shares, tested by Fisher's exact test;
- of the same cells twice, the median relative change, tested by Wilcoxon's signed ranks.

Cells of a chip share its read path, so a board that is recalibrated may well shift all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from calibration.arrays import BoolArray, FloatArray
from protocols.errors import InputError

FEWEST = 8
"""Cells on either side below which nothing is tested."""


@dataclass(frozen=True)
class CompareParams:
    """Bounds; every default is this project's choice where no source is named.

    Attributes:
        significance: chance of any false difference in a whole comparison.
        unformed_siemens: a cell that reads less was never formed.
        resolution_siemens: a difference of levels and spreads that is smaller can be the read
            path's as well (a third of a step of the reference board's ADC).
        delta, distance, spread, share, change: smallest effects that matter: Cliff's delta,
            distance of distributions, ratio of spreads less 1, difference of shares, and relative
            change of the same cell.
    """

    significance: float = 0.01
    unformed_siemens: float = 1.0e-6
    resolution_siemens: float = 0.05e-6
    delta: float = 0.147
    distance: float = 0.1
    spread: float = 0.2
    share: float = 0.01
    change: float = 0.02

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not 0.0 < getattr(self, name) < float("inf"):
                raise InputError(f"comparison: {name} is {getattr(self, name)}, not positive")
        if self.significance >= 0.5:
            raise InputError(f"comparison: a significance of {self.significance} is none")


@dataclass(frozen=True)
class Difference:
    """One statistic of A and of B.

    Attributes:
        name: of what; `unit` of `a` and `b`.
        a, b: its values.
        effect: how large the difference is, `measure` says in what, `relevant` what would matter.
        p: how often chance gives as much, all tests of the comparison taken together.
        count: cells of A and of B.
        resolved: whether the readings are fine enough to show it.
    """

    name: str
    unit: str
    a: float
    b: float
    effect: float
    measure: str
    relevant: float
    p: float
    count: tuple[int, int]
    resolved: bool = True

    def differs(self, significance: float) -> bool:
        """Whether the difference is more than chance, and large enough to matter."""
        return self.p < significance and abs(self.effect) >= self.relevant and self.resolved

    def verdict(self, significance: float) -> str:
        """In words."""
        if self.differs(significance):
            return "differs"
        if self.p >= significance:
            return "no difference"
        return "too little to matter" if self.resolved else "finer than the readings"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two maps on one scale.

    Attributes:
        a, b: siemens (rows, columns), NaN where a cell was not looked at.
        differences: what was tested.
        formed, lost: cells that B has formed and A has not, and the contrary.
    """

    params: CompareParams
    a: FloatArray
    b: FloatArray
    differences: tuple[Difference, ...]
    formed: int
    lost: int

    @property
    def change(self) -> FloatArray:
        """B less A, siemens."""
        return np.asarray(self.b - self.a)

    @property
    def differing(self) -> tuple[Difference, ...]:
        """Those that are more than chance and matter."""
        return tuple(d for d in self.differences if d.differs(self.params.significance))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the maps apart."""
        limit = self.params.significance
        listed = [
            {**d.__dict__, "count": list(d.count), "verdict": d.verdict(limit)}
            for d in self.differences
        ]
        return {
            "significance": limit,
            "cells": int((np.isfinite(self.a) & np.isfinite(self.b)).sum()),
            "newly_formed": self.formed,
            "not_formed_any_more": self.lost,
            "differences": listed,
        }


def compare_maps(a: FloatArray, b: FloatArray, params: CompareParams | None = None) -> Comparison:
    """Compares two maps of conductances.

    Args:
        a, b: siemens (rows, columns), NaN where a cell was not looked at.
        params: None is the default.

    Raises:
        InputError: arrays of different sizes, or nothing to compare.
    """
    p = params or CompareParams()
    if np.ndim(a) != 2 or np.shape(a) != np.shape(b):
        raise InputError(f"arrays of {np.shape(a)} and {np.shape(b)} cells are not on one scale")
    if not (np.isfinite(a).any() and np.isfinite(b).any()):
        raise InputError("no cell was looked at; there is nothing to compare")
    formed = [np.asarray(each >= p.unformed_siemens) for each in (a, b)]  # NaN is not
    pristine = [np.asarray(each < p.unformed_siemens) for each in (a, b)]
    found = [_shares(a, b, formed, p)]
    for name, masks in (("formed cells", formed), ("unformed cells", pristine)):
        found += _distributions(name, a[masks[0]], b[masks[1]], p)
    found += _pairs(a, b, formed[0] & formed[1], p)
    return Comparison(
        p,
        np.asarray(a, np.float64),
        np.asarray(b, np.float64),
        _holm(found),
        int((pristine[0] & formed[1]).sum()),
        int((formed[0] & pristine[1]).sum()),
    )


def _shares(a: FloatArray, b: FloatArray, formed: list[BoolArray], p: CompareParams) -> Difference:
    seen = (int(np.isfinite(a).sum()), int(np.isfinite(b).sum()))
    many = [int(each.sum()) for each in formed]
    first, second = (m / n for m, n in zip(many, seen, strict=True))
    table = np.array([[m, n - m] for m, n in zip(many, seen, strict=True)])
    chance = float(stats.fisher_exact(table).pvalue)
    what, measure = "share of formed cells", "difference of shares"
    return Difference(what, "", first, second, second - first, measure, p.share, chance, seen)


def _distributions(name: str, a: FloatArray, b: FloatArray, p: CompareParams) -> list[Difference]:
    if min(a.size, b.size) < FEWEST:
        return []
    level, spread = (float(np.median(a)), float(np.median(b))), (_spread(a), _spread(b))
    wider = max(abs(level[1] - level[0]), abs(spread[1] - spread[0]))
    end = ((a.size, b.size), wider >= p.resolution_siemens)
    ranks = stats.mannwhitneyu(b, a, alternative="two-sided")
    delta = 2.0 * float(ranks.statistic) / (a.size * b.size) - 1.0
    apart = stats.ks_2samp(a, b)
    below = (float(np.mean(a < level[0])), float(np.mean(b < level[0])))
    ratio = spread[1] / spread[0] - 1.0 if spread[0] > 0.0 else float("nan")
    wide = float(stats.levene(a, b, center="median").pvalue)
    ranked, far = float(ranks.pvalue), float(apart.pvalue)
    distance, of = float(apart.statistic), "Kolmogorov distance"
    return [
        Difference(f"level of {name}", "S", level[0], level[1],
                   delta, "Cliff's delta", p.delta, ranked, *end),
        Difference(f"distribution of {name}", "", below[0], below[1],
                   distance, of, p.distance, far, *end),
        Difference(f"spread of {name}", "S", spread[0], spread[1],
                   ratio, "ratio less 1", p.spread, wide, *end),
    ]  # fmt: skip


def _spread(values: FloatArray) -> float:
    """As a standard deviation, of the median absolute deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _pairs(a: FloatArray, b: FloatArray, both: BoolArray, p: CompareParams) -> list[Difference]:
    first, second = a[both], b[both]
    if first.size < FEWEST:
        return []
    change = float(np.median(second / first - 1.0))
    chance = float(stats.wilcoxon(second, first).pvalue) if np.any(first != second) else 1.0
    level = (float(np.median(first)), float(np.median(second)))
    resolved = abs(float(np.median(second - first))) >= p.resolution_siemens
    count, measure = (first.size, first.size), "median relative change"
    return [
        Difference("the same cells", "S", level[0], level[1],
                   change, measure, p.change, chance, count, resolved)
    ]  # fmt: skip


def _holm(found: list[Difference]) -> tuple[Difference, ...]:
    """Probabilities that hold for all tests together."""
    order = sorted(range(len(found)), key=lambda k: found[k].p)
    held, out = 0.0, list(found)
    for rank, k in enumerate(order):
        held = min(1.0, max(held, found[k].p * (len(found) - rank)))
        out[k] = replace(found[k], p=held)
    return tuple(out)
