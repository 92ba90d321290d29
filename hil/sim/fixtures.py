"""What can be put into the chip's socket: the resistor board (`protocols.resistor_board`), nothing.

A fixture has the chip's place in every path: reads, lines and products find resistors where cells
would be, ohmic, without noise of their own and without the chip's lines. Pulses do nothing to them.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.sim import draws
from hil.sim.cells import CellArray
from hil.sim.chip import Chip
from hil.sim.config import CUT_SIGMAS, SimSettings
from protocols.errors import InputError
from protocols.hardware import BoardDescription
from protocols.resistor_board import TOLERANCE, nominal_siemens

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

RESISTOR_BOARD = "resistor board"
NOTHING = "nothing"
FIXTURES = (RESISTOR_BOARD, NOTHING)

STREAM_RESISTOR = 219
"""(site): deviation of a resistor from its value."""


class ResistorCells(CellArray):
    """Resistors at cell sites; `siemens` (n,), 0 is open."""

    kind: ClassVar[str] = "resistors"

    def __init__(self, chip: Chip, siemens: F64) -> None:
        super().__init__(chip.profile, 0, self.virgin_state(siemens.size))
        self._siemens = siemens

    def set_conductance(self, index: ArrayLike, siemens: ArrayLike, now_s: ArrayLike = 0.0) -> None:
        """Raises InputError: resistors stay what they are."""
        del index, siemens, now_s
        raise InputError("a fixture is in the socket, whose resistors cannot be set; fit the chip")

    def read_noise_sd(self, siemens: ArrayLike) -> F64:
        """Resistors have none that this read path would see."""
        return np.zeros(np.shape(siemens))

    def _pulse(
        self, cells: I64, direction: I64, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        del direction, gate, line, width_s, now_s
        np.add.at(self.state["pulse_count"], cells, 1)

    def _read(self, cells: I64, now_s: F64, out: F64) -> None:
        del now_s
        np.add.at(self.state["read_count"], cells, 1)
        out[:] = self._siemens[cells]

    def _mean(self, cells: I64, now_s: F64, out: F64) -> None:
        del now_s
        out[:] = self._siemens[cells]

    def _solve_noise(self, cells: I64, trajectories: I64, out: NDArray[np.float32]) -> None:
        del cells, trajectories
        out[:] = 0.0


def resistors(description: BoardDescription, settings: SimSettings) -> F64:
    """True conductance (rows, columns) of the resistor board that belongs to a board."""
    siemens = nominal_siemens(description.rows, description.columns)
    z = draws.normals(settings.board_seed, STREAM_RESISTOR, np.arange(siemens.size), 0)
    cut = np.clip(z, -CUT_SIGMAS, CUT_SIGMAS).reshape(siemens.shape)
    siemens = siemens / (1.0 + TOLERANCE / CUT_SIGMAS * cut)
    faults = settings.board_faults
    if faults.resistor_wrong is not None:
        row, column, factor = faults.resistor_wrong
        siemens[row, column] /= factor
    if faults.resistor_open is not None:
        siemens[faults.resistor_open] = 0.0
    return np.asarray(siemens)


def fit(chip: Chip, what: str, description: BoardDescription, settings: SimSettings) -> None:
    """Put a fixture into the chip's place, or the chip back.

    Raises:
        InputError: no such fixture.
    """
    if what == chip.fitted:
        return
    if what == RESISTOR_BOARD:
        chip.fit(what, ResistorCells(chip, resistors(description, settings).ravel()))
    elif what == NOTHING:
        chip.fit(what, ResistorCells(chip, np.zeros(description.rows * description.columns)))
    elif what == "chip":
        chip.fit(what)
    else:
        known = ", ".join((*FIXTURES, "chip"))
        raise InputError(f"{what!r} fits no socket; known are {known}")
