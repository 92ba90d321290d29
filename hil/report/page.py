"""Renders a report: PNG files and one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from hil.record import write_whole
from hil.report import tables
from hil.report.data import ReportData
from hil.report.facts import UNKNOWN_FACTS
from hil.report.sections import Absent, FigureBlock, Section, sections
from hil.report.style import png
from hil.report.tables import Table

FIGURES_FOLDER = "figures"
PAGE_NAME = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"


def render(data: ReportData, folder: Path) -> Path:
    """Draws every figure into `folder/figures` and writes `folder/report.html`; returns its path.

    Raises:
        RecordError: the folder cannot be written.
    """
    shown = [_show(section, data, folder) for section in sections(data)]
    template = environment().get_template("report.html.j2")
    page = template.render(
        data=data,
        sections=shown,
        metrics=tables.metrics(data),
        unknown=UNKNOWN_FACTS,
        facts=_facts(data),
    )
    return write_whole(folder / PAGE_NAME, page.encode())


def environment() -> jinja2.Environment:
    """The templates of the pages; a name that is missing is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _facts(data: ReportData) -> list[tuple[str, list[tuple[str, str]]]]:
    run = dict(data.run)
    if data.seed is not None:
        run = {"seed": data.seed, **run}
    groups = (("Run", run), ("Board", data.board), ("Chip", data.chip))
    return [
        (title, [(name, "–" if value is None else str(value)) for name, value in group.items()])
        for title, group in groups
        if group
    ]


def _show(section: Section, data: ReportData, folder: Path) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    for block in section.blocks:
        if isinstance(block, Absent):
            blocks.append({"kind": "absent", "sentence": block.sentence})
        elif isinstance(block, Table):
            blocks.append({"kind": "table", "table": block})
        else:
            blocks.append(_draw(block, data, folder))
    return {"key": section.key, "title": section.title, "intro": section.intro, "blocks": blocks}


def _draw(block: FigureBlock, data: ReportData, folder: Path) -> dict[str, Any]:
    content = png(block.draw(data), {"Title": block.title, "Software": None})
    write_whole(folder / FIGURES_FOLDER / f"{block.name}.png", content)
    return {
        "kind": "figure",
        "title": block.title,
        "caption": block.caption,
        "source": "data:image/png;base64," + base64.b64encode(content).decode(),
    }
