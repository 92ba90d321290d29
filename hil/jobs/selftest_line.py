"""The line as `hil selftest` uses it: every frame is sent and numbered by the check itself.

`drivers.link.Link` repeats what is lost and so hides what a self-test looks for. Here a frame goes
out once; an answer that does not come is a finding.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TypeVar

from drivers.handshake import check_hello
from drivers.refusal import refusal
from drivers.stream import Stream
from protocols import frame, messages
from protocols.codec import Message
from protocols.errors import BoardError, LinkTimeout

R = TypeVar("R", bound=Message)
Key = tuple[int, int, int]
Refusal = tuple[str, dict[str, int]]
HELLO_S = 0.5
"""How long a `hello` is waited for before it goes again."""


class Line:
    """A conversation with one board, frame by frame. Answers nobody waits for are passed over."""

    def __init__(self, stream: Stream, answer_s: float) -> None:
        self._stream = stream
        self._answer_s = answer_s
        self._decoder = frame.Decoder()
        self._hello: messages.HelloResponse | None = None
        self.nonce = 0
        self.next = 1

    @property
    def hello(self) -> messages.HelloResponse:
        """The board's answer to `hello`.

        Raises:
            LinkTimeout: it was never answered.
        """
        if self._hello is None:
            raise LinkTimeout(f"{self._stream.name}: no session is open")
        return self._hello

    @property
    def is_open(self) -> bool:
        """Whether the board has said who it is."""
        return self._hello is not None

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return self.hello.window

    # --- opening -----------------------------------------------------------------------------

    def open(self) -> None:
        """A new session; repeats `hello` until it is answered.

        Raises:
            LinkTimeout: nobody answers.
            HandshakeError: another protocol version or message table.
        """
        self.nonce = (secrets.randbits(32) | 1) & 0xFFFF_FFFF
        deadline = time.monotonic() + self._answer_s
        while True:
            try:
                self._hello, self.next = self.greet(min(HELLO_S, self._answer_s)), 1
            except LinkTimeout:
                if time.monotonic() >= deadline:
                    raise
            else:
                return

    def greet(self, answer_s: float | None = None) -> messages.HelloResponse:
        """One `hello` with the nonce of this session."""
        request = messages.HelloRequest(self.nonce)
        payload = self.anytime(request, answer_s, nonce=self.nonce)
        return check_hello(_accepted(request, payload), self.nonce, self._stream.name)

    # --- frames ------------------------------------------------------------------------------

    def encode(self, request: Message, sequence: int) -> bytes:
        """A request of this session as a frame."""
        one = frame.Frame(self.hello.session, sequence, request.CODE, request.pack())
        return frame.encode(one)

    def collect(
        self, data: bytes, wanted: Sequence[Key], answer_s: float | None = None, nonce: int = 0
    ) -> list[frame.Frame]:
        """Send bytes; the answers that are wanted, as they come.

        Args:
            data: frames.
            wanted: session, sequence and code of the requests, one per answer waited for.
            answer_s: how long to wait for all of them; None takes the line's own.
            nonce: that of a `hello`; others' answers are passed over.

        Raises:
            LinkTimeout: fewer came.
        """
        self._stream.write(b"\x00" + data)
        found: list[frame.Frame] = []
        limit_s = self._answer_s if answer_s is None else answer_s
        deadline = time.monotonic() + limit_s
        while len(found) < len(wanted):
            left_s = deadline - time.monotonic()
            data = self._stream.read(left_s) if left_s > 0 else b""
            if not data:
                raise LinkTimeout(
                    f"{self._stream.name}: {len(found)} of {len(wanted)} answers came in"
                    f" {limit_s:g} s"
                )
            for one in self._decoder.feed(data):
                key = (one.session, one.sequence, one.code & ~frame.RESPONSE_BIT)
                if key in wanted and one.payload and _is_of(one, nonce):
                    found.append(one)
        return found

    def exchange(self, code: int, payload: bytes) -> bytes:
        """One request of this session with the next number, any bytes; its answer's payload."""
        key = (self.hello.session, self.next, code)
        self.next += 1
        (answer,) = self.collect(frame.encode(frame.Frame(*key, payload)), [key])
        return answer.payload

    def anytime(self, request: Message, answer_s: float | None = None, *, nonce: int = 0) -> bytes:
        """One request outside of session and order; its answer's payload."""
        key = (0, 0, request.CODE)
        data = frame.encode(frame.Frame(*key, request.pack()))
        (answer,) = self.collect(data, [key], answer_s, nonce)
        return answer.payload

    # --- requests ----------------------------------------------------------------------------

    def good(self, request: Message, kind: type[R]) -> R:
        """The response to a request that has to be carried out.

        Raises:
            BoardError, LimitError, SafetyError: it was refused.
        """
        if request.SCOPE == "any":
            payload = self.anytime(request)
        else:
            payload = self.exchange(request.CODE, request.pack())
        return kind.unpack(_accepted(request, payload))

    def refused(self, code: int, payload: bytes, *allowed: str) -> Refusal:
        """Name and arguments of the refusal of what has to be refused.

        Raises:
            BoardError: it was carried out, or refused for a reason that is not in `allowed`.
        """
        answer = self.exchange(code, payload)
        status = messages.STATUSES.get(answer[0])
        known = messages.REQUESTS.get(code)
        what = known.NAME if known else f"message {code:#04x}"
        if status is None:
            raise BoardError(f"{what} was answered with status {answer[0]}, which nobody knows")
        if status.name not in allowed:
            done = "was carried out" if answer[0] == 0 else f"was refused as {status.name}"
            raise BoardError(f"{what} {done}; {' or '.join(allowed)} was expected")
        return status.name, status.unpack(answer)

    def refused_request(self, request: Message, *allowed: str) -> Refusal:
        """As `refused`, for a request that can be packed."""
        return self.refused(request.CODE, request.pack(), *allowed)

    def status(self) -> messages.StatusResponse:
        """The board's state and counters."""
        return self.good(messages.StatusRequest(), messages.StatusResponse)


def _accepted(request: Message, payload: bytes) -> bytes:
    if payload[0] != 0:
        raise refusal(request, payload, f"{request.NAME} was refused")
    return payload[1:]


def _is_of(answer: frame.Frame, nonce: int) -> bool:
    """Whether an answer to `hello` is that of a nonce; refusals carry none."""
    if not nonce or answer.payload[0] != 0:
        return True
    return answer.payload[1:5] == nonce.to_bytes(4, "little")
