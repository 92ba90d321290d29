"""`hil calibrate`: the board's converters and read paths against its own references."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hil.bench import Bench
from hil.cli.options import (
    BenchOption,
    BoardOption,
    DryRunOption,
    JsonOption,
    SeedOption,
    context,
)
from hil.curve_store import AGE_LIMIT_DAYS
from hil.jobs.calibrate import LINE_KIND, Calibrated, CalibrateOptions, calibrate, summary
from hil.report.text import duration, si


def command(
    lines: Annotated[
        bool,
        typer.Option(
            "--lines",
            help="Also estimate the line resistance, from cells as forming or SET left them.",
        ),
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="C", help="Temperature of the bench in degrees C, for the record."),
    ] = None,
    age_limit: Annotated[
        float, typer.Option(metavar="DAYS", help="After which the curves count as stale.")
    ] = AGE_LIMIT_DAYS,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Measure DACs, ADCs and read paths and keep the curves by the board's serial number.

    The array is cut off while its lines are looked at; no cell gets a pulse.
    """
    ctx = context(bench, board, json=json, seed=seed)
    console = ctx.console
    options = CalibrateOptions(
        temperature_celsius=temperature, age_limit_days=age_limit, with_lines=lines
    )
    if dry_run:
        with Bench.open(ctx.config, nominal_curves=True) as opened:
            console.plan("hil calibrate would measure", _plan(opened, options))
        return
    with console.steps("Calibrating") as progress:
        done = calibrate(ctx.config, options, bench_text=ctx.bench_text, progress=progress)
    if json:
        figures = [str(path) for path in done.figures]
        console.json({**_summary(done), "run": str(done.run), "figures": figures})
        return
    _show(console, done)


def _plan(opened: Bench, options: CalibrateOptions) -> dict[str, Any]:
    description, limits = opened.description, opened.limits.bounds
    top = max(bound.value for name, bound in limits.items() if name.endswith("_volts"))
    return {
        "board": f"{opened.board.identity.serial:x}",
        "ADC inputs": "4, at 15 taps of the ladder",
        "DAC channels": f"{9 + description.loop.hidden_width}, through the loop-back",
        "highest voltage on a line": f"{top:g} V, with the array cut off",
        "read paths": f"{description.columns}, at three resistors and none",
        "cells pulsed": 0,
        "line resistance": "from all cells that conduct" if options.with_lines else "not wanted",
        "curves count for": f"{options.age_limit_days:g} days",
    }


def _summary(done: Calibrated) -> dict[str, Any]:
    return summary(done.found, done.lines, done.kept)


def _show(console: Any, done: Calibrated) -> None:
    figures = _summary(done)
    rows = {
        name: (
            f"gain {100 * (one['gain'] - 1):+.3f} %, offset {one['offset_codes']:+.2f} codes,"
            f" bends {one['nonlinearity_codes']:.2f}, known to ± {one['sd_codes']:.3f}"
        )
        for name, one in figures["channels"].items()
        if not name.startswith(("embedding", "noise"))
    }
    simulated = " (simulated)" if done.kept.simulated else ""
    console.facts(f"converters{simulated}", rows)
    columns = figures["columns"]
    console.facts(
        f"read paths and amplitudes{simulated}",
        {
            "largest gain error of a column": f"{100 * columns['largest_gain_error']:.3f} %",
            "largest offset of a column": si(columns["largest_offset_amperes"], "A"),
            "a conductance is known to": f"± {100 * columns['relative_sd']:.3f} %",
            "amplitudes are missed by": f"{figures['amplitude_missed_by_steps']:.2f} steps at most",
            "stays nominal": figures["stays_nominal"],
            "bench time": duration(figures["bench_s"]),
            "curves count until": f"{figures['age_limit_days']:g} days from now",
        },
    )
    if LINE_KIND in figures:
        console.facts(f"line resistance{simulated}", _line_rows(figures[LINE_KIND]))
    console.done(done.kept.path)
    for path in done.figures:
        console.done(path)


def _line_rows(found: dict[str, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = {
        name.replace("_", " "): (
            f"{found[name]['ohm_per_pitch']:.3f} ± {found[name]['sd_ohm']:.3f} ohm per pitch"
        )
        for name in ("bit_line", "source_line", "common")
    }
    rows["cells"] = found["cells"]
    if not found["resolved"]:
        rows["not resolved"] = f"at most {found['at_most_ohm']:.3g} ohm per pitch (95 %)"
    return rows
