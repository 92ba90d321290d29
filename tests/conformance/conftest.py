"""The board under test: a fresh one per test, spoken to byte by byte or through the drivers.

`pytest --board sim|native|native-process|qemu|serial:PORT|unix://PATH` chooses; without it, sim,
native and qemu take turns. What a board cannot do, its `features` leave out; tests that need it are
then skipped by name.

A board on a line is not switched off between tests: it gets a session of its own before each, and
what it had latched is cleared. The tests drive pulses into its first cells.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.stream import Stream, open_stream
from hil import firmware
from hil.boards import OpenBoard, simulated, with_firmware
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols import frame, messages
from protocols.codec import Message
from protocols.hardware import BoardDescription, load_board

ANSWER_S = 20.0
BEHIND = frozenset(
    {"power-up", "virtual time", "interlock switch", "planted faults", "known cells"}
)
"""What every board has whose physics are simulated here."""


@dataclass
class Target:
    """One board that was just powered up."""

    stream: Stream
    description: BoardDescription
    features: frozenset[str] = frozenset()
    back_door: Any = None
    wire: Wire = field(init=False)

    def __post_init__(self) -> None:
        self.wire = Wire(self.stream)

    @property
    def peer(self) -> Callable[[bytes], bytes]:
        """The board as a function of what it is sent."""
        return through(self.stream)

    def need(self, feature: str) -> None:
        """Skip the test on a board without a feature."""
        if feature not in self.features:
            pytest.skip(f"this board has no {feature}")


class Wire:
    """A host that does nothing by itself: every frame is sent and numbered by the test."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.session = 0
        self.next = 1
        self._decoder = frame.Decoder()

    def raw(self, data: bytes, answers: int) -> list[frame.Frame]:
        """Send bytes and collect that many frames; more or fewer are a failure."""
        self.stream.write(data)
        found: list[frame.Frame] = []
        deadline = time.monotonic() + (ANSWER_S if answers else 0.05)
        while len(found) < answers and (left := deadline - time.monotonic()) > 0:
            data = self.stream.read(left)
            if not data:
                break
            found += self._decoder.feed(data)
        assert len(found) == answers, f"{len(found)} answers, {answers} expected"
        return found

    def encode(self, request: Message, sequence: int, session: int | None = None) -> bytes:
        """A request as a frame."""
        number = self.session if session is None else session
        return frame.encode(frame.Frame(number, sequence, request.CODE, request.pack()))

    def exchange(self, code: int, payload: bytes, session: int, sequence: int) -> bytes:
        """One frame there and back; the answer's payload."""
        one = frame.Frame(session, sequence, code, payload)
        (answer,) = self.raw(frame.encode(one), 1)
        assert (answer.session, answer.sequence) == (session, sequence)
        assert answer.code == code | frame.RESPONSE_BIT
        return answer.payload

    def hello(self, nonce: int = 1) -> messages.HelloResponse:
        """Open a session."""
        payload = self.exchange(0x01, messages.HelloRequest(nonce).pack(), 0, 0)
        assert payload[0] == 0
        hello = messages.HelloResponse.unpack(payload[1:])
        self.session, self.next = hello.session, 1
        return hello

    def ask(self, request: Message) -> bytes:
        """Send a request with the next number; its answer's payload."""
        return self.ask_raw(request.CODE, request.pack())

    def ask_raw(self, code: int, payload: bytes) -> bytes:
        """As `ask`, with any bytes as payload."""
        sequence, self.next = self.next, self.next + 1
        return self.exchange(code, payload, self.session, sequence)

    def good(self, request: Message) -> Any:
        """The response to a request that must be carried out."""
        payload = self.ask(request)
        assert payload[0] == 0, refusal(payload)
        return messages.RESPONSES[request.CODE].unpack(payload[1:])

    def refused(self, request: Message) -> tuple[str, dict[str, int]]:
        """Name and arguments of the refusal of a request that must be refused."""
        return refusal(self.ask(request))

    def status(self) -> messages.StatusResponse:
        """The board's state and counters."""
        found: messages.StatusResponse = self.good(messages.StatusRequest())
        return found


def refusal(payload: bytes) -> tuple[str, dict[str, int]]:
    """Name and arguments of a refusal."""
    status = messages.STATUSES[payload[0]]
    return status.name, status.unpack(payload)


def through(stream: Stream) -> Callable[[bytes], bytes]:
    """A line as a peer that answers at once: waits until the board is through with the bytes."""
    end = frame.Frame(0, 0xFFFF_FFFF, messages.KeepAliveRequest.CODE, b"")

    def receive(data: bytes) -> bytes:
        decoder, found = frame.Decoder(), list[frame.Frame]()
        stream.write(data + frame.encode(end))
        while not found or found[-1].sequence != end.sequence:
            data = stream.read(ANSWER_S)
            assert data, "the board has gone silent"
            found += decoder.feed(data)
        return b"".join(frame.encode(one) for one in found[:-1])

    return receive


@contextmanager
def behind(name: str) -> Iterator[Target]:
    """A board with simulated physics, its chip in memory."""
    description, settings = load_board("reference"), SimSettings()
    opened: OpenBoard = (
        simulated(make_board(settings, description))
        if name == "sim"
        else with_firmware(name, settings, description)
    )
    try:
        yield Target(opened.stream, description, BEHIND, opened.simulated)
    finally:
        opened.close()


@contextmanager
def on_a_line(name: str) -> Iterator[Target]:
    """A board that is there already, brought to where a session can begin."""
    stream = open_stream(name)
    try:
        target = Target(stream, load_board("reference"))
        hello = target.wire.hello(secrets.randbits(32))
        target.wire.ask(messages.SafeClearRequest(hello.safe_reason))
        if hello.port is not messages.Port.STM32F407:
            target.features = frozenset({"virtual time"})
        target.wire = Wire(stream)
        yield target
    finally:
        stream.close()


@pytest.fixture
def target(board_name: str, need_firmware: Callable[[str], None]) -> Iterator[Target]:
    """A board that was just powered up, or one on a line."""
    if board_name in firmware.BOARDS:
        need_firmware(board_name)
    here = board_name == "sim" or board_name in firmware.BOARDS
    with behind(board_name) if here else on_a_line(board_name) as target:
        yield target


@pytest.fixture
def wire(target: Target) -> Wire:
    """The board with a session open."""
    target.wire.hello()
    return target.wire


@pytest.fixture
def board(target: Target) -> Iterator[Board]:
    """The board through the drivers."""
    with Link(target.stream, nonce=1) as link:
        yield Board(link)
