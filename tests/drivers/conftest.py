"""A scripted peer that keeps the session rules of PROTOCOL.md."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from drivers.link import Link
from drivers.stream import MemoryStream
from protocols import frame, messages
from protocols.codec import Message

Handler = Callable[[Message], Message | bytes]


def hello_fields(**changes) -> dict:
    """A `hello` answer of a small board."""
    fields = {f.name: 100 for f in messages.HelloResponse.FIELDS}
    fields |= {
        "protocol_version": messages.PROTOCOL_VERSION,
        "fingerprint": messages.FINGERPRINT,
        "build": b"fake".ljust(16, b"\x00"),
        "board_serial": 0xFA4E,
        "port": messages.Port.HOST,
        "safe_reason": messages.SafeReason.POWER_UP,
        "window": 8,
        "payload_bytes": messages.PAYLOAD_BYTES,
        "rows": 16,
        "columns": 16,
        "pulses_per_cell_max": 1000,
    }
    for kind in ("set", "reset", "form"):
        fields |= {f"{kind}_gate_max": 3000, f"{kind}_line_max": 3000, f"{kind}_width_max": 50_000}
        fields[f"{kind}_energy_max"] = 450_000_000
    return fields | {"read_code_max": 400, "arm_ms_max": 60_000} | changes


class FakePeer:
    """Answers requests by `handlers[code]`; what has none gets an empty good response.

    `arm` answers ten times its duration, so that acts and their answers can be told apart.
    `executed` lists (sequence, request) of what was carried out in the present session.
    """

    def __init__(self, handlers: dict[int, Handler] | None = None, **hello) -> None:
        arm = {messages.ArmRequest.CODE: lambda one: messages.ArmResponse(one.duration_ms * 10)}
        self.handlers: dict[int, Handler] = arm | (handlers or {})
        self.hello = hello_fields(**hello)
        self.executed: list[tuple[int, Message]] = []
        self.stops = 0
        self.repeated = 0
        self.session = 0
        self._nonce: int | None = None
        self._expected = 1
        self._cache: deque[tuple[int, bytes]] = deque(maxlen=self.hello["window"])
        self._decoder = frame.Decoder()

    def receive(self, data: bytes) -> bytes:
        """Bytes in, bytes out."""
        return b"".join(self._answer(one) for one in self._decoder.feed(data))

    @property
    def armed(self) -> list[int]:
        """The durations of the `arm` requests carried out, in order."""
        found = [request for _, request in self.executed]
        return [one.duration_ms for one in found if isinstance(one, messages.ArmRequest)]

    def end_session(self) -> None:
        """As after a reset of the board."""
        self.session, self._nonce = 0, None

    def _answer(self, one: frame.Frame) -> bytes:
        if one.code in (0x01, 0x02, 0x03):
            return self._reply(one, self._anytime(one))
        if one.session != self.session:
            return self._reply(one, messages.STATUSES[5].pack(self.session))
        known = [answer for sequence, answer in self._cache if sequence == one.sequence]
        if known:
            self.repeated += 1
            return known[0]
        if one.sequence != self._expected:
            return self._reply(one, messages.STATUSES[4].pack(self._expected))
        answer = self._reply(one, self._execute(one))
        self._cache.append((one.sequence, answer))
        self._expected += 1
        return answer

    def _execute(self, one: frame.Frame) -> bytes:
        request = messages.REQUESTS[one.code].unpack(one.payload)
        self.executed.append((one.sequence, request))
        handler = self.handlers.get(one.code)
        answer = handler(request) if handler is not None else b"\x00"
        return answer if isinstance(answer, bytes) else b"\x00" + answer.pack()

    def _anytime(self, one: frame.Frame) -> bytes:
        if one.code == 0x02:
            self.stops += 1
            return b"\x00" + messages.StopResponse(messages.SafeReason.STOP).pack()
        if one.code == 0x03:
            return b"\x00" + messages.KeepAliveResponse(5_000_000, 0).pack()
        nonce = messages.HelloRequest.unpack(one.payload).nonce
        if nonce != self._nonce:
            self._nonce, self._expected = nonce, 1
            self.session += 1
            self.executed.clear()
            self._cache.clear()
        fields = self.hello | {"nonce": nonce, "session": self.session}
        return b"\x00" + messages.HelloResponse(**fields).pack()

    def _reply(self, one: frame.Frame, payload: bytes) -> bytes:
        code = one.code | frame.RESPONSE_BIT
        return frame.encode(frame.Frame(one.session, one.sequence, code, payload))


@pytest.fixture(scope="session")
def make_peer():
    return FakePeer


@pytest.fixture
def peer():
    return FakePeer()


@pytest.fixture
def line(peer, make_line):
    return make_line(peer.receive)


@pytest.fixture
def link(line):
    """An open link over a line that behaves until a test gives it a script."""
    link = Link(MemoryStream(line.receive, "fake"), nonce=1, attempts=4)
    link.open()
    return link
