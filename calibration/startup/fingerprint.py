"""Is this the chip that was here before? Its map of lines against the last one on record.

The sum of a line's pristine cells differs from line to line, by 2.6 % at a spread of 0.3 of the
cells' logarithms, and stays; formed cells are seen as well. Compared are the lines that no pulse
has changed as far as can be seen: those that lie near the pristine ones on both occasions. Their
deviations from the median correlate with those of the same chip (above 0.9 with this board's
noise), whatever the gain and offset of the read path are by now, and not with another's (0 +- 0.1
for 100 lines).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.startup.findings import Finding, LineMap, StartupParams

QUIET = 0.25
"""How far a line of pristine cells may lie from the lowest ones, relative."""
FEATURELESS = 1.0e-3
"""Relative spread below which lines have nothing to be told by (ideal cells)."""


@dataclass(frozen=True)
class Likeness:
    """How alike two maps are; `correlation` is NaN where they cannot be compared."""

    correlation: float
    lines: int
    note: str = ""


def compare(now: LineMap, before: LineMap, params: StartupParams) -> Likeness:
    """Correlation of the lines that look pristine in both maps; bit lines and columns together."""
    deviations = []
    for mine, other in ((now.rows, before.rows), (now.columns, before.columns)):
        if mine.shape != other.shape:
            return Likeness(float("nan"), 0, "the recorded map is of another size")
        quiet = _quiet(mine) & _quiet(other)
        if quiet.any():
            deviations.append(np.stack([_relative(mine[quiet]), _relative(other[quiet])]))
    joined = np.concatenate(deviations, axis=1) if deviations else np.empty((2, 0))
    count = int(joined.shape[1])
    if count < params.fewest_lines:
        return Likeness(float("nan"), count, f"only {count} lines are still pristine")
    if joined.std(axis=1).min() < FEATURELESS:
        return Likeness(float("nan"), count, "the lines do not differ from each other")
    return Likeness(float(np.asarray(np.corrcoef(joined))[0, 1]), count)


def check_identity(
    now: LineMap, before: LineMap, chip: str, params: StartupParams
) -> tuple[list[Finding], Likeness]:
    """Refuses another chip than the one on record; what cannot be compared is no finding."""
    found = compare(now, before, params)
    if not found.correlation < params.same_chip:  # NaN: cannot be said
        return [], found
    return [
        Finding(
            "other_chip",
            (),
            f"this is not chip {chip}: its map of {found.lines} lines has nothing to do with the"
            f" recorded one (correlation {found.correlation:.2f})",
            "Put the right chip in, or name this one's id in the bench file (chip.id)",
        )
    ], found


def _quiet(siemens: FloatArray) -> np.ndarray:
    low = float(np.percentile(siemens, 10.0))
    return np.asarray(abs(siemens / max(low, 1e-12) - 1.0) < QUIET)


def _relative(siemens: FloatArray) -> FloatArray:
    return np.asarray(siemens / np.median(siemens) - 1.0)
