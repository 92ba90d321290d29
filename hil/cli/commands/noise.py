"""`hil noise`: find the noise law that gives a network its best samples, and store it with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hil.cli.console import Console
from hil.cli.options import (
    BenchOption,
    BoardOption,
    Context,
    JsonOption,
    ModelArgument,
    SeedOption,
    context,
)
from hil.diffusion.model import load_model, save_model
from hil.diffusion.noise_law import NoiseLaw
from hil.diffusion.noise_study import (
    FINAL_SAMPLES,
    SEARCH_SEEDS,
    STEPS,
    Comparison,
    LawFigures,
    compare,
    measure,
    ranked,
    search,
)
from hil.diffusion.score_model import ScoreModel
from hil.generation import solve_fast
from hil.jobs.network import latest_placement, refuse_other_model
from hil.jobs.noise import LOOP_SAMPLES, laws_for_loop, loop_study, references_of
from hil.jobs.session import session
from hil.report.tables import Table
from hil.report.text import number
from protocols.errors import InputError

SHOWN = 12  # laws of a search that are listed; --json has all


def command(
    model: ModelArgument = None,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            metavar="LAW",
            help="Measure this law instead of searching; more than once for several. "
            "strength=0.6,until=0.25 or kind=published,scale=5,coefficient=0.5",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1000, max=1_000_000, help="Of the last round, per seed.")
    ] = FINAL_SAMPLES,
    loop: Annotated[
        bool, typer.Option("--loop", help="Try the best on the board's loop too, and choose there.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the model with the best law here."),
    ] = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Find the noise law that gives a network its best samples; --out stores it with the model.

    Searched in software; minutes on one core. `hil run --mode sde` follows the stored law.
    """
    ctx = context(bench, board, json=json, seed=seed, model=model)
    network, console = load_model(ctx.config.model), ctx.console
    laws = [NoiseLaw.parse(text) for text in law or []]
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}; nothing was measured")
    found = _software(network, laws, samples, console)
    on_loop = _on_loop(ctx, network, found) if loop else []
    best = ranked([f for f in on_loop or found if f.law is not None])[0].law or network.noise
    judged = compare(
        network, best, references_of(network), samples=samples, steps=STEPS, solver=solve_fast
    )
    if out is not None:
        save_model(dataclasses.replace(network, noise=best), out)
    if json:
        console.json(_result(network, best, judged, found, on_loop, out))
        return
    console.table(_table(f"Noise laws for {network.name!r}, software", found))
    if on_loop:
        console.table(_table("The same on the loop", on_loop))
    words = "no worse than" if judged.no_worse else "worse than"
    console.say(
        f"best: {best} ({words} the ODE on fresh seeds: sliced W1 differs by "
        f"{judged.difference:+.4f} ± {judged.standard_error:.4f})"
    )
    if out is not None:
        console.done(out)


def _result(
    network: ScoreModel,
    best: NoiseLaw,
    judged: Comparison,
    found: Sequence[LawFigures],
    on_loop: Sequence[LawFigures],
    out: Path | None,
) -> dict[str, Any]:
    """All that was found, for --json."""
    return {
        "model": network.name,
        "stored_before": str(network.noise),
        "best": dataclasses.asdict(best),
        "difference_to_ode": judged.difference,
        "standard_error": judged.standard_error,
        "no_worse_than_ode": judged.no_worse,
        "software": [figures.to_dict() for figures in found],
        "loop": [figures.to_dict() for figures in on_loop],
        "written": None if out is None else str(out),
    }


def _software(
    network: ScoreModel, laws: Sequence[NoiseLaw], samples: int, console: Console
) -> list[LawFigures]:
    """The ODE and the laws, best first."""
    references = references_of(network)
    with console.steps("Noise laws in software") as progress:
        ode = measure(network, None, references, samples, SEARCH_SEEDS, solver=solve_fast)
        if laws:
            each = [
                measure(network, law, references, samples, SEARCH_SEEDS, solver=solve_fast)
                for law in laws
            ]
            return [*ranked(each), ode]
        found = search(
            network, references, final_samples=samples, progress=progress, solver=solve_fast
        )
        return [*found, ode]


def _on_loop(ctx: Context, network: ScoreModel, found: Sequence[LawFigures]) -> list[LawFigures]:
    """The best laws on the board, with the network that was programmed last."""
    config = ctx.config
    placement, source = latest_placement(config)
    refuse_other_model(placement, network)
    laws = laws_for_loop([figures for figures in found if figures.law is not None])
    parameters = {"model": config.model, "program": source.path.name}
    with session(config, "noise", parameters=parameters, bench_text=ctx.bench_text) as (run, bench):
        with ctx.console.steps("Noise laws on the loop") as progress:
            figures = loop_study(
                bench, network, placement, laws, references_of(network), LOOP_SAMPLES, progress
            )
        run.save_json("results.json", {"laws": [each.to_dict() for each in figures]})
    return figures


def _table(title: str, found: Sequence[LawFigures]) -> Table:
    laws = [f for f in found if f.law is not None][:SHOWN]
    shown = [*laws, *(f for f in found if f.law is None)]
    lines = tuple(
        (f.name, number(f.sliced_w1), number(f.kl_1d), number(f.noise_share, 2), number(f.samples))
        for f in shown
    )
    return Table(
        title,
        ("", "sliced W₁", "KL, 1-D", "noise decides", "samples"),
        lines,
        "Noise decides: how far other noise moves the samples, over how far apart they are. "
        "Distances shrink with the number of samples: compare rows of one number.",
    )
