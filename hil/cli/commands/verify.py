"""`hil verify`: read a programmed network again."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.jobs.network import latest_placement, verify_cells
from hil.jobs.session import session
from protocols.errors import InputError

LONGEST_S = 365 * 86400.0
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def command(
    program: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="Programming run; default: this chip's latest."),
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="TIME", help="Wait first, e.g. 30s, 10m, 1h; virtual on sim.")
    ] = "0s",
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Read the programmed cells again and compare them with their targets. Drives nothing."""
    ctx = context(bench, board, json=json, seed=seed)
    config, console = ctx.config, ctx.console
    wait_s = seconds(after)
    placement, source = latest_placement(config, program)
    parameters = {"program": source.path.name, "after_s": wait_s}
    with session(config, "verify", parameters=parameters, bench_text=ctx.bench_text) as (
        run,
        opened,
    ):
        with console.steps("Verifying") as progress:
            if wait_s:
                opened.wait(wait_s)
            result = verify_cells(opened, run, placement, progress)
        summary = {
            "cells": len(result.cells),
            "in_tolerance": int(result.in_tolerance.sum()),
            **{f"{name}_siemens": value for name, value in asdict(result.statistics()).items()},
            "program": source.path.name,
            "run": str(run.path),
        }
        run.save_json("results.json", summary)
    out = result.out
    reading = result.reading_siemens[~result.in_tolerance]
    target = result.target_siemens[~result.in_tolerance]
    failures = [
        (int(row), int(column), f"target {t * 1e6:.1f} uS, reads {r * 1e6:.1f} uS")
        for row, column, t, r in zip(out.rows, out.columns, target, reading, strict=True)
    ]
    console.outcome("Verifying", summary, failures)


def seconds(text: str) -> float:
    """`30s`, `10m`, `1h`, `2d` as seconds.

    Raises:
        InputError: not a number with a unit, or longer than a year.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)", text.strip())
    if found is None:
        raise InputError(f"--after {text!r}: a number and a unit are needed, e.g. 30s, 10m, 1h, 2d")
    wait_s = float(found[1]) * _UNITS[found[2]]
    if wait_s > LONGEST_S:
        raise InputError(f"--after {text!r}: at most 365d can be waited for")
    return wait_s
