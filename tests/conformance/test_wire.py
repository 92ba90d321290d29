"""Sessions, numbers and repetition, as PROTOCOL.md promises them."""

from __future__ import annotations

import random

import pytest

from protocols import frame, messages
from protocols.messages import ArmRequest, DisarmRequest, StatusRequest

UNUSED_CODES = sorted(set(range(1, 0x80)) - set(messages.REQUESTS))


def name_of(payload: bytes) -> str:
    return messages.STATUSES[payload[0]].name


def test_hello_says_who_the_board_is(target):
    hello = target.wire.hello(0xABCD)
    assert hello.nonce == 0xABCD
    assert hello.session != 0
    assert hello.protocol_version == messages.PROTOCOL_VERSION
    assert hello.fingerprint == messages.FINGERPRINT
    if "power-up" in target.features:
        assert hello.safe_reason == messages.SafeReason.POWER_UP
    assert (hello.rows, hello.columns) == (target.description.rows, target.description.columns)
    assert hello.window >= 1
    assert hello.payload_bytes >= 64
    assert hello.build.rstrip(b"\x00").isascii()


def test_the_same_nonce_gets_the_same_answer_and_session(target):
    first = target.wire.hello(7)
    target.wire.good(StatusRequest())
    assert target.wire.hello(7) == first
    target.wire.next = 2
    target.wire.good(StatusRequest())


def test_a_new_nonce_ends_the_session(target):
    first = target.wire.hello(7)
    second = target.wire.hello(8)
    assert second.session != first.session
    old = target.wire.encode(StatusRequest(), 1, session=first.session)
    (answer,) = target.wire.raw(old, 1)
    assert name_of(answer.payload) == "bad_session"
    assert messages.STATUSES[5].unpack(answer.payload) == {"session": second.session}
    target.wire.good(StatusRequest())


def test_without_hello_there_is_no_session(target):
    for session in (0, 1, 0xFFFF):
        (answer,) = target.wire.raw(target.wire.encode(StatusRequest(), 1, session), 1)
        assert name_of(answer.payload) == "bad_session"


def test_a_number_that_is_not_due_is_refused_and_not_executed(wire):
    for wrong in (2, 3, 0, 0xFFFFFFFF):
        (answer,) = wire.raw(wire.encode(ArmRequest(1000), wrong), 1)
        assert name_of(answer.payload) == "bad_sequence"
        assert messages.STATUSES[4].unpack(answer.payload) == {"expected": 1}
    assert wire.status().armed_ms == 0


def test_a_repeated_request_is_answered_from_memory(wire):
    before = wire.status().repeated
    once = wire.encode(StatusRequest(), 2)
    (first,) = wire.raw(once, 1)
    (second,) = wire.raw(once, 1)
    assert second == first, "the counters would differ if it had been executed again"
    wire.next = 3
    assert wire.status().repeated == before + 1


def test_the_last_window_of_answers_is_remembered_and_no_more(target):
    window = target.wire.hello().window
    wire = target.wire
    sent = [wire.encode(StatusRequest(), n + 1) for n in range(window + 1)]
    answers = [wire.raw(one, 1)[0] for one in sent]
    (forgotten,) = wire.raw(sent[0], 1)
    assert name_of(forgotten.payload) == "bad_sequence"
    for one, answer in zip(sent[1:], answers[1:], strict=True):
        assert wire.raw(one, 1) == [answer]


def test_a_refused_request_consumes_its_number_and_is_remembered(wire):
    bad = wire.encode(ArmRequest(0xFFFFFFFF), 1)
    (first,) = wire.raw(bad, 1)
    assert name_of(first.payload) == "over_limit"
    assert wire.raw(bad, 1) == [first]
    wire.next = 2
    wire.good(DisarmRequest())


def test_a_window_at_once_is_executed_in_order(target):
    window = target.wire.hello().window
    wire = target.wire
    together = b"".join(wire.encode(ArmRequest(1000 * (n + 1)), n + 1) for n in range(window))
    answers = wire.raw(together, window)
    assert [answer.sequence for answer in answers] == list(range(1, window + 1))
    until = [messages.ArmResponse.unpack(answer.payload[1:]).until_us for answer in answers]
    assert until == sorted(until)


def test_a_gap_stops_what_follows(wire):
    numbers = (1, 3, 4, 2)
    answers = wire.raw(b"".join(wire.encode(StatusRequest(), n) for n in numbers), 4)
    names = [name_of(answer.payload) for answer in answers]
    assert names == ["ok", "bad_sequence", "bad_sequence", "ok"]


@pytest.mark.parametrize("kind", [messages.StopRequest, messages.KeepAliveRequest])
def test_some_requests_need_no_session_and_no_order(target, kind):
    for _ in range(3):
        payload = target.wire.exchange(kind.CODE, b"", 0, 0)
        assert payload[0] == 0
    target.wire.hello()
    target.wire.good(StatusRequest())
    target.wire.exchange(kind.CODE, b"", 0, 0)
    target.wire.good(StatusRequest())


@pytest.mark.parametrize("code", [UNUSED_CODES[0], UNUSED_CODES[-1]])
def test_an_unknown_code(wire, code):
    payload = wire.ask_raw(code, b"abc")
    assert name_of(payload) == "unknown_code"
    assert messages.STATUSES[1].unpack(payload) == {"code": code}
    wire.good(StatusRequest())


@pytest.mark.parametrize("request_", messages.REQUESTS.values(), ids=lambda r: r.NAME)
def test_a_payload_of_the_wrong_length(wire, request_):
    size = request_.STRUCT.size
    lengths = {size + 1} | ({size - 1} if size else set())
    for length in lengths:
        if request_.SCOPE == "any":
            payload = wire.exchange(request_.CODE, bytes(length), 0, 0)
        else:
            payload = wire.ask_raw(request_.CODE, bytes(length))
        if request_.ENTRY is not None and request_.ENTRY.STRUCT.size == 1:
            continue
        assert name_of(payload) == "bad_length"
        assert messages.STATUSES[2].unpack(payload)["length"] == length
    assert wire.status().pulses == 0


def test_a_payload_longer_than_allowed(target):
    limit = target.wire.hello().payload_bytes
    too_long = bytes(2 + 11 * (limit // 11 + 1))
    assert name_of(target.wire.ask_raw(0x20, too_long)) == "bad_length"


def restricted_fields():
    """Every field of every request whose range is narrower than its wire type's."""
    full = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF, 8: (1 << 64) - 1}
    for request in messages.REQUESTS.values():
        for record in filter(None, (request, request.ENTRY)):
            for index, spec in enumerate(record.FIELDS):
                if spec.type.startswith("bytes"):
                    continue
                size = spec.size_bytes // spec.count
                signed = spec.type.startswith("i")
                low = -(full[size] // 2) - 1 if signed else 0
                high = full[size] // 2 if signed else full[size]
                bad = [v for v in (spec.minimum - 1, spec.maximum + 1) if low <= v <= high]
                for value in bad:
                    name = f"{record.NAME}.{spec.name}={value}"
                    yield pytest.param(request, record, index, value, id=name)


def smallest(record) -> list[int]:
    return [spec.minimum for spec in record.FIELDS for _ in range(spec.count)]


def with_value(record, index, value) -> bytes:
    """A record of smallest values with one field (its first number) changed."""
    at = sum(spec.count for spec in record.FIELDS[:index])
    values = smallest(record)
    values[at] = value
    return record.STRUCT.pack(*values)


@pytest.mark.parametrize(("request_", "record", "index", "value"), list(restricted_fields()))
def test_a_field_out_of_its_range(wire, request_, record, index, value):
    if record is request_:
        entry, payload = 0, with_value(record, index, value)
        if request_.ENTRY is not None:
            payload += request_.ENTRY.STRUCT.pack(*smallest(request_.ENTRY))
    else:
        entry = 1
        payload = request_.STRUCT.pack(*smallest(request_))
        payload += record.STRUCT.pack(*smallest(record)) + with_value(record, index, value)
    answer = wire.ask_raw(request_.CODE, payload)
    assert name_of(answer) == "out_of_range"
    spec = record.FIELDS[index]
    limits = {"minimum": spec.minimum, "maximum": min(spec.maximum, 0x7FFFFFFF)}
    found = messages.STATUSES[3].unpack(answer)
    assert found == {"field": index, "entry": entry, "value": value, **limits}


# --- a bad line ----------------------------------------------------------------------------------


def test_unreadable_frames_are_dropped_and_counted(wire):
    before = wire.status()
    good = wire.encode(StatusRequest(), wire.next)
    damaged = bytearray(good)
    damaged[5] ^= 0x10
    assert wire.raw(bytes(damaged), 0) == []
    assert wire.raw(b"\x01\x02\x03\x00", 0) == []
    assert wire.raw(b"\xaa" * 3000 + b"\x00", 0) == []
    after = wire.status()
    assert after.dropped == before.dropped + 3
    assert after.frames == before.frames + 1


def test_empty_blocks_are_nothing(wire):
    before = wire.status().dropped
    assert wire.raw(b"\x00\x00\x00", 0) == []
    assert wire.status().dropped == before


def test_a_response_from_the_host_is_no_request(wire):
    one = frame.Frame(wire.session, wire.next, 0x90, b"\x00")
    assert wire.raw(frame.encode(one), 0) == []
    wire.status()


def test_a_frame_may_come_byte_by_byte(wire):
    data = wire.encode(StatusRequest(), 1)
    for at in range(len(data) - 1):
        wire.stream.write(data[at : at + 1])
    assert wire.raw(b"", 0) == []
    (answer,) = wire.raw(data[-1:], 1)
    assert name_of(answer.payload) == "ok"


def test_random_bytes_do_nothing(target):
    rng = random.Random(77)
    wire = target.wire
    wire.hello()
    for _ in range(300):
        wire.stream.write(rng.randbytes(rng.randrange(1, 400)))
    wire.stream.write(b"\x00")
    while wire.stream.read(0.05):
        pass
    found = wire.status()
    assert (found.pulses, found.reads, found.armed_ms) == (0, 0, 0)


def test_random_requests_are_each_answered_once(target):
    """Good frames with random contents: one answer each, never silence, never a crash."""
    rng = random.Random(4)
    wire = target.wire
    wire.hello()
    codes = [code for code, kind in messages.REQUESTS.items() if kind.SCOPE == "session"]
    for _ in range(400):
        code = rng.choice([*codes, rng.randrange(1, 0x80)])
        if code in (1, 2, 3):
            continue
        payload = rng.randbytes(rng.choice([0, 1, 2, 4, 6, 8, 13, 27, 40]))
        assert wire.ask_raw(code, payload)[0] in messages.STATUSES
    assert wire.status().pulses == 0
