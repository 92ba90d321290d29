"""The acceptance sheet as a PDF, set on A4 by matplotlib: text can be searched, no date in it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hil.report.acceptance_data import FAILED, NOT_RUN, PASSED, Sheet, StagePart
from hil.report.acceptance_picture import Picture
from hil.report.style import BLACK, GREEN, GREY, ORANGE, look, png
from hil.report.tables import Table

PAGE_INCH = (8.27, 11.69)
LEFT, RIGHT, TOP, BOTTOM = 0.75, 7.52, 11.0, 0.85  # inches from the lower left corner
LINE = 0.185
_COLOURS = {PASSED: GREEN, FAILED: ORANGE, NOT_RUN: GREY}
_STAGE_AT = (0.0, 3.75, 4.75, 6.4)
_SUMMARY_AT = (0.0, 3.3, 3.95, 4.6, 5.35)
_WRAP = 104  # characters of a line of text
_NAME_WRAP = 56  # characters of a figure's name


def pdf(sheet: Sheet, pictures: Mapping[str, Sequence[tuple[Picture, Figure]]]) -> bytes:
    """The whole file."""
    buffer = io.BytesIO()
    fonts: Any = {"pdf.fonttype": 42, "pdf.compression": 6}
    with look(), mpl.rc_context(fonts):
        pages = _Pages(sheet)
        _front(pages, sheet)
        for stage in sheet.stages:
            _stage(pages, stage)
            for one, figure in pictures.get(stage.name, ()):
                pages.picture(one, figure)
        metadata = {"Title": sheet.title, "CreationDate": None, "Creator": None, "Producer": None}
        with PdfPages(buffer, metadata=metadata) as file:
            for number, page in enumerate(pages.done, 1):
                pages.foot(page, number)
                file.savefig(page)
    return buffer.getvalue()


@dataclass
class _Pages:
    """Pages that are filled from top to bottom; `y` is where the next line goes, in inches."""

    sheet: Sheet
    done: list[Figure] = field(default_factory=list)
    y: float = 0.0

    def __post_init__(self) -> None:
        self.turn()

    def turn(self) -> None:
        """A new page."""
        page = Figure(figsize=PAGE_INCH)
        FigureCanvasAgg(page)
        self.done.append(page)
        self.y = TOP

    def room(self, inches: float) -> None:
        """A new page unless so much is left of this one."""
        if self.y - inches < BOTTOM:
            self.turn()

    def text(self, x: float, text: str, **style: object) -> None:
        """Text with its baseline at the current line, x inches from the left margin."""
        width, height = PAGE_INCH
        page = self.done[-1]
        page.text((LEFT + x) / width, self.y / height, text, va="baseline", **style)  # type: ignore[arg-type]

    def rule(self, colour: str = "#D9DEE3", width: float = 0.6) -> None:
        """A line across the page, just below the current line of text."""
        wide, high = PAGE_INCH
        y = (self.y - 0.065) / high
        ends = [LEFT / wide, RIGHT / wide]
        self.done[-1].add_artist(Line2D(ends, [y, y], color=colour, lw=width))

    def band(self, colour: str) -> None:
        """A tint behind the current line of text."""
        wide, high = PAGE_INCH
        at = ((LEFT - 0.04) / wide, (self.y - 0.055) / high)
        size = ((RIGHT - LEFT + 0.08) / wide, (LINE - 0.01) / high)
        self.done[-1].add_artist(Rectangle(at, *size, color=colour, lw=0))

    def paragraph(self, text: str, **style: object) -> None:
        """Wrapped text."""
        for line in textwrap.wrap(text, _WRAP):
            self.room(LINE)
            self.text(0.0, line, fontsize=8.5, **style)
            self.y -= LINE

    def picture(self, one: Picture, figure: Figure) -> None:
        """A figure over the width of the page with its caption."""
        wide, high = figure.get_size_inches()
        height = (RIGHT - LEFT) * high / wide
        self.room(height + 4 * LINE)
        axes = self.done[-1].add_axes(
            (
                LEFT / PAGE_INCH[0],
                (self.y - height + LINE) / PAGE_INCH[1],
                (RIGHT - LEFT) / PAGE_INCH[0],
                height / PAGE_INCH[1],
            )
        )
        axes.imshow(mpl.image.imread(io.BytesIO(png(figure))), aspect="auto")
        axes.set_axis_off()
        self.y -= height
        self.paragraph(one.caption, color=GREY)
        self.y -= LINE

    def foot(self, page: Figure, number: int) -> None:
        """Number of the page, and on every one whether it is a model that it is about."""
        said = "SIMULATED: board, chip and instruments are a model" if self.sheet.simulated else ""
        wide, high = PAGE_INCH
        style = {"fontsize": 7.5, "color": GREY}
        y = 0.45 / high
        page.text(LEFT / wide, y, self.sheet.title, **style)  # type: ignore[arg-type]
        page.text(0.5, y, said, ha="center", fontsize=7.5, color=ORANGE)
        last = f"{number} of {len(self.done)}"
        page.text(RIGHT / wide, y, last, ha="right", **style)  # type: ignore[arg-type]


def _front(pages: _Pages, sheet: Sheet) -> None:
    pages.text(0.0, sheet.title, fontsize=17, fontweight="bold")
    pages.y -= 0.34
    if sheet.simulated:
        pages.text(
            0.0,
            "Simulated: board, chip and instruments are a model; no silicon has been measured.",
            fontsize=9,
            color=ORANGE,
            fontweight="bold",
        )
        pages.y -= 0.28
    colour = GREEN if sheet.accepted else ORANGE
    pages.text(0.0, sheet.verdict, fontsize=12, fontweight="bold", color=colour)
    pages.y -= 0.4
    for title, rows in sheet.facts:
        _facts(pages, title, rows)
    pages.y -= 0.1
    _table(pages, sheet.summary, _SUMMARY_AT, 1)
    pages.y -= 0.5
    pages.room(1.0)
    for k, name in enumerate(("Operator", "Accepted by", "Date")):
        pages.text(2.3 * k, f"{name}: ______________________", fontsize=9)


def _facts(pages: _Pages, title: str, rows: Sequence[tuple[str, str]]) -> None:
    pages.room((len(rows) + 2) * LINE)
    pages.text(0.0, title, fontsize=10, fontweight="bold")
    pages.rule()
    pages.y -= LINE + 0.03
    for name, text in rows:
        pages.text(0.0, name, fontsize=8.5, color=GREY)
        lines = textwrap.wrap(text, 78) or [""]
        for line in lines:
            pages.text(1.5, line, fontsize=8.5)
            pages.y -= LINE
    pages.y -= 0.08


def _begin(pages: _Pages, inches: float) -> None:
    """A stage begins on a new page, or below the last one where all of it has room."""
    if len(pages.done) == 1 or pages.y - inches < BOTTOM:
        pages.turn()
    elif pages.y < TOP:
        pages.y -= 0.3


def _stage(pages: _Pages, stage: StagePart) -> None:
    rows = 0 if stage.table is None else len(stage.table.rows)
    _begin(pages, (rows + 2 * len(stage.notes) + 10) * LINE)
    pages.text(0.0, stage.title, fontsize=13, fontweight="bold")
    style = {"fontsize": 11, "fontweight": "bold", "ha": "right", "color": _COLOURS[stage.status]}
    pages.text(RIGHT - LEFT, stage.word, **style)
    pages.rule(BLACK, 0.9)
    pages.y -= 0.32
    for note in stage.notes:
        pages.paragraph(note)
    if stage.status == NOT_RUN:
        pages.paragraph("This stage has not been run.", color=GREY)
    if stage.table is not None and rows:
        pages.y -= 0.06
        _table(pages, stage.table, _STAGE_AT, 3)
        pages.y -= 0.05
        pages.paragraph(stage.limits, color=GREY)
    pages.y -= 0.15


def _table(pages: _Pages, table: Table, at: Sequence[float], verdict: int) -> None:
    """Rows of text; names wrap, the column `verdict` is coloured."""
    _header(pages, table, at)
    for k, row in enumerate(table.rows):
        names = textwrap.wrap(row[0], _NAME_WRAP) or [""]
        if pages.y - len(names) * LINE < BOTTOM:
            pages.turn()
            _header(pages, table, at)
        if k in table.highlight:
            pages.band("#FDF3EC")
        for x, text in list(zip(at, row, strict=True))[1:]:
            place = row.index(text) if x == at[verdict] else -1
            bold = x == at[verdict] and place == verdict
            colour = BLACK
            if bold:
                colour = {"pass": GREEN, "FAIL": ORANGE}.get(text, GREY)
            pages.text(x, text, fontsize=8, color=colour, fontweight="bold" if bold else "normal")
        for line in names:
            pages.text(0.0, line, fontsize=8)
            pages.y -= LINE
        pages.y += LINE
        pages.rule("#EDF0F3", 0.4)
        pages.y -= LINE


def _header(pages: _Pages, table: Table, at: Sequence[float]) -> None:
    for x, text in zip(at, table.header, strict=True):
        pages.text(x, text, fontsize=8, color=GREY)
    pages.rule("#8A8F98", 0.7)
    pages.y -= LINE + 0.02
