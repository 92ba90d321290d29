"""`hil repair`: measure a programmed network, fit what is free, re-program its last layer."""

from __future__ import annotations

from typing import Annotated

import typer

from hil.cli.options import (
    BenchOption,
    BoardOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    context,
)
from hil.diffusion.model import load_model
from hil.jobs import rows
from hil.jobs.network import latest_placement, record_loop, refuse_other_model
from hil.jobs.repair import repair_network
from hil.jobs.session import session
from hil.waveforms import Mode


def command(
    model: ModelArgument = None,
    mode: Annotated[Mode, typer.Option(help="Which solutions shall end right.")] = Mode.ODE,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the programmed network, fit words and embedding, re-program its last layer."""
    ctx = context(bench, board, json=json, seed=seed, model=model)
    config, console = ctx.config, ctx.console
    network = load_model(config.model)
    placement, source = latest_placement(config)
    refuse_other_model(placement, network)
    parameters = {"model": config.model, "mode": mode.value, "program": source.path.name}
    with session(config, "repair", parameters=parameters, bench_text=ctx.bench_text) as (
        run,
        opened,
    ):
        with console.steps("Repairing") as progress:
            loop = rows.run_loop(opened, network, placement, progress)
            done = repair_network(opened, run, loop, placement, progress, mode)
            record_loop(run, loop)
        summary = {**done.summary(), "run": str(run.path)}
        run.save_json("results.json", summary)
    console.outcome("Repair", summary, [])
