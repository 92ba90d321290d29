"""What a study may vary, and how a study file says which values.

An axis takes one value, a list of values, or a range:

    chip: 7                                    one value: the same at every point
    weight_error: [0, 0.01, 0.02]              these
    chip: {first: 1, count: 50}                whole numbers from the first on
    read_noise: {low: 0.1, high: 10, count: 9, log: true}   evenly spaced, both ends included
    weight_error: {low: 0, high: 0.1}          of a random sample only: drawn between the two
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from protocols.errors import ConfigError

Value = str | int | float | None
Kind = Literal["text", "whole", "number"]
MAX_POINTS = 200_000
"""Of one study: its rows are held in memory, some kilobytes each (this project's choice)."""
_DIGITS = 12
"""Significant digits of a value of a range: what is evenly spaced is also written that way."""


@dataclass(frozen=True)
class Axis:
    """One thing that a study may vary.

    Attributes:
        kind: of its values.
        default: what a point has that is not told otherwise.
        about: for a reader; with the unit.
        low, high: of a number, both allowed.
        optional: whether `null` is a value.
        choices: of a text, where there are only so many.
        zero: whether 0 is allowed although it lies below `low`.
    """

    kind: Kind
    default: Value
    about: str
    low: float = -math.inf
    high: float = math.inf
    optional: bool = False
    choices: tuple[str, ...] = ()
    zero: bool = False

    def value(self, given: object, where: str) -> Value:
        """`given` as a value of this axis. Raises ConfigError; `where` names file and key."""
        if given is None and self.optional:
            return None
        if self.kind == "text":
            return self._text(given, where)
        shown, given = given, _number(given)
        if given is None or (self.kind == "whole" and int(given) != given):
            kind = "whole number" if self.kind == "whole" else "number"
            raise ConfigError(f"{where}: {shown!r:.80} is no {kind}")
        if not (self.low <= given <= self.high or (self.zero and given == 0)):
            zero = "0, or " if self.zero and self.low > 0 else ""
            allowed = f"{zero}{self.low:g} to {self.high:g}"
            raise ConfigError(f"{where} is {shown!r}; allowed is {allowed}")
        return int(given) if self.kind == "whole" else float(given)

    def _text(self, given: object, where: str) -> str:
        if not isinstance(given, str) or not 0 < len(given) <= 200:
            raise ConfigError(f"{where}: {given!r:.80} is no name of 1 to 200 characters")
        if self.choices and given not in self.choices:
            raise ConfigError(f"{where}: unknown {given!r}; known are {', '.join(self.choices)}")
        return given


def _number(given: object) -> int | float | None:
    """A finite number, also one that YAML takes for a text (1e-6 has no point); None for others."""
    if isinstance(given, str):
        try:
            given = float(given)
        except ValueError:
            return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return None
    return given


AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "task": Axis("text", None, "a task: its shipped model", optional=True),
        "model": Axis("text", None, "a model: name or file; the task's if null", optional=True),
        "label": Axis("whole", None, "class of a conditional model", 0, 63, optional=True),
        "profile": Axis(
            "text", None, "technology: name or file; the bench's if null", optional=True
        ),
        "chip": Axis("whole", 1, "seed of the chip and its board", 0, 2**53),
        "tolerance_siemens": Axis(
            "number",
            None,
            "tolerance of programming, siemens; the bench's if null",
            1e-8,
            1e-3,
            optional=True,
            zero=True,
        ),
        "weight_error": Axis(
            "number", 0.0, "static error of every weight over its layer's largest, rms", 0.0, 2.0
        ),
        "read_noise": Axis(
            "number", 1.0, "read noise of the cells, factor on the profile's", 0.1, 10.0, zero=True
        ),
        "stuck_fraction": Axis(
            "number",
            None,
            "stuck cells, half of them low; the bench's if null",
            0,
            1,
            optional=True,
        ),
        "dac_bits": Axis(
            "whole",
            None,
            "bits of the waveforms' converters; the board's if null",
            2,
            16,
            optional=True,
        ),
        "age_s": Axis("number", 0.0, "time between programming and use, s", 0.0, 1e9),
        "samples": Axis("whole", 2000, "samples solved per chip", 10, 1_000_000),
        "mode": Axis("text", "ode", "what the loop integrates", choices=("ode", "sde")),
    }
)


@dataclass(frozen=True)
class Point:
    """One chip and what is asked of it: a value of every axis, in the order of `AXES`."""

    task: str | None = None
    model: str | None = None
    label: int | None = None
    profile: str | None = None
    chip: int = 1
    tolerance_siemens: float | None = None
    weight_error: float = 0.0
    read_noise: float = 1.0
    stuck_fraction: float | None = None
    dac_bits: int | None = None
    age_s: float = 0.0
    samples: int = 2000
    mode: str = "ode"

    def values(self) -> dict[str, Value]:
        """By axis."""
        return {name: getattr(self, name) for name in AXES}


@dataclass(frozen=True)
class Values:
    """What a file says of one axis: values to take, or the ends between which to draw."""

    chosen: tuple[Value, ...] = ()
    between: tuple[float, float] | None = None
    log: bool = False
    draw: Callable[[float], Value] = field(default=float, compare=False)


_RANGES = ({"first", "count"}, {"low", "high", "count"}, {"low", "high", "count", "log"})
_BETWEEN = ({"low", "high"}, {"low", "high", "log"})


def read_values(name: str, given: object, where: str, *, random: bool) -> Values:
    """What the file says of axis `name`.

    Raises:
        ConfigError: no such axis, a value that it does not take, or one that stands there twice.
    """
    if name not in AXES:
        raise ConfigError(f"{where}: no such axis; known are {', '.join(AXES)}")
    axis = AXES[name]
    if isinstance(given, dict):
        return _range(axis, given, where, random=random)
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise ConfigError(f"{where}: an empty list: the study would have no point")
    if len(listed) > MAX_POINTS:
        raise ConfigError(f"{where}: {len(listed)} values; {MAX_POINTS} are allowed")
    values = tuple(axis.value(one, where) for one in listed)
    seen: set[Value] = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{where}: {value!r} stands there twice")
        seen.add(value)
    return Values(values)


def _range(axis: Axis, given: dict[Any, Any], where: str, *, random: bool) -> Values:
    keys = set(given)
    if keys in _BETWEEN and random and axis.kind != "text":
        low, high, log = _ends(axis, given, where)
        whole = axis.kind == "whole"
        return Values((), (low, high), log, (lambda v: round(v)) if whole else float)
    if keys not in _RANGES or axis.kind == "text":
        allowed = "{first, count}, {low, high, count} or {low, high, count, log}"
        between = ", or {low, high} and {low, high, log} to draw between" if random else ""
        raise ConfigError(
            f"{where}: {given!r:.120} is no range of this axis; write a value, a list"
            + ("" if axis.kind == "text" else f", {allowed}{between}")
        )
    count = _whole(given["count"], 1, MAX_POINTS, f"{where}.count")
    if "first" in given:
        return _whole_numbers(axis, given["first"], count, where)
    low, high, log = _ends(axis, given, where)
    spaced = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    tidy = [float(f"{value:.{_DIGITS}g}") for value in spaced]
    if axis.kind == "whole":
        tidy = [float(value) for value in sorted({round(value) for value in tidy})]
    return Values(tuple(axis.value(value, where) for value in tidy))


def _whole_numbers(axis: Axis, first: object, count: int, where: str) -> Values:
    if axis.kind != "whole":
        raise ConfigError(f"{where}: first and count are for whole numbers")
    start = _whole(first, axis.low, axis.high, f"{where}.first")
    axis.value(start + count - 1, where)
    return Values(tuple(range(start, start + count)))


def _whole(given: object, low: float, high: float, where: str) -> int:
    found = Axis("whole", None, "", low, high).value(given, where)
    return found if isinstance(found, int) else 0


def _ends(axis: Axis, given: dict[Any, Any], where: str) -> tuple[float, float, bool]:
    low, high = (axis.value(given[key], f"{where}.{key}") for key in ("low", "high"))
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise ConfigError(f"{where}.log: {log!r} is not true or false")
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low < high:
        raise ConfigError(f"{where}: low must lie below high")
    if log and low <= 0:
        raise ConfigError(f"{where}: a logarithmic range starts above 0")
    return float(low), float(high), log
