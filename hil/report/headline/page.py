"""The headline as one HTML page with its figures, and as JSON."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from hil.jsonable import to_json
from hil.record import write_whole
from hil.report.headline import tables
from hil.report.headline.data import HeadlineData, TaskRow, to_dict
from hil.report.headline.figure import headline_figure
from hil.report.page import environment
from hil.report.style import png

PAGE_NAME, JSON_NAME = "headline.html", "headline.json"
CAPTION = (
    "Above, what a sample takes on three clocks that are not to be added: this computer, the "
    "bench, and the modelled chip. Below, the modelled chip against every baseline, with the "
    "factors that the published system states for a task of this kind as dashed lines."
)


def render(data: HeadlineData, folder: Path) -> Path:
    """Writes page, figures and JSON into `folder`; returns the page's path.

    Raises:
        RecordError: the folder cannot be written.
    """
    page = (
        environment()
        .get_template("headline.html.j2")
        .render(
            tasks=[_task(task, data, folder) for task in data.tasks],
            facts=list(tables.facts(data).items()),
            notes=data.notes,
            simulated=data.bench_simulated,
        )
    )
    write_whole(folder / JSON_NAME, (to_json(to_dict(data), indent=1) + "\n").encode())
    return write_whole(folder / PAGE_NAME, page.encode())


def _task(task: TaskRow, data: HeadlineData, folder: Path) -> dict[str, Any]:
    simulated = data.bench_simulated
    content = png(headline_figure(task, simulated=simulated), {"Software": None})
    write_whole(folder / f"headline-{task.model}.png", content)
    return {
        "title": tables.title(task),
        "figure": "data:image/png;base64," + base64.b64encode(content).decode(),
        "caption": CAPTION,
        "tables": [
            tables.overview(task, simulated=simulated),
            tables.gains(task),
            tables.published(task),
            tables.quality(task),
            tables.energy(task),
        ],
    }
