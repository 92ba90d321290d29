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
from hil.cli.stepped import GuidanceOption, SteppedOption, choose_way, run_command
from hil.diffusion.model import load_model
from hil.diffusion.noise_source import SEEDED, noise_source
from hil.jobs.classes import PER_CLASS, Asked
from hil.jobs.network import latest_placement, refuse_other_model
from hil.jobs.plans import run_plan
from hil.jobs.resume import parameter
from hil.jobs.samples import class_results, run_samples
from hil.jobs.session import session
from hil.report import render
from hil.waveforms import Mode
from protocols.errors import InputError


def command(
    model: ModelArgument = None,
    samples: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many, without classes.")
    ] = 1000,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="A class by name or number, all, or none (no class); default: all that there are.",
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help=f"How many of each class; default {PER_CLASS}."),
    ] = None,
    mode: Annotated[Mode, typer.Option(help="What the loop integrates.")] = Mode.ODE,
    noise: Annotated[
        str | None,
        typer.Option(
            "--noise",
            metavar="board|seeded|FILE",
            help="Noise of --mode sde: the board's generator, its keyed draws (default), or a "
            "recorded stream, played one trajectory per load: slow, and exact.",
        ),
    ] = None,
    guidance: GuidanceOption = None,
    stepped: SteppedOption = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    json: JsonOption = False,
) -> None:
    """Calibrate the loop, solve with the programmed network and bring the samples home.

    A conditional network draws its classes one after the other, and their pictures if it has any.
    A network that does not fit the analog loop is run stepped: see --stepped.
    """
    source_run: Path | None = None
    if resume is None:
        ctx, before = context(bench, board, json=json, seed=seed, model=model), None
    else:
        given: dict[str, object] = {"MODEL": model, "--bench": bench, "--board": board}
        given |= {"--seed": seed}
        given |= {"--noise": noise, "--label": label, "--per-class": per_class}
        given |= {"--guidance": guidance, "--stepped": stepped}
        ctx, before = resumed(resume, "run", json=json, given={**given, "--dry-run": dry_run})
        samples, mode = int(parameter(before, "samples")), Mode(parameter(before, "mode"))
        label, per_class = (parameter(before, name, None) for name in ("label", "per_class"))
        source_run = ctx.config.runs / str(parameter(before, "program"))
        noise = str(parameter(before, "noise")) if mode is Mode.SDE else None
    config, console = ctx.config, ctx.console
    if noise is not None and mode is not Mode.SDE:
        raise InputError(f"--noise {noise}: mode {mode.value} has no noise; use --mode sde")
    source_of_noise = noise_source(noise or SEEDED, config.seed)
    network = load_model(config.model)
    asked = Asked.of(network, label, samples, per_class)
    way = choose_way(ctx, network, stepped if before is None else False, guidance)
    if way.stepped:
        run_command(ctx, way.model, asked, mode, noise=noise, dry_run=dry_run, json=json)
        return
    network = way.model
    if dry_run:
        console.plan("hil run would drive", run_plan(config, network, asked, mode))
        return
    placement, source = latest_placement(config, source_run)
    refuse_other_model(placement, network)
    parameters = {
        "model": config.model,
        "samples": samples,
        "mode": mode.value,
        "label": label,
        "per_class": per_class,
        "program": source.path.name,
    }
    if mode is Mode.SDE:
        parameters["noise"] = noise or SEEDED
    with session(
        config, "run", parameters=parameters, bench_text=ctx.bench_text, resume=before
    ) as (run, opened):
        with console.steps("Running") as progress:
            data = run_samples(
                opened, run, network, placement, asked, mode, progress, source_of_noise
            )
        data.save(run)
        page = render(data, run.path)
        results = {"rows": dict(data.rows), "run": str(run.path), "report": str(page)}
        results |= class_results(data)
        run.save_json("results.json", results)
    if json:
        console.json(results)
    else:
        console.metrics_table(data)
        console.class_table(data)
        console.done(page)
