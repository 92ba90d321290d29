"""`hil train`: train a score network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration.progress import Progress
from hil.cli.console import Console
from hil.cli.options import JsonOption
from hil.diffusion.companion import save_companion
from hil.diffusion.model import save_model
from hil.diffusion.score_model import ScoreModel
from hil.diffusion.task import Prepared
from hil.diffusion.tasks import TASKS, find_task
from protocols.errors import InputError


def command(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help=f"What to learn: {', '.join(TASKS)}.")
    ] = "ring",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="EMNIST's folder of IDX files for letters, a CSV or NPZ file for points.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Model file; default TASK.npz here."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and noise.")] = None,
    score_steps: Annotated[int | None, typer.Option(min=1, help="Steps of score matching.")] = None,
    solve_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps through the solved loop.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a score network that tolerates conductance errors; minutes on two cores.

    The default of everything reproduces the shipped model. A task in latent space trains its
    autoencoder first; what belongs to the model is written beside it.
    """
    from hil.diffusion.train import train  # torch: a second that only training needs

    console = Console(json=json)
    chosen = find_task(task)
    data = chosen.checked(data)
    path = out or Path(f"{task}.npz")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; nothing was trained")
    given = {"seed": seed, "score_steps": score_steps, "solve_steps": solve_steps}
    changes: dict[str, Any] = {key: v for key, v in given.items() if v is not None}
    with console.steps(f"Training {task!r}") as progress:
        prepared = chosen.prepare(data, _teller(progress, "autoencoder"))
        config = replace(chosen.config, **changes)
        config = config.fitting(len(prepared.source.class_names))
        model = train(config, _teller(progress, "training"), prepared.source)
    model = replace(model, task=chosen.name) if chosen.name != "ring" else model
    model = _with_companion(model, prepared, path)
    save_model(model, path)
    if json:
        console.json({"model": str(path), "metrics": dict(model.training.metrics)})
    else:
        console.facts("the software's samples with it", _figures(model.training.metrics))
        console.done(path)


def _with_companion(model: ScoreModel, prepared: Prepared, path: Path) -> ScoreModel:
    """Writes what belongs beside the model, which from then on names it."""
    companion = prepared.companion
    if companion is None:
        return model
    beside = path.with_name(f"{path.stem}.{prepared.suffix}.npz")
    save_companion(companion, beside)
    return replace(
        model,
        decoder=None if companion.vae is None else beside.name,
        reference=None if companion.source is None else beside.name,
    )


def _figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics with a count as a whole number."""
    return {key: int(value) if key == "samples" else value for key, value in metrics.items()}


def _teller(progress: Progress, what: str) -> Callable[[int, int, float], None]:
    def tell(step: int, total: int, loss: float) -> None:
        progress(step, total, f"{what}: loss {loss:.4f}")

    return tell
