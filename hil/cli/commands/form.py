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
from hil.cli.resuming import ResumeOption, resumed
from hil.diffusion.model import load_model
from hil.jobs.bring_up import form_mapped
from hil.jobs.mapping import keep_knowledge
from hil.jobs.network import place
from hil.jobs.plans import forming_plan
from hil.jobs.resume import keep_start, starting_knowledge
from hil.jobs.session import session


def command(
    model: ModelArgument = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    json: JsonOption = False,
) -> None:
    """Form the cells that the model needs; formed cells are left alone."""
    if resume is None:
        ctx, before = context(bench, board, json=json, seed=seed, model=model), None
    else:
        given = {"MODEL": model, "--bench": bench, "--board": board, "--seed": seed}
        ctx, before = resumed(resume, "form", json=json, given={**given, "--dry-run": dry_run})
    config, console = ctx.config, ctx.console
    network, known = load_model(config.model), starting_knowledge(config, before)
    placement = place(network, config, known)
    if dry_run:
        console.plan("hil form would drive", forming_plan(config, placement))
        return
    parameters = {"model": config.model}
    with session(
        config, "form", parameters=parameters, bench_text=ctx.bench_text, resume=before
    ) as (run, opened):
        keep_start(run, known)
        with console.steps("Forming", placement.cells) as progress:
            _, result, known = form_mapped(opened, run, network, known, progress)
        keep_knowledge(config, known)
        run.save_json("results.json", result.to_dict())
        summary = {
            "cells": len(result.cells),
            "formed": int(result.formed.sum()),
            "rounds": result.rounds,
            "bench_s": result.bench_s,
            "run": str(run.path),
        }
    console.outcome("Forming", summary, result.failures)
