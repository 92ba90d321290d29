"""Go-back-N: which requests of a batch are out, which are answered, which have to go again.

Pure bookkeeping without input or output. The board remembers its last `ceiling` responses. Because
at most that many requests lie between the first unanswered one and the last one sent, every request
that may have to be repeated is either still in that memory or was never executed.

One lost request makes the board refuse all that were sent behind it. On a line that loses much the
window therefore shrinks (`Pace`), so that a loss costs one or two repetitions and not a window
full; on a clean line it is as large as the board allows.
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


class Pace:
    """How many requests may be out at once: halved by a loss, one more after a stretch without.

    Lives as long as a session, over many batches.
    """

    STRETCH = 4
    """Answers without a loss, in windows, before the window grows (this project's choice)."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.size = ceiling
        self._well = 0

    def lost(self) -> None:
        """Something did not arrive."""
        self.size = max(1, self.size // 2)
        self._well = 0

    def arrived(self) -> None:
        """A request was answered."""
        self._well += 1
        if self._well >= self.STRETCH * self.size:
            self.size = min(self.ceiling, self.size + 1)
            self._well = 0


class Window:
    """The requests `first_sequence`, `first_sequence` + 1, ... of one batch and their answers."""

    def __init__(self, pending: Sequence[Pending], first_sequence: int, pace: Pace) -> None:
        self._pending = pending
        self._first = first_sequence
        self._pace = pace
        self._cursor = 0
        self._overtaken = 0
        self._complaint: tuple[int, int] | None = None
        self._limit = len(pending)
        self.answers: list[bytes | None] = [None] * len(pending)
        self.sent = 0
        self.floor = 0

    def due(self) -> tuple[list[bytes], int]:
        """The frames that shall go out now, in order, and how many of them went before.

        They count as sent.
        """
        end = min(self._limit, self.floor + self._pace.size)
        going = [i for i in range(self._cursor, end) if self.answers[i] is None]
        again = sum(1 for i in going if i < self.sent)
        self._cursor = max(self._cursor, end)
        self.sent = max(self.sent, end)
        return [self._pending[i].encoded for i in going], again

    def rewind(self) -> None:
        """What is out and not answered goes again, within a smaller window."""
        self._pace.lost()
        self._cursor = self.floor

    def overtaken(self) -> list[bytes]:
        """The frames whose answers were overtaken by a later one, and so lost; each only once."""
        last = max((i for i in range(self.floor, self.sent) if self.answers[i]), default=self.floor)
        first, self._overtaken = max(self.floor, self._overtaken), max(self._overtaken, last)
        lost = [i for i in range(first, last) if self.answers[i] is None]
        return [self._pending[i].encoded for i in lost]

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
        self._pace.arrived()
        while self.floor < self.sent and self.answers[self.floor] is not None:
            self.floor += 1
        self._cursor = max(self._cursor, self.floor)

    def report_missing(self, expected_sequence: int, refused_sequence: int) -> bool:
        """Whether the board's complaint means that frames have to go again now.

        One lost frame makes the board refuse every later one of the window: only the first
        complaint counts. They come in order, so one about a request that was complained of before
        is about its repetition: the expected frame was lost once more.
        """
        index = expected_sequence - self._first
        if not self.floor <= index < self.sent:
            return False
        before, self._complaint = self._complaint, (expected_sequence, refused_sequence)
        return before is None or before[0] != expected_sequence or refused_sequence <= before[1]
