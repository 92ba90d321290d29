"""Messages to bytes and back, and every refusal at the door."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import messages
from protocols.codec import Field, LengthError, Message, RangeError, Record
from protocols.errors import MessageError
from protocols.messages import PulseReadRequest, PulseReadRequestEntry, ReadRequest

ALL = [*messages.REQUESTS.values(), *messages.RESPONSES.values()]


def values_of(spec: Field) -> st.SearchStrategy:
    if spec.type.startswith("bytes"):
        return st.binary(min_size=spec.size_bytes, max_size=spec.size_bytes)
    one = st.integers(spec.minimum, spec.maximum)
    return one if spec.count == 1 else st.tuples(*[one] * spec.count)


def records(kind: type[Record]) -> st.SearchStrategy:
    return st.builds(kind, **{spec.name: values_of(spec) for spec in kind.FIELDS})


def built(kind: type[Message]) -> st.SearchStrategy:
    fields = {spec.name: values_of(spec) for spec in kind.FIELDS}
    if kind.ENTRY is not None:
        most = kind.entries_per_payload(messages.PAYLOAD_BYTES - 1)
        fields["entries"] = st.lists(records(kind.ENTRY), max_size=most).map(tuple)
    return st.builds(kind, **fields)


def entry(**changes) -> PulseReadRequestEntry:
    fields = {"row": 1, "column": 2, "operation": 0, "gate_code": 3, "line_code": 4}
    return PulseReadRequestEntry(**{**fields, "width_ticks": 5, **changes})


@given(st.sampled_from(ALL).flatmap(built))
def test_round_trip(message):
    payload = message.pack()
    assert type(message).unpack(payload) == message
    assert len(payload) <= messages.PAYLOAD_BYTES


@given(st.sampled_from(ALL), st.binary(max_size=300))
def test_any_payload_is_a_message_or_an_error(kind, payload):
    try:
        message = kind.unpack(payload)
    except (LengthError, RangeError):
        return
    assert message.pack() == payload


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_values_outside_their_range_are_refused(kind):
    records = [(kind, 0)] if kind.FIELDS else []
    records += [(kind.ENTRY, 2)] if kind.ENTRY is not None else []
    for record, number in records:
        for index, spec in enumerate(record.FIELDS):
            if spec.type.startswith("bytes"):
                continue
            for value in (spec.minimum - 1, spec.maximum + 1):
                message = build_with(kind, record, spec, value)
                with pytest.raises(RangeError) as caught:
                    message.pack()
                error = caught.value
                assert (error.field, error.entry, error.value) == (index, number, value)
                assert (error.minimum, error.maximum) == (spec.minimum, spec.maximum)
                assert spec.name in str(error)


def build_with(kind, record, spec, value) -> Message:
    """A message of smallest values, one field of the record (entry 2 if an entry) changed."""

    def fields(of, changed):
        out = {}
        for field in of.FIELDS:
            part = b"" if field.type.startswith("bytes") else field.minimum
            out[field.name] = part if field.count == 1 else (part,) * field.count
        if changed:
            out[spec.name] = value if spec.count == 1 else (value,) * spec.count
        return out

    whole = fields(kind, record is kind)
    if kind.ENTRY is not None:
        changes = (False, False, record is kind.ENTRY)
        whole["entries"] = tuple(kind.ENTRY(**fields(kind.ENTRY, c)) for c in changes)
    return kind(**whole)


@pytest.mark.parametrize("change", [-1, 1])
def test_wrong_length_names_both_lengths(change):
    payload = entry_payload()
    wrong = payload[:change] if change < 0 else payload + b"\x00"
    with pytest.raises(LengthError) as caught:
        PulseReadRequest.unpack(wrong)
    assert caught.value.length == len(wrong)
    assert caught.value.expected in (len(payload), len(payload) + 13)


def entry_payload() -> bytes:
    return PulseReadRequest(100, (entry(), entry(row=9))).pack()


def test_a_head_without_room_for_itself():
    with pytest.raises(LengthError) as caught:
        PulseReadRequest.unpack(b"\x01")
    assert caught.value.expected == 2


def test_the_refused_entry_is_numbered():
    payload = bytearray(entry_payload())
    payload[2 + 13 + 4] = 3  # operation of the second entry
    with pytest.raises(RangeError) as caught:
        PulseReadRequest.unpack(bytes(payload))
    assert (caught.value.field, caught.value.entry, caught.value.value) == (2, 1, 3)


@pytest.mark.parametrize("bad", [1.5, "2", None, math.nan, np.float64(3.0)])
def test_numbers_are_whole(bad):
    with pytest.raises(MessageError, match="whole numbers"):
        ReadRequest(bad, 1, ()).pack()


def test_numpy_integers_are_numbers():
    assert ReadRequest(np.int64(7), np.uint8(1), ()).pack() == ReadRequest(7, 1, ()).pack()


def test_too_many_values_are_refused():
    with pytest.raises(MessageError, match="has 3 values, the message needs 2"):
        messages.ProbeRequest(0, (1, 2, 3), 1).pack()
    with pytest.raises(MessageError, match="has 1 values, the message needs 2"):
        messages.ProbeRequest(0, 7, 1).pack()


def test_too_many_here_and_too_few_there_are_refused():
    entry = messages.WaveLoadRequestEntry(1, 2, 3, (4, 5, 6), (7,) * 13)
    with pytest.raises(MessageError, match=r"wave_load\.entries\.offset has 3 values"):
        messages.WaveLoadRequest(0, (entry,)).pack()


def test_text_that_does_not_fit_is_refused_and_short_text_padded():
    hello = {f.name: 1 for f in messages.HelloResponse.FIELDS}
    with pytest.raises(MessageError, match="17 bytes, 16 fit"):
        messages.HelloResponse(**{**hello, "build": b"x" * 17}).pack()
    padded = messages.HelloResponse.unpack(
        messages.HelloResponse(**{**hello, "build": b"x"}).pack()
    )
    assert padded.build == b"x".ljust(16, b"\x00")


def test_entries_per_payload():
    assert PulseReadRequest.entries_per_payload(220) == 16
    with pytest.raises(MessageError, match="no entries"):
        messages.ArmRequest.entries_per_payload(220)


@pytest.mark.parametrize("status", messages.STATUSES.values(), ids=lambda s: s.name)
def test_status_of_wrong_length(status):
    payload = status.pack(*[1] * len(status.arguments))
    with pytest.raises(LengthError):
        status.unpack(payload + b"\x00")
