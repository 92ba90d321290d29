"""The acceptance sheet of a bring-up: one HTML page and one PDF, each needing nothing but itself.

Both say the same: chip, board, operator and temperature, every stage with its figures, their limits
and whether they passed, what was found, and pictures. They hold no time of their own making and are
byte for byte the same when they are made again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hil.record import write_whole
from hil.report.acceptance_data import Sheet, StagePart, sheet_of
from hil.report.acceptance_figures import PICTURES
from hil.report.acceptance_pdf import pdf
from hil.report.acceptance_picture import Picture
from hil.report.page import FIGURES_FOLDER, environment
from hil.report.style import png

HTML_NAME, PDF_NAME = "acceptance.html", "acceptance.pdf"


def acceptance(results: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Writes `acceptance.html`, `acceptance.pdf` and the pictures of a bring-up; the two paths.

    Args:
        results: the record, as `hil.jobs.bringup_record.run_results` gives it.
        folder: of the run.

    Raises:
        RecordError: the record is not complete, or a file cannot be written.
    """
    sheet = sheet_of(results)
    drawn = {stage.name: pictures_of(stage, simulated=sheet.simulated) for stage in sheet.stages}
    page = (
        environment()
        .get_template("acceptance.html.j2")
        .render(
            sheet=sheet, pictures={name: _shown(found, folder) for name, found in drawn.items()}
        )
    )
    html = write_whole(folder / HTML_NAME, page.encode())
    return html, write_whole(folder / PDF_NAME, pdf(sheet, drawn))


def pictures_of(stage: StagePart, *, simulated: bool) -> list[tuple[Picture, Figure]]:
    """What can be drawn of a stage: a stage that failed early has data for less."""
    return [
        (one, one.draw(stage.data, simulated))
        for one in PICTURES
        if one.stage == stage.name and all(key in stage.data for key in one.needs)
    ]


def _shown(found: list[tuple[Picture, Figure]], folder: Path) -> list[dict[str, str]]:
    out = []
    for one, figure in found:
        content = png(figure, {"Title": one.title, "Software": None})
        write_whole(folder / FIGURES_FOLDER / f"acceptance-{one.name}.png", content)
        source = "data:image/png;base64," + base64.b64encode(content).decode()
        out.append({"title": one.title, "caption": one.caption, "source": source})
    return out


__all__ = ["HTML_NAME", "PDF_NAME", "Sheet", "acceptance", "pictures_of"]
