"""`hil run`: calibrate the loop, solve, bring the samples home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import (
    BenchOption,
    BoardOption,
    DryRunOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    context,
)
from hil.cli.resuming import ResumeOption, resumed
from hil.diffusion.model import load_model
from hil.jobs.network import latest_placement, refuse_other_model
from hil.jobs.plans import run_plan
from hil.jobs.resume import parameter
from hil.jobs.samples import run_samples
from hil.jobs.session import session
from hil.report import render
from hil.waveforms import Mode


def command(
    model: ModelArgument = None,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 1000,
    mode: Annotated[Mode, typer.Option(help="What the loop integrates.")] = Mode.ODE,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    json: JsonOption = False,
) -> None:
    """Calibrate the loop, solve with the programmed network and bring the samples home."""
    source_run: Path | None = None
    if resume is None:
        ctx, before = context(bench, board, json=json, seed=seed, model=model), None
    else:
        given = {"MODEL": model, "--bench": bench, "--board": board, "--seed": seed}
        ctx, before = resumed(resume, "run", json=json, given={**given, "--dry-run": dry_run})
        samples, mode = int(parameter(before, "samples")), Mode(parameter(before, "mode"))
        source_run = ctx.config.runs / str(parameter(before, "program"))
    config, console = ctx.config, ctx.console
    network = load_model(config.model)
    if dry_run:
        console.plan("hil run would drive", run_plan(config, network, samples, mode))
        return
    placement, source = latest_placement(config, source_run)
    refuse_other_model(placement, network)
    parameters = {
        "model": config.model,
        "samples": samples,
        "mode": mode.value,
        "program": source.path.name,
    }
    with session(
        config, "run", parameters=parameters, bench_text=ctx.bench_text, resume=before
    ) as (run, opened):
        with console.steps("Running") as progress:
            data = run_samples(opened, run, network, placement, samples, mode, progress)
        data.save(run)
        page = render(data, run.path)
        results = {"rows": dict(data.rows), "run": str(run.path), "report": str(page)}
        run.save_json("results.json", results)
    if json:
        console.json(results)
    else:
        console.metrics_table(data)
        console.done(page)
