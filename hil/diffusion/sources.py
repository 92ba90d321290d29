"""Where points to learn from and to judge by come from: a law, or a finite set.

A source gives as many points as are asked for, each a function of (seed, its number) alone. A
finite set repeats its points; with a spread per point it is the law of a normal about each of them,
as the posterior of an encoder is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.keyed import FloatArray, Stream, normals, uniforms
from protocols.errors import DataError

IntArray = NDArray[np.int64]


class LabelledPoints(NamedTuple):
    """Points (n, d) in model units, their classes (n,) or None, and what the classes are called."""

    x: FloatArray
    labels: IntArray | None
    class_names: tuple[str, ...]


class Source(Protocol):
    """Points of one data set, which never change."""

    def __hash__(self) -> int:
        """Sources are told apart, so that what was made of one is kept."""

    @property
    def dimensions(self) -> int:
        """Coordinates of a point."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called; empty for a set without classes."""

    def draw(self, n: int, seed: int, first: int = 0, label: int | None = None) -> FloatArray:
        """Points `first`..`first + n - 1` of a seed, of one class or (None) of all, (n, d)."""


@dataclass(frozen=True)
class LawSource:
    """An unconditional law: `law` gives points `first`..`first + n - 1` of a seed."""

    dimensions: int
    law: Callable[[int, int, int], FloatArray]
    class_names: tuple[str, ...] = ()

    def draw(self, n: int, seed: int, first: int = 0, label: int | None = None) -> FloatArray:
        """See `Source`."""
        _check_label(label, self.class_names)
        return self.law(n, seed, first)


@dataclass(frozen=True, eq=False)
class FiniteSource:
    """A set of points (n, d), with a standard deviation of each coordinate and labels if any.

    Raises DataError for what is no such set: shapes, values that are not finite, a label without a
    name, a class without a point.
    """

    points: FloatArray
    spread: FloatArray | None = None
    labels: IntArray | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or 0 in self.points.shape:
            raise DataError(f"points of shape {self.points.shape}; (n, dimensions) is needed.")
        for what, values in (("point", self.points), ("spread", self.spread)):
            if values is not None and (
                values.shape != self.points.shape or not np.isfinite(values).all()
            ):
                at = int(np.argmin(np.isfinite(values).all(axis=-1))) if values.ndim else 0
                raise DataError(
                    f"{what} {at} is not finite, or there is not one {what} for each of "
                    f"{len(self.points)} points of {self.points.shape[1]} coordinates."
                )
        if self.spread is not None and (self.spread < 0.0).any():
            raise DataError("a standard deviation of a point is negative.")
        self._check_labels()

    def _check_labels(self) -> None:
        labels, names = self.labels, self.class_names
        if labels is None:
            if names:
                raise DataError(f"{len(names)} class names for points without labels.")
            return
        if labels.shape != (len(self.points),):
            raise DataError(f"{labels.shape} labels for {len(self.points)} points.")
        found = set(np.unique(labels).tolist())
        if found != set(range(len(names))):
            strange = sorted(found ^ set(range(len(names))))[0]
            raise DataError(
                f"class {strange} has no point or no name; there are {len(names)} classes, "
                "numbered from 0, and each needs a point."
            )

    @property
    def dimensions(self) -> int:
        """Coordinates of a point."""
        return int(self.points.shape[1])

    @property
    def labelled(self) -> LabelledPoints:
        """The set as it is."""
        return LabelledPoints(self.points, self.labels, self.class_names)

    def draw(self, n: int, seed: int, first: int = 0, label: int | None = None) -> FloatArray:
        """See `Source`; points are drawn with replacement."""
        _check_label(label, self.class_names)
        chosen = self._members[-1 if label is None else label]
        row = 0 if label is None else 1 + label
        u = uniforms(seed, Stream.DATA, first, n, 2, row=row)[:, 0]
        which = chosen[np.minimum((u * len(chosen)).astype(np.int64), len(chosen) - 1)]
        if self.spread is None:
            return self.points[which]
        normal = normals(seed, Stream.DATA_SPREAD, first, n, self.dimensions, row=row)
        return self.points[which] + self.spread[which] * normal

    @cached_property
    def _members(self) -> list[IntArray]:
        """Numbers of the points of each class, then of all."""
        every = np.arange(len(self.points))
        if self.labels is None:
            return [every]
        return [*(np.flatnonzero(self.labels == k) for k in range(len(self.class_names))), every]


def _check_label(label: int | None, names: tuple[str, ...]) -> None:
    if label is not None and not 0 <= label < len(names):
        raise DataError(f"class {label} does not exist; the data set has {len(names)} classes.")
