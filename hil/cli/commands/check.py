"""`hil check`: the start-up checks alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from calibration.startup import StartupResult
from hil.bench import Bench
from hil.cli.console import Console
from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.jobs.startup import check_bench
from protocols.errors import HilError


def command(
    accept: Annotated[
        bool,
        typer.Option("--accept", help="The chip in the socket is the bench's: keep its map anew."),
    ] = False,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Are converters, bonds and chip sound, and is it this chip? Changes no cell; the same checks
    run before every command that drives pulses. Ends with 8 or 9 if something is found."""
    ctx = context(bench, board, json=json, seed=seed)
    with Bench.open(ctx.config) as opened:
        found = check_bench(opened, accept=accept)
        facts = {
            "board": opened.board.identity.port.name.lower(),
            "chip": ctx.config.chip.id,
            "simulated": opened.is_simulated,
            "bench_s": found.bench_s,
        }
    _report(ctx.console, found, facts, as_json=json)
    try:
        found.require()
    except HilError as error:
        if not json:
            raise
        raise typer.Exit(error.exit_code) from error


def _report(
    console: Console, found: StartupResult, facts: dict[str, Any], *, as_json: bool
) -> None:
    if as_json:
        console.json({**facts, **found.to_dict()})
        return
    marks = {name: f"pass    {sentence}" for name, sentence in found.stages.items()}
    if found.findings:
        last = list(found.stages)[-1]
        marks[last] = f"FAILED  {found.stages[last]}"
    for skipped in found.skipped:
        name, _, why = skipped.partition(": ")
        marks[name] = f"not run {why}"
    console.facts("start-up checks", marks)
    console.facts("board", facts)
