"""Training and reference data: one function per data set, each keyed by (seed, point)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hil.diffusion.keyed import FloatArray, Stream, uniforms
from protocols.errors import DataError

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


DATA_SETS: dict[str, Callable[[int, int, int], FloatArray]] = {"ring": ring}


def draw(name: str, n: int, seed: int, first: int = 0) -> FloatArray:
    """Points of the data set called `name`, shape (n, 2); raises DataError for an unknown name."""
    if name not in DATA_SETS:
        raise DataError(f"unknown data set {name!r}; the known ones are {', '.join(DATA_SETS)}.")
    return DATA_SETS[name](n, seed, first)
