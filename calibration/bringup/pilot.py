"""The pilot block: a few sacrificed cells that are the first of a chip to be formed, RESET and SET.

Nobody knows how a new chip answers. So one cell goes first, then a few, then the rest of a small
block in a corner; every step of that is confirmed by a person, driven as a ramp that each cell
leaves as soon as it got there, and kept. The cells are lost for networks: they are marked so before
their first pulse. What they show in the end is their read noise, which sets how
many readings a verify should average.

Voltages follow the measured 1T1R cells (`calibration.forming`, the response routines); a board's
limits hold beside them, and a ramp that would go over one is refused before its first pulse. The
limits of the figures are this project's choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from calibration.bringup.pilot_ramps import Kind, Ramp, Response, drive
from calibration.bringup.read_noise import series
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.bringup.verify_reads import CELLS, VerifyReads, cell_shares, recommended
from calibration.startup.findings import Finding
from drivers.rram.geometry import Cells
from protocols.errors import InputError

NAME = "pilot"
FEWEST, MOST = 16, 64
SECOND_GROUP = 4
"""Cells that follow the first one before the rest do."""
GROUPS = 3
"""One cell, some, the rest."""
MOST_NAMED = 8
PRISTINE_SIEMENS = 1e-6


@dataclass(frozen=True)
class PilotParams:
    """The block, its ramps, and what the cells have to do; volts, seconds, siemens.

    Attributes:
        rows, columns: of the block; 16 to 64 cells.
        first_row, first_column: its corner; -1 is the last rows and columns of the array, where
            networks, which begin at the other corner, come last.
        form, reset, set: the ramps.
        formed_siemens: a cell that reads above it is formed.
        low_siemens, high_siemens: where RESET and SET shall bring cells, below and above.
        cycles: RESET and SET of every cell, the first ones included.
        readings: of each SET cell, for the read noise.
        formed_share, switched_share: of the cells, that must do it.
        window_ratio: of the medians after SET and after RESET, at least.
        wanted_share: of the tolerance, that read noise may leave in a verify.
    """

    rows: int = 8
    columns: int = 4
    first_row: int = -1
    first_column: int = -1
    form: Ramp = field(default_factory=lambda: Ramp(2.0, 0.05, 4.2, 2.0, 1e-6))
    reset: Ramp = field(default_factory=lambda: Ramp(0.6, 0.1, 3.2, 3.5, 200e-9))
    set: Ramp = field(default_factory=lambda: Ramp(1.5, 0.05, 2.6, 2.0, 200e-9))
    formed_siemens: float = 20e-6
    low_siemens: float = 20e-6
    high_siemens: float = 120e-6
    cycles: int = 3
    readings: int = 128
    formed_share: float = 0.85
    switched_share: float = 0.75
    window_ratio: float = 4.0
    wanted_share: float = 0.1

    def __post_init__(self) -> None:
        if not FEWEST <= self.rows * self.columns <= MOST or min(self.rows, self.columns) < 1:
            raise InputError(
                f"pilot: a block of {self.rows} x {self.columns} cells; {FEWEST} to {MOST} are"
                " allowed"
            )
        if min(self.first_row, self.first_column) < -1:
            raise InputError("pilot: first_row and first_column count from 0; -1 is the far corner")
        for name in ("formed_siemens", "low_siemens", "high_siemens", "window_ratio"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise InputError(f"pilot: {name} must be a positive number.")
        for name in ("formed_share", "switched_share", "wanted_share"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise InputError(f"pilot: {name} must lie in (0, 1].")
        if not 1 <= self.cycles <= 20 or not 8 <= self.readings <= 1024:
            raise InputError("pilot: 1 to 20 cycles and 8 to 1024 readings are allowed.")


@dataclass
class _Course:
    """What has been driven so far."""

    rig: Rig
    params: PilotParams
    cells: Cells
    responses: list[Response] = field(default_factory=list)

    def go(self, kind: Kind, cells: Cells, reached: Callable[[FloatArray], BoolArray]) -> Response:
        """One ramp on some cells, kept."""
        total = GROUPS + 3 + 2 * self.params.cycles  # the first cell alone, and a last RESET
        self.rig.progress(len(self.responses), total, f"pilot block: {kind}")
        done = drive(self.rig.macro, kind, cells, getattr(self.params, kind), reached)
        self.responses.append(done)
        self.rig.progress(len(self.responses), total, f"pilot block: {kind}")
        return done

    def last(self, kind: Kind) -> Response | None:
        """The last ramp of a kind."""
        found = [one for one in self.responses if one.kind == kind]
        return found[-1] if found else None


def block(rig: Rig, params: PilotParams) -> Cells:
    """The cells of the pilot block. Raises InputError where it lies outside of the array."""
    geometry = rig.macro.geometry
    row = geometry.rows - params.rows if params.first_row < 0 else params.first_row
    column = geometry.columns - params.columns if params.first_column < 0 else params.first_column
    if row < 0 or column < 0:
        raise InputError(f"pilot: the array has no room for {params.rows} x {params.columns} cells")
    cells = Cells.block(row, column, params.rows, params.columns)
    geometry.check(cells)
    return cells


def run(rig: Rig, params: PilotParams) -> StageResult:
    """Form, RESET and SET the block in confirmed steps, and read its noise."""
    course = _Course(rig, params, block(rig, params))
    formed = _form(course)
    if np.count_nonzero(formed) < params.formed_share * len(course.cells):
        return _result(course, formed, None)
    alive = course.cells[np.flatnonzero(formed)]
    for cycle in range(params.cycles):
        _ask_to_switch(course, alive, cycle)
        if cycle == 0:
            course.go("reset", alive[:1], lambda g: g < params.low_siemens)
            course.go("set", alive[:1], lambda g: g > params.high_siemens)
        low = course.go("reset", alive, lambda g: g < params.low_siemens)
        high = course.go("set", alive, lambda g: g > params.high_siemens)
        if min(low.done.mean(), high.done.mean()) < params.switched_share:
            return _result(course, formed, None)
    traces = series(rig, alive, params.readings)
    course.go("reset", alive, lambda g: g < params.low_siemens)
    numbers, shares = cell_shares(traces)
    return _result(course, formed, recommended(numbers, shares, params.wanted_share, CELLS))


def _groups(cells: Cells) -> Iterator[Cells]:
    yield cells[:1]
    yield cells[1 : 1 + SECOND_GROUP]
    yield cells[1 + SECOND_GROUP :]


def _form(course: _Course) -> BoolArray:
    """Which cells (n,) are formed in the end; stops after a group of which most did not."""
    params, macro = course.params, course.rig.macro
    before = macro.read(course.cells, 4)
    formed = before > params.formed_siemens
    _ask_for_block(course, before)
    course.rig.give_up(course.cells, before)
    start = 0
    for group in _groups(course.cells):
        part = slice(start, start + len(group))
        start += len(group)
        if formed[part].all():
            continue
        course.rig.confirm(
            f"Form {_which(group)} of chip {course.rig.chip}: {params.form.says('form')}?"
        )
        formed[part] = course.go("form", group, lambda g: g > params.formed_siemens).done
        if len(group) > 1 and formed[part].mean() < 0.5:
            break
    return formed


def _ask_for_block(course: _Course, before: FloatArray) -> None:
    conducting = int(np.count_nonzero(before > PRISTINE_SIEMENS))
    warning = (
        f" {conducting} of them conduct already: if they belong to a network, it is lost."
        if conducting
        else ""
    )
    course.rig.confirm(
        f"Sacrifice {_which(course.cells)} of chip {course.rig.chip}? No network will use them."
        f"{warning}"
    )


def _ask_to_switch(course: _Course, cells: Cells, cycle: int) -> None:
    params, which = course.params, f"{len(cells)} cells of chip {course.rig.chip}"
    if cycle == 0:
        course.rig.confirm(
            f"RESET for the first time {which}, one of them before the others:"
            f" {params.reset.says('reset')}; then SET: {params.set.says('set')}?"
        )
    elif cycle == 1:
        course.rig.confirm(f"Repeat RESET and SET of {which} {params.cycles - 1} more times?")


def _which(cells: Cells) -> str:
    pairs = list(cells)
    if len(pairs) == 1:
        return f"cell {pairs[0]}"
    return f"{len(pairs)} cells from {pairs[0]} to {pairs[-1]}"


# --- judging --------------------------------------------------------------------------------------


def _result(course: _Course, formed: BoolArray, reads: VerifyReads | None) -> StageResult:
    figures, findings = [_formed_figure(course, formed)], _not_formed(course, formed)
    for kind in ("reset", "set"):
        last = _worst(course, kind)
        if last is not None:
            figures.append(_switched_figure(course.params, kind, last))
            findings += _not_switched(course.params, kind, last)
    if course.last("set") is not None:
        figures += _window_figures(course)
    advice = () if reads is None else (reads.sentence,)
    return StageResult(NAME, tuple(figures), tuple(findings), advice, _data(course, formed, reads))


def _worst(course: _Course, kind: str) -> Response | None:
    """Of the ramps of a kind on all cells, that in which the fewest got there."""
    whole = [one for one in course.responses if one.kind == kind and len(one.cells) > 1]
    return min(whole, key=lambda one: float(one.done.mean())) if whole else None


_POLARITY = "Check the polarity of bit and source lines, and pulse amplitude and width at the pads"


def _formed_figure(course: _Course, formed: BoolArray) -> Figure:
    least = course.params.formed_share
    return Figure("share of cells that formed", float(formed.mean()), low=least, what=_POLARITY)


def _switched_figure(params: PilotParams, kind: str, last: Response) -> Figure:
    done = float(last.done.mean())
    word = kind.upper()
    return Figure(
        f"share of cells that {word} moved far enough, worst cycle",
        done,
        low=params.switched_share,
        what=_POLARITY,
    )


def _window_figures(course: _Course) -> list[Figure]:
    high, low = (course.last(kind) for kind in ("set", "reset"))
    if high is None or low is None or len(high.cells) < 2 or len(low.cells) < 2:
        return []
    after_set, after_reset = np.median(high.after_siemens), np.median(low.after_siemens)
    most = course.rig.description.limits.cell_siemens
    return [
        Figure("median conductance after SET", float(after_set), "S", course.params.high_siemens),
        Figure(
            "median conductance after RESET",
            float(after_reset),
            "S",
            high=course.params.low_siemens,
        ),
        Figure(
            "ratio of the medians after SET and RESET",
            float(after_set / max(after_reset, 1e-9)),
            low=course.params.window_ratio,
            what="Raise the RESET ramp within the limits, or use another chip",
        ),
        Figure(
            "largest conductance after SET",
            float(high.after_siemens.max()),
            "S",
            high=most,
            what="Lower the word line of SET: it does not limit the current as it should",
        ),
    ]


def _not_formed(course: _Course, formed: BoolArray) -> list[Finding]:
    if formed.mean() >= course.params.formed_share:
        return []
    tried = {cell for one in course.responses if one.kind == "form" for cell in one.cells}
    bad = [c for c, ok in zip(course.cells, formed.tolist(), strict=True) if not ok and c in tried]
    return [
        Finding(
            "unformed",
            tuple(n for cell in bad[:MOST_NAMED] for n in cell),
            f"{len(bad)} of {len(tried)} pilot cells do not form"
            f" ({course.params.form.says('form')}): {_named(bad)}",
            _POLARITY,
        )
    ]


def _not_switched(params: PilotParams, kind: str, last: Response) -> list[Finding]:
    if last.done.mean() >= params.switched_share:
        return []
    bad = [c for c, ok in zip(last.cells, last.done.tolist(), strict=True) if not ok]
    where = (
        f"above {params.low_siemens * 1e6:g}"
        if kind == "reset"
        else f"below {params.high_siemens * 1e6:g}"
    )
    return [
        Finding(
            f"no_{kind}",
            tuple(n for cell in bad[:MOST_NAMED] for n in cell),
            f"{len(bad)} of {len(last.cells)} pilot cells stay {where} uS at the end of the"
            f" {kind.upper()} ramp ({getattr(params, kind).says(kind)}): {_named(bad)}",
            _POLARITY,
        )
    ]


def _named(cells: list[tuple[int, int]]) -> str:
    more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
    return ", ".join(str(cell) for cell in cells[:MOST_NAMED]) + more


def _data(course: _Course, formed: BoolArray, reads: VerifyReads | None) -> dict[str, Any]:
    volts = [v for one in course.responses if one.kind == "form" for v in one.at_volts.tolist()]
    data: dict[str, Any] = {
        "sacrificed": [list(cell) for cell in course.cells],
        "sacrificed_siemens": course.rig.macro.read(course.cells, 4).tolist(),
        "formed": formed.tolist(),
        "forming_volts": [None if math.isnan(v) else v for v in volts],
        "responses": [one.to_dict() for one in course.responses],
        "pulses": int(sum(int(one.pulses.sum()) for one in course.responses)),
    }
    return data if reads is None else {**data, "verify_reads": reads.to_dict()}


STAGE = Stage(
    name=NAME,
    title="pilot block: first forming, RESET and SET",
    needs=Needs(fixture="chip"),
    params=PilotParams,
    run=run,
    plan="forms, RESETs and SETs a block of 32 sacrificed cells, one first, each step confirmed; at"
    " most 45 forming and some 200 other pulses a cell",
)
