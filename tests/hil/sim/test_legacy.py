"""The emulated published board: golden dialogues, runs against the prediction, instruments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.sim.legacy import LegacyEmulator
from hil.sim.legacy_analog import AnalogLoop, Layer
from hil.sim.legacy_bench import EmulatedScope, LegacyLine
from hil.sim.legacy_faults import LegacyFaults, LegacyTiming
from protocols import legacy_traces
from protocols.errors import InputError, LinkTimeout, PortError
from protocols.legacy import CAPTURE_UPDATE, RESYNC, LegacySettings
from protocols.legacy_tables import legacy_tables

SECOND = 1_000_000_000
NEVER_LOCKED = LegacyFaults.without("lockout")


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


def outputs(board: LegacyEmulator) -> np.ndarray:
    """Codes of the 18 channels now."""
    return np.array([board.sequencer.outputs[d - 1, o] for d, o in legacy_traces.OUTPUTS])


def run(board: LegacyEmulator, seconds: float = 2.0):
    """Wait for the lock-out, start a run and wait for its end."""
    wait(board, 5.1)
    count = board.run_count
    assert talk(board, b"Go\r\n", seconds) == b"\r\n"
    assert board.run_count == count + 1
    return board.runs[-1]


# --- golden dialogues ----------------------------------------------------------------------------

DIALOGUES = {
    "tables": [
        (b"In00\r\n", b"Type:0\tStart...\r\n"),
        (b"Ing1\r\n", b"Type:g\tStart...\r\n"),
        (b"In91\r\n", b"Type:9\tStart...\r\n"),  # no such table
    ],
    "settings": [
        (b"O0099\r\n", b"Offset set1: -0.500000\nOffset set2: 0.490000\r\n"),
        (b"O4951\r\n", b"Offset set1: -0.010000\nOffset set2: 0.010000\r\n"),
        (b"C050\r\n", b"Coef: 0.500000\r\n"),
        (b"C000\r\n", b"Coef: 0.500000\r\n"),  # not taken; the value in force
        (b"D2\r\n", b"V_bias and DAC coef: 0.200000\r\n"),
        (b"D7\r\n", b"V_bias and DAC coef: 0.200000\r\n"),
        (b"N999\r\n", b"Noise Scale: 9.990000\r\n"),
    ],
    "silence": [(b"go\r\n", b""), (b"xyz\r\n", b""), (b"c100\r\n", b""), (b"G\r\n", b"")],
    "line ends": [
        (b"C050\n", b""),
        (b"C060\r", b""),
        (b"\n", b"Coef: 0.500000\r\n"),  # a LF alone ended nothing: this was one line
    ],
    "no digits": [
        (b"C1.0\r\n", b"Coef: 0.800000\r\n"),
        (b"N1.5\r\n", b"Noise Scale: 0.850000\r\n"),
    ],
    "short lines": [
        (b"C123\r\n", b"Coef: 1.230000\r\n"),
        (b"C4\r\n", b"Coef: 4.230000\r\n"),
        (b"In\r\n", b"Type:2\tStart...\r\n"),
        (b"\r\n", b"Type:2\tStart...\r\n"),
    ],
    "only the start counts": [
        (b"C1000000\r\n", b"Coef: 1.000000\r\n"),
        (b"Gone\r\n", b"\r\n"),
        (b"Initial\r\n", b"Type:i\tStart...\r\n"),
        (b"Nonsense\r\n", b"Noise Scale: 69.869995\r\n"),
    ],
    "a CR without LF voids the line": [
        (b"C050\rx", b""),
        (b"N200\r\n", b"Noise Scale: 2.000000\r\n"),
        (b"C0" + RESYNC + b"C070\r\n", b"Coef: 0.700000\r\n"),
        (b"C0\r" + RESYNC + b"C080\r\n", b"Coef: 0.800000\r\n"),
    ],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name):
    one = board()
    for sent, received in DIALOGUES[name]:
        assert talk(one, sent) == received, sent


def test_after_a_reset():
    one = board()
    assert (outputs(one) == 2048).all()
    assert (one.sequencer.outputs[[4, 5, 6, 7, 9]] < 0).all()  # never written
    assert set(one.sequencer.switches.values()) == {0}
    set_up(one, LegacySettings(table="4", noise_on=True, coef=0.5, v_bias=0.2))
    one.reset()
    assert (one.variables.coef, one.variables.v_bias) == (1.0, np.float32(0.1))
    assert not one.variables.noise_on
    assert one.variables.scale == 0.5


def test_pace_of_the_line():
    """Four characters in, at most one poll, two characters out; nothing sooner."""
    one = board()
    character = one.timing.character_ns
    one.send(b"Go\r\n")
    one.advance(6 * character - 1)
    assert one.take() == b""
    one.advance(6 * character + one.timing.poll_ns)
    assert one.take() == b"\r\n"


def test_v_bias_acts_at_the_next_in():
    one = board()
    assert talk(one, b"D2\r\n") == b"V_bias and DAC coef: 0.200000\r\n"
    assert one.variables.scale == 0.5
    talk(one, b"In00\r\n")
    assert one.variables.scale == 1.0
    talk(one, b"In40\r\n")
    assert one.variables.scale == np.float32(0.05)


def test_an_unknown_table_keeps_the_last_one_but_sets_the_noise():
    one = board()
    talk(one, b"In40\r\n")
    before = one.variables.frequencies.copy()
    talk(one, b"In91\r\n")
    assert (one.variables.frequencies == before).all()
    assert one.variables.noise_on
    talk(one, b"In97\r\n")
    assert one.variables.noise_on


# --- runs against the prediction -----------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(legacy_tables()))
@pytest.mark.parametrize("v_bias", [0.05, 0.1, 0.2])
def test_prediction_equals_the_run(table, v_bias):
    one = board(seed=7)
    noisy = table in "14aAI"
    wanted = LegacySettings(
        table=table, v_bias=v_bias, noise_on=noisy, noise_scale=2.0, coef=2.5, offset_2=-0.13
    )
    set_up(one, wanted)
    before = outputs(one)
    found = run(one)
    noise = found.noise if noisy else None
    expected = legacy_traces.predict(wanted, noise=noise, before=before)
    np.testing.assert_array_equal(found.codes, expected.codes)
    # A and C overflow into another output; B and D into their own.
    strayed = sum(1 for item in expected.overflows if item.channel != item.lands_on)
    near = sum(1 for item in expected.overflows if item.value < 1.0 and item.code > 2048)
    assert strayed - near <= len(found.astray) <= strayed


def test_table_sine_differs_by_one_code_at_most():
    exact, table = board(), board(table_sine=True)
    codes = []
    for one in (exact, table):
        set_up(one, LegacySettings(table="3"))
        codes.append(run(one).codes)
    distance = np.abs(codes[0] - codes[1])
    assert distance.max() == 1
    assert (distance > 0).mean() < 0.05


def test_switches_and_times_of_a_run():
    one = board()
    found = run(one)
    start, end = found.start_ns, found.start_ns + 241 * 5_000_000
    assert found.switches == [
        (start, "S3", 1),
        (start, "S1", 1),
        (start + 100_000, "S4", 1),
        (start + 100_000, "S2", 1),
        (end, "S4", 0),
        (end, "S2", 0),
        (end + 100_000, "S3", 0),
        (end + 100_000, "S1", 0),
    ]
    assert found.ticks_ns == list(range(start, end + 1, 5_000_000))
    assert found.ticks_ns[CAPTURE_UPDATE] - start == SECOND
    assert found.ended
    assert not one.running


def test_noise_does_not_depend_on_how_time_passes():
    codes = []
    for step_s in (3.0, 0.0007):
        one = board(seed=11)
        set_up(one, LegacySettings(noise_on=True, noise_scale=0.3))
        wait(one, 5.1)
        one.send(b"Go\r\n")
        end = one.now_ns + 2 * SECOND
        while one.now_ns < end:
            wait(one, step_s)
        codes.append(one.runs[-1].codes)
    np.testing.assert_array_equal(*codes)
    assert len(np.unique(codes[0][:, 16])) > 100


# --- anything may be sent ------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.binary(max_size=30),
                st.sampled_from([b"Go\r\n", b"In", b"\r\n", b"C", b"O", b"N999\r\n", b"x" * 210]),
            ),
            st.integers(0, 400_000_000),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_arbitrary_bytes(parts, sound):
    one = LegacyEmulator(LegacyFaults.none() if sound else NEVER_LOCKED)
    for data, pause_ns in parts:
        one.send(data)
        one.advance(one.now_ns + pause_ns)
    wait(one, 4.0)
    assert not one.running
    one.take()
    one.send(RESYNC)
    assert talk(one, b"C100\r\n") == b"Coef: 1.000000\r\n"
    assert all(((record.codes >= 0) & (record.codes < 4096)).all() for record in one.runs)


# --- line, instrument, analog side ---------------------------------------------------------------


def test_line_reads_and_sleeps_in_virtual_time():
    line = LegacyLine(board())
    assert line.read(0.1) == b""
    assert line.now_s() == pytest.approx(0.1)
    line.write(b"D1\r\n")
    found = b""
    while not found.endswith(b"\r\n"):
        found += line.read(0.5)
    assert found == b"V_bias and DAC coef: 0.100000\r\n"
    line.sleep_s(10.0)
    assert line.now_s() > 10.1
    line.close()
    with pytest.raises(PortError):
        line.read(0.0)


def test_scope_samples_one_second_after_s1():
    one = board()
    times = []

    def probe(record, at_ns):
        times.append((at_ns - record.start_ns, len(record.ticks_ns)))
        return 0.25, -0.5

    scope = EmulatedScope(one, probe)
    with pytest.raises(LinkTimeout, match="no trigger"):
        scope.fetch(0.1)
    wait(one, 5.1)
    scope.arm()
    with pytest.raises(LinkTimeout):
        scope.fetch(0.1)
    one.send(b"Go\r\n")
    assert scope.fetch(1.5) == (0.25, -0.5)
    assert times == [(SECOND, 201)]


def test_free_loop_grows_by_the_integral_of_the_drift_word():
    one = board()
    loop = AnalogLoop(seed=3, substeps=8)
    record = run(one)
    x = np.array(loop(record, record.start_ns + SECOND)) / loop.volts_per_unit
    drift = (record.codes[:200, 1] - 2048) / 2048
    grown = loop.initial(record.index) * np.exp(-4.0 * drift.sum() * 5e-3)
    np.testing.assert_allclose(x, grown, rtol=1e-3)


def test_loop_with_a_network_ends_where_its_score_pulls():
    """s = -x through two mirrored rectifiers: decay against growth, in closed form."""
    first, second, third = np.zeros((2, 14)), np.eye(14), np.zeros((14, 2))
    for k in range(2):
        first[k, 2 * k], first[k, 2 * k + 1] = 1.0, -1.0
        third[2 * k, k], third[2 * k + 1, k] = -0.2, 0.2
    layers = [Layer(w, np.zeros(w.shape[1])) for w in (first, second, third)]
    one = board()
    record = run(one)
    loop = AnalogLoop(layers, units_per_fraction=0.0, substeps=8)
    x = np.array(loop(record, record.start_ns + SECOND)) / loop.volts_per_unit
    words = (record.codes[:200, :2] - 2048) / 2048
    rate = -4.0 * words[:, 1].sum() - 4.0 * words[:, 0].sum()
    np.testing.assert_allclose(x, loop.initial(0) * np.exp(rate * 5e-3), rtol=2e-3)
    with pytest.raises(InputError):
        AnalogLoop(layers[:2])


def test_timing_follows_from_the_source():
    timing = LegacyTiming()
    assert timing.character_ns == 1_041_666
    assert 18 * timing.word_ns == 1_152_000
    assert timing.compute_ns + 18 * timing.word_ns == timing.tick_ns // 4
