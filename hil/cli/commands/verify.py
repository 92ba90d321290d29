"""`hil verify`: read a programmed network again."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration.drift import DriftReport
from calibration.verify import VerifyResult
from hil.cli.console import Console
from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.jobs.network import latest_placement, verify_cells
from hil.jobs.retrim import drift_of, retrim_cells
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
    retrim: Annotated[
        bool, typer.Option("--retrim", help="Then correct the cells that moved (drives pulses).")
    ] = False,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Read the programmed cells again: are they in tolerance, how far have they drifted, which
    of them need a correction. Drives nothing without --retrim."""
    ctx = context(bench, board, json=json, seed=seed)
    config, console = ctx.config, ctx.console
    wait_s = seconds(after)
    placement, source = latest_placement(config, program)
    parameters = {"program": source.path.name, "after_s": wait_s, "retrim": retrim}
    with session(config, "verify", parameters=parameters, bench_text=ctx.bench_text) as (
        run,
        opened,
    ):
        title = "Verifying and re-trimming" if retrim else "Verifying"
        with console.steps(title, placement.cells if retrim else None) as progress:
            if wait_s:
                opened.wait(wait_s)
            result = verify_cells(opened, run, placement, progress)
            drift = drift_of(opened, run, placement, source, result)
            if retrim:
                age_s = drift.age_s + drift.elapsed_s
                _, done, result = retrim_cells(opened, run, placement, age_s, progress)
        summary: dict[str, Any] = {
            "cells": len(result.cells),
            "in_tolerance": int(result.in_tolerance.sum()),
            **{f"{name}_siemens": value for name, value in asdict(result.statistics()).items()},
            "program": source.path.name,
            "run": str(run.path),
            "drift": drift.summary(),
            **({"retrim": done.summary()} if retrim else {}),
        }
        run.save_json("results.json", summary)
        simulated = opened.is_simulated
    _say(console, summary, drift, result, as_json=json, simulated=simulated)


def _say(
    console: Console,
    summary: dict[str, Any],
    drift: DriftReport,
    result: VerifyResult,
    *,
    as_json: bool,
    simulated: bool,
) -> None:
    failures = _failures(result)
    if as_json:
        console.outcome("Verifying", summary, failures)
        return
    mark = " (simulated)" if simulated else ""
    parts = {name: summary.pop(name) for name in ("drift", "retrim") if name in summary}
    law = "assumed" if drift.assumed else "measured on these cells"
    trend = {
        f"{level.from_siemens * 1e6:.0f} to {level.to_siemens * 1e6:.0f} uS": (
            f"{level.cells} cells, moved {level.move_median_siemens * 1e6:+.2f} uS (median), "
            f"{level.move_rms_siemens * 1e6:.2f} rms; {100 * level.per_decade:+.2f} % a decade; "
            f"{level.further_siemens * 1e6:+.2f} +- {level.further_spread_siemens * 1e6:.2f} uS "
            "in the next hour"
        )
        for level in drift.levels
    }
    console.facts(f"Drift{mark}", parts["drift"])
    console.facts(f"By level; the law in log time is {law}{mark}", trend)
    if "retrim" in parts:
        console.facts(f"Re-trim{mark}", parts["retrim"])
    console.outcome("Verifying", summary, failures)


def _failures(result: VerifyResult) -> list[tuple[int, int, str]]:
    out, wrong = result.out, ~result.in_tolerance
    reading, target = result.reading_siemens[wrong], result.target_siemens[wrong]
    return [
        (int(row), int(column), f"target {t * 1e6:.1f} uS, reads {r * 1e6:.1f} uS")
        for row, column, t, r in zip(out.rows, out.columns, target, reading, strict=True)
    ]


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
