"""Arming, watchdog, stop, interlock, faults and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hil.sim.config import SimSettings
from hil.sim.limits import CodeLimits
from protocols import messages as m
from protocols.frame import Frame, encode
from tests.hil.sim.board_host import (
    REFERENCE,
    Host,
    RefusedByBoardError,
    blocks_conductance,
    open_host,
    unpack,
    wave_codes,
)

SECOND_US = 1_000_000
RESET_PULSE = (0, 0, int(m.Operation.RESET), 2500, 1500, 10)


@pytest.fixture
def host() -> Host:
    return open_host()


@pytest.fixture
def armed() -> Host:
    host = open_host()
    host.board.set_conductances(np.full((128, 128), 150e-6))
    host(m.ArmRequest(600_000))
    return host


def refused(host: Host, *pulses: tuple[int, ...], **changes: int) -> RefusedByBoardError:
    with pytest.raises(RefusedByBoardError) as caught:
        host.pulse_read(*pulses, **changes)
    return caught.value


# --- arming and the watchdog -----------------------------------------------------------------


def test_nothing_is_driven_unarmed(host: Host) -> None:
    assert refused(host, RESET_PULSE).name == "not_armed"
    assert host.board.chip.cells.state["pulse_count"].sum() == 0


def test_arming_times_out_in_board_time(host: Host) -> None:
    until_us = host(m.ArmRequest(1500)).until_us
    now_us = host(m.AdvanceRequest(SECOND_US)).time_us
    left_ms = host(m.StatusRequest()).armed_ms
    assert left_ms == pytest.approx((until_us - now_us) / 1000, abs=2)
    host.pulse_read(RESET_PULSE)
    host(m.AdvanceRequest(SECOND_US))
    status = host(m.StatusRequest())
    assert (status.armed_ms, status.safe_reason) == (0, m.SafeReason.ARM_TIMEOUT)
    assert refused(host, RESET_PULSE).name == "not_armed"
    host(m.ArmRequest(1000))
    host.pulse_read(RESET_PULSE)


def test_a_batch_that_would_outlast_the_arming_is_refused_whole(host: Host) -> None:
    host(m.ArmRequest(5))
    long_pulse = (0, 0, int(m.Operation.FORM), 1000, 1000, 50_000)  # 1 ms each
    assert refused(host, *[long_pulse] * 6).name == "not_armed"
    assert host.board.chip.cells.state["pulse_count"].sum() == 0
    host.pulse_read(*[long_pulse] * 2)


def test_the_watchdog_bites_after_silence_and_latches(armed: Host) -> None:
    for _ in range(5):
        armed(m.AdvanceRequest(1_900_000))
    assert armed(m.StatusRequest()).armed_ms > 0, "every good frame feeds it"
    armed(m.AdvanceRequest(2_100_000))
    assert armed(m.StatusRequest()).safe_reason == m.SafeReason.WATCHDOG
    refusal = refused(armed, RESET_PULSE)
    assert (refusal.name, refusal.arguments) == ("safe_state", {"reason": m.SafeReason.WATCHDOG})


def test_the_watchdog_leaves_an_idle_board_alone(host: Host) -> None:
    host(m.AdvanceRequest(3600 * SECOND_US))
    assert host(m.StatusRequest()).safe_reason == m.SafeReason.NONE
    host(m.ArmRequest(500))
    host(m.AdvanceRequest(60 * SECOND_US))
    assert host(m.StatusRequest()).safe_reason == m.SafeReason.ARM_TIMEOUT, "it came first"


def test_the_watchdog_aborts_a_run(host: Host) -> None:
    prepare_run(host)
    host.run(600, 10)
    host(m.AdvanceRequest(3 * SECOND_US))
    progress = host(m.ProgressRequest())
    assert (progress.run_state, progress.done) == (m.RunState.ABORTED, 0)
    assert host(m.StatusRequest()).safe_reason == m.SafeReason.WATCHDOG


def test_arming_longer_than_the_limit_is_refused(host: Host) -> None:
    with pytest.raises(RefusedByBoardError, match="over_limit") as caught:
        host(m.ArmRequest(600_001))
    assert caught.value.arguments == {"field": 0, "entry": 0, "value": 600_001, "limit": 600_000}


# --- stop, interlock, fault ------------------------------------------------------------------


def test_stop_needs_no_session_and_latches(armed: Host) -> None:
    (frame,) = armed.exchange(0, 0, m.StopRequest.CODE)
    assert unpack(frame).safe_reason == m.SafeReason.STOP
    for request in (m.ArmRequest(10), m.RunRequest(1, 0, 1, 1, 0, 0, 0, 0, 0)):
        with pytest.raises(RefusedByBoardError, match="safe_state"):
            armed(request)
    assert refused(armed, RESET_PULSE).arguments == {"reason": m.SafeReason.STOP}
    assert armed.read((0, 0))[0] > 0, "reading is allowed in the safe state"


def test_a_latched_reason_outlives_the_session_and_is_cleared_by_its_name(armed: Host) -> None:
    armed.any(m.StopRequest())
    assert armed.hello(8).safe_reason == m.SafeReason.STOP
    with pytest.raises(RefusedByBoardError, match="safe_state"):
        armed(m.SafeClearRequest(m.SafeReason.WATCHDOG))
    armed(m.SafeClearRequest(m.SafeReason.STOP))
    armed(m.ArmRequest(1000))
    armed.pulse_read(RESET_PULSE)


def test_stop_comes_between_two_polls_of_a_run(host: Host) -> None:
    prepare_run(host)
    host.run(600, 10)
    assert host(m.ProgressRequest()).done == 256
    host.any(m.StopRequest())
    progress = host(m.ProgressRequest())
    assert (progress.run_state, progress.done) == (m.RunState.ABORTED, 256)
    assert host.samples(256).shape == (256, 2), "what was captured stays readable"


def test_disarm_makes_safe_without_latching(armed: Host) -> None:
    armed(m.DisarmRequest())
    assert armed(m.StatusRequest()).safe_reason == m.SafeReason.DISARM
    assert refused(armed, RESET_PULSE).name == "not_armed"
    armed(m.ArmRequest(1000))


def test_an_open_interlock_cannot_be_cleared(armed: Host) -> None:
    armed.board.open_interlock()
    assert refused(armed, RESET_PULSE).name == "interlock_open"
    armed.any(m.StopRequest())
    with pytest.raises(RefusedByBoardError, match="interlock_open"):
        armed(m.SafeClearRequest(m.SafeReason.INTERLOCK))
    armed.board.close_interlock()
    assert refused(armed, RESET_PULSE).arguments == {"reason": m.SafeReason.INTERLOCK}
    armed(m.SafeClearRequest(m.SafeReason.INTERLOCK))
    armed(m.ArmRequest(1000))


def test_a_front_end_fault_latches_and_drives_nothing(armed: Host) -> None:
    before = armed.board.true_conductances()
    armed.board.plant_fault(42)
    refusal = refused(armed, RESET_PULSE)
    assert (refusal.name, refusal.arguments) == ("front_end", {"detail": 42})
    assert armed(m.StatusRequest()).safe_reason == m.SafeReason.FAULT
    np.testing.assert_array_equal(armed.board.chip.cells.state["pulse_count"], 1)
    assert np.abs(armed.board.true_conductances() / before - 1).max() < 0.2


# --- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("board_seed", range(20))
def test_no_code_within_the_limits_gives_a_voltage_over_them(board_seed: int) -> None:
    settings = SimSettings(board_seed=board_seed)
    host = open_host(settings)
    limits, machine = REFERENCE.limits, host.board.machine
    codes = CodeLimits.of(REFERENCE, settings)
    for operation, part in enumerate((limits.set, limits.reset, limits.form)):
        allowed = codes.of_operation(operation)
        volts = machine.front_end._volts(
            np.array([operation]),
            np.array([allowed.gate_max]),
            np.array([allowed.line_max]),
            np.array([1000]),
        )
        assert part.gate_volts * 0.97 < volts[0][0] <= part.gate_volts
        assert part.line_volts * 0.97 < volts[1][0] <= part.line_volts


def test_limit_codes_hold_the_stated_margins() -> None:
    codes = CodeLimits.of(REFERENCE, SimSettings())
    assert codes.of_operation(m.Operation.SET).gate_max == math.floor(3.6 / 5.05 * 4095 - 6)
    assert codes.of_operation(m.Operation.FORM).width_max == 50_000
    assert codes.read_code_max == math.floor(0.45 / 5.05 * 4095 - 6)


def test_one_pulse_over_a_limit_stops_the_whole_batch(armed: Host) -> None:
    hello = unpack(armed.exchange(0, 0, 1, m.HelloRequest(7).pack())[0])
    fine = (0, 0, int(m.Operation.RESET), 2500, 1500, 10)
    for field, over in ((3, hello.set_gate_max), (4, hello.set_line_max), (5, hello.set_width_max)):
        bad = [1, 1, int(m.Operation.SET), 1000, 1000, 10]
        bad[field] = over + 1
        refusal = refused(armed, fine, tuple(bad))
        assert refusal.name == "over_limit"
        assert refusal.arguments == {"field": field, "entry": 1, "value": over + 1, "limit": over}
    refusal = refused(armed, fine, read_code=hello.read_code_max + 1)
    assert (refusal.name, refusal.arguments["field"]) == ("over_limit", 0)
    refusal = refused(armed, fine, (128, 0, 0, 1, 1, 1))
    assert refusal.arguments == {"field": 0, "entry": 1, "value": 128, "minimum": 0, "maximum": 127}
    np.testing.assert_array_equal(armed.board.chip.cells.state["pulse_count"], 1)  # the back door's


def test_limits_are_lowered_per_operation_and_never_raised(armed: Host) -> None:
    armed(m.LimitsLowerRequest(m.Operation.RESET, 2000, 1500, 100, 3000, 8_000_000, 600_000))
    refusal = refused(armed, RESET_PULSE)
    assert refusal.arguments == {"field": 3, "entry": 0, "value": 2500, "limit": 2000}
    armed.pulse_read((0, 0, int(m.Operation.SET), 2500, 1500, 10))
    with pytest.raises(RefusedByBoardError, match="over_limit") as caught:
        armed(m.LimitsLowerRequest(m.Operation.RESET, 2001, 1500, 100, 3000, 8_000_000, 600_000))
    assert caught.value.arguments == {"field": 1, "entry": 0, "value": 2001, "limit": 2000}
    armed.hello(8)
    armed(m.ArmRequest(1000))
    armed.pulse_read(RESET_PULSE)  # a new session has the board's own limits again


def test_the_pulse_budget_counts_the_batch_itself(armed: Host) -> None:
    armed(m.LimitsLowerRequest(m.Operation.RESET, 3000, 2000, 1000, 4, 8_000_000, 600_000))
    other = (0, 1, *RESET_PULSE[2:])
    armed.pulse_read(RESET_PULSE, other, RESET_PULSE)
    refusal = refused(armed, RESET_PULSE, other, RESET_PULSE, RESET_PULSE)
    assert refusal.name == "pulse_budget"
    assert refusal.arguments == {"entry": 3, "count": 4, "limit": 4}
    armed.pulse_read(RESET_PULSE, RESET_PULSE)
    assert refused(armed, RESET_PULSE).arguments == {"entry": 0, "count": 4, "limit": 4}


def test_a_run_in_progress_keeps_the_array_busy(armed: Host) -> None:
    prepare_run(armed)
    armed.run(600, 5, run_id=77)
    requests = [
        m.ReadRequest(100, 1, (m.ReadRequestEntry(0, 0),)),
        m.PulseReadRequest(100, (m.PulseReadRequestEntry(*RESET_PULSE),)),
        m.ProbeRequest(0, (2048, 2048), 1),
        m.WaveBeginRequest(5, 5000),
        m.InitialRequest(0, ()),
        m.RunRequest(78, 0, 1, 1, 0, 0, 0, 0, 0),
    ]
    for request in requests:
        with pytest.raises(RefusedByBoardError, match="busy") as caught:
            armed(request)
        assert caught.value.arguments == {"run_id": 77}


def prepare_run(host: Host) -> None:
    host.board.set_conductances(blocks_conductance())
    host.load(wave_codes(10))
    host.connect()
    host.initial(np.full((600, 2), 2100))


def test_keep_alive_feeds_the_watchdog_without_a_session(armed: Host) -> None:
    machine = armed.board.machine
    machine.chip.advance_ns(1_500_000_000)
    frame = Frame(0, 0, m.KeepAliveRequest.CODE, b"")
    armed.board.receive(encode(frame))
    machine.pass_in_silence(1_500_000_000)
    assert armed(m.StatusRequest()).safe_reason == m.SafeReason.NONE
