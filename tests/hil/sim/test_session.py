"""Sessions, numbering and exactly-once, on the bytes of the wire."""

from __future__ import annotations

import pytest

from protocols import messages as m
from protocols.frame import Decoder, Frame, encode
from tests.hil.sim.board_host import READ_CODE, Host, RefusedByBoardError, open_host, unpack


def test_hello_with_the_same_nonce_repeats_its_answer() -> None:
    host = open_host()
    first = host.exchange(0, 0, 0x01, m.HelloRequest(9).pack())
    host.session = unpack(first[0]).session
    host.sequence = 0
    host(m.ArmRequest(1000))
    assert host.exchange(0, 0, 0x01, m.HelloRequest(9).pack()) == first
    assert host(m.StatusRequest()).armed_ms > 0, "a repeated hello must not end the session"


def test_a_new_nonce_ends_the_session_and_the_arming() -> None:
    host = open_host()
    old = host.session
    host(m.ArmRequest(1000))
    host.hello(8)
    assert host.session not in (0, old)
    assert host(m.StatusRequest()).armed_ms == 0
    (frame,) = host.exchange(old, 1, m.StatusRequest.CODE)
    assert m.STATUSES[frame.payload[0]].name == "bad_session"
    assert m.STATUSES[5].unpack(frame.payload) == {"session": host.session}


def test_before_hello_there_is_no_session() -> None:
    board = open_host().board
    fresh = Host(type(board)(board.machine.description, board.machine.settings, board.chip))
    for session in (0, 1, 59301):
        (frame,) = fresh.exchange(session, 1, m.StatusRequest.CODE)
        assert m.STATUSES[5].unpack(frame.payload) == {"session": 0}


def test_power_up_is_reported_once_and_needs_no_clearing() -> None:
    host = open_host()
    (again,) = host.exchange(0, 0, 0x01, m.HelloRequest(7).pack())
    assert unpack(again).safe_reason == m.SafeReason.POWER_UP
    assert host(m.StatusRequest()).safe_reason == m.SafeReason.NONE
    host(m.ArmRequest(10))
    assert host.hello(8).safe_reason == m.SafeReason.NONE


@pytest.mark.parametrize("sequence", [0, 2, 5, 2**32 - 1])
def test_only_the_expected_number_is_executed(sequence: int) -> None:
    host = open_host()
    request = m.AdvanceRequest(1_000_000)
    (frame,) = host.exchange(host.session, sequence, request.CODE, request.pack())
    assert m.STATUSES[4].unpack(frame.payload) == {"expected": 1}
    assert host(m.StatusRequest()).time_us < 1_000_000


def test_a_repeated_act_is_answered_from_memory() -> None:
    host = open_host()
    host(m.ArmRequest(60_000))
    host.board.set_conductances([[150e-6] * 128] * 128)
    pulse = m.PulseReadRequestEntry(1, 2, m.Operation.RESET, 3000, 2000, 10)
    request = m.PulseReadRequest(READ_CODE, (pulse,))
    block = encode(Frame(host.session, 2, request.CODE, request.pack()))
    answer = host.board.receive(block)
    time_ns = host.board.chip.now_ns
    assert host.board.receive(block + block) == answer + answer
    assert host.board.chip.now_ns == time_ns, "an answer from memory costs no virtual time"
    host.sequence = 2
    status = host(m.StatusRequest())
    assert (status.pulses, status.reads, status.repeated) == (1, 1, 2)
    assert host.board.chip.cells.state["reset_count"][128 + 2] == 1


def test_memory_reaches_back_a_window_and_no_further() -> None:
    host = open_host(window=4)
    answers = [host.exchange(host.session, n, m.StatusRequest.CODE) for n in range(1, 11)]
    for sequence in range(7, 11):
        again = host.exchange(host.session, sequence, m.StatusRequest.CODE)
        assert again == answers[sequence - 1]
    (frame,) = host.exchange(host.session, 6, m.StatusRequest.CODE)
    assert m.STATUSES[4].unpack(frame.payload) == {"expected": 11}


def test_a_refused_request_consumes_its_number() -> None:
    host = open_host()
    with pytest.raises(RefusedByBoardError, match="not_armed"):
        host.pulse_read((0, 0, 0, 1000, 1000, 10))
    (again,) = host.exchange(host.session, 1, m.PulseReadRequest.CODE)
    assert m.STATUSES[again.payload[0]].name == "not_armed", "the refusal is what is remembered"
    assert host(m.StatusRequest()).repeated == 1


def test_requests_in_flight_are_answered_in_order() -> None:
    host = open_host()
    block = b"".join(
        encode(Frame(host.session, n, m.AdvanceRequest.CODE, m.AdvanceRequest(10).pack()))
        for n in range(1, 9)
    )
    frames = Decoder().feed(host.board.receive(block))
    assert [frame.sequence for frame in frames] == list(range(1, 9))
    times = [unpack(frame).time_us for frame in frames]
    assert times == sorted(times)
    assert times[-1] - times[0] >= 70


def test_an_unknown_code_is_named() -> None:
    host = open_host()
    (frame,) = host.exchange(host.session, 1, 0x6F, b"what")
    assert m.STATUSES[1].unpack(frame.payload) == {"code": 0x6F}


def test_length_and_range_are_checked_for_every_handler() -> None:
    host = open_host()
    for sequence, (code, request) in enumerate(
        ((c, r) for c, r in m.REQUESTS.items() if r.SCOPE == "session"), start=1
    ):
        (frame,) = host.exchange(host.session, sequence, code, bytes(219))
        assert m.STATUSES[frame.payload[0]].name in ("bad_length", "out_of_range"), request.NAME
    (frame,) = host.exchange(host.session, sequence + 1, m.ReadRequest.CODE, bytes(221))
    assert m.STATUSES[2].unpack(frame.payload) == {"length": 221, "expected": 220}


def test_out_of_range_names_field_entry_and_range() -> None:
    host = open_host()
    entries = (m.PulseReadRequestEntry(0, 0, 0, 1, 1, 1),) * 3
    payload = bytearray(m.PulseReadRequest(164, entries).pack())
    payload[2 + 2 * 13 + 4] = 3  # the operation of entry 2
    (frame,) = host.exchange(host.session, 1, m.PulseReadRequest.CODE, bytes(payload))
    assert m.STATUSES[3].unpack(frame.payload) == {
        "field": 2,
        "entry": 2,
        "value": 3,
        "minimum": 0,
        "maximum": 2,
    }


def test_unreadable_bytes_and_echoed_answers_are_dropped_and_counted() -> None:
    host = open_host()
    good = encode(Frame(host.session, 1, m.StatusRequest.CODE, b""))
    damaged = bytes([good[0], good[1] ^ 0x10]) + good[2:]
    assert host.board.receive(damaged) == b""
    answer = host.board.receive(good)
    assert host.board.receive(answer) == b""
    host.sequence = 1
    status = host(m.StatusRequest())
    assert status.dropped == 2
    assert status.frames == 3  # hello, two status; not the damaged one, not the echo
