"""`hil bringup`: a new board and a new chip, stage by stage, to an acceptance sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration.bringup import STAGES
from hil.cli.console import Console
from hil.cli.options import (
    BenchOption,
    BoardOption,
    Context,
    DryRunOption,
    JsonOption,
    SeedOption,
    context,
)
from hil.cli.resuming import ResumeOption, resumed
from hil.jobs.bringup import KIND, Asked, Outcome, bringup, plan
from hil.jobs.bringup_record import Kept
from hil.jobs.bringup_rig import Ask
from hil.record import RunFolder
from protocols.errors import InputError

_NAMES = ", ".join(stage.name.replace("_", "-") for stage in STAGES)
_MARKS = {"passed": "pass   ", "failed": "FAILED ", "not run": "not run"}


def command(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="STAGE", help=f"This stage alone; several times allowed. {_NAMES}."
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="STAGE", help="This stage and all after it."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Confirm what would be asked; hands are still needed."),
    ] = False,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    resume: ResumeOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Bring up a board and a chip in stages that pass in order; leaves an acceptance sheet.

    Stops at the first stage that fails and says what to check; --resume RUN goes on from there.
    """
    asked = Asked(tuple(_name(one) for one in only or ()), None if first is None else _name(first))
    ctx, run = _context(bench, board, seed, resume, json=json)
    console = ctx.console
    if dry_run:
        console.plan("hil bringup would", plan(ctx.config, asked))
        return
    with console.steps("Bringing up") as progress:
        outcome = bringup(
            ctx.config,
            asked,
            ask=_asker(yes=yes, json=json),
            bench_text=ctx.bench_text,
            resume=run,
            progress=progress,
        )
    _report(console, outcome, as_json=json)
    if outcome.error is not None:
        if not json:
            raise outcome.error
        raise typer.Exit(outcome.error.exit_code)


def _context(
    bench: Path | None, board: str | None, seed: int | None, resume: Path | None, *, json: bool
) -> tuple[Context, RunFolder | None]:
    if resume is None:
        return context(bench, board, json=json, seed=seed), None
    given = {"--bench": bench, "--board": board, "--seed": seed}
    return resumed(resume, KIND, json=json, given=given)


def _name(text: str) -> str:
    return text.strip().lower().replace("-", "_")


def _asker(*, yes: bool, json: bool) -> Ask:
    """Puts a question to the person. --yes answers it, unless hands have to do something first,
    which they never have to on a simulated bench."""

    def ask(question: str, hands: bool) -> bool:
        if yes and not hands:
            return True
        if json or not sys.stdin.isatty():
            more = "" if hands else ", or with --yes"
            raise InputError(f"this has to be confirmed at a terminal{more}: {question}")
        return bool(typer.confirm(question, default=False, err=True))

    return ask


def _report(console: Console, outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        console.json(
            {
                "run": str(outcome.run),
                "accepted": outcome.accepted,
                "stopped_by": None if outcome.error is None else str(outcome.error),
                "sheets": [str(path) for path in outcome.sheets],
                "stages": [_short(one) for one in outcome.stages],
            }
        )
        return
    facts = {f"{n} {one.title}": _line(one) for n, one in enumerate(outcome.stages, 1)}
    console.facts("bring-up", facts)
    for path in outcome.sheets:
        console.done(path)


def _line(one: Kept) -> str:
    mark = _MARKS[one.status]
    if one.status == "not run":
        return mark.rstrip()
    if one.status == "failed":
        return f"{mark} {one.result.why}"
    count = len(one.result.figures)
    text = f"{mark} {count} figures within their limits, {one.host_s:.1f} s"
    return f"{text} (of {one.taken_from})" if one.taken_from else text


def _short(one: Kept) -> dict[str, Any]:
    """A stage without the data that later stages need."""
    return {key: value for key, value in one.to_dict().items() if key != "data"}
