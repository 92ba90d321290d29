"""Pair trim: program the difference of a pair, not its two arms.

A differential weight is the difference of two cells, so what the first arm misses the second can
make up for. One arm of each pair, the one with the higher target, is the anchor: it is programmed
to a wide tolerance. The other one is the trim arm: at every confirming read its target is moved by
what the anchor reads off its own, so that an anchor that relaxes is followed, and only one arm's
error is left.
"""

from __future__ import annotations

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.placement import Placement
from protocols.errors import InputError


class PairTrim:
    """The targets of a placement's cells as a function of what they read.

    Args:
        placement: differential; a cell without a partner keeps its target, as does the partner of
            a fixed one. Arrays are those of its driven cells, in order.
        anchor_tolerance: factor on an anchor's tolerance; the most that a trim target moves is
            twice what an anchor in tolerance can be off.
    """

    def __init__(self, placement: Placement, anchor_tolerance: float = 2.0) -> None:
        if not anchor_tolerance >= 1.0:
            raise InputError(f"anchor_tolerance={anchor_tolerance} must be at least 1.")
        self.anchor_tolerance = anchor_tolerance
        driven = placement.driven
        self.partner = _among(placement.partner(), driven)
        self.nominal = placement.target_siemens[driven]
        other = np.where(self.partner >= 0, self.nominal[self.partner], -np.inf)
        paired = self.partner >= 0
        lower = (self.nominal < other) | ((self.nominal == other) & (placement.sign[driven] < 0))
        self.is_trim: BoolArray = paired & lower
        self.is_anchor: BoolArray = paired & ~lower

    def tolerances(self, tolerance: FloatArray) -> FloatArray:
        """(n,) tolerances with the anchors' made wide."""
        return np.where(self.is_anchor, self.anchor_tolerance * tolerance, tolerance)

    def targets(self, reading: FloatArray, tolerance: FloatArray) -> FloatArray:
        """(n,) targets: the trim arms' moved by what their anchors read off, up to a limit.

        An anchor that is far out (not programmed yet, or stuck) moves its partner by no more than
        twice its tolerance: the pair is then reported through the anchor.
        """
        off = (reading - self.nominal)[self.partner]
        most = 2.0 * tolerance[self.partner]
        return self.nominal + np.where(self.is_trim, np.clip(off, -most, most), 0.0)


def _among(partner: IntArray, driven: IntArray) -> IntArray:
    """Partners (n,) as numbers among the driven cells; -1 for none and for a fixed one."""
    place = np.full(partner.size + 1, -1, dtype=np.int64)
    place[driven] = np.arange(driven.size)
    return np.asarray(place[partner[driven]])
