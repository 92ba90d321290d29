"""`hil program`: map a model to conductances, program and verify them."""

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
from hil.jobs.network import place, program_cells
from hil.jobs.plans import programming_plan
from hil.jobs.session import session


def command(
    model: ModelArgument = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Map the model to conductances, program them by write-verify and read them again."""
    ctx = context(bench, board, json=json, seed=seed, model=model)
    config, console = ctx.config, ctx.console
    placement = place(load_model(config.model), config)
    if dry_run:
        console.plan("hil program would drive", programming_plan(config, placement))
        return
    with session(
        config, "program", parameters={"model": config.model}, bench_text=ctx.bench_text
    ) as (run, opened):
        with console.steps("Programming", placement.cells) as progress:
            done = program_cells(opened, run, placement, progress)
        summary = {**done.program.summary(), "run": str(run.path)}
        run.save_json("results.json", summary)
    console.outcome("Programming", summary, done.program.failures)
