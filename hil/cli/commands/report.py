"""`hil report`: a run's report, drawn again from its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import BenchOption, JsonOption, context
from hil.record import RunFolder
from hil.report import render
from hil.report.data import FIGURES_FILE, ReportData
from protocols.errors import RecordError


def command(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Run folder; default: the latest.")
    ] = None,
    bench: BenchOption = None,
    json: JsonOption = False,
) -> None:
    """Draw a run's report again from its record; needs no board."""
    ctx = context(bench, None, json=json)
    folder = RunFolder.open(run) if run is not None else _latest(ctx.config.runs)
    if not folder.file(FIGURES_FILE).is_file():
        raise RecordError(
            f"{folder.path}: this {folder.kind!r} run has no report; hil demo and hil run make one"
        )
    data = ReportData.load(folder)
    page = render(data, folder.path)
    if json:
        ctx.console.json({"run": str(folder.path), "report": str(page), "rows": dict(data.rows)})
    else:
        ctx.console.metrics_table(data)
        ctx.console.done(page)


def _latest(runs: Path) -> RunFolder:
    for folder in RunFolder.all(runs):
        if folder.file(FIGURES_FILE).is_file():
            return folder
    raise RecordError(f"{runs}: no run here has a report yet; use hil demo or hil run first")
