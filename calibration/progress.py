"""How a long routine tells its caller how far it is: the console draws it, others ignore it."""

from __future__ import annotations

from typing import Protocol

from calibration.arrays import FloatArray


class Progress(Protocol):
    """Called between rounds, never inside one, so it may raise (Ctrl-C) without losing a pulse.

    `done` and `total` count cells (forming, programming, verify) or solves (loop calibration).
    `conductance` holds the last reading of each of the routine's cells in siemens, in the order
    in which the cells were handed over; a cell that was not read yet is NaN. None where a routine
    has no cells.
    """

    def __call__(
        self, done: int, total: int, message: str, conductance: FloatArray | None = None
    ) -> None:
        """Hear of one more round."""


def silent(done: int, total: int, message: str, conductance: FloatArray | None = None) -> None:
    """The progress callback that shows nothing."""
    del done, total, message, conductance
