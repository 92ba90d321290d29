"""`hil study`: the same question asked of many simulated chips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hil.cli.console import Console
from hil.cli.options import JsonOption
from hil.report.text import duration
from hil.study.config import EXAMPLES, load_study
from hil.study.folder import StudyFolder
from hil.study.job import Study, StudyResult, missing_points, run_study, seconds_per_point
from hil.study.runners import Processes, Runner
from hil.study.summary import Summary, shown
from protocols.errors import InputError

STUDIES = Path("studies")


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Study file, or the name of a shipped one."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The study's folder; default: studies/NAME."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=1024, help="Processes; default: one per core."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, tcp://HOST:8786."),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Solve the points that failed once more.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many points there are and how long they take."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Solve a grid or a random sample of simulated chips; one table and its figures."""
    console = Console(json=json)
    if file is None:
        _list(console, json=json)
        return
    if workers is not None and scheduler is not None:
        raise InputError("--workers is for processes of this computer; leave it out on a cluster")
    config, source, text = load_study(file)
    study = Study.of(config, source, text)
    path = out or STUDIES / config.name
    with _runner(scheduler, workers or config.workers) as runner:
        if dry_run:
            _plan(console, study, path, runner)
            return
        title = f"Study {config.name}: {len(study.points)} points, {runner.workers()} workers"
        with console.steps(title) as progress:
            result = run_study(study, path, runner, progress, retry=retry)
    _tell(console, result, json=json)


@contextmanager
def _runner(scheduler: str | None, workers: int | None) -> Iterator[Runner]:
    if scheduler is None:
        yield Processes(workers)
        return
    from hil.study.cluster import Cluster  # Dask is an extra

    cluster = Cluster(scheduler)
    try:
        yield cluster
    finally:
        cluster.close()


def _list(console: Console, *, json: bool) -> None:
    about = {
        path.stem: " ".join(load_study(path)[0].about.split())
        for path in sorted(EXAMPLES.glob("*.yaml"))
    }
    if json:
        console.json({"studies": about})
    else:
        console.facts("Studies that ship with the project: hil study NAME", about)


def _plan(console: Console, study: Study, path: Path, runner: Runner) -> None:
    rows: dict[int, Any] = {}
    if (path / "study.json").exists():
        with StudyFolder.opened(path, study.config, study.text, study.inputs) as folder:
            rows = folder.rows()
    missing = len(missing_points(study, rows))
    per_point_s = seconds_per_point(study, rows)
    about_s = per_point_s * missing / runner.workers()
    console.plan(
        f"hil study {study.config.name} would solve",
        {
            "points": len(study.points),
            "done before": len(study.points) - missing,
            "depth": study.config.depth,
            "workers": runner.workers(),
            "seconds per point": round(per_point_s, 3),
            "about": duration(about_s),
            "folder": str(path),
        },
    )


def _tell(console: Console, result: StudyResult, *, json: bool) -> None:
    facts = {
        "points": result.points,
        "solved now": result.solved,
        "failed": result.failed,
        "host time": duration(result.host_s),
        "table": str(result.folder / "table.parquet"),
        **{f"figure {k}": str(path) for k, path in enumerate(result.figures, start=1)},
    }
    if json:
        console.json(
            {
                **{key.replace(" ", "_"): value for key, value in facts.items()},
                "simulated": True,
                "reasons": result.reasons,
                "figures": [_plain(summary) for summary in result.summaries],
            }
        )
        return
    for summary in result.summaries:
        console.facts(f"{summary.title} (simulated)", _lines(summary))
    console.facts("Study (simulated)", facts)
    for reason in result.reasons[:8]:
        console.say(f"  failed: {reason}")


def _plain(summary: Summary) -> dict[str, object]:
    names = ("by", "x", "chips", "failed", "middle", "low", "high", "software")
    lines = [{name: getattr(line, name) for name in names} for line in summary.lines]
    return {"title": summary.title, "lines": lines}


def _lines(summary: Summary) -> dict[str, str]:
    figure, found = summary.figure, {}
    for line in summary.lines:
        by = f"{figure.by} {shown(figure.by, line.by)}, " if figure.by else ""
        bad = f", {line.failed} failed" if line.failed else ""
        name = f"{by}{figure.x} {shown(figure.x, line.x)}"
        spread = f"{line.middle:.4g}  ({line.low:.4g} to {line.high:.4g})"
        found[name] = f"{spread}  {line.chips} chips{bad}"
    return found
