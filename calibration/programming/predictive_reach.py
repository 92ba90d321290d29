"""Cells whose window lies beyond what the menu can do: when to stop trying.

A cell at the edge of what a technology reaches gets into its window by luck, and waiting for luck
is worth tens of pulses. A weak cell ends far below its window whatever it gets. Both are told apart
by the readings that pulses at the end of the menu left: when the window is many of their standard
deviations away, further tries are in vain.
"""

from __future__ import annotations

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray

FEWEST = 8  # readings at the end of the menu before a cell is given up by their spread
HOPELESS = 5.0  # standard deviations
_SPREAD_LN = (0.035, 0.6)  # of such readings of one cell, SET and RESET, as far as nothing is known
_KNOWN = 4.0  # readings that this counts for


class Reach:
    """What pulses at the end of the menu did to n cells: tries, and readings in ln G."""

    def __init__(self, n: int) -> None:
        self._sums = np.zeros((n, 2, 3))  # by operation: tries, readings, their squares

    def hopeless(
        self, cell: IntArray, operation: IntArray, ln: FloatArray, edge: FloatArray, most: int
    ) -> BoolArray:
        """(k,) which of k cells to give up, after one more pulse at the end of the menu each.

        `ln` (k,) are the readings, all short of the window's near edge `edge` (k,); a cell is given
        up after `most` tries in any case.
        """
        sums = self._sums
        sums[cell, operation] += np.stack([np.ones(cell.size), ln, ln**2], axis=1)
        tries, total, squares = sums[cell, operation].T
        mean = total / np.maximum(tries, 1.0)
        rest = np.maximum(squares - tries * mean**2, 0.0)
        prior = np.array(_SPREAD_LN)[operation]
        sd = np.sqrt((_KNOWN * prior**2 + rest) / (_KNOWN + np.maximum(tries - 1.0, 0.0)))
        far = (tries >= FEWEST) & (np.abs(edge - mean) > HOPELESS * sd)
        return np.asarray(far | (sums[cell, :, 0].sum(axis=1) >= most))
