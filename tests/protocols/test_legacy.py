"""The published text protocol: lines, replies, and the prediction of the DAC traces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import legacy, legacy_traces
from protocols.errors import InputError, LimitError, MessageError
from protocols.legacy import LegacySettings
from protocols.legacy_tables import legacy_table, legacy_tables

# The first update after `In00`, `Go` at t = 0, word by word; figures derived from the source.
GOLDEN_FIRST_TICK = {
    9: "0A00 1700 2800 3800",
    1: "0BFD 1BA1 2BFF 3A09",
    2: "08CF 1408 29DA 37B2",
    3: "09AD 180B 248E 3BEA",
    4: "0779 1B8B",
}
OVERFLOWING = set("2efgABCFGHI")  # at v_bias 0.1

DIALOGUE = [
    (legacy.init_command("0", False), b"In00\r\n", b"Type:0\tStart...\r\n"),
    (legacy.init_command("g", True), b"Ing1\r\n", b"Type:g\tStart...\r\n"),
    (legacy.go_command(), b"Go\r\n", b"\r\n"),
    (
        legacy.offset_command(-0.5, 0.49),
        b"O0099\r\n",
        b"Offset set1: -0.500000\nOffset set2: 0.490000\r\n",
    ),
    (legacy.coef_command(0.5), b"C050\r\n", b"Coef: 0.500000\r\n"),
    (legacy.coef_command(9.99), b"C999\r\n", b"Coef: 9.990000\r\n"),
    (legacy.v_bias_command(0.05), b"D0\r\n", b"V_bias and DAC coef: 0.050000\r\n"),
    (legacy.v_bias_command(0.2), b"D2\r\n", b"V_bias and DAC coef: 0.200000\r\n"),
    (legacy.noise_scale_command(0.0), b"N000\r\n", b"Noise Scale: 0.000000\r\n"),
    (legacy.noise_scale_command(1.5), b"N150\r\n", b"Noise Scale: 1.500000\r\n"),
]


# --- lines and replies ---------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "line", "reply"), DIALOGUE)
def test_golden_lines(command, line, reply):
    assert (command.line, command.reply) == (line, reply)
    legacy.check_reply(command, reply)
    assert legacy.parse_reply(reply).name == command.name


def test_settings_go_out_in_an_order_that_works():
    lines = [command.line for command in LegacySettings(table="4", v_bias=0.05).commands()]
    assert lines == [b"D0\r\n", b"In40\r\n", b"C100\r\n", b"N100\r\n", b"O5050\r\n"]


@pytest.mark.parametrize(
    "change",
    [
        {"table": "5"},
        {"table": ""},
        {"table": "00"},
        {"v_bias": 0.15},
        {"coef": 0.0},
        {"coef": 10.0},
        {"coef": 0.505},
        {"coef": float("nan")},
        {"noise_scale": -0.01},
        {"noise_scale": 10.0},
        {"offset_1": 0.5},
        {"offset_2": -0.51},
        {"offset_1": 0.001},
    ],
)
def test_what_the_firmware_would_misread_is_refused(change):
    with pytest.raises(InputError):
        replace(LegacySettings(), **change)


@given(st.binary(max_size=60))
def test_any_bytes_as_a_reply(data):
    try:
        reply = legacy.parse_reply(data)
    except MessageError:
        return
    assert reply.name in {"In", "Go", "O", "C", "D", "N"}


@given(st.integers(1, 999))
def test_every_coef_makes_a_round_trip(digits):
    command = legacy.coef_command(digits / 100)
    assert command.line == f"C{digits:03d}\r\n".encode()
    assert legacy.parse_reply(command.reply).values[0] == pytest.approx(digits / 100, abs=2e-6)


def test_a_wrong_echo_says_what_is_in_force():
    with pytest.raises(MessageError, match=r"'C100'.*\[0\.8\].*\[1\.0\]"):
        legacy.check_reply(legacy.coef_command(1.0), b"Coef: 0.800000\r\n")


def test_the_last_printed_digit_may_differ():
    legacy.check_reply(legacy.coef_command(9.56), b"Coef: 9.560000\r\n")
    with pytest.raises(MessageError):
        legacy.check_reply(legacy.coef_command(9.56), b"Coef: 9.570000\r\n")
    with pytest.raises(MessageError, match="damaged"):
        legacy.check_reply(legacy.coef_command(9.56), b"oef: 9.560000\r\n")
    with pytest.raises(MessageError, match="misread"):
        legacy.check_reply(legacy.coef_command(9.56), b"\r\n")


def test_tables():
    assert sorted(legacy_tables()) == sorted("01234abcdefgABCDEFGHI")
    assert legacy_table("4").scale == 0.05
    assert {legacy_table(name).scale for name in legacy_tables() if name != "4"} == {None}
    assert legacy_table("2").class_offsets[5] == 1.7254
    with pytest.raises(InputError, match="silently keep"):
        legacy_table("5")


# --- traces --------------------------------------------------------------------------------------


def test_golden_first_tick():
    words = legacy_traces.predict(LegacySettings()).words[0]
    found: dict[int, list[str]] = {}
    for (dac, _), word in zip(legacy_traces.OUTPUTS, words, strict=True):
        found.setdefault(dac, []).append(f"{word:04X}")
    assert {dac: " ".join(words) for dac, words in found.items()} == GOLDEN_FIRST_TICK


def test_times_of_the_run():
    times = legacy_traces.update_times()
    assert len(times) == legacy.UPDATES == 241
    assert (legacy_traces.beta(times) > 0).sum() == 201
    assert times[legacy.CAPTURE_UPDATE] == pytest.approx(1.0, abs=2e-6)
    assert legacy_traces.beta(times)[-1] == pytest.approx(-0.0988, abs=1e-4)


def test_drive_of_the_default_run():
    found = legacy_traces.predict(LegacySettings())
    assert found.traces.shape == (241, 18)
    assert not found.overflows
    assert not found.saturations
    assert (found.codes[-1] == 2048).all()
    g2, f = found.traces[:, 0], found.traces[:, 1]
    assert (g2[0], f[0]) == (0xA00, 0x700)
    assert (np.diff(g2) <= 0).all()
    assert (np.diff(f) >= 0).all()
    assert g2[-1] < 2048 < f[-1]  # beta has changed its sign


@pytest.mark.parametrize("table", sorted(legacy_tables()))
def test_which_tables_overflow_at_the_default_v_bias(table):
    found = legacy_traces.predict(LegacySettings(table=table))
    assert bool(found.overflows) == (table in OVERFLOWING)
    if found.overflows:
        with pytest.raises(LimitError, match="Nothing was sent"):
            legacy_traces.refuse_overflow(LegacySettings(table=table), 1.0)
    low = LegacySettings(table=table, v_bias=0.05)
    assert not legacy_traces.refuse_overflow(low, 0.0).overflows


def test_overflow_is_reported_word_by_word():
    found = legacy_traces.predict(LegacySettings(table="2"))
    assert {one.channel for one in found.overflows} == {"t6"}
    assert len(found.overflows) == 54
    worst = max(found.overflows, key=lambda one: one.value)
    assert worst.lands_on == "t6"  # output B: the stray bit is in its address already
    assert worst.code == int(2048 * (1 + worst.value)) - 4096
    assert "t6" in found.summary()
    assert "54 of 241" in found.summary()


def test_overflow_of_output_a_reaches_b_and_a_keeps_its_code():
    found = legacy_traces.predict(LegacySettings(table="I"))
    strayed = [one for one in found.overflows if one.channel == "t1"]
    assert strayed
    assert {one.lands_on for one in strayed} == {"t2"}
    column = legacy_traces.CHANNELS.index("t1")
    first, last = strayed[0].update, strayed[-1].update
    held = found.codes[first - 1, column] if first else legacy_traces.CODE_ZERO
    assert (found.codes[first : last + 1, column] == held).all()
    # t2 is written right after and has its own value again when the update is over.
    own = np.floor(2048 * (1 + found.values[first, column + 1].astype(float)))
    assert found.codes[first, column + 1] == own


def test_type_0_at_the_largest_v_bias_overflows_at_tau_zero():
    found = legacy_traces.predict(LegacySettings(v_bias=0.2))
    certain = {one.channel for one in found.overflows if one.update == 200}
    assert certain == {f"t{k}" for k in range(8, 15)}


def test_saturation_is_counted_and_ends_at_code_zero():
    found = legacy_traces.predict(LegacySettings(table="d"))
    assert found.saturations == {"t1": 104}
    column = legacy_traces.CHANNELS.index("t1")
    assert (found.codes[:, column] == 0).sum() >= 104


def test_coef_can_overflow_g2():
    with pytest.raises(LimitError, match="g2"):
        legacy_traces.refuse_overflow(LegacySettings(coef=5.0), 1.0)
    found = legacy_traces.predict(LegacySettings(coef=5.0))
    assert {one.lands_on for one in found.overflows} == {"f"}


def test_noise_is_unknown_until_it_is_given():
    settings = LegacySettings(noise_on=True, noise_scale=0.5, offset_1=0.1)
    found = legacy_traces.predict(settings)
    assert (found.codes[:, 16:] == legacy_traces.UNKNOWN).all()
    assert (found.codes[:, :16] != legacy_traces.UNKNOWN).all()
    known = legacy_traces.predict(settings, noise=np.zeros((242, 2)))
    assert (known.codes[:, 16] == int(2048 * 1.1)).all()
    assert (known.codes[:, 17] == 2048).all()
    with pytest.raises(InputError):
        legacy_traces.predict(settings, noise=np.zeros((241, 2)))


def test_expected_noise_overflows_against_draws():
    """Both channels, per run; the tail is checked against sums of 12 draws."""
    settings = LegacySettings(noise_on=True, noise_scale=2.0)
    expected = legacy_traces.noise_overflows(settings)
    rng = np.random.default_rng(3)
    beta = legacy_traces.beta(legacy_traces.noise_times()).astype(float)
    runs = 400
    draws = rng.random((runs, len(beta), 12)).sum(axis=2) - 6.0
    counted = 2 * (draws * 2.0 * beta >= 1.0).sum() / runs
    assert counted == pytest.approx(expected, rel=0.05)
    assert expected / 2 == pytest.approx(9.3, rel=0.1)


def test_noise_scale_is_refused_by_its_risk():
    noisy = LegacySettings(noise_on=True, noise_scale=1.0)
    with pytest.raises(LimitError, match=r"noise scale 1\.00"):
        legacy_traces.refuse_overflow(noisy, 0.01)
    assert legacy_traces.refuse_overflow(noisy, 2.0).noise_overflows == pytest.approx(1.28, rel=0.1)
    safe = replace(noisy, noise_scale=0.5)
    assert legacy_traces.refuse_overflow(safe, 0.01).noise_overflows < 1e-3
    off = replace(noisy, noise_on=False)
    assert legacy_traces.refuse_overflow(off, 0.0).noise_overflows == 0.0


def test_shape_of_before_is_checked():
    with pytest.raises(InputError):
        legacy_traces.predict(LegacySettings(), before=np.zeros(17, np.int32))
