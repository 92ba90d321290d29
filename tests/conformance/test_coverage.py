"""Each message carried out once and each refusal seen once, held against messages.yaml."""

from __future__ import annotations

import zlib

import pytest

from protocols import frame, messages
from protocols.messages import (
    AdvanceRequest,
    ArmRequest,
    DisarmRequest,
    HelloRequest,
    InitialRequest,
    InitialRequestEntry,
    KeepAliveRequest,
    LimitsLowerRequest,
    LineCheckRequest,
    LineCheckRequestEntry,
    LoopbackRequest,
    LoopbackRequestEntry,
    LoopLayerRequest,
    MultiplyRequest,
    MultiplyRequestEntry,
    ProbeRequest,
    ProgressRequest,
    PulseReadRequest,
    PulseReadRequestEntry,
    ReadReferenceRequest,
    ReadReferenceRequestEntry,
    ReadRequest,
    ReadRequestEntry,
    RunRequest,
    SafeClearRequest,
    SamplesRequest,
    StatusRequest,
    StopRequest,
    TraceRequest,
    WaveBeginRequest,
    WaveClassRequest,
    WaveCommitRequest,
    WaveLoadRequest,
    WaveLoadRequestEntry,
)

PULSE = PulseReadRequest(100, (PulseReadRequestEntry(0, 0, 0, 500, 500, 10),))
ENTRY = WaveLoadRequestEntry(2048, 2048, 0, (2048, 2048), (2048,) * 14)
CRC = zlib.crc32(ENTRY.pack() + WaveClassRequest((0,) * 14).pack())
RUN = RunRequest(1, 0, 1, 1, 0, 0, 0, 1, 1)


def session(width: int) -> list[messages.Message]:
    """A session in which every message of scope session is carried out."""
    return [
        StatusRequest(),
        LimitsLowerRequest(0, 600, 600, 600, 600, 220_000, 60_000),
        SafeClearRequest(1),
        ArmRequest(1000),
        PULSE,
        ReadRequest(100, 1, (ReadRequestEntry(0, 0),)),
        LoopbackRequest(1, 0, 1, (LoopbackRequestEntry(1000),)),
        ReadReferenceRequest(100, 1, (ReadReferenceRequestEntry(0, 1),)),
        LineCheckRequest(100, 1, (LineCheckRequestEntry(0, 1, 0, 1),)),
        MultiplyRequest(0, 0, 1, 2, 0, 1, (MultiplyRequestEntry(2100),)),
        WaveBeginRequest(1, 5000),
        WaveLoadRequest(0, (ENTRY,)),
        WaveClassRequest((0,) * 14),
        WaveCommitRequest(CRC),
        LoopLayerRequest(0, 0, 0, 3, width, 1, 500, 0),
        LoopLayerRequest(1, 3, 0, width + 1, width, 1, 500, 0),
        LoopLayerRequest(2, 18, 0, width + 1, 2, 1, 500, 0),
        InitialRequest(0, (InitialRequestEntry((2048, 2048)),)),
        ProbeRequest(0, (2048, 2048), 1),
        RUN,
        ProgressRequest(),
        SamplesRequest(0, 1),
        TraceRequest(0, 0, 2),
        AdvanceRequest(1),
        DisarmRequest(),
    ]


def test_every_message_is_carried_out(target):
    target.need("virtual time")
    carried = {HelloRequest.CODE, StopRequest.CODE, KeepAliveRequest.CODE}
    target.wire.hello()
    assert target.wire.exchange(0x03, b"", 0, 0)[0] == 0
    for request in session(target.description.loop.hidden_width):
        target.wire.good(request)
        carried.add(request.CODE)
    assert target.wire.exchange(0x02, b"", 0, 0)[0] == 0
    assert carried == set(messages.REQUESTS)


def loaded(target):
    for request in session(target.description.loop.hidden_width)[10:18]:
        target.wire.good(request)


def busy(target):
    loaded(target)
    target.wire.good(RUN)
    return target.wire.ask(RUN)


def stopped(target):
    target.wire.exchange(0x02, b"", 0, 0)
    return target.wire.ask(PULSE)


def budget(target):
    target.wire.good(LimitsLowerRequest(0, 600, 600, 600, 1, 220_000, 60_000))
    target.wire.good(ArmRequest(1000))
    target.wire.good(PULSE)
    return target.wire.ask(PULSE)


def mismatch(target):
    target.wire.good(WaveBeginRequest(1, 5000))
    target.wire.good(WaveLoadRequest(0, (ENTRY,)))
    return target.wire.ask(WaveCommitRequest(CRC + 1))


def interlock(target):
    target.need("interlock switch")
    target.back_door.open_interlock()
    return target.wire.ask(ArmRequest(1))


def fault(target):
    target.need("planted faults")
    target.wire.good(ArmRequest(1000))
    target.back_door.plant_fault(3)
    return target.wire.ask(PULSE)


def not_supported(target):
    if "virtual time" in target.features:
        pytest.skip("a simulated board supports every message")
    return target.wire.ask(AdvanceRequest(1))


def elsewhere(target, session, sequence):
    one = frame.Frame(session, sequence, StatusRequest.CODE, b"")
    return target.wire.raw(frame.encode(one), 1)[0].payload


REFUSALS = {
    "unknown_code": lambda t: t.wire.ask_raw(0x7E, b""),
    "bad_length": lambda t: t.wire.ask_raw(ArmRequest.CODE, b"\x01"),
    "out_of_range": lambda t: t.wire.ask_raw(ArmRequest.CODE, bytes(4)),
    "bad_sequence": lambda t: elsewhere(t, t.wire.session, 9),
    "bad_session": lambda t: elsewhere(t, t.wire.session ^ 1, 1),
    "not_armed": lambda t: t.wire.ask(PULSE),
    "safe_state": stopped,
    "over_limit": lambda t: t.wire.ask(ReadRequest(4095, 1, (ReadRequestEntry(0, 0),))),
    "busy": busy,
    "not_ready": lambda t: t.wire.ask(WaveCommitRequest(0)),
    "crc_mismatch": mismatch,
    "pulse_budget": budget,
    "not_supported": not_supported,
    "no_data": lambda t: t.wire.ask(SamplesRequest(0, 1)),
    "interlock_open": interlock,
    "front_end": fault,
}


def test_every_refusal_is_in_the_table():
    assert set(REFUSALS) == {status.name for status in messages.STATUSES.values()} - {"ok"}


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal(target, wire, name):
    payload = REFUSALS[name](target)
    status = messages.STATUSES[payload[0]]
    assert status.name == name
    status.unpack(payload)
