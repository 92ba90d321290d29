"""`hil program`: map a model to conductances, program and verify them."""

from __future__ import annotations

from dataclasses import replace

from calibration.programming.choose import switched
from hil.cli.options import (
    AlgorithmOption,
    BenchOption,
    BoardOption,
    Context,
    DryRunOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    context,
)
from hil.cli.resuming import ResumeOption, resumed
from hil.cli.stepped import (
    GuidanceOption,
    SteppedOption,
    choose_way,
    is_network,
    program_command,
    resume_program,
)
from hil.diffusion.model import load_model
from hil.jobs.bring_up import program_mapped
from hil.jobs.mapping import blank_knowledge, keep_knowledge, map_model
from hil.jobs.plans import programming_plan
from hil.jobs.resume import keep_start, starting_knowledge
from hil.jobs.session import session
from hil.record import RunFolder
from hil.tiled.record import NETWORK_KIND


def command(
    model: ModelArgument = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    algorithm: AlgorithmOption = None,
    stepped: SteppedOption = None,
    guidance: GuidanceOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    json: JsonOption = False,
) -> None:
    """Map the model to conductances, program them by write-verify and read them again.

    A model that does not fit the analog loop is cut into tiles on the macros of the bench file;
    their cells are formed first where they are not.
    """
    if resume is None:
        ctx, before = context(bench, board, json=json, seed=seed, model=model), None
    else:
        given: dict[str, object] = {"MODEL": model, "--bench": bench, "--board": board}
        given |= {"--seed": seed, "--algorithm": algorithm, "--dry-run": dry_run}
        given |= {"--stepped": stepped, "--guidance": guidance}
        kind = NETWORK_KIND if is_network(resume) else "program"
        ctx, before = resumed(resume, kind, json=json, given=given)
        if kind == NETWORK_KIND:
            resume_program(ctx, before)
            return
    if algorithm is not None:
        params = switched(ctx.config.programming, algorithm)
        ctx = replace(ctx, config=ctx.config.with_changes(source="--algorithm", programming=params))
    if before is None:
        way = choose_way(ctx, load_model(ctx.config.model), stepped, guidance)
        if way.stepped:
            program_command(ctx, way.model, guidance=guidance, dry_run=dry_run)
            return
    _program(ctx, before, dry_run=dry_run)


def _program(ctx: Context, before: RunFolder | None, *, dry_run: bool) -> None:
    """Onto the analog loop's array; goes on with `before` where there is one."""
    config, console = ctx.config, ctx.console
    network, known = load_model(config.model), starting_knowledge(config, before)
    mapped = map_model(network, config, known)
    placement = mapped.placement
    if dry_run:
        console.plan("hil program would drive", programming_plan(config, placement))
        return
    parameters = {"model": config.model}
    with session(
        config, "program", parameters=parameters, bench_text=ctx.bench_text, resume=before
    ) as (run, opened):
        keep_start(run, known)
        with console.steps("Programming", placement.cells) as progress:
            known = known or blank_knowledge(config)
            found = program_mapped(opened, run, network, mapped, known, progress, move=False)
        done = found.programmed
        keep_knowledge(config, found.knowledge)
        summary = {
            **done.program.summary(),
            "mappings": found.mappings,
            "expected_weight_error": found.mapped.report.budget.relative,
            "run": str(run.path),
        }
        run.save_json("results.json", summary)
    console.outcome("Programming", summary, done.program.failures)
