"""The driver of the published board: pacing, refusals, the shadow, runs and their captures."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.legacy import LegacyBoard
from drivers.legacy_shadow import DEFAULT, DOUBTFUL, ECHOED, SENT
from hil.sim.legacy import LegacyEmulator
from hil.sim.legacy_bench import EmulatedScope, LegacyLine
from protocols.errors import (
    DataError,
    HilError,
    InputError,
    LimitError,
    LinkTimeout,
    MessageError,
)
from protocols.legacy import LOCKOUT_S, RESYNC, RUN_S, WRAP_S, LegacySettings

RING = LegacySettings(table="0")


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def sleep_s(self, seconds: float) -> None:
        self.time_s += max(seconds, 0.0)


class Script:
    """A stream that expects lines in order and answers them; reading nothing takes the time-out."""

    def __init__(self, dialogue: list[tuple[bytes, bytes]], clock: FakeClock) -> None:
        self.name = "script"
        self.dialogue = list(dialogue)
        self._clock = clock
        self._answer = b""

    def write(self, data: bytes) -> None:
        if not self.dialogue:
            pytest.fail(f"{data!r} was sent, and nothing was expected any more")
        sent, self._answer = self.dialogue.pop(0)
        assert data == sent

    def read(self, timeout_s: float) -> bytes:
        answer, self._answer = self._answer[:7], self._answer[7:]
        if not answer:
            self._clock.sleep_s(timeout_s)
        return answer

    def close(self) -> None:
        self.name = "closed"


class FakeCapture:
    """Answers from a list: voltages, or None for no trigger."""

    name = "fake scope"

    def __init__(self, answers: list[tuple[float, float] | None], clock: FakeClock) -> None:
        self.answers = list(answers)
        self.armed = 0
        self._clock = clock

    def arm(self) -> None:
        self.armed += 1

    def fetch(self, timeout_s: float) -> tuple[float, float]:
        answer = self.answers.pop(0)
        self._clock.sleep_s(timeout_s if answer is None else 1.0)
        if answer is None:
            raise LinkTimeout("fake scope: no trigger")
        return answer


def scripted(dialogue, **more):
    clock = FakeClock()
    script = Script(dialogue, clock)
    return LegacyBoard(script, clock=clock, **more), script, clock


def emulated(board: LegacyEmulator | None = None, **more):
    """Driver, emulated board and its oscilloscope, which reads (number of the run, y = 0)."""
    board = board or LegacyEmulator()
    line = LegacyLine(board)
    scope = EmulatedScope(board, lambda run, _: (float(run.index), 0.0))
    return LegacyBoard(line, clock=line, **more), board, scope


SETTINGS = [
    (b"D1\r\n", b"V_bias and DAC coef: 0.100000\r\n"),
    (b"In00\r\n", b"Type:0\tStart...\r\n"),
    (b"C100\r\n", b"Coef: 1.000000\r\n"),
    (b"N100\r\n", b"Noise Scale: 1.000000\r\n"),
    (b"O5050\r\n", b"Offset set1: 0.000000\nOffset set2: 0.000000\r\n"),
]
START = [(RESYNC, b""), *SETTINGS]


# --- settings ------------------------------------------------------------------------------------


def test_golden_dialogue():
    board, script, clock = scripted(START)
    prediction = board.configure(RING)
    assert not script.dialogue
    assert prediction.traces.shape == (241, 18)
    assert clock.time_s >= RUN_S  # another host's run may have been going on
    assert (board.stats.lines, board.stats.repeated) == (5, 0)


def test_shadow_says_that_everything_is_assumed():
    board, _, _ = scripted([*START[:2], (b"In40\r\n", b"Type:4\tStart...\r\n"), *START[3:]])
    assert {one.basis for one in board.shadow.values()} == {DEFAULT}
    board.configure(LegacySettings(table="4"))
    shadow = board.shadow
    assert str(shadow["table"]) == f"4 (assumed: {ECHOED})"
    assert str(shadow["noise_on"]) == f"False (assumed: {SENT})"
    assert {one.basis for one in shadow.values()} == {ECHOED, SENT}


@pytest.mark.parametrize("table", "2efgABCFGHI")
def test_overflowing_tables_are_refused_before_anything_is_sent(table):
    board, _, clock = scripted([])
    with pytest.raises(LimitError, match="Nothing was sent"):
        board.configure(LegacySettings(table=table))
    assert (board.stats.lines, clock.time_s) == (0, 0.0)


def test_saturation_is_refused_on_request():
    wanted = LegacySettings(table="d")
    assert scripted([])[0].predict(wanted).saturations
    with pytest.raises(LimitError, match="cut off at code 0: t1 104 times"):
        scripted([], allow_saturation=False)[0].configure(wanted)


def test_noise_is_refused_by_its_risk():
    with pytest.raises(LimitError, match="noise scale"):
        scripted([])[0].configure(LegacySettings(noise_on=True))
    accepted, _, _ = scripted([], noise_overflows_max=2.0)
    assert accepted.predict(LegacySettings(noise_on=True)).noise_overflows > 1.0


def test_a_wrong_echo_is_sent_again_behind_a_voided_line():
    dialogue = [*START[:3], (b"C100\r\n", b"Coef: 0.800000\r\n"), (RESYNC, b""), *START[3:]]
    board, script, _ = scripted(dialogue)
    board.configure(RING)
    assert not script.dialogue
    assert board.stats.repeated == 1


def test_a_line_that_is_never_understood():
    wrong = (b"C100\r\n", b"Coef: 0.800000\r\n")
    board, _, _ = scripted([*START[:3], wrong, (RESYNC, b""), wrong, (RESYNC, b""), wrong])
    with pytest.raises(MessageError, match=r"script.*'C100'.*0\.8"):
        board.configure(RING)
    assert board.shadow["coef"].basis == DOUBTFUL
    with pytest.raises(InputError, match="configure"):
        board.run(1, FakeCapture([], FakeClock()))


def test_nobody_there():
    silent = [one for _ in range(2) for one in ((RESYNC, b""), (b"D1\r\n", b""))]
    board, _, clock = scripted(silent, attempts=2, timeout_s=0.3)
    with pytest.raises(LinkTimeout, match="9600 baud"):
        board.configure(RING)
    assert clock.time_s == pytest.approx(RUN_S + 0.03 + 0.6, abs=0.05)
    assert board.shadow["v_bias"].basis == DOUBTFUL


# --- runs ----------------------------------------------------------------------------------------


def test_run_on_the_emulated_board():
    board, emulator, scope = emulated()
    board.configure(RING)
    told, heard = [], []
    samples = board.run(
        4, scope, on_sample=heard.append, progress=lambda *one: told.append(one[:2])
    )
    assert [one.index for one in samples] == [0, 1, 2, 3]
    assert [one.x_volts for one in samples] == [0.0, 1.0, 2.0, 3.0]
    assert samples == heard
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (emulator.run_count, emulator.refused, emulator.lost) == (4, 0, 0)
    assert (emulator.runs[-1].codes == board.predict(RING).codes[:201]).all()  # read at t = 1


def test_pace_is_close_to_the_best_that_the_lockout_allows():
    board, _, scope = emulated()
    board.configure(RING)
    samples = board.run(6, scope)
    period_s = (samples[-1].at_s - samples[0].at_s) / 5
    assert LOCKOUT_S <= period_s < LOCKOUT_S + 0.05


def test_resume_skips_what_is_there():
    board, emulator, scope = emulated()
    board.configure(RING)
    samples = board.run(5, scope, done={0, 1, 3})
    assert [one.index for one in samples] == [2, 4]
    assert emulator.run_count == 2
    assert board.run(2, scope, done=range(2)) == []


def test_an_interrupt_leaves_the_samples_before_it():
    board, _, scope = emulated()
    board.configure(RING)
    kept = []

    def keep(sample):
        kept.append(sample)
        if len(kept) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        board.run(5, scope, on_sample=keep)
    board.run(5, scope, done={one.index for one in kept}, on_sample=kept.append)
    assert [one.index for one in kept] == [0, 1, 2, 3, 4]


def test_nothing_is_said_during_a_run():
    """A new configuration right after the capture at 1.0 s waits for the end at 1.2 s."""
    board, emulator, scope = emulated()
    board.configure(RING)
    board.run(1, scope)
    assert emulator.running
    board.configure(LegacySettings(table="4"))
    assert not emulator.running
    assert emulator.lost == 0


def test_a_run_of_another_host_is_waited_for():
    emulator = LegacyEmulator()
    emulator.advance(6_000_000_000)
    emulator.send(b"Go\r\n")
    emulator.advance(emulator.now_ns + 100_000_000)
    board, _, scope = emulated(emulator)
    board.configure(RING)
    assert board.run(1, scope)[0].starts == 1
    assert (emulator.lost, emulator.refused) == (0, 0)


def test_the_counter_wrap_is_waited_for():
    """Idle until shortly before and after each wrap: `Go` is never sent into the window."""
    for idle_s in (WRAP_S - 6.2, WRAP_S - 1.1, WRAP_S + 1.0, 3 * WRAP_S + 2.0, 7.5 * WRAP_S):
        board, emulator, scope = emulated()
        board.configure(RING)
        board.run(1, scope)
        emulator.advance(emulator.runs[-1].start_ns + round(idle_s * 1e9))
        assert board.run(1, scope)[0].starts == 1, idle_s
        assert emulator.refused == 0


def test_a_wrap_that_cannot_be_known_costs_one_more_start():
    emulator = LegacyEmulator()
    emulator.advance(round((WRAP_S - 5.0) * 1e9))  # the driver does not know when it was booted
    board, _, scope = emulated(emulator)
    board.configure(RING)
    sample = board.run(1, scope)[0]
    assert (sample.starts, emulator.refused, board.stats.not_started) == (2, 1, 1)


def test_a_reset_of_the_board_is_noticed_and_made_good():
    board, emulator, scope = emulated()
    wanted = LegacySettings(table="4", coef=0.5)
    board.configure(wanted)

    def reset_once(sample):
        if sample.index == 0:
            emulator.advance(emulator.now_ns + 4_500_000_000)
            emulator.reset()

    samples = board.run(2, scope, on_sample=reset_once)
    assert [one.starts for one in samples] == [1, 2]
    assert (emulator.runs[-1].codes == board.predict(wanted).codes[:201]).all()


@pytest.mark.parametrize(("reassert", "noisy"), [(True, False), (False, True)])
def test_the_front_panel_is_overruled(reassert, noisy):
    board, emulator, scope = emulated(reassert=reassert)
    board.configure(LegacySettings(noise_scale=0.4))
    board.run(2, scope, on_sample=lambda _: emulator.press_key(1))
    assert bool(emulator.runs[-1].noise.any()) == noisy


def test_no_trigger_at_all():
    clock = FakeClock()
    go = (b"Go\r\n", b"\r\n")
    script = Script([*START, go, *SETTINGS, go], clock)
    board = LegacyBoard(script, clock=clock, attempts=2, reassert=False)
    board.configure(RING)
    capture = FakeCapture([None, None], clock)
    with pytest.raises(LinkTimeout, match=r"sample 0.*fake scope.*triggers on S1"):
        board.run(1, capture)
    assert (capture.armed, board.stats.not_started, board.stats.starts) == (2, 2, 2)


def test_a_lost_reply_to_go_does_not_matter():
    clock = FakeClock()
    script = Script([*START, (b"Go\r\n", b""), (RESYNC, b""), (b"Go\r\n", b"\r\n")], clock)
    board = LegacyBoard(script, clock=clock, reassert=False)
    board.configure(RING)
    samples = board.run(2, FakeCapture([(0.1, 0.2), (0.3, 0.4)], clock))
    assert [(one.x_volts, one.y_volts) for one in samples] == [(0.1, 0.2), (0.3, 0.4)]
    assert board.stats.replies_lost == 1


@pytest.mark.parametrize("volts", [(float("nan"), 0.0), (0.0, float("inf"))])
def test_voltages_must_be_finite(volts):
    clock = FakeClock()
    script = Script([*START, (b"Go\r\n", b"\r\n")], clock)
    board = LegacyBoard(script, clock=clock, reassert=False)
    board.configure(RING)
    with pytest.raises(DataError, match="fake scope"):
        board.run(1, FakeCapture([volts], clock))


def test_a_run_needs_settings():
    board, _, scope = emulated()
    with pytest.raises(InputError, match="configure"):
        board.run(1, scope)


def test_closing():
    board, script, _ = scripted([])
    board.__exit__(None, None, None)
    assert script.name == "closed"


# --- a bad line ----------------------------------------------------------------------------------


class LossyLine(LegacyLine):
    """Loses bytes in both directions, by a seed."""

    def __init__(self, board: LegacyEmulator, rate: float, seed: int) -> None:
        super().__init__(board)
        self._rate, self._random = rate, random.Random(seed)

    def write(self, data: bytes) -> None:
        super().write(self._thinned(data))

    def read(self, timeout_s: float) -> bytes:
        return self._thinned(super().read(timeout_s))

    def _thinned(self, data: bytes) -> bytes:
        return bytes(byte for byte in data if self._random.random() >= self._rate)


@pytest.mark.parametrize("seed", range(6))
def test_a_line_that_loses_bytes(seed):
    """What the driver says is set is set, and every sample belongs to a run as predicted."""
    emulator = LegacyEmulator()
    line = LossyLine(emulator, 0.01, seed)
    board = LegacyBoard(line, clock=line, attempts=8)
    wanted = LegacySettings(table="3", coef=0.77, offset_1=0.2, offset_2=-0.31)
    expected = board.configure(wanted)
    scope = EmulatedScope(emulator, lambda run, _: (float((run.codes[:200] == codes).all()), 0.0))
    codes = expected.codes[:200]
    assert [one.x_volts for one in board.run(3, scope)] == [1.0] * 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=40))
def test_arbitrary_replies(replies):
    """Whatever comes back, the driver ends, in an error of ours or in what it was asked for."""
    clock = FakeClock()

    class Noise:
        name = "noise"

        def __init__(self) -> None:
            self.left = list(replies)

        def write(self, data: bytes) -> None:
            pass

        def read(self, timeout_s: float) -> bytes:
            clock.sleep_s(max(timeout_s, 1e-3))
            return self.left.pop() if self.left else b""

        def close(self) -> None:
            pass

    board = LegacyBoard(Noise(), clock=clock)
    with pytest.raises(HilError):
        board.configure(RING)
    assert clock.time_s < 60.0
