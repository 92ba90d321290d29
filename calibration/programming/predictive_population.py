"""What the cells of a chip have in common that the model does not know.

The surprise of a reading is how far u lies from what was expected. Their mean over the cells that
got an entry, or one like it, is a shift of the entry; their spread against the expected one widens
it. Both are shrunk towards none, so that few readings change little (empirical Bayes), and both
are learned before the cells of the round learn for themselves: what all cells share is not
mistaken for what is special about each.
"""

from __future__ import annotations

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.cell_model.design import likeness
from calibration.programming.menu import PulseMenu

_PRIOR_READINGS = 20.0  # that say "as the model has it"
_LARGEST = 2.5  # surprises beyond it, in standard deviations, count as this
_WIDEN = (0.8, 2.0)


class Population:
    """`shift` (K,) of u and `widen` (K,) of its standard deviation, by entry of the menu."""

    def __init__(self, menu: PulseMenu, learns: bool) -> None:
        n = len(menu)
        self.learns = learns
        self.shift, self.widen = np.zeros(n), np.ones(n)
        self._sums = np.zeros((n, 3))  # readings, surprises, their squares over the variance
        self._alike = likeness(menu) if learns else np.zeros((0, 0))

    def hear(self, entry: IntArray, found: FloatArray) -> None:
        """`found` (n, 3): surprise, its expected variance, 1 where it says something (else 0)."""
        off, variance, good = found.T
        limit = _LARGEST * np.sqrt(variance) + np.abs(self.shift[entry])
        off = np.clip(off, -limit, limit)
        rest = (off - self.shift[entry]) ** 2 / variance
        for column, values in enumerate((good, off * good, rest * good)):
            self._sums[:, column] += np.bincount(entry, values, minlength=self.shift.size)
        count, total, squares = (self._alike @ self._sums).T
        self.shift = total / (count + _PRIOR_READINGS)
        spread = np.sqrt((squares + 3.0 * _PRIOR_READINGS) / (count + 3.0 * _PRIOR_READINGS))
        self.widen = np.clip(spread, *_WIDEN)
