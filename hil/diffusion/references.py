"""What a model's samples are judged by and shown as: its own data set and its decoder."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from hil.diffusion.companion import Companion, load_companion
from hil.diffusion.data import named_source
from hil.diffusion.metrics import class_distances, evaluate, reference_of
from hil.diffusion.pictures import Codec
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.diffusion.sources import Source
from hil.diffusion.tasks import TASKS
from protocols.errors import ModelError

CHECK_SEED = 11


def source_of(model: ScoreModel) -> Source:
    """The data of a model: those beside its file, or those of the task that it names.

    Raises:
        ModelError: the file beside the model is missing or damaged, or holds no points.
        DataError: the model names no known data set.
    """
    if model.reference is None:
        return named_source(model.training.data)
    source = _beside(model, model.reference).source
    if source is None:
        raise ModelError(f"{model.reference}: holds no points, as model {model.name!r} says.")
    if source.dimensions != model.dimensions or len(source.class_names) < model.n_classes:
        raise ModelError(
            f"{model.reference}: points of {source.dimensions} dimensions and "
            f"{len(source.class_names)} classes do not belong to model {model.name!r}."
        )
    return source


def codec_of(model: ScoreModel) -> Codec | None:
    """What makes pictures of a model's samples; None where they are no pictures.

    Raises ModelError when the decoder's file is missing, damaged or of another dimension.
    """
    if model.decoder is None:
        task = TASKS.get(model.task)
        return task.pictures() if task is not None and task.pictures is not None else None
    vae = _beside(model, model.decoder).vae
    if vae is None or vae.dimensions != model.dimensions:
        raise ModelError(
            f"{model.decoder}: holds no decoder of the {model.dimensions} dimensions of model "
            f"{model.name!r}."
        )
    return vae


def _beside(model: ScoreModel, name: str) -> Companion:
    if model.folder is None:
        raise ModelError(
            f"model {model.name!r} needs the file {name!r} beside its own, and was not read from "
            "a file; save it and load it first."
        )
    return _load(model.folder / name)


@lru_cache(maxsize=8)
def _load(path: Path) -> Companion:
    return load_companion(path)


def check_figures(
    model: ScoreModel, source: Source, count: int, steps: int = 1000
) -> dict[str, float]:
    """Figures of the software's own samples, for the training record; none when a solve diverges.

    Of an unconditional model those of `evaluate`, of a conditional one the sliced Wasserstein-1
    distance of its classes, mean and worst, from `count` samples in all, in `steps` Euler steps.
    """
    labels: list[int | None] = [*range(model.n_classes)] or [None]
    each = max(count // len(labels), 1)
    parts = []
    for number, label in enumerate(labels):
        start = initial_conditions(model, CHECK_SEED, number * each, each)
        parts.append(solve(model, start, Solve(steps=steps, label=label)))
    samples = np.concatenate(parts)
    if not np.isfinite(samples).all():
        return {}
    if model.n_classes:
        of = np.repeat(np.arange(model.n_classes), each)
        distances = list(class_distances(samples, of, source).values())
        figures: dict[str, float] = {
            "class_w1_mean": float(np.mean(distances)),
            "class_w1_worst": float(np.max(distances)),
            "samples": len(samples),
        }
    else:
        figures = evaluate(samples, reference_of(source)).to_dict()
    return {key: round(float(value), 6) for key, value in figures.items() if np.isfinite(value)}
