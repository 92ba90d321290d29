"""Go-back-N: which requests of a batch are out, which are answered, which have to go again.

Pure bookkeeping without input or output. The board remembers its last `size` responses. Because at
most `size` requests lie between the first unanswered one and the last one sent, every request that
may have to be repeated is either still in that memory or was never executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols import frame


@dataclass(frozen=True, slots=True)
class Pending:
    """One request of a batch: its code and its frame as it goes over the line."""

    code: int
    encoded: bytes


class Window:
    """The requests `first_sequence`, `first_sequence` + 1, ... of one batch and their answers."""

    def __init__(self, pending: Sequence[Pending], first_sequence: int, size: int) -> None:
        self._pending = pending
        self._first = first_sequence
        self._size = size
        self._missing_reported: int | None = None
        self._limit = len(pending)
        self.answers: list[bytes | None] = [None] * len(pending)
        self.sent = 0
        self.floor = 0

    def fresh(self) -> list[bytes]:
        """The frames that may go out now for the first time; counts them as sent."""
        start = self.sent
        self.sent = min(self._limit, self.floor + self._size)
        return [item.encoded for item in self._pending[start : self.sent]]

    def unanswered(self) -> list[bytes]:
        """The frames that are out and not answered, in order."""
        out = range(self.floor, self.sent)
        return [self._pending[i].encoded for i in out if self.answers[i] is None]

    def halt(self) -> None:
        """Send nothing new; what is out is still waited for."""
        self._limit = self.sent

    @property
    def settled(self) -> bool:
        """True when nothing is out and nothing will follow."""
        return self.floor == self.sent == self._limit

    def index_of(self, answer: frame.Frame) -> int | None:
        """The request that a frame answers; None for one that nobody waits for any more."""
        index = answer.sequence - self._first
        if not self.floor <= index < self.sent or self.answers[index] is not None:
            return None
        if answer.code != self._pending[index].code | frame.RESPONSE_BIT or not answer.payload:
            return None
        return index

    def accept(self, index: int, payload: bytes) -> None:
        """Keep the answer to request `index`."""
        self.answers[index] = payload
        while self.floor < self.sent and self.answers[self.floor] is not None:
            self.floor += 1

    def report_missing(self, expected_sequence: int) -> bool:
        """Whether the board's `expected` means that frames have to go again now.

        One lost frame makes the board complain about every later one of the window: only the
        first complaint counts. Should the repetition get lost too, the time-out finds it.
        """
        index = expected_sequence - self._first
        if not self.floor <= index < self.sent or expected_sequence == self._missing_reported:
            return False
        self._missing_reported = expected_sequence
        return True
