"""Data sets by name: those that a task gives without being handed a file."""

from __future__ import annotations

from hil.diffusion.keyed import FloatArray
from hil.diffusion.sources import Source
from hil.diffusion.tasks import TASKS
from hil.diffusion.tasks.ring import RING_RADIUS, RING_RADIUS_SD, ring
from protocols.errors import DataError

__all__ = ["RING_RADIUS", "RING_RADIUS_SD", "draw", "named_source", "ring"]


def named_source(name: str) -> Source:
    """The data set of the task called `name`.

    Raises DataError for an unknown name, and for a task whose data the user has to name.
    """
    if name not in TASKS:
        raise DataError(f"unknown data set {name!r}; the known ones are {', '.join(TASKS)}.")
    return TASKS[name].source()


def draw(name: str, n: int, seed: int, first: int = 0, label: int | None = None) -> FloatArray:
    """Points of the data set called `name`, shape (n, d); DataError as for `named_source`."""
    return named_source(name).draw(n, seed, first, label)
