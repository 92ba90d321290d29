"""Any bytes into the board: answers or nothing, never an exception, never without bounds."""

from __future__ import annotations

import zlib

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, given, settings

from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.codec import Field, Message, Record
from protocols.frame import Decoder, Frame, encode
from tests.hil.sim.board_host import REFERENCE

SMALL = REFERENCE.model_copy(update={"rows": 40, "columns": 80})
LIGHT = SimSettings(
    trajectories_max=64, ticks_max=16, trajectories_per_poll=16, trace_points_max=200
)
QUICK = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def board() -> SimBoard:
    return make_board(LIGHT, SMALL)


def answers(data: bytes) -> list[Frame]:
    decoder = Decoder()
    frames = decoder.feed(data)
    assert decoder.dropped == 0
    return frames


@QUICK
@given(st.lists(st.binary(max_size=1500), max_size=8))
def test_arbitrary_bytes_are_dropped_and_counted(pieces: list[bytes]) -> None:
    target = board()
    for piece in pieces:
        answers(target.receive(piece))
    target.receive(b"\0")
    hello = target.receive(encode(Frame(0, 0, 1, m.HelloRequest(5).pack())))
    assert answers(hello)[0].payload[0] == 0, "the board still listens"
    assert len(target._decoder._tail) <= 1024


@QUICK
@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF),
            st.integers(0, 2**32 - 1),
            st.integers(0, 255),
            st.binary(max_size=300),
        ),
        max_size=20,
    )
)
def test_every_good_frame_that_is_a_request_has_one_answer(
    frames: list[tuple[int, int, int, bytes]],
) -> None:
    target = board()
    for fields in frames:
        found = answers(target.receive(encode(Frame(*fields))))
        assert len(found) == (fields[2] < 0x80)
        for answer in found:
            assert (answer.session, answer.sequence, answer.code) == (
                *fields[:2],
                fields[2] | 0x80,
            )
            assert len(answer.payload) <= m.PAYLOAD_BYTES
            assert answer.payload[0] in m.STATUSES


def value(field: Field) -> st.SearchStrategy[object]:
    near = st.integers(max(field.minimum, 0), min(field.maximum, 20))
    one = st.one_of(near, st.integers(field.minimum, field.maximum))
    return one if field.count == 1 else st.tuples(*[one] * field.count)


def record(kind: type[Record]) -> st.SearchStrategy[Record]:
    return st.builds(kind, **{field.name: value(field) for field in kind.FIELDS})


def request(kind: type[Message]) -> st.SearchStrategy[Message]:
    fields = {field.name: value(field) for field in kind.FIELDS}
    if kind.ENTRY is not None:
        most = kind.entries_per_payload(m.PAYLOAD_BYTES)
        fields["entries"] = st.lists(record(kind.ENTRY), max_size=most).map(tuple)
    return st.builds(kind, **fields)


def loaded_run(target: SimBoard, send: object) -> None:
    tick = m.WaveLoadRequestEntry(2100, 2100, 10, (2048, 2048), (2048,) * 14)
    send(m.WaveBeginRequest(5, 5000))
    send(m.WaveLoadRequest(0, (tick,) * 5))
    send(m.WaveCommitRequest(zlib.crc32(tick.pack() * 5 + bytes(28))))
    for layer, (row, column, inputs, outputs) in enumerate(
        ((0, 0, 3, 14), (3, 28, 15, 14), (18, 56, 15, 2))
    ):
        send(m.LoopLayerRequest(layer, row, column, inputs, outputs, 1, 500, 0))
    send(m.InitialRequest(0, (m.InitialRequestEntry((2048, 2100)),) * 20))


@QUICK
@given(
    st.booleans(),
    st.lists(st.sampled_from(list(m.REQUESTS.values())).flatmap(request), max_size=25),
)
def test_any_requests_in_a_session_are_answered(armed: bool, requests: list[Message]) -> None:
    target, sequence, session = board(), 0, 0

    def send(message: Message) -> Frame:
        nonlocal sequence, session
        if message.SCOPE == "any":
            (answer,) = answers(target.receive(encode(Frame(0, 0, message.CODE, message.pack()))))
            if message.CODE == m.HelloRequest.CODE:
                opened = m.HelloResponse.unpack(answer.payload[1:]).session
                sequence, session = (sequence if opened == session else 0), opened
            return answer
        sequence += 1
        block = encode(Frame(session, sequence, message.CODE, message.pack()))
        (answer,) = answers(target.receive(block))
        assert answers(target.receive(block)) == [answer], "a repeated request, the same answer"
        return answer

    send(m.HelloRequest(1))
    loaded_run(target, send)
    if armed:
        send(m.ArmRequest(600_000))
    for message in requests:
        answer = send(message)
        assert answer.payload[0] in m.STATUSES
        if answer.payload[0] == 0:
            m.RESPONSES[message.CODE].unpack(answer.payload[1:])
        else:
            m.STATUSES[answer.payload[0]].unpack(answer.payload)
    assert np.isfinite(target.true_conductances()).all()
