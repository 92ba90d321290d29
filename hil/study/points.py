"""The points of a study, in the one order that the table has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from hil.study.axes import AXES, MAX_POINTS, Point, Value, Values
from hil.study.config import StudyConfig
from protocols.errors import ConfigError

STREAM_SAMPLE = 6_001
"""Of the draws of a random sample, one key per axis beside it."""


def points_of(study: StudyConfig, source: str = "the study") -> list[Point]:
    """Every point of a study; the position is the row's `point` number.

    A grid runs through its axes in the order of `AXES`, the last one fastest. In a random sample
    the draw of a value is keyed by (seed, axis, point): another axis or more points change none.

    Raises:
        ConfigError: the file's values are not allowed, or they are too many.
    """
    values = study.values(source)
    if study.grid is None:
        return _sample(study, values)
    count = math.prod(len(one.chosen) for one in values.values())
    if count > MAX_POINTS:
        raise ConfigError(f"{source}: grid: {count} points; {MAX_POINTS} are allowed")
    names = list(values)
    rows = product(*(values[name].chosen for name in names))
    return [_point(dict(zip(names, row, strict=True))) for row in rows]


def _sample(study: StudyConfig, values: Mapping[str, Values]) -> list[Point]:
    count = study.sample.points
    columns: dict[str, list[Value]] = {
        name: _drawn(one, study.sample.seed, list(AXES).index(name), count)
        for name, one in values.items()
    }
    if "chip" not in columns:
        columns["chip"] = list(range(1, count + 1))
    return [_point({name: column[k] for name, column in columns.items()}) for k in range(count)]


def _drawn(values: Values, seed: int, axis: int, count: int) -> list[Value]:
    key = np.array([seed, STREAM_SAMPLE + axis], dtype=np.uint64)
    uniform = np.random.Generator(np.random.Philox(key=key)).random(count)
    if values.between is None:
        at = (uniform * len(values.chosen)).astype(np.int64)
        return [values.chosen[k] for k in at.tolist()]
    low, high = values.between
    if values.log:
        drawn = np.exp(np.log(low) + uniform * (np.log(high) - np.log(low)))
    else:
        drawn = low + uniform * (high - low)
    return [values.draw(value) for value in np.clip(drawn, low, high).tolist()]


def _point(given: Mapping[str, Any]) -> Point:
    return Point(**given)
