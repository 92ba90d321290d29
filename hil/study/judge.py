"""Figures of the samples of a point, beside those of the software from the same starts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.metrics import Metrics, evaluate, reference_of
from hil.diffusion.references import source_of
from hil.diffusion.sampler import Solve, euler_maruyama, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.diffusion.sources import Source
from hil.study.settings import ideal_model
from hil.waveforms import Mode

FloatArray = NDArray[np.float64]
SOFTWARE_STEPS = 1000
SHARED = ("kl_1d", "kl_2d", "sliced_w1", "radius_mean", "radius_sd", "angle_kuiper")


def judged(
    samples: FloatArray, model: str, mode: str, label: int | None, seed: int
) -> dict[str, float]:
    """The figures of samples (n, 2) of a model's chip, in model units.

    Raises:
        DataError: samples that are not finite, or a model whose data nobody knows.
    """
    network = ideal_model(model)
    found = evaluate(samples, _reference(network, label))
    beside = software(model, mode, label, len(samples), seed)
    return {
        **{name: float(getattr(found, name)) for name in SHARED},
        "software_kl_1d": beside.kl_1d,
        "software_sliced_w1": beside.sliced_w1,
    }


@lru_cache(maxsize=64)
def software(model: str, mode: str, label: int | None, count: int, seed: int) -> Metrics:
    """What the software makes of the same initial conditions, by 1,000 Euler steps."""
    network = ideal_model(model)
    start = initial_conditions(network, seed, 0, count)
    if mode == Mode.SDE.value:
        end = euler_maruyama(network, start, seed, steps=SOFTWARE_STEPS, label=label)
    else:
        end = solve(network, start, Solve(steps=SOFTWARE_STEPS, label=label))
    return evaluate(end, _reference(network, label))


@lru_cache(maxsize=16)
def _source(model: ScoreModel) -> Source:
    return source_of(model)  # the same object each time: references are kept by it


def _reference(model: ScoreModel, label: int | None) -> FloatArray:
    return reference_of(_source(model), label)
