"""Requests of a board cut into frames, asked in one round trip, and their answers put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.identity import Identity
from drivers.link import Link
from protocols import messages
from protocols.codec import Message
from protocols.errors import InputError, MessageError

R = TypeVar("R", bound=Message)
E = TypeVar("E")
SumsT = TypeVar(
    "SumsT",
    messages.ReadResponse,
    messages.LoopbackResponse,
    messages.ReadReferenceResponse,
    messages.LineCheckResponse,
)
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Readings:
    """ADC codes of a batch, one per entry (sums where several were asked), and the board's time.

    `doubtful` are the first entries of frames of pulses that may never have been driven: a resumed
    run does not know, and has read their cells.
    """

    codes: Codes
    time_s: float
    doubtful: tuple[int, ...] = ()


class Calls:
    """What every command of a board is made of."""

    def __init__(self, link: Link) -> None:
        self.link = link

    @property
    def identity(self) -> Identity:
        """Who answered `hello`.

        Raises:
            SessionLost: no session is open.
        """
        return Identity.of(self.link.hello)

    @property
    def name(self) -> str:
        """The board for a message."""
        return self.link.name

    def capacity(self, request: type[Message]) -> int:
        """How many entries of a message fit into one frame, there and back."""
        payload = self.link.hello.payload_bytes
        response = messages.RESPONSES[request.CODE]
        fits = []
        if request.ENTRY is not None:
            fits.append(request.entries_per_payload(payload))
        if response.ENTRY is not None:
            fits.append(response.entries_per_payload(payload - 1))  # the status byte
        fits += [f.maximum for f in request.FIELDS if f.name == "count"]
        return min(fits)

    def _do(self, request: Message) -> None:
        self.link.call(request)

    def _ask(self, request: Message, kind: type[R]) -> R:
        return typed(self.link.call(request), kind)

    def _ask_many(
        self,
        requests: Sequence[Message],
        kind: type[R],
        on_response: Callable[[int, int, Message], None] | None = None,
    ) -> list[R]:
        return [typed(got, kind) for got in self.link.call_many(requests, on_response)]

    def _placed(
        self, request: type[Message], first: int, entries: Sequence[E]
    ) -> list[tuple[int, tuple[E, ...]]]:
        """Entries in pieces that fit into one frame of a message, each with its position."""
        size = self.capacity(request)
        return [(first + at, tuple(entries[at : at + size])) for at in range(0, len(entries), size)]

    def _cut(self, request: type[Message], entries: Sequence[E]) -> list[tuple[E, ...]]:
        return [part for _, part in self._placed(request, 0, entries)]

    @property
    def multiply_inputs_max(self) -> int:
        """Rows that one conversion can take: as many codes as fit into a frame."""
        return messages.MultiplyRequest.entries_per_payload(self.link.hello.payload_bytes)

    def _check_vectors(self, codes: Codes, columns: int) -> int:
        """How many rows the vectors are for."""
        most = self.multiply_inputs_max
        if codes.ndim != 2 or not 1 <= codes.shape[1] <= most or columns < 1:
            raise InputError(
                f"{self.name}: vectors of shape {codes.shape} for {columns} columns; (n, inputs)"
                f" with 1 to {most} inputs, and at least one column, are needed"
            )
        return int(codes.shape[1])

    def _tiles(self, vectors: int, columns: int, inputs: int) -> list[tuple[slice, slice]]:
        """Vectors and columns of each frame, so that codes and sums fit."""
        payload = self.link.hello.payload_bytes
        fit = messages.MultiplyResponse.entries_per_payload(payload - 1)  # the status byte
        wide = min(columns, fit)
        tall = max(1, min(self.multiply_inputs_max // inputs, fit // wide))
        return [
            (slice(v, min(v + tall, vectors)), slice(c, min(c + wide, columns)))
            for v in range(0, vectors, tall)
            for c in range(0, columns, wide)
        ]

    def _sums(self, kind: type[SumsT], requests: Sequence[Message], expected: int) -> Readings:
        """What responses with the sums of conversions say, in order."""
        got = self._ask_many(requests, kind)
        sums = [entry.sum for frame in got for entry in frame.entries]
        return self._readings(sums, expected, [frame.time_us for frame in got])

    def _readings(self, codes: list[int], expected: int, times_us: list[int]) -> Readings:
        self._expect(len(codes), expected)
        return Readings(np.array(codes, dtype=np.int64), (times_us[-1] if times_us else 0) * 1e-6)

    def _pairs(self, pairs: list[tuple[int, ...]], expected: int) -> Codes:
        self._expect(len(pairs), expected)
        return np.array(pairs, dtype=np.int64).reshape(expected, 2)

    def _expect(self, found: int, expected: int) -> None:
        if found != expected:
            raise MessageError(
                f"{self.name}: asked for {expected} values, {found} came back; board and host are"
                " of different versions"
            )


def typed(message: Message, kind: type[R]) -> R:
    """A response that has to be of one kind.

    Raises:
        MessageError: it is of another.
    """
    if not isinstance(message, kind):
        raise MessageError(f"expected {kind.__name__}, got {type(message).__name__}")
    return message
