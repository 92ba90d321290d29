"""Arming, the watchdog, and what latches: a host that goes silent cannot leave a voltage on."""

from __future__ import annotations

import pytest

from protocols import messages
from protocols.messages import (
    AdvanceRequest,
    ArmRequest,
    DisarmRequest,
    Operation,
    PulseReadRequest,
    PulseReadRequestEntry,
    ReadRequest,
    ReadRequestEntry,
    SafeClearRequest,
    SafeReason,
)

PULSE = PulseReadRequest(100, (PulseReadRequestEntry(0, 0, Operation.SET, 500, 500, 10),))
READ = ReadRequest(100, 1, (ReadRequestEntry(0, 0),))
SECOND = 1_000_000


def stop(wire) -> SafeReason:
    payload = wire.exchange(0x02, b"", 0, 0)
    return SafeReason(messages.StopResponse.unpack(payload[1:]).safe_reason)


def advance(target, seconds: float) -> None:
    target.need("virtual time")
    target.wire.good(AdvanceRequest(round(seconds * SECOND)))


def test_power_up_needs_no_clearing(target):
    target.need("power-up")
    assert target.wire.hello().safe_reason == SafeReason.POWER_UP
    target.wire.good(ArmRequest(1000))
    target.wire.good(PULSE)


def test_unarmed_boards_read_but_do_not_pulse(wire):
    assert wire.refused(PULSE) == ("not_armed", {})
    assert wire.status().pulses == 0
    wire.good(READ)


def test_armed_boards_pulse_until_they_are_disarmed(wire):
    until_us = wire.good(ArmRequest(5000)).until_us
    status = wire.status()
    assert until_us <= status.time_us + 5 * SECOND
    assert 0 < status.armed_ms <= 5000
    wire.good(PULSE)
    wire.good(DisarmRequest())
    assert wire.status().armed_ms == 0
    assert wire.status().safe_reason == SafeReason.DISARM
    assert wire.refused(PULSE) == ("not_armed", {})


def test_arming_has_a_longest_time(target):
    most = target.wire.hello().arm_ms_max
    assert target.wire.refused(ArmRequest(most + 1)) == (
        "over_limit",
        {"field": 0, "entry": 0, "value": most + 1, "limit": most},
    )
    target.wire.good(ArmRequest(most))


def test_arming_ends_by_itself(target, wire):
    wire.good(ArmRequest(500))
    advance(target, 0.6)
    assert wire.refused(PULSE) == ("not_armed", {})
    assert wire.status().safe_reason == SafeReason.ARM_TIMEOUT
    wire.good(ArmRequest(500))


def test_a_pulse_must_end_before_the_arming(target, wire):
    ticks = target.description.limits.set.width_s / target.description.converters.width_tick_s
    wire.good(ArmRequest(1))
    entries = tuple(
        PulseReadRequestEntry(0, 0, Operation.SET, 500, 500, int(ticks) - 1) for _ in range(16)
    )
    name, _ = wire.refused(PulseReadRequest(100, entries))
    assert name == "not_armed"
    assert wire.status().pulses == 0


def test_silence_while_armed_bites(target):
    watchdog_s = target.wire.hello().watchdog_ms * 1e-3
    wire = target.wire
    wire.good(ArmRequest(60_000))
    advance(target, watchdog_s * 0.9)
    wire.good(PULSE)
    advance(target, watchdog_s * 1.1)
    assert wire.refused(PULSE) == ("safe_state", {"reason": SafeReason.WATCHDOG})
    assert wire.refused(ArmRequest(1000)) == ("safe_state", {"reason": SafeReason.WATCHDOG})
    assert wire.status().armed_ms == 0
    wire.good(SafeClearRequest(SafeReason.WATCHDOG))
    wire.good(ArmRequest(1000))
    wire.good(PULSE)


def test_silence_while_not_armed_is_nothing(target):
    watchdog_s = target.wire.hello().watchdog_ms * 1e-3
    advance(target, 10 * watchdog_s)
    target.wire.good(ArmRequest(1000))


def test_keep_alive_feeds_the_watchdog(target):
    watchdog_s = target.wire.hello().watchdog_ms * 1e-3
    wire = target.wire
    wire.good(ArmRequest(60_000))
    for _ in range(4):
        advance(target, watchdog_s * 0.7)
        payload = wire.exchange(0x03, b"", 0, 0)
        got = messages.KeepAliveResponse.unpack(payload[1:])
        assert got.safe_reason == SafeReason.NONE
    wire.good(PULSE)


def test_stop_latches_and_is_cleared_by_name_only(wire):
    wire.good(ArmRequest(5000))
    assert stop(wire) is SafeReason.STOP
    reason = {"reason": SafeReason.STOP}
    assert wire.status().armed_ms == 0
    assert wire.refused(PULSE) == ("safe_state", reason)
    assert wire.refused(ArmRequest(1000)) == ("safe_state", reason)
    for wrong in (SafeReason.NONE, SafeReason.WATCHDOG, SafeReason.DISARM):
        assert wire.refused(SafeClearRequest(wrong)) == ("safe_state", reason)
    wire.good(READ)
    wire.good(SafeClearRequest(SafeReason.STOP))
    assert wire.status().safe_reason == SafeReason.NONE
    assert wire.refused(PULSE) == ("not_armed", {}), "clearing does not arm"
    wire.good(ArmRequest(1000))
    wire.good(PULSE)


def test_a_new_session_does_not_clear_a_stop(wire):
    stop(wire)
    assert wire.hello(99).safe_reason == SafeReason.STOP
    assert wire.refused(ArmRequest(1000)) == ("safe_state", {"reason": SafeReason.STOP})


def test_a_new_session_disarms(wire):
    wire.good(ArmRequest(5000))
    wire.hello(99)
    assert wire.refused(PULSE) == ("not_armed", {})


def test_a_repeated_hello_does_not_disarm(wire):
    wire.good(ArmRequest(5000))
    wire.hello(1)
    wire.next = 2
    wire.good(PULSE)


def test_disarming_does_not_cover_a_stop(wire):
    stop(wire)
    wire.good(DisarmRequest())
    assert wire.status().safe_reason == SafeReason.STOP


def test_an_open_interlock(target, wire):
    target.need("interlock switch")
    wire.good(ArmRequest(5000))
    target.back_door.open_interlock()
    assert wire.status().armed_ms == 0
    assert wire.refused(PULSE) == ("interlock_open", {})
    assert wire.refused(ArmRequest(1000)) == ("interlock_open", {})
    assert wire.refused(SafeClearRequest(SafeReason.INTERLOCK)) == ("interlock_open", {})
    wire.good(READ)
    target.back_door.close_interlock()
    assert wire.refused(ArmRequest(1000)) == ("safe_state", {"reason": SafeReason.INTERLOCK})
    wire.good(SafeClearRequest(SafeReason.INTERLOCK))
    wire.good(ArmRequest(1000))


def test_a_fault_of_the_front_end(target, wire):
    target.need("planted faults")
    wire.good(ArmRequest(5000))
    target.back_door.plant_fault(42)
    assert wire.refused(PULSE) == ("front_end", {"detail": 42})
    assert wire.status().armed_ms == 0
    assert wire.refused(PULSE) == ("safe_state", {"reason": SafeReason.FAULT})
    wire.good(SafeClearRequest(SafeReason.FAULT))
    wire.good(ArmRequest(1000))
    wire.good(PULSE)


@pytest.mark.parametrize("duration_us", [1, SECOND, 3600 * SECOND])
def test_time_passes_as_told(target, wire, duration_us):
    target.need("virtual time")
    before = wire.status().time_us
    after = wire.good(AdvanceRequest(duration_us)).time_us
    assert 0 <= after - before - duration_us < 10_000, "the frames themselves take some time"
