"""Every driver against its model's dialogue: what is sent, in which order, what is made of it."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.instruments.catalogue import MODELS
from drivers.instruments.interfaces import ROLES
from protocols.errors import ComplianceError, InputError, InstrumentError, LimitError

SMUS = ("keithley-2400", "keithley-2450")
SUPPLIES = ("rigol-dp832", "keysight-e36312a")
PULSERS = ("keysight-33500b", "keysight-81160a")
PULSE = {"low_volts": 0.0, "high_volts": 2.0, "width_s": 1e-6, "edge_s": 1e-8, "load_ohms": 50.0}


def after(tap, driver, start):
    return tap.commands(driver.ERRORS)[start:]


@pytest.mark.parametrize("name", MODELS)
def test_opens_by_its_identity_and_closes_safe(name, opened):
    driver, tap = opened(name)
    assert type(driver) is MODELS[name]
    assert isinstance(driver, ROLES[driver.ROLE])
    assert driver.identity.model in driver.name
    begun = len(tap.sent)
    driver.close()
    assert after(tap, driver, 0)[-len(driver.safe_commands()) :] == list(
        driver.safe_commands()
    ) or (not driver.safe_commands())
    assert tap.closed
    sent = len(tap.sent)
    driver.close()
    driver.safe()
    assert len(tap.sent) == sent >= begun


# --- source-measure units ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted", "reading"),
    [
        (
            "keithley-2400",
            [":SENS:CURR:PROT 0.001", ":SOUR:VOLT:LEV 1", ":OUTP ON", ":READ?"],
            (1.000206, 1.000236e-4),
        ),
        (
            "keithley-2450",
            [
                ":SOUR:VOLT:ILIM 0.001",
                ":SOUR:VOLT 1",
                ":OUTP ON",
                ':READ? "defbuffer1", SOUR, READ',
                ":SOUR:VOLT:ILIM:TRIP?",
            ],
            (0.5000021, 2.500114e-5),
        ),
    ],
)
def test_smu_sets_compliance_volts_output_in_that_order(name, wanted, reading, opened):
    smu, tap = opened(name)
    start = len(tap.commands(smu.ERRORS))
    smu.source_volts(1.0, 1e-3)
    smu.output(True)
    point = smu.measure()
    assert after(tap, smu, start) == wanted
    assert (point.volts, point.amperes) == pytest.approx(reading)
    assert not point.in_compliance
    smu.output(False)
    assert after(tap, smu, start)[-2:] == list(smu.SAFE)


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("keithley-2400", {":READ?": ["+1.2E-01,+1.0E-03,+8.0E+00"]}),  # status bit 3
        ("keithley-2400", {":READ?": ["+1.2E-01,+1.0E-03,+6.5536E+04"]}),  # range compliance
        ("keithley-2450", {":SOUR:VOLT:ILIM:TRIP?": ["1"]}),
    ],
)
def test_smu_says_when_it_is_in_compliance(name, answers, opened):
    smu, tap = opened(name)
    smu.source_volts(1.0, 1e-3)
    smu.output(True)
    tap.answers |= answers
    assert smu.measure().in_compliance


@pytest.mark.parametrize("name", SMUS)
def test_smu_sweep_ends_off_and_gives_a_current_for_each_point(name, opened):
    smu, tap = opened(name)
    amperes = smu.sweep(np.array([0.0, 0.5, 1.0]), 1e-3)
    assert amperes.shape == (3,)
    assert np.all(amperes > 1e-5)
    sent = tap.commands(smu.ERRORS)
    assert sent[-2:] == list(smu.SAFE)
    compliance = smu.COMMANDS["compliance"].format(amperes=1e-3)
    assert sent.index(compliance) < sent.index(":OUTP ON")
    assert sent.count(compliance) == 1


def test_smu_sweep_stops_off_at_the_first_point_in_compliance(opened):
    smu, tap = opened("keithley-2400")
    tap.answers[":READ?"] = ["0,0,0", "+4.0E-01,+1.0E-03,+8.0E+00"]
    with pytest.raises(ComplianceError, match=r"0\.001 A at 0\.5 V") as caught:
        smu.sweep(np.array([0.0, 0.5, 1.0]), 1e-3)
    assert tap.commands(smu.ERRORS)[-2:] == list(smu.SAFE)
    assert caught.value.__notes__ == [f"{smu.identity}: outputs at zero and off."]
    assert ":SOUR:VOLT:LEV 1" not in tap.sent


@pytest.mark.parametrize(
    ("name", "volts"), [("keithley-2400", 1.000206), ("keithley-2450", 2.04783)]
)
def test_smu_with_its_output_off_is_a_voltmeter_that_sources_nothing(name, volts, opened):
    smu, tap = opened(name)
    start = len(tap.commands(smu.ERRORS))
    point = smu.measure()
    assert (point.volts, point.amperes) == (pytest.approx(volts), 0.0)
    sent = after(tap, smu, start)
    assert sent[: len(smu.VOLTMETER)] == list(smu.VOLTMETER)
    assert sent[-len(smu.SOURCE) - 2 :] == [*smu.SAFE, *smu.SOURCE]
    with pytest.raises(ComplianceError):
        smu.output(True)


@pytest.mark.parametrize("name", SMUS)
def test_smu_refuses_before_anything_is_sent(name, opened):
    smu, tap = opened(name)
    before = list(tap.sent)
    with pytest.raises(LimitError, match=r"7 V is over the limit of 6 V of the bench file"):
        smu.source_volts(7.0, 1e-3)
    with pytest.raises(LimitError, match="1 A is over"):
        smu.source_volts(1.0, 1.0)
    with pytest.raises(LimitError, match="above 0"):
        smu.source_volts(1.0, 0.0)
    with pytest.raises(LimitError):
        smu.source_volts(float("nan"), 1e-3)
    with pytest.raises(LimitError):
        smu.sweep(np.array([0.1, -7.0]), 1e-3)
    with pytest.raises(InputError):
        smu.sweep(np.zeros((2, 2)), 1e-3)
    with pytest.raises(ComplianceError, match="compliance"):
        smu.output(True)
    assert tap.sent == before


def test_2450_in_another_command_set_is_refused(opened, monkeypatch):
    smu, tap = opened("keithley-2450")
    tap.answers["*LANG?"] = ["TSP"]
    with pytest.raises(InstrumentError, match="'TSP'; choose SCPI"):
        smu.start()


# --- supplies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("rigol-dp832", [":SOUR1:CURR 0.2000", ":SOUR1:VOLT 5.0000", ":OUTP CH1,ON"]),
        ("keysight-e36312a", ["CURR 0.2000,(@1)", "VOLT 5.0000,(@1)", "OUTP ON,(@1)"]),
    ],
)
def test_supply_sets_current_limit_volts_output_in_that_order(name, wanted, opened):
    supply, tap = opened(name)
    assert supply.channels == ("1", "2", "3")
    start = len(tap.commands(supply.ERRORS))
    supply.set("1", 5.0, 0.2)
    supply.output("1", True)
    assert after(tap, supply, start) == wanted
    volts, amperes = supply.measure("1")
    assert volts == pytest.approx(5.0012, abs=1e-4)
    assert amperes == pytest.approx(0.1203, abs=1e-4)


@pytest.mark.parametrize("name", SUPPLIES)
def test_supply_touches_only_the_channels_that_are_named(name, opened):
    supply, tap = opened(name, channels={"vdd": 2, "vdac": 1})
    assert supply.channels == ("vdd", "vdac")
    supply.set("vdac", 5.5, 0.1)
    supply.output("vdac", True)
    supply.close()
    third = supply.COMMANDS["off"].format(n=3)
    assert third not in tap.sent
    off = [supply.COMMANDS["off"].format(n=n) for n in (1, 2)]  # the last one on, first
    assert [text for text in tap.sent[-8:] if text in off] == off


@pytest.mark.parametrize("name", SUPPLIES)
def test_supply_refuses_before_anything_is_sent(name, opened):
    supply, tap = opened(name, channels={"vdd": 1})
    before = list(tap.sent)
    with pytest.raises(ComplianceError, match="current limit"):
        supply.output("vdd", True)
    with pytest.raises(LimitError, match=r"channel vdd: 6\.5 V is over the limit of 6 V"):
        supply.set("vdd", 6.5, 0.1)
    with pytest.raises(InputError, match="below zero"):
        supply.set("vdd", -1.0, 0.1)
    with pytest.raises(LimitError):
        supply.set("vdd", 5.0, 0.6)
    with pytest.raises(InputError, match="no channel 'vneg'; it has vdd"):
        supply.set("vneg", 5.0, 0.1)
    assert tap.sent == before


def test_supply_keeps_the_rating_of_a_channel(opened):
    supply, _ = opened("rigol-dp832")
    with pytest.raises(LimitError, match="limit of 5 V of the channel's rating"):
        supply.set("3", 5.5, 0.1)


def test_a_channel_that_the_model_does_not_have(opened):
    with pytest.raises(InputError, match="'vx' is number 4; it has 1 to 3"):
        opened("rigol-dp832", channels={"vx": 4})


# --- oscilloscopes -------------------------------------------------------------------------------


def test_rigol_scope_captures_around_the_trigger(opened):
    scope, tap = opened("rigol-ds1054z", probe=10.0)
    scope.configure("1", 6.0, 10e-6, "2", 0.5, rising=False)
    for text in (
        ":CHAN1:PROB 10",
        ":CHAN1:SCAL 1",  # 6 V on 8 divisions, the next step of 1-2-5
        ":TIM:SCAL 1e-06",
        ":TRIG:EDG:SOUR CHAN2",
        ":TRIG:EDG:SLOP NEG",
        ":TRIG:EDG:LEV 0.5",
    ):
        assert text in tap.sent
    tap.answers[":TRIG:STAT?"] = ["STOP", "WAIT", "WAIT", "TD", "STOP"]
    scope.arm()
    assert tap.answers[":TRIG:STAT?"] == ["WAIT", "TD", "STOP"]
    wave = scope.waveform("1")
    assert wave.t_s == pytest.approx(np.arange(-1e-6, 0.9e-6, 0.2e-6))
    assert wave.volts[0] == pytest.approx(-0.08)
    assert wave.volts[5:] == pytest.approx(2.5, abs=0.03)


def test_infiniivision_captures_around_the_trigger(opened):
    scope, tap = opened("keysight-infiniivision")
    scope.configure("1", 6.0, 1e-6, "1", 1.0)
    assert ":CHAN1:RANG 6" in tap.sent
    assert ":TIM:RANG 1e-06" in tap.sent
    scope.arm()
    tap.answers[":OPER:COND?"] = ["+8", "+40", "+32"]  # bit 3: still running
    wave = scope.waveform("1")
    assert tap.answers[":OPER:COND?"] == []
    assert wave.t_s == pytest.approx(np.arange(-5e-7, 4.9e-7, 1.25e-7))
    assert wave.volts == pytest.approx([0, 0, 0, 1, 2, 2, 2, 2])


@pytest.mark.parametrize("name", ["rigol-ds1054z", "keysight-infiniivision"])
def test_scope_refuses_scales_that_are_none(name, opened):
    scope, tap = opened(name)
    before = list(tap.sent)
    for volts, seconds in ((0.0, 1e-6), (1.0, -1.0), (float("inf"), 1e-6)):
        with pytest.raises(InputError, match="is none"):
            scope.configure("1", volts, seconds, "1", 0.5)
    with pytest.raises(InputError, match="no channel 'pad'; it has 1, 2, 3, 4"):
        scope.configure("pad", 1.0, 1e-6, "1", 0.5)
    assert tap.sent == before


# --- pulse generators ----------------------------------------------------------------------------


def test_33500b_gives_a_train_of_pulses(opened):
    pulser, tap = opened("keysight-33500b")
    start = len(tap.commands(pulser.ERRORS))
    pulser.configure(**PULSE)
    pulser.output(True)
    pulser.burst(3)
    assert after(tap, pulser, start) == [
        *pulser.SAFE,
        "OUTP1:LOAD 50",
        "SOUR1:FUNC:PULS:TRAN:BOTH MIN",
        "SOUR1:FUNC:PULS:WIDT MIN",
        "SOUR1:FUNC:PULS:PER 2.04e-06",
        "SOUR1:FUNC:PULS:WIDT 1e-06",
        "SOUR1:FUNC:PULS:TRAN:BOTH 1e-08",
        "SOUR1:VOLT:OFFS 1",
        "SOUR1:VOLT 2",
        "SOUR1:VOLT:LIM:LOW 0",
        "SOUR1:VOLT:LIM:HIGH 2",
        "SOUR1:VOLT:LIM:STAT ON",
        "OUTP1 ON",
        "SOUR1:BURS:NCYC 3",
        "*TRG",
        "*OPC?",
    ]


def test_81160a_triggers_pulses_one_by_one(opened):
    pulser, tap = opened("keysight-81160a")
    pulser.configure(**{**PULSE, "load_ohms": 1e6})
    pulser.output(True)
    pulser.burst(3)
    assert ":OUTP1:LOAD INF" in tap.sent
    assert tap.sent.count(":TRIG1") == 3
    assert tap.sent.index(":VOLT1:LIM:STAT ON") < tap.sent.index(":OUTP1 ON")


@pytest.mark.parametrize("name", PULSERS)
def test_pulser_refuses_before_anything_is_sent(name, opened):
    pulser, tap = opened(name)
    before = list(tap.sent)
    with pytest.raises(ComplianceError):
        pulser.output(True)
    with pytest.raises(ComplianceError, match="no pulse was sent"):
        pulser.burst()
    with pytest.raises(LimitError, match="level: 8 V"):
        pulser.configure(**{**PULSE, "high_volts": 8.0})
    with pytest.raises(LimitError, match="current into 2 ohms: 1 A"):
        pulser.configure(**{**PULSE, "load_ohms": 2.0})
    for change in ({"low_volts": 3.0}, {"width_s": 1e-9}, {"edge_s": 2e-6}, {"load_ohms": 0.0}):
        with pytest.raises(InputError):
            pulser.configure(**{**PULSE, **change})
    assert tap.sent == before


@pytest.mark.parametrize("name", PULSERS)
def test_a_new_pulse_leaves_the_output_off(name, opened):
    pulser, tap = opened(name)
    pulser.configure(**PULSE)
    pulser.output(True)
    pulser.configure(**{**PULSE, "high_volts": 3.0})
    assert pulser.SAFE[0] in tap.sent[tap.sent.index(pulser.COMMANDS["on"]) :]
    with pytest.raises(ComplianceError):
        pulser.burst()
    pulser.output(True)
    with pytest.raises(InputError, match="a burst of 0 pulses"):
        pulser.burst(0)


# --- thermometers and matrices -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "celsius"), [("lakeshore-335", 24.871), ("keithley-2000", 24.9137)]
)
def test_thermometer_reads(name, celsius, opened):
    thermometer, _ = opened(name)
    assert thermometer.celsius() == pytest.approx(celsius)


def test_thermometer_without_a_sensor_is_an_error(opened):
    thermometer, _ = opened("lakeshore-335", sensor="B")
    with pytest.raises(InstrumentError, match="input B: invalid reading, sensor at zero"):
        thermometer.celsius()


def test_an_open_thermocouple_is_an_error(opened):
    thermometer, tap = opened("keithley-2000", sensor="T")
    assert ":SENS:TEMP:TC:TYPE T" in tap.sent
    tap.answers[":READ?"] = ["+9.90000000E+37"]
    with pytest.raises(InstrumentError, match="over its range, or nothing is connected"):
        thermometer.celsius()


def test_a_sensor_that_there_is_not(opened):
    with pytest.raises(InstrumentError, match="no sensor 'C'; allowed are A, B"):
        opened("lakeshore-335", sensor="C")


@pytest.mark.parametrize(
    ("name", "size", "paths", "stuck"),
    [
        (
            "keithley-7001",
            (4, 20),
            {(1, 1): ":ROUT:CLOS (@1!1!1)", (3, 14): ":ROUT:CLOS (@2!3!4)"},
            (4, 20),
        ),
        (
            "keithley-707b",
            (8, 72),
            {(1, 1): 'channel.close("1A01")', (3, 15): 'channel.close("2C03")'},
            (8, 72),
        ),
    ],
)
def test_matrix_counts_columns_from_card_to_card(name, size, paths, stuck, opened):
    matrix, tap = opened(name)
    assert (matrix.rows, matrix.columns) == size
    for (row, column), command in paths.items():
        matrix.close_path(row, column)
        assert command in tap.sent
    with pytest.raises(InputError, match="no cross-point"):
        matrix.close_path(size[0] + 1, 1)
    with pytest.raises(InputError):
        matrix.close_path(1, 0)
    with pytest.raises(InstrumentError, match="did not close"):
        matrix.close_path(*stuck)
    assert tap.sent[-2] == matrix.SAFE[0]
    matrix.open_all()
