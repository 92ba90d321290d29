"""What a run has said and heard so far, so that it can be taken up where it stopped.

A job (forming, programming, a run of the loop) is a fixed course of requests: which request comes
next depends on its parameters and on the answers so far alone. So every answer is kept in the run's
journal, and a run is resumed by doing the same job again: as long as the journal has the answer, it
comes from there and nothing is sent; from the first request without one, the board is asked.

Pulses without an answer are the exception. Whether they were driven nobody knows, so they are never
sent again: their cells are read instead, and the job goes on from what the cells are. Where the
line broke and the host lived to tell, it says from which pulse on nothing had gone out: those are
sent when the run is resumed, so that a board which resets again and again does not keep a cell from
ever being pulsed.

`Ledger` is the recorder of a run (drivers' `PulseRecorder`) and the memory of `RecordedLink`.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import Records
from hil.journal import Journal, meant_of
from hil.journal_reader import JournalReader
from hil.session_state import SessionState
from protocols import messages as m
from protocols.codec import Message
from protocols.errors import MessageError, RecordError

_ITEM = struct.Struct("<BIH")
_UNKNOWN = 0xFFFF
_SENT = 0  # in the place of a message code: no pulse from this one on has been sent
_FIELDS = ("row", "column", "operation", "gate_code", "line_code", "width_ticks")
_DISARMED: list[bytes | None] = [b"\0"]
_OF_A_RUN = frozenset(
    {kind.CODE for kind in (m.InitialRequest, m.RunRequest, m.ProgressRequest)}
    | {m.SamplesRequest.CODE, m.TraceRequest.CODE}
)


@dataclass(frozen=True)
class Exchange:
    """Requests that went out together, and the payload of each answer, None where none came.

    Attributes:
        codes: message code of each request.
        checks: CRC-32 of each packed request.
        answers: status byte and response of each.
        token: for pulses that were answered by reading their cells again, the intent that they
            belong to; else 0.

    Without any request it is a mark: what came before it is complete.
    """

    codes: tuple[int, ...]
    checks: tuple[int, ...]
    answers: tuple[bytes | None, ...]
    token: int = 0

    @classmethod
    def of(
        cls, requests: Sequence[Message], answers: Sequence[bytes | None], token: int = 0
    ) -> Exchange:
        """Of requests and their answers."""
        checks = tuple(zlib.crc32(request.pack()) for request in requests)
        return cls(tuple(request.CODE for request in requests), checks, tuple(answers), token)

    def pack(self) -> bytes:
        """As it stands in the journal."""
        parts = []
        for code, check, answer in zip(self.codes, self.checks, self.answers, strict=True):
            parts.append(_ITEM.pack(code, check, _UNKNOWN if answer is None else len(answer)))
            parts.append(answer or b"")
        return b"".join(parts)

    @classmethod
    def unpack(cls, blob: bytes, token: int) -> Exchange:
        """Back from the journal. Raises struct.error for a blob that is not one."""
        codes, checks, answers, at = [], [], [], 0
        while at < len(blob):
            code, check, length = _ITEM.unpack_from(blob, at)
            at += _ITEM.size
            known = length != _UNKNOWN
            if known and not 0 < length <= len(blob) - at:
                raise struct.error(f"an answer of {length} bytes at {at} is cut off")
            codes.append(code)
            checks.append(check)
            answers.append(blob[at : at + length] if known else None)
            at += length if known else 0
        return cls(tuple(codes), tuple(checks), tuple(answers), token)

    def fits(self, requests: Sequence[Message]) -> bool:
        """Whether these are the same requests."""
        other = Exchange.of(requests, [None] * len(requests))
        return (self.codes, self.checks) == (other.codes, other.checks)


@dataclass
class Round:
    """Pulses that were meant together; `frames` the answers by the number of their first pulse.

    `sent` is the number of pulses that may have gone out; those behind them surely did not.
    """

    token: int
    meant: Records
    frames: dict[int, bytes] = field(default_factory=dict)
    pulses: dict[int, Records] = field(default_factory=dict)
    sent: int = -1

    def __post_init__(self) -> None:
        self.sent = len(self.meant) if self.sent < 0 else self.sent

    def acknowledge(self, start: int, records: Records) -> None:
        """One frame of it, as its outcome stands in the journal."""
        entries = tuple(m.PulseReadResponseEntry(int(code)) for code in records["reading_code"])
        response = m.PulseReadResponse(int(records["time_us"][0]), entries)
        self.frames[start] = b"\0" + response.pack()
        self.pulses[start] = records

    def read_again(self, exchange: Exchange) -> None:
        """The answers that were made up of readings, because nobody knew; or what was sent."""
        if exchange.codes == (_SENT,):
            self.sent = exchange.checks[0]
            return
        starts = list(self.frames) + [int(v) for v in exchange.checks]
        if len(set(starts)) != len(starts):
            raise ValueError(f"pulses of round {self.token} are answered twice")
        for start, answer in zip(exchange.checks, exchange.answers, strict=True):
            if answer is not None:
                self.frames[start] = answer

    def answers(self, requests: Sequence[m.PulseReadRequest]) -> list[bytes | None]:
        """Answer of each request of the round; None where it is not known.

        Raises:
            RecordError: an acknowledged frame had other pulses.
        """
        found, start = [], 0
        for request in requests:
            known = self.pulses.get(start)
            if known is not None and not _same_pulses(request, known):
                raise RecordError(f"round {self.token}: pulses {start}.. were other ones")
            found.append(self.frames.get(start))
            start += len(request.entries)
        if start != len(self.meant):
            raise RecordError(f"round {self.token}: {start} pulses instead of {len(self.meant)}")
        return found


def _same_pulses(request: m.PulseReadRequest, records: Records) -> bool:
    meant = [tuple(getattr(entry, name) for name in _FIELDS) for entry in request.entries]
    return meant == [tuple(int(v) for v in row) for row in records[list(_FIELDS)]]


Item = Exchange | Round


def past_of(reader: JournalReader) -> list[Item]:
    """All that a journal holds of the talk with the board, in order.

    Raises:
        RecordError: a row is damaged, or the rows do not fit together.
    """
    try:
        return _past(reader)
    except (LookupError, ValueError, struct.error, MessageError) as error:
        raise RecordError(
            f"{reader.path}: the rows of this journal do not fit together ({error!r:.120}); the run"
            " cannot be resumed, start a new one"
        ) from error


def _past(reader: JournalReader) -> list[Item]:
    rounds = {intent.token: Round(intent.token, intent.records) for intent in reader.intents()}
    for token, start, records in reader.acknowledged():
        rounds[token].acknowledge(start, records)
    items: list[Item] = []
    waiting = deque(rounds.values())
    for row in reader.exchanges():
        while waiting and waiting[0].token <= row.after:
            items.append(waiting.popleft())
        if row.count < 0:
            del items[row.count :]
        elif row.token:
            rounds[row.token].read_again(Exchange.unpack(row.blob, row.token))
        else:
            items.append(Exchange.unpack(row.blob, 0))
    return [*items, *waiting]


def void_tail(items: Sequence[Item]) -> int:
    """How many exchanges at the end cannot be built upon, and are asked for again.

    Those are the last run of the loop if its samples did not all come home, because the board
    forgets it with its session; and a request that was refused, or whose answer never came.
    """
    last = len(items)
    while last and _disarms(items[last - 1]):  # on the way out of what went wrong
        last -= 1
    end = last
    while end and _belongs_to_a_run(items[end - 1]):
        end -= 1
    if end == last and end and _went_wrong(items[end - 1]):
        end -= 1
    return 0 if end == last else len(items) - end


def _disarms(item: Item) -> bool:
    return isinstance(item, Exchange) and item.codes == (m.DisarmRequest.CODE,)


def _belongs_to_a_run(item: Item) -> bool:
    return isinstance(item, Exchange) and bool(item.codes) and set(item.codes) <= _OF_A_RUN


def _went_wrong(item: Item) -> bool:
    return isinstance(item, Exchange) and any(a is None or a[0] != 0 for a in item.answers)


class Ledger:
    """The recorder of a run and its memory of what was answered.

    Attributes:
        muted: while it is set nothing is written: what happens is in the journal already, or is no
            part of it.
        replayed: requests that were answered from the journal.
        unknown: pulses whose outcome was not known; their cells were read.
    """

    def __init__(self, journal: Journal, past: Sequence[Item] = ()) -> None:
        self.journal = journal
        self.state = SessionState()
        self.replayed = self.unknown = 0
        self._past = deque(past)
        self._round: Round | None = None
        self._heard: Round | None = None  # the last one that was answered
        self._open, self._begun = 0, 0  # the round that is being sent, and from which pulse on
        self.muted = False

    @classmethod
    def resume(cls, journal: Journal) -> Self:
        """Of a journal that is continued.

        Raises:
            RecordError: it is damaged, or cannot be written.
        """
        with Journal.open_read(journal.path) as reader:
            items = past_of(reader)
        if tail := void_tail(items):
            journal.exchange(0, b"", -tail)
            del items[-tail:]
        return cls(journal, [item for item in items if isinstance(item, Round) or item.codes])

    @property
    def replaying(self) -> bool:
        """Whether the next request was answered already."""
        return bool(self._past) or self._round is not None

    @property
    def token(self) -> int:
        """The intent of the round that is about to be answered from the journal; 0 is none."""
        return 0 if self._round is None else self._round.token

    # --- the drivers' PulseRecorder --------------------------------------------------------------

    def round_is_known(self) -> bool:
        """Whether the next round of pulses was sent before."""
        self._skip_disarming()
        return bool(self._past)

    def intent(self, batch: PulseBatch, *, label: str) -> int:
        """A round that is about to be sent, or that was sent before.

        Raises:
            RecordError: the disk is full, or another round was sent before.
        """
        first = self._next()
        if first is None:
            self._open, self._begun = self.journal.intent(batch, label=label), 0
            return self._open
        if not isinstance(first, Round) or not np.array_equal(first.meant, meant_of(batch)):
            raise self._other(f"pulses ({label})")
        self._round = first
        return first.token

    def outcome(self, token: int, start: int, records: Records) -> None:
        """Pulses that were acknowledged just now; those of the journal are in it."""
        if not self.muted:
            self.journal.outcome(token, start, records)

    # --- for the link ----------------------------------------------------------------------------

    def answers(self, requests: Sequence[Message]) -> list[bytes | None] | None:
        """What these requests were answered, None for those that were not; None for all new ones.

        Raises:
            RecordError: other requests were sent before at this place.
        """
        now, self._round = self._round, None
        if now is not None:
            self._open, self._begun, self._heard = now.token, now.sent, now
            pulses = [r for r in requests if isinstance(r, m.PulseReadRequest)]
            if len(pulses) != len(requests):
                raise self._other(requests[0].NAME)
            return now.answers(pulses)
        if isinstance(requests[0], m.DisarmRequest):
            return self._disarmed()
        first = self._next()
        if first is None:
            return None
        if not isinstance(first, Exchange) or not first.fits(requests):
            raise self._other(requests[0].NAME)
        return list(first.answers)

    def keep(self, requests: Sequence[Message], answers: Sequence[bytes | None], sent: int) -> None:
        """Writes what was answered just now.

        Pulses have outcomes of their own; if only the first `sent` requests went out, that is kept.
        """
        if self.muted:
            return
        if not isinstance(requests[0], m.PulseReadRequest):
            self.journal.exchange(0, Exchange.of(requests, answers).pack(), len(requests))
        elif sent < len(requests):
            pulses = sum(
                len(r.entries) for r in requests[:sent] if isinstance(r, m.PulseReadRequest)
            )
            self._keep_sent(self._begun + pulses)

    def doubtful(self, requests: Sequence[Message]) -> frozenset[int]:
        """Which requests of the round that was just answered have readings for answers."""
        start, found = 0, set()
        for number, request in enumerate(requests):
            if self._heard is not None and start not in self._heard.pulses:
                found.add(number)
            start += len(request.entries) if isinstance(request, m.PulseReadRequest) else 0
        return frozenset(found)

    def unsent(self, requests: Sequence[Message]) -> int:
        """How many requests of the round that was just answered went out at the most."""
        start = 0
        for number, request in enumerate(requests):
            if start >= self._begun:
                return number
            start += len(request.entries) if isinstance(request, m.PulseReadRequest) else 0
        return len(requests)

    def sends_on(self, total: int) -> None:
        """The rest of a round goes out now: should the host end, nobody knows how far it came."""
        self._skip_disarming()
        self._keep_sent(total)

    def _keep_sent(self, pulses: int) -> None:
        mark = Exchange((_SENT,), (pulses,), (None,), self._open)
        self.journal.exchange(self._open, mark.pack(), 1)

    def keep_read_again(self, token: int, starts: Sequence[int], answers: Sequence[bytes]) -> None:
        """Writes what cells read whose pulses have an unknown outcome."""
        codes = (m.PulseReadRequest.CODE,) * len(starts)
        exchange = Exchange(codes, tuple(starts), tuple(answers), token)
        self.journal.exchange(token, exchange.pack(), len(starts))

    def mark(self) -> None:
        """What was asked so far is complete."""
        if not self.replaying:
            self.journal.exchange(0, b"", 0)

    def _next(self) -> Item | None:
        """What was asked next, apart from disarming."""
        self._skip_disarming()
        return self._past.popleft() if self._past else None

    def _skip_disarming(self) -> None:
        """An interrupted job disarms anywhere: that is no part of its course."""
        while self._past and _disarms(self._past[0]):
            self._past.popleft()

    def _disarmed(self) -> list[bytes | None] | None:
        """Disarming is answered as long as anything is, whether it was asked for here or not."""
        if not self._past:
            return None
        if _disarms(self._past[0]):
            self._past.popleft()
        return _DISARMED

    def _other(self, what: str) -> RecordError:
        return RecordError(
            f"{self.journal.path}: the run cannot be resumed: it now asks for {what} where it asked"
            " for something else before. The model, the calibration, the configuration or the"
            " version of this project has changed; start a new run"
        )
