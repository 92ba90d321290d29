"""Sessions, the window, repetition: requests in, responses out, every act executed exactly once.

A batch is numbered within the session and sent as far as the board's window allows. What is not
answered in time goes again; the board answers a number that it has executed from its memory. So a
request is executed once however often the line loses, repeats or damages frames, or the caller gets
an error that says what is not known. The rules are those of PROTOCOL.md.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from drivers.batch import Batch, OnResponse
from drivers.closing import Closing
from drivers.handshake import check_hello
from drivers.refusal import refusal
from drivers.stream import Stream
from drivers.window import Pace, Pending, Window
from protocols import frame, messages
from protocols.codec import Message
from protocols.errors import (
    BoardError,
    HandshakeError,
    LinkError,
    LinkTimeout,
    SessionLost,
)

_BAD_SEQUENCE, _BAD_SESSION = 4, 5
_SEQUENCE_MAX = 0xFFFF_FFFF
_DRAIN_READS = 64


@dataclass(slots=True)
class LinkStats:
    """What has passed over the line since the link was made."""

    frames_sent: int = 0
    frames_received: int = 0
    repeated: int = 0
    dropped: int = 0
    stale: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    round_trips: int = 0


class Link(Closing):
    """A session with one board over one stream.

    `timeout_s` is how long the line may be silent before unanswered requests go again, `attempts`
    how often that may happen in a row. `nonce` names the session for the board; it is drawn when
    none is given. One thread at a time.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        timeout_s: float = 0.5,
        attempts: int = 8,
        nonce: int | None = None,
    ) -> None:
        self.stats = LinkStats()
        self._stream = stream
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._nonce = secrets.randbits(32) if nonce is None else nonce
        self._decoder = frame.Decoder()
        self._hello: messages.HelloResponse | None = None
        self._trouble = "it was never opened"
        self._opened = 0
        self._next = 1
        self._pace = Pace(1)
        self._orphans = False
        self.doubtful: frozenset[int] = frozenset()
        """Requests of the last call that nobody knows the outcome of (of a resumed run)."""

    # --- opening and closing -----------------------------------------------------------------

    def open(self) -> messages.HelloResponse:
        """Open a session; ends an earlier one. Repeats `hello` until it is answered.

        Raises:
            LinkTimeout: nobody answers.
            HandshakeError: the board speaks another version or another message table.
        """
        self._orphans = self._orphans or self.is_open
        self._hello = None
        nonce = (self._nonce + self._opened) & 0xFFFF_FFFF
        self._opened += 1
        try:
            answer = self._ask_anytime(messages.HelloRequest(nonce), nonce)
        except BoardError as error:
            raise HandshakeError(f"{error}; load the firmware of this checkout") from error
        self._hello = check_hello(answer, nonce, self.name)
        self._next = 1
        self._pace = Pace(self._hello.window)
        self._orphans = False
        return self._hello

    @property
    def hello(self) -> messages.HelloResponse:
        """The board's answer to `hello`.

        Raises:
            SessionLost: no session is open; the text says why.
        """
        if self._hello is None:
            raise SessionLost(f"{self.name}: no session is open, because {self._trouble}; open it")
        return self._hello

    @property
    def session(self) -> int:
        """Number of the session that is open."""
        return self.hello.session

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._hello is not None

    @property
    def name(self) -> str:
        """The board for a message: its line, and its serial number once it is known."""
        if self._hello is None:
            return f"board on {self._stream.name}"
        return f"board {self._hello.board_serial:x} on {self._stream.name}"

    def close(self) -> None:
        """Disarm the board and give the line back.

        When the state of the session is not known, the board is stopped instead. The line is
        closed in any case; what went wrong before is raised.
        """
        try:
            if self._hello is not None:
                self.call(messages.DisarmRequest())
            elif self._orphans:
                self.stop()
        finally:
            self._lose("it was closed", orphans=False)
            self._stream.close()

    def __enter__(self) -> Self:
        """Open the session unless it is open."""
        if self._hello is None:
            self.open()
        return self

    # --- requests ----------------------------------------------------------------------------

    def call(self, request: Message) -> Message:
        """Send one request and wait for its response; errors as in `call_many`."""
        return self.call_many([request])[0]

    def call_many(
        self, requests: Sequence[Message], on_response: OnResponse | None = None
    ) -> list[Message]:
        """Send requests in order within the window and return their responses in order.

        `on_response(index, sequence, response)` is called for every acknowledged request in order,
        also for those after a refused one and before an error is raised: what was done is known.
        Where an interrupt falls into `on_response` itself, it hears of the same response again.

        Raises:
            MessageError: a request has a field out of range; nothing was sent.
            BoardError, LimitError, SafetyError: the board refused one; nothing new was sent after
                that, and what was already on its way has been waited for.
            LinkTimeout, SessionLost, PortError: outcome of the requests in flight is unknown.
        """
        session = self.session
        if not requests:
            return []
        if self._next + len(requests) > _SEQUENCE_MAX:
            raise LinkError(f"{self.name}: the session is out of sequence numbers; open it again")
        pending = [
            Pending(r.CODE, frame.encode(frame.Frame(session, self._next + i, r.CODE, r.pack())))
            for i, r in enumerate(requests)
        ]
        window = Window(pending, self._next, self._pace)
        self.stats.round_trips += 1
        batch = Batch(requests, window, self._next, on_response)
        try:
            self._run(batch)
        finally:
            self._next += window.sent
        return batch.responses(self.name)

    def _run(self, batch: Batch) -> None:
        try:
            self._pump(batch)
        except LinkError as error:
            if self.is_open:
                self._lose("the line broke")
                error.add_note(f"Of the batch, {batch.unknown()}.")
            batch.deliver(past_gaps=True)
            raise
        except BaseException as error:
            # An interrupt, or whoever listens failed. What is out will be executed all the same:
            # learn its outcome before giving way. A second interrupt ends that too.
            batch.window.halt()
            self._settle(batch, error)
            raise

    def _settle(self, batch: Batch, cause: BaseException) -> None:
        try:
            self._pump(batch)
        except BaseException as second:
            cause.add_note(f"While waiting for what was in flight: {second!r}; {batch.unknown()}.")
            if self.is_open:
                self._lose("it was interrupted with requests in flight")
            if not isinstance(second, Exception):
                raise
            batch.deliver(past_gaps=True)

    def _pump(self, batch: Batch) -> None:
        """Send, repeat and collect until the batch is settled."""
        silent = 0
        window = batch.window
        while not window.settled:
            self._send(*window.due())
            if self._collect(batch):
                silent = 0
                continue
            silent += 1
            if silent >= self._attempts:
                self._give_up(batch)
            window.rewind()
        batch.deliver()

    def _collect(self, batch: Batch) -> bool:
        """Read until at least one answer has come; False when the line was silent."""
        deadline = time.monotonic() + self._timeout_s
        progress = False
        while not progress:
            left = deadline - time.monotonic()
            data = self._stream.read(left) if left > 0 else b""
            if not data:
                return False
            for answer in self._feed(data):
                progress = self._take(batch, answer) or progress
            lost = batch.window.overtaken()
            self._send(lost, again=len(lost))
        batch.deliver()
        return True

    def _take(self, batch: Batch, answer: frame.Frame) -> bool:
        """Sort one frame in; True when it is an answer that was waited for."""
        index = batch.window.index_of(answer) if answer.session == self.session else None
        if index is None:
            self.stats.stale += 1
            return False
        status = answer.payload[0]
        if status == _BAD_SESSION:
            self._session_ended(batch, answer.payload)
        if status == _BAD_SEQUENCE:
            expected = messages.STATUSES[_BAD_SEQUENCE].unpack(answer.payload)["expected"]
            if batch.window.report_missing(expected, answer.sequence):
                batch.window.rewind()
                self._send(*batch.window.due())
            return False
        if status != 0:
            batch.window.halt()
        batch.window.accept(index, answer.payload)
        return True

    def checkpoint(self) -> None:
        """Everything that was asked for has come home; of interest to a link that keeps records."""

    # --- outside session and order -----------------------------------------------------------

    def stop(self) -> messages.SafeReason:
        """Put every output to its safe value now; works without a session.

        Returns the reason that the board will name until it is cleared.
        """
        answer = messages.StopResponse.unpack(self._ask_anytime(messages.StopRequest()))
        return messages.SafeReason(answer.safe_reason)

    def keep_alive(self) -> messages.KeepAliveResponse:
        """Feed the watchdog of an armed or running board while the host thinks."""
        return messages.KeepAliveResponse.unpack(self._ask_anytime(messages.KeepAliveRequest()))

    def _ask_anytime(self, request: Message, nonce: int | None = None) -> bytes:
        """Repeat a request that needs no session until it is answered; its response payload."""
        encoded = frame.encode(frame.Frame(0, 0, request.CODE, request.pack()))
        self._drain()
        for attempt in range(self._attempts):
            self._send([encoded], again=int(attempt > 0), flush=True)
            deadline = time.monotonic() + self._timeout_s
            while (left := deadline - time.monotonic()) > 0 and (data := self._stream.read(left)):
                for answer in self._feed(data):
                    if _answers(request, answer, nonce):
                        return self._accepted(request, answer.payload)
                    self.stats.stale += 1
        waited_s = self._attempts * self._timeout_s
        raise LinkTimeout(
            f"{self.name}: no answer to {request.NAME} after {self._attempts} attempts"
            f" ({waited_s:g} s); check that the board has power, the cable, the port and the baud"
        )

    def _drain(self) -> None:
        """Read what has arrived: an old answer must not pass for that of the request to come."""
        for _ in range(_DRAIN_READS):
            data = self._stream.read(0.0)
            if not data:
                break
            self.stats.stale += len(self._feed(data))

    def _accepted(self, request: Message, payload: bytes) -> bytes:
        if payload[0] != 0:
            raise refusal(request, payload, f"{self.name} refused {request.NAME}")
        return payload[1:]

    # --- the line ----------------------------------------------------------------------------

    def _send(self, frames: Sequence[bytes], again: int = 0, *, flush: bool = False) -> None:
        """Write frames, `again` of them not for the first time.

        Then, or with `flush`, whatever noise the board has got so far is ended first.
        """
        if not frames:
            return
        data = b"".join([b"\x00", *frames] if again or flush else frames)
        self.stats.frames_sent += len(frames)
        self.stats.repeated += again
        self.stats.bytes_sent += len(data)
        self._stream.write(data)

    def _feed(self, data: bytes) -> list[frame.Frame]:
        self.stats.bytes_received += len(data)
        frames = self._decoder.feed(data)
        self.stats.frames_received += len(frames)
        self.stats.dropped = self._decoder.dropped
        return frames

    # --- trouble -----------------------------------------------------------------------------

    def _lose(self, why: str, *, orphans: bool = True) -> None:
        self._hello, self._trouble, self._orphans = None, why, orphans

    def _give_up(self, batch: Batch) -> None:
        text = (
            f"{self.name}: no answer after {self._attempts} attempts of {self._timeout_s:g} s"
            f" each; {batch.unknown()}. Check cable and power, open the link again and re-read the"
            " cells before driving them"
        )
        self._lose("the board stopped answering")
        raise LinkTimeout(text)

    def _session_ended(self, batch: Batch, payload: bytes) -> None:
        now = messages.STATUSES[_BAD_SESSION].unpack(payload)["session"]
        text = (
            f"{self.name}: session {self.session} has ended (the board is in session {now}: it was"
            f" reset, or another host opened it); {batch.unknown()}. Open the link again and"
            " re-read the cells before driving them"
        )
        # The end of a session disarms the board: there is nothing left to stop.
        self._lose("the board ended the session", orphans=False)
        raise SessionLost(text)


def _answers(request: Message, answer: frame.Frame, nonce: int | None) -> bool:
    """Whether a frame answers a request outside the session; `nonce` tells hellos apart."""
    if (answer.session, answer.sequence) != (0, 0) or not answer.payload:
        return False
    if answer.code != request.CODE | frame.RESPONSE_BIT:
        return False
    if nonce is None or answer.payload[0] != 0 or len(answer.payload) < 5:
        return True
    return answer.payload[1:5] == nonce.to_bytes(4, "little")
