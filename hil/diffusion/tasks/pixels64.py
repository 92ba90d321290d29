"""All ten handwritten digits without an autoencoder: diffusion in the 64 pixels themselves.

Nothing that fits one macro: the network is 64 -> 112 -> 112 -> 64, so that a hidden layer's
differential pairs take two macros of 128 x 128 cells.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hil.diffusion.digits import SHAPE, digits
from hil.diffusion.pictures import PixelCodec
from hil.diffusion.sources import FiniteSource
from hil.diffusion.task import Prepared, Progress, Task
from hil.diffusion.train_config import TrainConfig, WeightNoise

CLASSES = tuple(range(10))


@lru_cache(maxsize=1)
def _source() -> FiniteSource:
    pictures = digits(CLASSES)
    points = PixelCodec(SHAPE).encode(pictures.images)
    return FiniteSource(points, None, pictures.labels, pictures.class_names)


def _prepare(path: Path | None, progress: Progress | None) -> Prepared:  # noqa: ARG001  (protocol)
    return Prepared(_source())


TASK = Task(
    name="pixels64",
    description="all ten handwritten digits from scikit-learn, by class, in their 64 pixels",
    config=TrainConfig(
        name="pixels64",
        data="pixels64",
        beta_max=4.0,
        initial_sd=1.0,
        n_frequencies=56,
        frequency_sd=1.0,
        groups=3,
        batch=160,
        score_steps=1500,
        score_rate=2e-3,
        score_noise=WeightNoise(additive=0.005, multiplicative=0.02),
        solve_steps=1500,
        solve_rate=2e-3,
        solve_noise=WeightNoise(additive=0.005, multiplicative=0.02),
        ticks=12,
        sde_share=0.0,
        score_weight=0.02,
        radius_weight=0.0,
        moment_weight=0.0,
        range_weight=1e-4,
        check_samples=200,
        check_steps=100,
    ),
    prepare=_prepare,
    builtin=_source,
    pictures=lambda: PixelCodec(SHAPE),
)
