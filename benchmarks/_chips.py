"""Simulated chips behind a simulated board, as the programming benchmarks use them.

A chip is formed once, through the board, and kept in a file; every algorithm then gets its own copy
of that file, so that all of them start from the same cells with the same future.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibration.forming import FormParams, form
from calibration.front_end import calibrate_front_end
from calibration.front_end.line_resistance import far_and_near, set_alike
from calibration.front_end.line_resistance import run as line_resistance
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.lines import Lines
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols.hardware import BoardDescription, load_board

PAYLOAD_BYTES = 960
"""Frames of the simulated boards here: longer ones than the default save host time only."""

LINE_SHARE, LINE_PULSES = 0.25, 1
"""Cells, and SETs of each, from which the lines of a chip are estimated."""

FORMING = FormParams(start_volts=2.4, step_volts=0.1)
"""A coarser ramp than the default: forming is not what is measured here."""


@dataclass(frozen=True)
class ChipOnBoard:
    """One chip, reachable through a board alone; `board` is the back door for the truth."""

    board: SimBoard
    link: Link
    macro: Macro

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.board.chip.advance(seconds)

    def truth(self, cells: Cells) -> NDArray[np.float64]:
        """(n,) long-run mean conductances in siemens."""
        return np.asarray(self.board.true_conductances()[cells.rows, cells.columns])


@dataclass(frozen=True)
class Calibration:
    """What was measured of a board and of the lines of its chip; None where nobody has looked."""

    curves: Curves | None = None
    lines: Lines | None = None


@contextmanager
def chip_on_board(
    settings: SimSettings,
    description: BoardDescription,
    path: Path | None = None,
    known: Calibration = Calibration(),
) -> Iterator[ChipOnBoard]:
    """A board with the chip of `path` (a virgin one in memory without), its link open."""
    board = make_board(settings, description, path)
    link = Link(MemoryStream(board.receive, f"sim chip {settings.seed}"), nonce=settings.seed)
    link.open()
    geometry = Geometry(description.rows, description.columns)
    limits = Limits.of(description.limits)
    macro = Macro(Board(link), geometry, known.curves or Curves.nominal(description), limits)
    macro.lines = known.lines
    try:
        yield ChipOnBoard(board, link, macro)
    finally:
        board.close()


@dataclass(frozen=True)
class FormedChip:
    """A formed chip on file: its settings, its formed cells, where it is kept, what is known."""

    settings: SimSettings
    cells: Cells
    path: Path
    known: Calibration = Calibration()


class ChipShop:
    """Makes formed chips and hands out copies of them; the files go when it is closed."""

    def __init__(self, description: BoardDescription | None = None) -> None:
        self.description = description or load_board("reference")
        self._folder = tempfile.TemporaryDirectory(prefix="chips-")
        self._formed: dict[tuple[str, int], FormedChip] = {}
        self._copies = 0

    def formed(self, settings: SimSettings, rows: int, forming: FormParams = FORMING) -> FormedChip:
        """The chip of these settings with the cells of its first rows formed, those that form."""
        settings = settings.model_copy(update={"payload_bytes": PAYLOAD_BYTES})
        key = (settings.model_dump_json(), rows)
        if key not in self._formed:
            path = self._new_path()
            cells = Cells.block(0, 0, rows, self.description.columns)
            with chip_on_board(settings, self.description, path) as chip:
                found = form(chip.macro, cells, forming)
            self._formed[key] = FormedChip(settings, cells[found.formed], path)
        return self._formed[key]

    def placed(self, settings: SimSettings, rows: int, siemens: float) -> FormedChip:
        """A chip whose first rows were put at a conductance by the back door: no forming."""
        settings = settings.model_copy(update={"payload_bytes": PAYLOAD_BYTES})
        path, cells = self._new_path(), Cells.block(0, 0, rows, self.description.columns)
        with chip_on_board(settings, self.description, path) as chip:
            targets = np.full((self.description.rows, self.description.columns), np.nan)
            targets[cells.rows, cells.columns] = siemens
            chip.board.set_conductances(targets)
        return FormedChip(settings, cells, path)

    def calibrated(self, chip: FormedChip) -> FormedChip:
        """The chip with its board and its lines measured, on a copy of it (`hil calibrate`).

        The lines are estimated from `LINE_SHARE` of the cells, half of them near the corner of the
        array and half far from it, after `LINE_PULSES` equal SETs each. None of it is counted.
        """
        with self.copy(chip) as copy:
            found = calibrate_front_end(copy.macro, self.description)
            curves = found.curves.applied_to(self.description)
            macro = Macro(copy.macro.board, copy.macro.geometry, curves, copy.macro.limits)
            some = far_and_near(chip.cells, LINE_SHARE)
            set_alike(macro, some, LINE_PULSES)
            ohm = line_resistance(macro, some).common_ohm
        return replace(chip, known=Calibration(curves, Lines(max(ohm, 0.0), max(ohm, 0.0))))

    @contextmanager
    def copy(self, chip: FormedChip) -> Iterator[ChipOnBoard]:
        """A copy of a formed chip on its own board."""
        path = self._new_path()
        shutil.copyfile(chip.path, path)
        try:
            with chip_on_board(chip.settings, self.description, path, chip.known) as opened:
                yield opened
        finally:
            path.unlink()

    def _new_path(self) -> Path:
        self._copies += 1
        return Path(self._folder.name) / f"chip-{self._copies}.bin"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()
