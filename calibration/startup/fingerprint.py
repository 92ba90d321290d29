"""Is this the chip that was here before? Its map against the last one on record.

What is stable in a chip are the cells that were never formed. Their conductances differ from cell
to cell, by 0.3 in the logarithm, and stay as they are; forming takes cells away from them and never
brings one back. So two pieces of evidence are asked for, each a correlation between two visits:

- lines: the sum over all cells of a line that has no formed cell on it;
- cells: cell by cell among those that are unformed on both occasions, the means of their rows and
  columns taken off, so that neither the lines' sums nor anything that belongs to the board (a
  column's gain or offset, a row's converter) counts again.

Conductances of programmed cells are not asked: they are what somebody wanted, and two chips with
the same network have the same.

Scores. With Fisher's transformation a correlation r of n pairs is z = atanh(r) sqrt(n - 3), which
for two different chips is normal with mean 0 and variance 1 (their cells are independent). For
the same chip its mean follows from the noise that the two passes of each map show: r is the root of
the product of both maps' reliabilities, times `stability` for what else changes from day to day.
Both pieces are added up, weighted by what is expected of them (S. Stouffer et al., 1949), into one
score of variance 1. A score above the bound of another chip (`error_rate`) is the same chip's. One
below it, and as far below what is expected, is another chip's. Between them, and where too little
of the chip is still pristine, it cannot be said. Where it cannot, cells that were formed and are
not any more still tell a chip that is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import bdtrc, ndtr, ndtri

from calibration.arrays import BoolArray, FloatArray
from calibration.startup.chip_map import CellMap, ChipMap
from calibration.startup.findings import Finding, StartupParams

SAME, OTHER, UNKNOWN = "same", "other", "unknown"
QUIET = 0.25
"""How far a line of pristine cells may lie from the lowest ones, relative."""
LEVELS = (1.0 / 3.0, 3.0)
"""Pristine cells leak more when they are warm, but not by more than this between two visits."""
FEATURELESS = 1.0e-3
"""Relative spread below which lines have nothing to be told by (ideal cells)."""
HIGHEST = 0.999
"""Of an expected correlation."""
OUTLIER = 4.0
"""Standard deviations at which a cell's deviation is cut: a few odd cells must not decide."""


@dataclass(frozen=True)
class Evidence:
    """One correlation: of `count` pairs, and what would be expected of the same chip."""

    name: str
    correlation: float
    expected: float
    count: int

    @property
    def score(self) -> float:
        """Normal with mean 0 and variance 1 for two different chips."""
        return _fisher(self.correlation, self.count)

    @property
    def expected_score(self) -> float:
        """Of the same chip."""
        return _fisher(self.expected, self.count)


@dataclass(frozen=True)
class Likeness:
    """How alike two maps are.

    Attributes:
        verdict: "same", "other" or "unknown".
        evidence: the correlations that could be made.
        score: of all of them together, NaN where there are none; `expected_score` of the same chip.
        formed_before, not_formed_now: cells that were formed, and those of them that are not now.
        note: why it cannot be said; empty where it can.
        bound: score of another chip that is exceeded at the stated error rate.
    """

    verdict: str
    evidence: tuple[Evidence, ...] = ()
    score: float = float("nan")
    expected_score: float = 0.0
    formed_before: int = 0
    not_formed_now: int = 0
    note: str = ""
    bound: float = float("nan")

    @property
    def correlation(self) -> float:
        """Of the lines; NaN where they cannot be compared."""
        return next((e.correlation for e in self.evidence if e.name == "lines"), float("nan"))

    @property
    def lines(self) -> int:
        """How many lines were compared."""
        return next((e.count for e in self.evidence if e.name == "lines"), 0)

    @property
    def accept_rate(self) -> float:
        """How often another chip scores as high as this."""
        return float(ndtr(-self.score))

    @property
    def refuse_rate(self) -> float:
        """How often the same chip scores as low as this."""
        return float(ndtr(self.score - self.expected_score))

    @property
    def sentence(self) -> str:
        """What was found, with the rate of error that goes with it."""
        parts = ", ".join(f"{e.count} {e.name}: r = {e.correlation:.2f}" for e in self.evidence)
        score = f"score {self.score:.1f}, {self.expected_score:.1f} expected ({parts})"
        if self.verdict == SAME:
            rate = _once(self.accept_rate)
            return f"the map is that of this chip: {score}; another would have that once in {rate}"
        if self.verdict == OTHER and self.note:
            return self.note
        if self.verdict == OTHER:
            return f"{score}; the chip itself would have that once in {_once(self.refuse_rate)}"
        return self.note

    def to_dict(self) -> dict[str, Any]:
        """For a run's record."""
        return {
            "verdict": self.verdict,
            "score": self.score,
            "expected_score": self.expected_score,
            "bound": self.bound,
            "accept_rate": self.accept_rate,
            "refuse_rate": self.refuse_rate,
            "evidence": {
                e.name: {"correlation": e.correlation, "expected": e.expected, "count": e.count}
                for e in self.evidence
            },
            "formed_before": self.formed_before,
            "not_formed_now": self.not_formed_now,
            "note": self.note,
        }


def compare(now: ChipMap, before: ChipMap, params: StartupParams) -> Likeness:
    """Whether two maps are of the same chip."""
    if [v.size for v in _sums(now)] != [v.size for v in _sums(before)]:
        return Likeness(UNKNOWN, note="the recorded map is of another size")
    evidence, notes = [], []
    for made in (_of_lines(now, before, params), _of_cells(now.cells, before.cells, params)):
        if isinstance(made, Evidence):
            evidence.append(made)
        else:
            notes.append(made)
    lost, formed = _lost(now.cells, before.cells, params)
    return _judged(tuple(evidence), lost, formed, "; ".join(filter(None, notes)), params)


def check_identity(
    now: ChipMap, before: ChipMap, chip: str, params: StartupParams
) -> tuple[list[Finding], Likeness]:
    """Refuses another chip than the one on record; what cannot be said is no finding."""
    found = compare(now, before, params)
    if found.verdict != OTHER:
        return [], found
    return [
        Finding(
            "other_chip",
            (),
            f"this is not chip {chip}: {found.sentence}",
            "Put the right chip in, or name this one's id in the bench file (chip.id)",
        )
    ], found


def bound_of(params: StartupParams) -> float:
    """The score that another chip exceeds at the stated rate of error."""
    return float(-ndtri(params.error_rate))


def _judged(
    evidence: tuple[Evidence, ...], lost: int, formed: int, notes: str, params: StartupParams
) -> Likeness:
    expected = np.array([e.expected_score for e in evidence])
    bound = bound_of(params)
    size = float(np.sqrt((expected**2).sum()))
    score = float(expected @ [e.score for e in evidence]) / size if size > 0.0 else float("nan")
    note = ""
    if score > bound:
        verdict = SAME
    elif score < size - bound:
        verdict = OTHER
    elif formed and bdtrc(lost - 1, formed, params.misread_share) < params.error_rate:
        verdict = OTHER
        note = f"{lost} of {formed} cells that were formed never were; no pulse undoes forming"
    else:
        verdict = UNKNOWN
        note = notes or (
            f"score {score:.1f}: above {bound:.1f} it is the same chip, below {size - bound:.1f}"
            " another one"
        )
    return Likeness(verdict, evidence, score, size, formed, lost, note, bound)


# --- lines ----------------------------------------------------------------------------------------


def _of_lines(now: ChipMap, before: ChipMap, params: StartupParams) -> Evidence | str:
    pairs, noises = [], []
    for at in (0, 1):
        mine, other = _sums(now)[at], _sums(before)[at]
        quiet = _pristine(now, at, params) & _pristine(before, at, params)
        if not quiet.any() or not LEVELS[0] < _level(mine[quiet], other[quiet]) < LEVELS[1]:
            continue
        pairs.append(np.stack([_relative(mine[quiet]), _relative(other[quiet])]))
        noises.append(np.stack([_noise(m, at, quiet) for m in (now, before)]))
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0))
    count = int(joined.shape[1])
    if count < params.fewest_lines:
        return f"only {count} lines are still pristine"
    if joined.std(axis=1).min() < FEATURELESS:
        return "the lines do not differ from each other"
    expected = _expected(joined.var(axis=1), np.concatenate(noises, axis=1))
    correlation = float(np.corrcoef(joined[0], joined[1])[0, 1])
    return Evidence("lines", correlation, params.stability * expected, count)


def _sums(of: ChipMap) -> tuple[FloatArray, FloatArray]:
    return of.lines.rows, of.lines.columns


def _pristine(of: ChipMap, at: int, params: StartupParams) -> BoolArray:
    """Lines without a formed cell, as far as can be seen."""
    sums = _sums(of)[at]
    if of.cells is not None:
        return np.asarray(of.cells.unformed(params.unformed_siemens).all(axis=1 - at))
    low = float(np.percentile(sums, 10.0))
    across = _sums(of)[1 - at].size
    if low > params.unformed_siemens * across:
        return np.zeros(sums.size, bool)
    return np.asarray(abs(sums / max(low, 1e-12) - 1.0) < QUIET)


def _level(mine: FloatArray, other: FloatArray) -> float:
    return float(np.median(mine) / max(np.median(other), 1e-12))


def _relative(siemens: FloatArray) -> FloatArray:
    return np.asarray(siemens / np.median(siemens) - 1.0)


def _noise(of: ChipMap, at: int, quiet: BoolArray) -> FloatArray:
    """Squares of relative errors of the lines; NaN where one pass was made."""
    repeat = (of.lines.rows_repeat, of.lines.columns_repeat)[at]
    sums = _sums(of)[at][quiet]
    if repeat is None:
        return np.full(sums.size, np.nan)
    return np.asarray((repeat[quiet] / np.median(sums)) ** 2)


# --- cells ----------------------------------------------------------------------------------------


def _of_cells(now: CellMap | None, before: CellMap | None, params: StartupParams) -> Evidence | str:
    if now is None or before is None:
        return ""
    mask = now.unformed(params.unformed_siemens) & before.unformed(params.unformed_siemens)
    count = _free(mask)
    if count < params.fewest_lines:
        return f"only {int(mask.sum())} cells are still pristine"
    mine, other = (_own(each.siemens, mask) for each in (now, before))
    if min(mine.std(), other.std()) == 0.0:
        return "the cells do not differ from each other"
    expected = float(np.sqrt(_reliability(now, mask) * _reliability(before, mask)))
    correlation = float(np.corrcoef(mine, other)[0, 1])
    return Evidence("cells", correlation, params.stability * min(expected, HIGHEST), count)


def strength(cells: CellMap, params: StartupParams) -> float:
    """Score that the cells of this chip would reach with another map as good as this one.

    0 where there are too few of them, however well they are known.
    """
    mask = cells.unformed(params.unformed_siemens)
    count = _free(mask)
    if count < params.fewest_lines:
        return 0.0
    return _fisher(params.stability * min(_reliability(cells, mask), HIGHEST), count)


def _free(mask: BoolArray) -> int:
    """Cells of a mask, less those that the means of rows and columns take away."""
    return int(mask.sum()) - int(mask.any(axis=0).sum()) - int(mask.any(axis=1).sum())


def _own(siemens: FloatArray, mask: BoolArray) -> FloatArray:
    """(n,) deviations of the cells of a mask from the means of their columns and rows."""
    left = np.where(mask, siemens, 0.0)
    for axis in (0, 1):
        many = np.maximum(mask.sum(axis=axis, keepdims=True), 1)
        left = np.where(mask, left - left.sum(axis=axis, keepdims=True) / many, 0.0)
    values = left[mask]
    most = OUTLIER * float(values.std())
    return np.asarray(np.clip(values, -most, most))


def _reliability(of: CellMap, mask: BoolArray) -> float:
    """Share of the spread of the mean of both passes that is the cells' own."""
    first, second = _own(of.first, mask), _own(of.second, mask)
    if min(first.std(), second.std()) == 0.0:
        return 0.0
    half = max(float(np.corrcoef(first, second)[0, 1]), 0.0)
    return 2.0 * half / (1.0 + half)  # Spearman and Brown


def _lost(now: CellMap | None, before: CellMap | None, params: StartupParams) -> tuple[int, int]:
    """How many cells that were formed are not, of how many that were."""
    if now is None or before is None:
        return 0, 0
    formed = ~before.unformed(params.unformed_siemens)
    return int((formed & now.unformed(params.unformed_siemens)).sum()), int(formed.sum())


# --- arithmetic -----------------------------------------------------------------------------------


def _fisher(correlation: float, count: int) -> float:
    held = min(max(correlation, -HIGHEST), HIGHEST)
    return float(np.arctanh(held) * np.sqrt(max(count - 3, 0)))


def _expected(variance: FloatArray, squares: FloatArray) -> float:
    """Correlation of two measurements of the same by their noise; `squares` (2, n) are of errors.

    A map of one pass is as noisy as the other one.
    """
    known = ~np.isnan(squares)
    if not known.any():
        return HIGHEST
    shared = float(squares[known].mean())
    pairs = zip(squares, known, strict=True)
    noise = [float(row[at].mean()) if at.any() else shared for row, at in pairs]
    own = np.clip(1.0 - np.asarray(noise) / variance, 0.0, 1.0)
    return float(min(np.sqrt(own.prod()), HIGHEST))


def _once(rate: float) -> str:
    """1e-7 as '1e+07'; no rate is stated smaller than the normal law can be trusted for."""
    return "over 1e+15" if rate < 1e-15 else f"{1.0 / rate:.1g}"
