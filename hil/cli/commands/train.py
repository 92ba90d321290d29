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
from hil.diffusion.model import save_model
from protocols.errors import InputError

TASKS = ("ring",)


def command(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help=f"What to learn: {', '.join(TASKS)}.")
    ] = "ring",
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

    The default of everything reproduces the shipped model.
    """
    from hil.diffusion.train import TrainConfig, train  # torch: a second that only training needs

    console = Console(json=json)
    if task not in TASKS:
        raise InputError(f"{task!r} is nothing to learn; known are: {', '.join(TASKS)}")
    given = {"seed": seed, "score_steps": score_steps, "solve_steps": solve_steps}
    changes: dict[str, Any] = {key: v for key, v in given.items() if v is not None}
    config = replace(TrainConfig(), **changes)
    path = out or Path(f"{task}.npz")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; nothing was trained")
    with console.steps(f"Training {task!r}") as progress:
        model = train(config, _teller(progress))
    save_model(model, path)
    if json:
        console.json({"model": str(path), "metrics": dict(model.training.metrics)})
    else:
        console.facts("the software's samples with it", _figures(model.training.metrics))
        console.done(path)


def _figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics with a count as a whole number."""
    return {key: int(value) if key == "samples" else value for key, value in metrics.items()}


def _teller(progress: Progress) -> Callable[[int, int, float], None]:
    def tell(step: int, total: int, loss: float) -> None:
        progress(step, total, f"training: loss {loss:.4f}")

    return tell
