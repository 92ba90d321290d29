"""`hil report`: a run's report from its record; `hil report headline`: speed and energy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hil.cli.options import BenchOption, JsonOption, context
from hil.config import BenchConfig
from hil.diffusion.model import MODEL_FOLDER
from hil.record import RunFolder
from hil.report import render
from hil.report.data import FIGURES_FILE, ReportData
from protocols.errors import InputError, RecordError

RUN = "show"
HEADLINE = Path("headline")


class _RunFirst(TyperGroup):
    """`hil report` and `hil report RUN` mean the first of its commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the name of that command before arguments that begin with none."""
        known = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if args and args[0] in known else [RUN, *args])


app = typer.Typer(
    help="Draw the report of RUN (default: the latest) again, or the headline comparison.",
    cls=_RunFirst,
    subcommand_metavar="[RUN] [--bench FILE] [--json] | headline [MODEL]...",
    rich_markup_mode=None,
)


@app.command(RUN)
def command(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Run folder; default: the latest.")
    ] = None,
    bench: BenchOption = None,
    json: JsonOption = False,
) -> None:
    """Draw a run's report again from its record; needs no board."""
    ctx = context(bench, None, json=json)
    folder = RunFolder.open(run) if run is not None else _latest(ctx.config)
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


def _latest(config: BenchConfig) -> RunFolder:
    for folder in RunFolder.all(config.runs):
        here = config.name in (None, folder.info.get("on"))
        if here and folder.file(FIGURES_FILE).is_file():
            return folder
    where = config.runs if config.name is None else f"{config.runs}, board {config.name}"
    raise RecordError(f"{where}: no run here has a report yet; use hil demo or hil run first")


@app.command("headline")
def headline_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Models, one per task; default: all shipped."),
    ] = None,
    components: Annotated[
        Path | None,
        typer.Option("--components", metavar="FILE", help="Your own figures of the chip's parts."),
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(
            "--power-watts", min=1e-3, metavar="W", help="Power of this computer, if it is known."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1000, max=200_000, help="Of the search for the fewest steps.")
    ] = 20_000,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where page, figures and JSON go.")
    ] = HEADLINE,
    bench: BenchOption = None,
    json: JsonOption = False,
) -> None:
    """Speed and energy per sample: software here, the bench, the modelled chip; minutes."""
    from hil.jobs.headline import HeadlineOptions, headline  # torch: seconds, for this alone
    from hil.report.headline.components import COMPONENTS_FILE, load_components
    from hil.report.headline.data import to_dict
    from hil.report.headline.page import render as render_headline
    from hil.report.headline.tables import overview, published

    ctx = context(bench, None, json=json)
    figures = load_components(components)
    asked = HeadlineOptions(samples=samples, batch=samples, power_watts=power)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: not a folder; nothing was measured")
    with ctx.console.steps("Headline") as progress:
        source = components or Path(COMPONENTS_FILE.name)
        data = headline(models or _shipped(), ctx.config, figures, source, asked, progress)
    out.mkdir(parents=True, exist_ok=True)
    page = render_headline(data, out)
    if json:
        ctx.console.json({**to_dict(data), "report": str(page)})
        return
    for task in data.tasks:
        ctx.console.table(overview(task, simulated=data.bench_simulated))
        ctx.console.table(published(task))
    for note in (f"Power of this computer: {data.power_source}.", *data.notes):
        ctx.console.say(note)
    ctx.console.done(page)


def _shipped() -> list[str]:
    """The models that ship with the project and bring their data along."""
    return [file.stem for file in sorted(MODEL_FOLDER.glob("*.npz")) if "." not in file.stem]
