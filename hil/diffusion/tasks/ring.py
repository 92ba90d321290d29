"""The published unconditional task: a ring in the plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hil.diffusion.keyed import FloatArray, Stream, uniforms
from hil.diffusion.sources import LawSource
from hil.diffusion.task import Prepared, Progress, Task
from hil.diffusion.train_config import TrainConfig

RING_RADIUS = 0.7
RING_RADIUS_SD = 0.04


def ring(n: int, seed: int, first: int = 0) -> FloatArray:
    """Points `first`..`first + n - 1` of the published ring, shape (n, 2), in model units.

    r ~ N(0.7, 0.04) and a uniform angle, as in the published unconditional notebook. Every point
    depends on (seed, its index) alone.
    """
    u = uniforms(seed, Stream.DATA, first, n, 4)
    normal = np.sqrt(-2.0 * np.log(u[:, 0])) * np.cos(2.0 * np.pi * u[:, 1])
    radius = RING_RADIUS + RING_RADIUS_SD * normal
    angle = 2.0 * np.pi * u[:, 2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _source() -> LawSource:
    return LawSource(2, ring)


def _prepare(path: Path | None, progress: Progress | None) -> Prepared:  # noqa: ARG001  (protocol)
    return Prepared(_source())


TASK = Task(
    name="ring",
    description="a ring of radius 0.7 in the plane, without classes",
    config=TrainConfig(),
    prepare=_prepare,
    builtin=_source,
)
