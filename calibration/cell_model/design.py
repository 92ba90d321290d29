"""Which pulses a response measurement gives: evenly at first, then where programming will be.

Most of a wide menu does nothing to a chip, or all it can. What a model must know well is where
pulses end between the two. So the share of an entry's pulses, and of those of entries like it, that
moved a cell into the range that is programmed weighs how often it is drawn.
"""

from __future__ import annotations

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.programming.menu import PulseMenu
from protocols.errors import InputError
from protocols.messages import Operation

_USEFUL_SIEMENS = ((70e-6, 245e-6), (10e-6, 160e-6))  # readings after a SET, after a RESET
_MOVED_LN = 0.05  # at least
_GATE, _LINE, _DECADES = 0.06, 0.06, 0.15  # V, V; entries this far apart are alike to 1 / sqrt(e)
_PRIOR = 1.0  # tries that count as useful before any is known


class Design:
    """Draws entries of `menu`; `even_share` of them evenly."""

    def __init__(self, menu: PulseMenu, even_share: float) -> None:
        self._menu, self._even_share = menu, even_share
        self._tried, self._useful = np.zeros(len(menu)), np.zeros(len(menu))
        self._alike = likeness(menu)

    def draw(self, number: int, n: int, rng: np.random.Generator) -> IntArray:
        """(n,) entries of round `number`: RESET and SET in turn, and now and then two SETs.

        Raises InputError for a menu without one of the operations.
        """
        operation = Operation.RESET if number % 5 in (0, 2) else Operation.SET
        entries = self._menu.of(operation)
        if not entries.size:
            raise InputError(f"The menu has no {operation.name} pulse to measure with.")
        tried, useful = (self._alike[entries] @ x for x in (self._tried, self._useful))
        share = (useful + _PRIOR) / (tried + _PRIOR)
        chance = self._even_share / entries.size + (1.0 - self._even_share) * share / share.sum()
        return np.asarray(rng.choice(entries, n, p=chance / chance.sum()), dtype=np.int64)

    def heard(self, entry: IntArray, before: FloatArray, after: FloatArray) -> None:
        """Readings (n,) before and after each pulse; those of dry runs say nothing."""
        low, high = np.array(_USEFUL_SIEMENS)[self._menu.operation[entry]].T
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = np.abs(np.log(after / before)) > _MOVED_LN
            useful = moved & (after > low) & (after < high)
        size = len(self._menu)
        self._tried += np.bincount(entry, minlength=size)
        self._useful += np.bincount(entry, useful, minlength=size)


def likeness(menu: PulseMenu) -> FloatArray:
    """(K, K) 1 for the entry itself, falling with distance; 0 across operations."""
    away = ((menu.gate_volts[:, None] - menu.gate_volts) / _GATE) ** 2
    away += ((menu.line_volts[:, None] - menu.line_volts) / _LINE) ** 2
    away += ((np.log10(menu.width_s)[:, None] - np.log10(menu.width_s)) / _DECADES) ** 2
    same = menu.operation[:, None] == menu.operation
    return np.asarray(np.where(same, np.exp(-0.5 * away), 0.0))
