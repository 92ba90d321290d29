"""A line that does what bad lines do, by a seed: for tests, rehearsals and fault campaigns.

`FaultyStream` wraps any stream. Every byte, in either direction, may meet one of the faults of
`LineFaults`, each with its own probability; which bytes are met depends on the seed and on the
number of the byte alone, not on how the traffic is cut into pieces.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import accumulate
from typing import Self

from drivers.stream import Stream
from protocols.errors import InputError, PortError

_SHARED = ("drop", "flip", "repeat")


@dataclass(frozen=True)
class LineFaults:
    """How often a byte meets which fault; probabilities per byte, 0 to 1, together at most 1.

    Attributes:
        drop: the byte is lost.
        flip: one of its bits arrives inverted.
        repeat: it arrives twice.
        reorder: it changes places with the byte after it.
        delay: it and the rest of its piece arrive with the next piece.
        truncate: it and the rest of its piece are lost.
        again: the whole piece arrives a second time.
        cut: the line breaks; nothing passes any more, in either direction.
        seed: which bytes are met.

    Raises:
        InputError: a probability is not one.
    """

    drop: float = 0.0
    flip: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    truncate: float = 0.0
    again: float = 0.0
    cut: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, rate in self.rates().items():
            if not 0.0 <= rate <= 1.0:
                raise InputError(f"Line fault {name}={rate}: a probability per byte is 0 to 1.")
        if sum(self.rates().values()) > 1.0:
            raise InputError("The line faults of one byte add up to more than 1.")

    def rates(self) -> dict[str, float]:
        """Probability per byte of each fault."""
        return {name: float(rate) for name, rate in asdict(self).items() if name != "seed"}

    @classmethod
    def shared(cls, rate: float, seed: int = 0) -> Self:
        """Drop, flip and repeat, each with a third of `rate` per byte."""
        third = rate / len(_SHARED)
        return cls(**dict.fromkeys(_SHARED, third), seed=seed)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `RATE` (shared by drop, flip and repeat) or `drop=1e-3,cut=1e-6,seed=4`.

        Raises:
            InputError: not of this form; says what is allowed.
        """
        values: dict[str, float] = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            number = _number(value if equals else name, text)
            if equals and name not in {f.name for f in fields(cls)} | {"rate"}:
                raise InputError(f"--line-faults {text!r}: unknown fault {name!r}. {_HELP}")
            values[name if equals else "rate"] = number
        return cls.of(values)

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Self:
        """From names and numbers; `rate` adds to drop, flip and repeat alike."""
        found = dict(values)
        rate, seed = found.pop("rate", 0.0), int(found.pop("seed", 0))
        for name in _SHARED:
            found[name] = found.get(name, 0.0) + rate / len(_SHARED)
        return cls(**found, seed=seed)


_HELP = (
    "Give one rate per byte (shared by drop, flip and repeat), or NAME=RATE,... with the names "
    "rate, drop, flip, repeat, reorder, delay, truncate, again, cut, and seed=N."
)


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise InputError(f"--line-faults {text!r}: {value!r} is not a number. {_HELP}") from error
    if not math.isfinite(number):
        raise InputError(f"--line-faults {text!r}: {value!r} is not finite. {_HELP}")
    return number


class FaultyStream:
    """A stream with faults in both directions.

    `met` counts the faults that have happened, by name. What is delayed arrives with the next piece
    of its direction, or when the reader has waited in vain.
    """

    def __init__(self, stream: Stream, faults: LineFaults) -> None:
        self.name = f"{stream.name} (with line faults)"
        self.faults = faults
        self.met: dict[str, int] = dict.fromkeys(faults.rates(), 0)
        self.waits = bool(getattr(stream, "waits", False))
        self._stream = stream
        self._out = _Direction(faults, 0, self.met)
        self._in = _Direction(faults, 1, self.met)

    def write(self, data: bytes) -> None:
        """Send what is left of `data`."""
        self._check_line()
        damaged = self._out.passed(data)
        self._check_line()
        if damaged:
            self._stream.write(damaged)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, damaged; b"" when nothing came in time."""
        self._check_line()
        deadline = time.monotonic() + timeout_s
        while data := self._stream.read(max(deadline - time.monotonic(), 0.0)):
            damaged = self._in.passed(data)
            self._check_line()
            if damaged:
                return damaged  # a piece that was lost whole is not silence: read on
        return self._in.late()

    def close(self) -> None:
        """Close the line beneath."""
        self._stream.close()

    def _check_line(self) -> None:
        if self._out.cut or self._in.cut:
            raise PortError(f"{self.name}: the line was cut; open it again")


class _Direction:
    """The faults of one direction: a stream of bytes in, what arrives of it out."""

    def __init__(self, faults: LineFaults, number: int, met: dict[str, int]) -> None:
        rates = faults.rates()
        self.cut = False
        self._random = random.Random(2 * faults.seed + number)
        self._kinds = list(rates)
        self._weights = list(accumulate(rates.values()))
        self._met = met
        self._late = b""
        self._gap = self._next_gap()

    def late(self) -> bytes:
        """What was held back."""
        held, self._late = self._late, b""
        return held

    def passed(self, data: bytes) -> bytes:
        """What arrives when `data` is sent."""
        out = bytearray(self.late())
        start, repeats = 0, 1
        while self._gap < len(data) - start:
            out += data[start : start + self._gap]
            start += self._gap
            kind = self._kind()
            self._met[kind] += 1
            if kind == "cut":
                self.cut = True
                return bytes(out)
            if kind == "again":
                out.append(data[start])
                start, repeats = start + 1, 2
            else:
                start = self._meet(kind, data, start, out)
            self._gap = self._next_gap()
        self._gap -= max(len(data) - start, 0)
        out += data[start:]
        return bytes(out) * repeats

    def _meet(self, kind: str, data: bytes, at: int, out: bytearray) -> int:
        """One fault at `data[at]`; where to go on."""
        if kind == "flip":
            out.append(data[at] ^ (1 << self._random.randrange(8)))
        elif kind == "repeat":
            out += data[at : at + 1] * 2
        elif kind == "reorder":
            out += data[at : at + 2][::-1]
            return at + 2
        elif kind == "delay":
            self._late = data[at:]
            return len(data)
        elif kind == "truncate":
            return len(data)
        return at + 1

    def _kind(self) -> str:
        at = self._random.random() * self._weights[-1]
        return next(k for k, end in zip(self._kinds, self._weights, strict=True) if at < end)

    def _next_gap(self) -> int:
        """Bytes that pass before the next fault: geometric with the rate of all faults."""
        rate = self._weights[-1]
        if rate <= 0.0:
            return 1 << 62
        if rate >= 1.0:
            return 0
        return int(math.log(1.0 - self._random.random()) / math.log1p(-rate))
