"""`hil run`: calibrate the loop, solve, bring the samples home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from hil.cli.options import (
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
from hil.cli.stepped import GuidanceOption, SteppedOption, choose_way, run_command
from hil.diffusion.model import load_model
from hil.diffusion.noise_source import SEEDED, NoiseSource, noise_source
from hil.diffusion.score_model import ScoreModel
from hil.jobs.classes import PER_CLASS, Asked
from hil.jobs.network import latest_placement, refuse_other_model
from hil.jobs.plans import run_plan
from hil.jobs.resume import parameter
from hil.jobs.samples import class_results, run_samples
from hil.jobs.session import session
from hil.record import RunFolder
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
    wanted = Request(samples, mode, label, per_class, noise)
    if resume is None:
        ctx, before = context(bench, board, json=json, seed=seed, model=model), None
    else:
        given: dict[str, object] = {"MODEL": model, "--bench": bench, "--board": board}
        given |= {"--seed": seed, "--noise": noise, "--label": label, "--per-class": per_class}
        given |= {"--guidance": guidance, "--stepped": stepped, "--dry-run": dry_run}
        ctx, before = resumed(resume, "run", json=json, given=given)
        wanted = Request.of_run(before)
    noises = wanted.noises(ctx.config.seed)
    network = load_model(ctx.config.model)
    way = choose_way(ctx, network, stepped if before is None else False, guidance)
    asked = Asked.of(network, wanted.label, wanted.samples, wanted.per_class)
    if way.stepped:
        run_command(ctx, way.model, asked, mode, noise=noise, dry_run=dry_run, json=json)
    elif dry_run:
        plan = run_plan(ctx.config, way.model, asked, wanted.mode)
        ctx.console.plan("hil run would drive", plan)
    else:
        _solve(ctx, way.model, wanted, asked, noises, before, json=json)


@dataclass(frozen=True)
class Request:
    """What to solve, as the command line has it or the run that was cut off."""

    samples: int
    mode: Mode
    label: str | None
    per_class: int | None
    noise: str | None

    @classmethod
    def of_run(cls, before: RunFolder) -> Request:
        """What a run was asked for."""
        mode = Mode(parameter(before, "mode"))
        return cls(
            samples=int(parameter(before, "samples")),
            mode=mode,
            label=parameter(before, "label", None),
            per_class=parameter(before, "per_class", None),
            noise=str(parameter(before, "noise")) if mode is Mode.SDE else None,
        )

    def noises(self, seed: int) -> NoiseSource:
        """Where the noise comes from.

        Raises:
            InputError: noise was named and the mode knows none, or it cannot be had.
        """
        if self.noise is not None and self.mode is not Mode.SDE:
            raise InputError(
                f"--noise {self.noise}: mode {self.mode.value} has no noise; use --mode sde"
            )
        return noise_source(self.noise or SEEDED, seed)

    def parameters(self, model: str, program: str) -> dict[str, object]:
        """What the run's record says of it; `program` is the run that programmed the network."""
        said: dict[str, object] = {
            "model": model,
            "samples": self.samples,
            "mode": self.mode.value,
            "label": self.label,
            "per_class": self.per_class,
            "program": program,
        }
        return said | ({"noise": self.noise or SEEDED} if self.mode is Mode.SDE else {})


def _solve(
    ctx: Context,
    network: ScoreModel,
    wanted: Request,
    asked: Asked,
    noises: NoiseSource,
    before: RunFolder | None,
    *,
    json: bool,
) -> None:
    """Solve on the analog loop with the network that was programmed last, and say what came out."""
    config, console = ctx.config, ctx.console
    programmed = None if before is None else config.runs / str(parameter(before, "program"))
    placement, source = latest_placement(config, programmed)
    refuse_other_model(placement, network)
    parameters = wanted.parameters(config.model, source.path.name)
    with session(
        config, "run", parameters=parameters, bench_text=ctx.bench_text, resume=before
    ) as (run, opened):
        with console.steps("Running") as progress:
            data = run_samples(
                opened, run, network, placement, asked, wanted.mode, progress, noises
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
