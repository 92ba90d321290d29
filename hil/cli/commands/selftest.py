"""`hil selftest`: is this board what it should be?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from drivers.identity import Identity
from hil.boards import open_board
from hil.cli.console import Console
from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.config import BenchConfig
from hil.jobs.selftest import Outcome, Verdict, failed, pulse_cell, run_checks
from hil.jobs.session import session
from protocols.errors import BoardError, InputError
from protocols.messages import Port


def command(
    yes_pulse: Annotated[
        str | None,
        typer.Option(
            "--yes-pulse",
            metavar="ROW,COLUMN",
            help="Give this one cell a weak SET; else nothing above the read level is driven.",
        ),
    ] = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Check any board without changing a cell; ends with 5 unless every check passes."""
    cell = None if yes_pulse is None else _cell(yes_pulse)
    ctx = context(bench, board, json=json, seed=seed)
    outcomes, identity = _checked(ctx.config)
    run = None
    if cell is not None and not failed(outcomes):
        with session(
            ctx.config, "selftest", parameters={"pulse": yes_pulse}, bench_text=ctx.bench_text
        ) as (folder, opened):
            outcomes.append(pulse_cell(opened, *cell))
            run = str(folder.path)
    elif cell is not None:
        why = "other checks did not pass, so no pulse was driven"
        outcomes.append(Outcome("pulse", Verdict.NOT_RUN, why))
    _report(ctx.console, ctx.config.board, identity, outcomes, run, as_json=json)
    if failed(outcomes):
        raise typer.Exit(BoardError.exit_code)


def _checked(config: BenchConfig) -> tuple[list[Outcome], Identity | None]:
    description = config.load_description()
    opened = open_board(config, description, config.chip.folder / config.chip.id / "cells.chip")
    try:
        return run_checks(opened.stream, description)
    finally:
        opened.close()


def _report(
    console: Console,
    board: str,
    identity: Identity | None,
    outcomes: list[Outcome],
    run: str | None,
    *,
    as_json: bool,
) -> None:
    counts = {v: sum(1 for one in outcomes if one.verdict is v) for v in Verdict}
    facts: dict[str, Any] = {
        "board": board,
        "identity": str(identity) if identity else None,
        "simulated": identity.port is not Port.STM32F407 if identity else None,
        **{verdict.value.replace(" ", "_"): count for verdict, count in counts.items()},
    }
    if run is not None:
        facts["run"] = run
    if as_json:
        checks = [
            {"name": one.name, "verdict": one.verdict.value, "sentence": one.sentence}
            for one in outcomes
        ]
        console.json({**facts, "checks": checks})
        return
    console.facts("self-test", {one.name: f"{_mark(one)}  {one.sentence}" for one in outcomes})
    console.facts("board", facts)


def _mark(outcome: Outcome) -> str:
    """Words of one length, so that the sentences stand below each other."""
    return {Verdict.PASSED: "pass   ", Verdict.FAILED: "FAILED ", Verdict.NOT_RUN: "not run"}[
        outcome.verdict
    ]


def _cell(text: str) -> tuple[int, int]:
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--yes-pulse {text!r}: two whole numbers are needed, ROW,COLUMN"
        ) from None
    return row, column
