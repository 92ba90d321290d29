"""Each fault of the published firmware, shown on and off."""

from __future__ import annotations

import numpy as np
import pytest

from hil.sim.legacy import LegacyEmulator
from hil.sim.legacy_faults import LegacyFaults, LegacyTiming
from protocols import legacy_traces
from protocols.errors import ConfigError, InputError
from protocols.legacy import LegacySettings

SECOND = 1_000_000_000


def board(*absent: str, **more) -> LegacyEmulator:
    """A board without some of the faults."""
    return LegacyEmulator(LegacyFaults.without(*absent), **more)


def wait(board: LegacyEmulator, seconds: float) -> None:
    board.advance(board.now_ns + round(seconds * SECOND))


def talk(board: LegacyEmulator, line: bytes, seconds: float = 0.2) -> bytes:
    """Send a line and take what has come back a while later."""
    board.send(line)
    wait(board, seconds)
    return board.take()


def set_up(board: LegacyEmulator, wanted: LegacySettings) -> None:
    for command in wanted.commands():
        assert talk(board, command.line) == command.reply


def run(board: LegacyEmulator, seconds: float = 2.0):
    """Wait for the lock-out, start a run and wait for its end."""
    wait(board, 5.1)
    count = board.run_count
    assert talk(board, b"Go\r\n", seconds) == b"\r\n"
    assert board.run_count == count + 1
    return board.runs[-1]


def test_lockout():
    one, sound = board(), board("lockout")
    for item, runs in ((one, 0), (sound, 1)):
        assert talk(item, b"Go\r\n", 1.5) == b"\r\n"  # the same reply
        assert item.run_count == runs
    assert one.refused == 1
    run(one)
    assert talk(one, b"Go\r\n", 1.5) == b"\r\n"
    assert (one.run_count, one.refused) == (1, 2)


def test_lockout_ends_with_tick_1001():
    for late_ns, started in ((0, False), (5_000_000, True)):
        one = board()
        one.advance(1000 * 5_000_000 - 1 + late_ns)
        one.variables.go = True  # as the main loop sets it just before this tick
        wait(one, 0.006)
        assert bool(one.run_count) == started


def test_counter_wrap():
    for absent, runs in (((), 0), (("counter_wrap",), 1)):
        one = board(*absent)
        one.advance(600 * SECOND + SECOND)
        talk(one, b"Go\r\n", 1.5)
        assert one.run_count == runs
        run(one)
        assert one.run_count == runs + 1


def test_deaf_while_busy():
    for absent, coef in (((), 1.0), (("deaf_while_busy",), 0.5)):
        one = board(*absent)
        found = talk(one, b"N200\r\nC050\r\n", 0.5)
        assert found.startswith(b"Noise Scale: 2.000000\r\n")
        assert one.variables.coef == np.float32(coef)
        assert (b"Coef" in found) == (coef == 0.5)
    assert board().lost == 0


def test_uart_overrun_during_a_run():
    for absent in ((), ("uart_overrun",)):
        one = board(*absent)
        wait(one, 5.1)
        talk(one, b"Go\r\n", 0.05)
        assert one.running
        one.send(b"x" * 600)
        wait(one, 1.0)
        assert bool(one.receiver.lost) == (not absent)
        assert one.receiver.lost < 120  # at most one per tick
        wait(one, 1.0)
        quiet = one.receiver.lost
        one.send(b"x" * 600)
        wait(one, 1.0)
        assert one.receiver.lost == quiet  # only a run does it


def test_stale_buffer():
    one, sound = board(), board("stale_buffer")
    for item in (one, sound):
        talk(item, b"C123\r\n")
    assert talk(one, b"C4\r\n") == b"Coef: 4.230000\r\n"
    assert talk(sound, b"C4\r\n") == b"Coef: 1.230000\r\n"  # 4 less 528: out of range
    assert talk(one, b"\r\n") == b"Coef: 4.230000\r\n"
    assert talk(sound, b"\r\n") == b""


def test_an_empty_line_after_go_starts_another_run():
    one = board()
    run(one)
    wait(one, 5.0)
    assert talk(one, b"\r\n", 1.5) == b"\r\n"
    assert one.run_count == 2


def test_unchecked_digits():
    assert talk(board(), b"C1.0\r\n") == b"Coef: 0.800000\r\n"
    assert talk(board("unchecked_digits"), b"C1.0\r\n") == b""
    assert talk(board("unchecked_digits"), b"C150\r\n") == b"Coef: 1.500000\r\n"


def test_prefix_match():
    one, sound = board("lockout"), board("lockout", "prefix_match")
    for item, runs in ((one, 1), (sound, 0)):
        talk(item, b"Gone\r\n")
        assert item.run_count == runs
    assert talk(sound, b"Go\r\n") == b"\r\n"


def test_dac_overflow():
    """Table I drives t1 and t13 (outputs A) over their range: the words go to t2 and t14."""
    one, sound = board(), board("dac_overflow")
    for item in (one, sound):
        set_up(item, LegacySettings(table="I"))
    published, clipped = run(one), run(sound)
    assert {(dac, output) for _, dac, output, _ in published.astray} == {(1, 1), (4, 1)}
    assert not clipped.astray
    assert clipped.codes.max() == 4095
    assert (published.codes != clipped.codes).any(axis=0).sum() == 3  # t1, t8, t13


def test_torn_words():
    """`In` during a run, again and again: some of its words are cut by a tick.

    With the shared delay the main loop wakes right after each tick and `In` is over before the
    next one, so that fault hides this one. Which DAC is hit depends on how long the tick takes.
    """
    slow = LegacyTiming(compute_ns=650_000)
    sound_codes = run(board(timing=slow)).codes
    torn = {}
    for absent in (("shared_delay",), ("shared_delay", "torn_words"), ()):
        one = board(*absent, "uart_overrun", timing=slow)
        wait(one, 5.1)
        one.send(b"Go\r\n")
        wait(one, 0.1)
        while one.running:
            assert talk(one, b"In00\r\n", 0.06)
        record = one.runs[-1]
        torn[absent] = record.torn
        spoiled = (record.codes != sound_codes).any(axis=0)
        assert set(np.flatnonzero(spoiled)) == ({6} if record.torn else set())  # t5, DAC 2
    assert {dac for _, dac in torn[("shared_delay",)]} == {2}
    assert torn[("shared_delay", "torn_words")] == torn[()] == []


def test_shared_delay():
    """During a run each tick ends the main loop's pause: replies come after 5 ms, not 10."""
    latest = {}
    for absent in ((), ("shared_delay",)):
        one = board(*absent)
        wait(one, 5.1)
        talk(one, b"Go\r\n", 0.05)
        worst = 0
        for k in range(20):
            one.advance(one.now_ns + 1_300_000 * (k % 7))
            one.send(b"G")  # a line in one character would be too good: time it from its LF
            one.send(b"o\r\n")
            sent = one.now_ns + 4 * one.timing.character_ns
            while (arrives := one.next_byte_ns()) is None and one.now_ns < sent + SECOND // 20:
                one.advance(one.now_ns + 100_000)
            if arrives is not None:
                worst = max(worst, arrives - sent)
            wait(one, 0.02)
            one.take()
        latest[absent] = worst
    assert latest[()] < latest[("shared_delay",)]


def test_runs_past_zero():
    assert len(run(board()).ticks_ns) == 242
    short = run(board("runs_past_zero"))
    assert len(short.ticks_ns) == 202
    assert (short.codes[:, 0] >= 2048).all()


def noisy_run(*absent: str):
    one = board(*absent, seed=5)
    set_up(one, LegacySettings(noise_on=True, noise_scale=0.3))
    return run(one)


def test_noise_is_late_and_follows_beta():
    published, timely = noisy_run(), noisy_run("noise_late")
    beta = legacy_traces.beta(legacy_traces.update_times()).astype(float)
    late = legacy_traces.beta(legacy_traces.noise_times()).astype(float)
    np.testing.assert_allclose(
        published.noise[:241] * beta[:, None], timely.noise[:241] * late[:241, None], atol=1e-12
    )
    root = noisy_run("noise_late", "noise_by_beta").noise[:200]
    np.testing.assert_allclose(root * np.sqrt(beta[:200, None]), timely.noise[:200], atol=1e-7)


def test_noise_is_left_at_its_last_value():
    published, sound = noisy_run(), noisy_run("noise_left")
    assert (published.codes[-1, 16:] != 2048).all()
    assert (published.codes[-1, :16] == 2048).all()
    assert (sound.codes[-1] == 2048).all()


def test_skewed_updates():
    assert run(board()).skew_ns[-1] == 17 * 64_000
    assert not run(board("skewed_updates")).skew_ns.any()


def test_front_keys():
    one, sound = board(), board("front_keys")
    for item in (one, sound):
        item.press_key(1)
        wait(item, 0.3)
    assert one.variables.noise_on
    assert not sound.variables.noise_on
    one.press_key(2, hold_s=0.025)  # too short to count when it is let go
    wait(one, 0.3)
    assert one.variables.noise_on
    one.press_key(2)
    wait(one, 0.05)
    assert one.variables.noise_on  # still down
    wait(one, 0.3)
    assert not one.variables.noise_on
    with pytest.raises(InputError):
        one.press_key(3)


def test_faults_by_name():
    assert not any(vars(LegacyFaults.none()).values())
    assert all(vars(LegacyFaults()).values())
    with pytest.raises(ConfigError, match="no such fault"):
        LegacyFaults.without("lockot")
