"""Reads a chip's map and says whose it is, with as few reads as decide it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calibration.startup import fingerprint, lines
from calibration.startup.chip_map import CellMap, ChipMap, LineMap, read_cells
from calibration.startup.converters import Subject
from calibration.startup.findings import Finding, StartupParams, not_known
from calibration.startup.fingerprint import SAME, Likeness
from drivers.rram.macro import Macro
from protocols.errors import BoardError
from protocols.hardware import BoardDescription

FIRST = "first"
SAMPLES = (1, 4, 16)
"""Conversions of each cell and pass; more where few cells are left that tell one chip from another.
With the reference board 3.5, 8.5 and 28 s for 128 x 128 cells."""
ENOUGH = 3.0
"""Bounds that a map's own cells should reach: then chance decides neither way."""


@dataclass(frozen=True, eq=False)
class Identified:
    """Whose map it is.

    Attributes:
        verdict: "first" where nothing is on record, "same", "other" or "unknown".
        chip_map: what was read.
        findings: the chip that it is not; empty otherwise.
        likeness: the comparison, None for the first map.
        moved: whether something differs from the record, so that the map is worth keeping.
        skipped: what this board could not do.
    """

    verdict: str
    chip_map: ChipMap
    findings: tuple[Finding, ...] = ()
    likeness: Likeness | None = None
    moved: bool = True
    skipped: str = ""

    @property
    def sentence(self) -> str:
        """What was found."""
        if self.likeness is None:
            return "no map of this chip is on record yet"
        return self.likeness.sentence

    def to_dict(self) -> dict[str, Any]:
        """For a run's record; the map apart."""
        found = {"verdict": self.verdict, "sentence": self.sentence}
        return found if self.likeness is None else {**self.likeness.to_dict(), **found}


def identify(
    macro: Macro,
    description: BoardDescription,
    expected: ChipMap | None,
    chip: str,
    params: StartupParams | None = None,
) -> Identified:
    """Reads the lines, and the cells where that is needed, and compares with the record.

    Args:
        macro: the board; its curves do not matter.
        description: what it should be.
        expected: the chip's map on record, None where there is none.
        chip: its id, for the message.
        params: None is the default.

    Raises:
        LinkError: the line does not work.
        BoardError: the board knows no line checks.
    """
    at = subject(macro, description, params or StartupParams())
    found, _ = lines.read_map(at, lines.read_stages(at))
    return judge(at, macro, found, expected, chip)


def subject(macro: Macro, description: BoardDescription, params: StartupParams) -> Subject:
    """The board as the checks see it, read at the voltage of the macro."""
    wanted = macro.read_volts / description.converters.pulse_full_scale_volts
    code = min(round(wanted * description.code_max), macro.board.identity.read_code_max)
    return Subject(macro.board, description, params, code)


def judge(
    at: Subject, macro: Macro, line_map: LineMap, expected: ChipMap | None, chip: str
) -> Identified:
    """Whose lines these are; every cell is looked at where they do not say, or where there is
    something new to be kept."""
    now, skipped = ChipMap(line_map), ""
    moved = expected is None or _moved(line_map, expected.lines, at.params)
    if expected is None or moved or not _decided(now, expected, at.params):
        try:
            now = ChipMap(line_map, look_at_cells(macro, line_map, at.params))
        except BoardError as error:
            if not not_known(error):
                raise
            skipped = f"this board cannot look at single cells ({error})"
    if expected is None:
        return Identified(FIRST, now, skipped=skipped)
    moved |= expected.cells is None and now.cells is not None
    found, likeness = fingerprint.check_identity(now, expected, chip, at.params)
    return Identified(likeness.verdict, now, tuple(found), likeness, moved, skipped)


def look_at_cells(macro: Macro, line_map: LineMap, params: StartupParams) -> CellMap:
    """Every cell, as often as it takes to know the chip by them, if anything can.

    Raises:
        BoardError: the board makes no products.
    """
    wanted = ENOUGH * fingerprint.bound_of(params)
    for samples in SAMPLES:
        cells = read_cells(macro, line_map, samples)
        reached = fingerprint.strength(cells, params)
        if not 0.0 < reached < wanted:
            break
    return cells


def _decided(now: ChipMap, expected: ChipMap, params: StartupParams) -> bool:
    return expected.cells is not None and (
        fingerprint.compare(now, expected, params).verdict == SAME
    )


def _moved(now: LineMap, before: LineMap, params: StartupParams) -> bool:
    """Whether any line has changed by more than `moved`."""
    pairs = ((now.rows, before.rows), (now.columns, before.columns))
    if any(a.shape != b.shape for a, b in pairs):
        return True
    return any(bool((abs(a - b) > params.moved * abs(b)).any()) for a, b in pairs)
