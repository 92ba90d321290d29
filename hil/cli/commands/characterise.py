"""`hil characterise`: how the cells of this chip behave."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from calibration.characterise import ROUTINES, Interval
from hil.cli.console import Console
from hil.cli.options import (
    BenchOption,
    BoardOption,
    DryRunOption,
    JsonOption,
    SeedOption,
    context,
)
from hil.jobs.characterise import Choice, Done, Estimate, Job, characterise, chosen, estimates
from hil.jobs.session import session
from hil.report.text import duration, si
from protocols.errors import InputError

_KINDS = ", ".join(kind.replace("_", "-") for kind in ROUTINES)


def command(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND]...", help=f"What to measure; default: all. {_KINDS}."),
    ] = None,
    cells: Annotated[
        str,
        typer.Option(
            metavar="spare|network",
            help="Cells to use; those of the network are overwritten by it.",
        ),
    ] = "spare",
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Measure how this chip's cells behave, on spare cells; results and figures stay with the chip.

    Without a KIND all routines run, the cheap ones first. Each stops when its figures are known
    well enough or its budget is used.
    """
    ctx = context(bench, board, json=json, seed=seed)
    config, console = ctx.config, ctx.console
    job = chosen(kinds or (), _choice(cells))
    plan = _plan(job, estimates(config, job))
    if dry_run:
        console.plan("hil characterise would use at most", plan)
        return
    console.facts("hil characterise uses at most", plan)
    asked = {"kinds": list(job.kinds), "cells": job.cells}
    results = []
    with session(config, "characterise", parameters=asked, bench_text=ctx.bench_text) as (
        run,
        opened,
    ):
        with console.steps("Characterising") as progress:
            for done in characterise(opened, run, job, progress):
                results.append(done)
        run.save_json("results.json", [_summary(done) for done in results])
    if json:
        console.json({"results": [_summary(done) for done in results], "run": str(run.path)})
        return
    for done in results:
        _show(console, done)
    console.say(f"  Run: {run.path}")


def _choice(text: str) -> Choice:
    if text == "spare":
        return "spare"
    if text == "network":
        return "network"
    raise InputError(f"--cells {text!r}: spare or network is needed")


def _plan(job: Job, found: list[Estimate]) -> dict[str, str]:
    """What each routine uses at most, in words; the sum last."""
    lines = {}
    for one in found:
        cost = one.cost
        lines[one.kind.replace("_", " ")] = (
            f"{cost.cells:,} cells, {cost.pulses:,} pulses (at most {cost.pulses_per_cell:,} per "
            f"cell), {cost.reads:,} readings, {duration(one.bench_s)}"
        )
    total = sum(one.cost.pulses for one in found)
    lines["together"] = f"{total:,} pulses, {duration(sum(one.bench_s for one in found))}"
    lines["cells"] = (
        "spare: in rows and columns that no network of this chip uses"
        if job.cells == "spare"
        else "those of the network on the chip, which is lost"
    )
    if "endurance" in job.kinds:
        lines["wear"] = "endurance wears its cells: they are the last of the spare ones"
    return lines


def _summary(done: Done) -> dict[str, Any]:
    return {
        **done.found.to_dict(),
        "simulated": done.stored.simulated,
        "kept": str(done.stored.path),
        "figure": str(done.figure),
    }


def _show(console: Console, done: Done) -> None:
    found = done.found
    title = found.kind.replace("_", " ") + (" (simulated)" if done.stored.simulated else "")
    facts = {name.replace("_", " "): _text(one) for name, one in found.figures.items()}
    account = found.account
    facts["used"] = (
        f"{account.cells:,} cells, {account.pulses:,} pulses, {account.reads:,} readings, "
        f"{duration(account.bench_s)}"
    )
    facts["stopped because"] = account.stop.value
    console.facts(title, facts)
    console.done(done.figure)


def _text(one: Interval) -> str:
    """Value and interval as a person reads them."""
    if not math.isfinite(one.value):
        return "–"
    if one.unit in ("V", "S", "s"):
        value, low, high = (si(x, one.unit) for x in (one.value, one.low, one.high))
    else:
        value, low, high = (f"{x:.3g}" for x in (one.value, one.low, one.high))
    unit = "" if one.unit in ("V", "S", "s", "") else f" {one.unit}"
    return f"{value}  ({low} to {high}){unit}"
