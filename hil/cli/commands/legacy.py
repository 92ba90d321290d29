"""`hil legacy`: the board with the firmware that the paper's authors published."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from drivers.legacy import NOISE_OVERFLOWS_MAX
from hil.cli.console import Console
from hil.cli.options import BenchOption, JsonOption, SeedOption, context
from hil.conditions import conditions
from hil.jobs.legacy import (
    PREFIX,
    SIMULATED,
    facts,
    legacy_bench,
    resumed,
    samples_of,
    take_samples,
)
from hil.record import RunFolder
from protocols.legacy import LegacySettings
from protocols.legacy_traces import predict as predict_traces
from protocols.legacy_traces import refuse_overflow

app = typer.Typer(
    help="The published board: predict its DAC traces, take samples.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TableOption = Annotated[str, typer.Option("--table", help="0-4, a-g or A-I.")]
NoiseOption = Annotated[bool, typer.Option("--noise", help="Add noise to the two noise words.")]
VBiasOption = Annotated[float, typer.Option("--v-bias", help="0.05, 0.1 or 0.2.")]
CoefOption = Annotated[float, typer.Option("--coef", help="Factor of g2, 0.01 to 9.99.")]
NoiseScaleOption = Annotated[float, typer.Option("--noise-scale", help="0 to 9.99.")]
OffsetOption = Annotated[
    tuple[float, float], typer.Option("--offsets", help="Of the two noise words, -0.50 to 0.49.")
]


@app.callback()
def _group() -> None:
    """The published board: predict its DAC traces, take samples."""


@app.command()
def predict(
    table: TableOption = "0",
    noise: NoiseOption = False,
    v_bias: VBiasOption = 0.1,
    coef: CoefOption = 1.0,
    noise_scale: NoiseScaleOption = 1.0,
    offsets: OffsetOption = (0.0, 0.0),
    json: JsonOption = False,
) -> None:
    """What a run would put on the 18 DAC outputs. Needs no board."""
    found = facts(predict_traces(LegacySettings(table, noise, v_bias, coef, noise_scale, *offsets)))
    console = Console(json=json)
    if json:
        console.json(found)
    else:
        codes = found.pop("codes")
        console.facts("prediction", found)
        console.facts("codes", {name: f"{low} to {high}" for name, (low, high) in codes.items()})


@app.command()
def run(
    board: Annotated[
        str, typer.Option("--board", help=f"{PREFIX}PORT or {SIMULATED}.")
    ] = SIMULATED,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 100,
    table: TableOption = "0",
    noise: NoiseOption = False,
    v_bias: VBiasOption = 0.1,
    coef: CoefOption = 1.0,
    noise_scale: NoiseScaleOption = 1.0,
    offsets: OffsetOption = (0.0, 0.0),
    scope: Annotated[str | None, typer.Option("--scope", help="VISA address.")] = None,
    scope_file: Annotated[
        Path | None, typer.Option("--scope-file", help="YAML file with its commands.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Continue this run folder.")
    ] = None,
    bench: BenchOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Take samples, one run of 1.2 s and a lock-out of 5 s each; stop and resume as you like."""
    ctx = context(bench, None, json=json, seed=seed)
    settings = LegacySettings(table, noise, v_bias, coef, noise_scale, *offsets)
    refuse_overflow(settings, NOISE_OVERFLOWS_MAX)  # before there is a run folder
    parameters = {"settings": asdict(settings), "samples": samples, "board": board}
    folder = (
        resumed(resume, settings)
        if resume is not None
        else RunFolder.create(
            ctx.config.runs,
            "legacy",
            parameters=parameters,
            seed=ctx.config.seed,
            bench_text=ctx.bench_text,
        )
    )
    first = max(samples_of(folder).load(), default=-1) + 1
    with (
        folder as record,
        legacy_bench(board, scope, scope_file, ctx.config.seed, first) as opened,
        ctx.console.steps("Sampling") as progress,
    ):
        record.update(**conditions(ctx.config).facts())
        results = take_samples(record, opened, settings, samples, progress)
        record.save_json("results.json", results)
    if json:
        ctx.console.json(results)
    else:
        _show(ctx.console, results)


def _show(console: Console, results: dict[str, Any]) -> None:
    """Nested figures as blocks of their own."""
    console.facts("samples", {k: v for k, v in results.items() if not isinstance(v, dict)})
    for name in ("settings", "line"):
        console.facts(name, results[name])
