"""What `hil program` and `hil run` do with a network that outgrows the analog loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hil.cli.on import unnamed
from hil.cli.options import Context
from hil.diffusion.guidance import guided
from hil.diffusion.model import load_model
from hil.diffusion.noise_source import SEEDED, noise_source
from hil.diffusion.score_model import ScoreModel
from hil.jobs.classes import Asked
from hil.jobs.resume import parameter, save_config
from hil.jobs.samples import class_results
from hil.record import RunFolder
from hil.report import ReportData, render
from hil.tiled.fit import missing_on_loop, refuse_unfit
from hil.tiled.job import SteppedRun, rack_names, run_stepped
from hil.tiled.network import TiledNetwork
from hil.tiled.programming import plan_network, program_network
from hil.tiled.record import NETWORK_KIND, latest_network, refuse_other_network
from hil.waveforms import Mode

SteppedOption = Annotated[
    bool | None,
    typer.Option(
        "--stepped/--no-stepped",
        help="Products on macros (`boards:` of the bench file), the rest in code; the default for "
        "models that do not fit the analog loop, which --no-stepped refuses.",
    ),
]
GuidanceOption = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        metavar="W",
        min=0.0,
        help="Classifier-free guidance: two copies of a conditional network, outputs 1+W and -W.",
    ),
]


@dataclass(frozen=True)
class Way:
    """How a model will run: the model itself, guided where that was asked for, and which way."""

    model: ScoreModel
    stepped: bool


def choose_way(
    ctx: Context, model: ScoreModel, stepped: bool | None, guidance: float | None
) -> Way:
    """The analog loop where the model fits it, else stepped, which is said.

    Raises:
        ModelError: guidance of an unconditional model.
        MappingError: the model does not fit the loop, and stepped was ruled out.
        ConfigError: it goes onto one board, and the bench file names several.
    """
    network = model if guidance is None else guided(model, guidance)
    description = ctx.config.load_description()
    arms = 2 if ctx.config.mapping.scheme == "differential" else 1
    if stepped is False:
        refuse_unfit(network, description, arms=arms)
        _refuse_several(ctx)
        return Way(network, False)
    missing = missing_on_loop(network, description, arms=arms)
    if missing and stepped is None:
        ctx.console.say(
            f"Model {network.name!r} does not fit the analog loop (missing: {'; '.join(missing)})."
            " It goes stepped: products on macros, the rest in code."
        )
    if not stepped and not missing:
        _refuse_several(ctx)
    return Way(network, bool(stepped) or bool(missing))


def _refuse_several(ctx: Context) -> None:
    if ctx.several:
        raise unnamed(ctx.config)


def is_network(path: Path | None) -> bool:
    """Whether a run that is to be taken up is that of a network on several macros."""
    return path is not None and RunFolder.open(path).kind == NETWORK_KIND


def resume_program(ctx: Context, run: RunFolder) -> None:
    """Takes up the programming of a network where it was cut off."""
    guidance = parameter(run, "guidance")
    model = load_model(ctx.config.model)
    network = model if guidance is None else guided(model, float(guidance))
    program_command(ctx, network, guidance=guidance, resume=run)


def program_command(
    ctx: Context,
    model: ScoreModel,
    *,
    guidance: float | None = None,
    dry_run: bool = False,
    resume: RunFolder | None = None,
) -> None:
    """`hil program` of a stepped network: form, program and verify every macro of the bench."""
    config, console = ctx.config, ctx.console
    network = plan_network(model, config, resume)
    if dry_run:
        console.plan("hil program would form and program", _plan(network))
        return
    parameters = {"model": config.model, "guidance": guidance}
    with console.steps("Programming") as progress:
        run, found = program_network(
            config, model, network, parameters, ctx.bench_text, progress, resume
        )
    summary = {**found.summary(), "run": str(run.path)}
    console.outcome("Programming (stepped)", summary, found.failures())


def run_command(
    ctx: Context,
    model: ScoreModel,
    asked: Asked,
    mode: Mode,
    *,
    noise: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """`hil run` of a stepped network; `noise` is what the option names."""
    config, console = ctx.config, ctx.console
    if dry_run:
        console.plan("hil run would multiply", _run_plan(ctx, plan_network(model, config), asked))
        return
    network, programmed = latest_network(config)
    refuse_other_network(network, model)
    source = noise_source(noise or SEEDED, config.seed) if mode is Mode.SDE else None
    job = SteppedRun(config, model, network, asked, mode, source)
    parameters = {
        "model": config.model,
        "network": model.name,
        "mode": mode.value,
        "labels": list(asked.labels),
        "each": asked.each,
        "noise": noise or SEEDED if mode is Mode.SDE else None,
        "stepped": True,
        "program": programmed.path.name,
    }
    with RunFolder.create(
        config.runs,
        "run",
        parameters=parameters,
        seed=config.seed,
        bench_text=ctx.bench_text,
        board=config.name,
    ) as run:
        save_config(run, config)
        with console.steps("Running (stepped)") as progress:
            data = run_stepped(run, job, ctx.bench_text, progress)
        data.save(run)
        page = render(data, run.path)
        results = _results(data, job, run, page)
        run.save_json("results.json", results)
    if json:
        console.json(results)
        return
    console.metrics_table(data)
    console.class_table(data)
    console.done(page)


def _results(data: ReportData, job: SteppedRun, run: RunFolder, page: Path) -> dict[str, Any]:
    return {
        "stepped": True,
        "macros": rack_names(job),
        "rows": dict(data.rows),
        "bench_time_s": dict(data.bench_time),
        "host_time_s": dict(data.host_time),
        "run": str(run.path),
        "report": str(page),
        **class_results(data),
    }


def _plan(network: TiledNetwork) -> dict[str, str]:
    tiling = network.tiling
    facts = {
        "layers": ", ".join(f"{inputs} -> {outputs}" for outputs, inputs in tiling.shapes),
        "cells": f"{tiling.cells}, on {len(tiling.used)} of {len(tiling.macros)} macros",
    }
    for number, tile in enumerate(tiling.tiles, start=1):
        facts[f"tile {number}"] = (
            f"layer {tile.layer + 1}, outputs {tile.first_output}-"
            f"{tile.first_output + tile.outputs - 1}, inputs {tile.first_input}-"
            f"{tile.first_input + tile.inputs - 1}: macro {tile.macro}, rows from "
            f"{tile.first_row}, columns from {tile.first_column}"
        )
    return facts


def _run_plan(ctx: Context, network: TiledNetwork, asked: Asked) -> dict[str, str]:
    ticks = ctx.config.stepped.ticks
    vectors = 2 * ticks * asked.count * len(network.tiling.tiles)
    return {
        "layers": _plan(network)["layers"],
        "cells": _plan(network)["cells"],
        "samples": f"{asked.count}, {ticks} ticks of two evaluations",
        "vectors": f"{vectors}, over all tiles",
        "largest input": f"{ctx.config.stepped.input_volts:g} V",
        "in code": "biases, embedding, rectifiers, output gain, integration",
    }
