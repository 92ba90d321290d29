"""`hil form`: form the cells that a model needs."""

from __future__ import annotations

from hil.cli.options import (
    BenchOption,
    BoardOption,
    DryRunOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    context,
)
from hil.diffusion.model import load_model
from hil.jobs.network import form_cells, place
from hil.jobs.plans import forming_plan
from hil.jobs.session import session


def command(
    model: ModelArgument = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Form the cells that the model needs; formed cells are left alone."""
    ctx = context(bench, board, json=json, seed=seed, model=model)
    config, console = ctx.config, ctx.console
    placement = place(load_model(config.model), config)
    if dry_run:
        console.plan("hil form would drive", forming_plan(config, placement))
        return
    with session(config, "form", parameters={"model": config.model}, bench_text=ctx.bench_text) as (
        run,
        opened,
    ):
        with console.steps("Forming", placement.cells) as progress:
            result = form_cells(opened, run, placement, progress)
        run.save_json("results.json", result.to_dict())
        summary = {
            "cells": len(result.cells),
            "formed": int(result.formed.sum()),
            "rounds": result.rounds,
            "bench_s": result.bench_s,
            "run": str(run.path),
        }
    console.outcome("Forming", summary, result.failures)
