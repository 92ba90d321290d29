"""Wrong, silent and unplugged instruments: a clear error, and the outputs off."""

from __future__ import annotations

import atexit
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.instruments import visa
from drivers.instruments.catalogue import MODELS, Wanted, connect
from drivers.instruments.limits import InstrumentLimits, InstrumentSettings
from drivers.instruments.session import parse_error, parse_identity
from protocols.errors import (
    InputError,
    InstrumentError,
    InstrumentLost,
    InstrumentTimeout,
    LinkError,
    NoInstrument,
    NotTriggered,
    WrongInstrument,
)

DIALOGUES = Path(__file__).parent / "dialogues"
SMU_2400 = "GPIB0::24::INSTR"
SETTINGS = InstrumentSettings(InstrumentLimits(5.0, 0.1), timeout_s=5.0)
IMPATIENT = InstrumentSettings(InstrumentLimits(5.0, 0.1), timeout_s=0.3)


def open_at(address: str, file: str, **changes):
    values = {"role": "smu", "model": "auto", "settings": SETTINGS, **changes}
    return connect(Wanted(address=address, **values), f"{file}@sim")


def shown(tmp_path: Path, *lines: str, address: str = SMU_2400) -> str:
    """A dialogue file of one device with these dialogues."""
    path = tmp_path / "bench.yaml"
    path.write_text(
        'spec: "1.1"\ndevices:\n  one:\n    eom:\n      GPIB INSTR: {q: "\\n", r: "\\n"}\n'
        + "    error: ERROR\n    dialogues:\n"
        + "".join(f"      - {line}\n" for line in lines)
        + f"resources:\n  {address}: {{device: one}}\n",
        encoding="utf-8",
    )
    return str(path)


# --- another instrument --------------------------------------------------------------------------


def test_another_model_than_the_one_named():
    file = str(DIALOGUES / "keithley-2400.yaml")
    with pytest.raises(WrongInstrument) as caught:
        open_at(SMU_2400, file, model="keithley-2450")
    text = str(caught.value)
    assert "keithley-2450 is named, but KEITHLEY INSTRUMENTS INC. MODEL 2400" in text
    assert "instruments.smu" in text
    assert SMU_2400 in text


def test_another_kind_of_instrument():
    file = str(DIALOGUES / "rigol-ds1054z.yaml")
    with pytest.raises(WrongInstrument, match=r"DS1054Z .* is no smu but a scope \(rigol-ds1054z"):
        open_at("USB0::0x1AB1::0x04CE::DS1ZA000000001::INSTR", file)


def test_another_serial_number():
    with pytest.raises(WrongInstrument, match=r"serial number 7654321 is named, but .*1234567"):
        open_at(SMU_2400, str(DIALOGUES / "keithley-2400.yaml"), serial="7654321")


def test_a_model_that_no_driver_is_for(tmp_path):
    file = shown(tmp_path, '{q: "*IDN?", r: "ACME,SOURCE 9,1,1.0"}')
    with pytest.raises(WrongInstrument, match=r"ACME SOURCE 9 .* has no driver.*keithley-2400"):
        open_at(SMU_2400, file)


def test_something_that_is_no_instrument(tmp_path):
    file = shown(tmp_path, '{q: "*IDN?", r: "hello"}')
    with pytest.raises(InstrumentError, match=r"'hello' to .IDN.*names no maker and model"):
        open_at(SMU_2400, file)


def test_nothing_but_the_identity_is_asked_of_a_wrong_one(tmp_path):
    """A device that knows nothing but *IDN? would report an error of anything else."""
    file = shown(tmp_path, '{q: "*IDN?", r: "RIGOL TECHNOLOGIES,DP832,1,1.0"}')
    with pytest.raises(WrongInstrument, match=r"nothing but .IDN. was sent"):
        open_at(SMU_2400, file)


# --- nothing there -------------------------------------------------------------------------------


def test_nothing_at_the_address():
    address = "TCPIP0::127.0.0.1::9::SOCKET"  # the port of discard, where nothing listens
    with pytest.raises(NoInstrument, match=r"no instrument at TCPIP0::127\.0\.0\.1::9::SOCKET"):
        connect(Wanted("smu", address, SETTINGS), "@py")


def test_an_address_that_is_none():
    with pytest.raises(NoInstrument, match="no instrument at nonsense"):
        open_at("nonsense", str(DIALOGUES / "keithley-2400.yaml"))


def test_no_such_visa_library(tmp_path):
    with pytest.raises(NoInstrument, match="no VISA library"):
        connect(Wanted("smu", SMU_2400, SETTINGS), f"{tmp_path / 'absent.yaml'}@sim")
    with pytest.raises(NoInstrument, match="no VISA library '@nonesuch'"):
        visa.addresses("@nonesuch")


def test_a_serial_line_needs_a_model_that_has_one():
    with pytest.raises(InputError, match=r"speed depends on.*keithley-2400"):
        open_at("ASRL3::INSTR", str(DIALOGUES / "keithley-2400.yaml"))
    with pytest.raises(InputError, match="no driver 'k'"):
        open_at("ASRL3::INSTR", str(DIALOGUES / "keithley-2400.yaml"), model="k")


def test_one_that_does_not_answer(tmp_path):
    file = shown(tmp_path, '{q: "*IDN?"}')
    with pytest.raises(InstrumentTimeout, match=r"did not answer '\*IDN\?' in time"):
        open_at(SMU_2400, file, settings=IMPATIENT)


# --- in the middle of the work -------------------------------------------------------------------


def test_a_refused_setting_is_an_error_with_the_instrument_s_words(opened):
    smu, tap = opened("keithley-2400")
    tap.answers[":SYST:ERR?"] = ['-222,"Parameter data out of range"', '+802,"Beep"', '0,"ok"']
    with pytest.raises(InstrumentError, match="-222 Parameter data out of range; 802 Beep") as hit:
        smu.source_volts(1.0, 1e-3)
    assert "':SENS:CURR:PROT 0.001'" in str(hit.value)
    assert tap.commands(smu.ERRORS)[-2:] == list(smu.SAFE)


def test_a_queue_of_errors_that_never_ends(opened):
    smu, tap = opened("keithley-2400")
    tap.answers[":SYST:ERR?"] = ['-100,"again"'] * 33 + ['0,""'] * 20
    with pytest.raises(InstrumentError, match="and more"):
        smu.source_volts(1.0, 1e-3)


def test_a_time_out_switches_the_outputs_off(opened):
    smu, tap = opened("keithley-2400")
    smu.source_volts(1.0, 1e-3)
    smu.output(True)
    tap.silent.add(":READ?")
    with pytest.raises(InstrumentTimeout, match=r"did not answer ':READ[?]' in time") as caught:
        smu.measure()
    assert tap.commands(smu.ERRORS)[-2:] == list(smu.SAFE)
    assert tap.cleared == 1  # what it may still say is forgotten first
    assert caught.value.__notes__ == [f"{smu.identity}: outputs at zero and off."]


@pytest.mark.parametrize("name", ["rigol-ds1054z", "keysight-infiniivision"])
def test_nothing_triggers(name, opened):
    scope, tap = opened(name, timeout_s=0.05)
    tap.answers = {":TRIG:STAT?": ["WAIT"] * 99, ":OPER:COND?": ["8"] * 99}
    scope.arm()
    with pytest.raises(NotTriggered, match="nothing triggered it"):
        scope.waveform("1")
    assert ":STOP" in tap.sent[-2:]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_unplugged_in_the_middle(name, after, opened):
    driver, tap = opened(name)
    tap.unplug(after)
    with pytest.raises(InstrumentLost, match=r"the line broke.*check its cable") as caught:
        _work(driver)
    tried = tap.tried[tap.unplugged_at :]
    assert [text for text in driver.safe_commands() if text not in tried] == []
    if driver.safe_commands():
        assert any("off by hand" in note for note in caught.value.__notes__)
    assert tap.closed


def _work(driver):
    with driver:
        for _ in range(4):
            WORK[driver.ROLE](driver)


def _supply(supply):
    supply.set("1", 1.0, 0.1)
    supply.output("1", True)
    supply.measure("1")


def _pulser(pulser):
    pulser.configure(low_volts=0.0, high_volts=1.0, width_s=1e-6, edge_s=1e-8, load_ohms=50.0)
    pulser.output(True)
    pulser.burst()


WORK = {
    "supply": _supply,
    "smu": lambda smu: smu.sweep(np.array([0.1, 0.2]), 1e-3),
    "pulser": _pulser,
    "scope": lambda scope: scope.configure("1", 1.0, 1e-6, "1", 0.5),
    "thermometer": lambda thermometer: thermometer.celsius(),
    "matrix": lambda matrix: matrix.close_path(1, 1),
}


def test_a_cable_that_comes_back_is_made_safe_at_exit(opened):
    smu, tap = opened("keithley-2400")

    def work():
        with smu:
            smu.source_volts(1.0, 1e-3)
            smu.output(True)
            tap.unplug()
            try:
                smu.measure()
            finally:
                tap.unplugged_at = None

    with pytest.raises(InstrumentLost):
        work()
    assert tap.commands(smu.ERRORS)[-2:] == list(smu.SAFE)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault of the program")])
def test_whatever_ends_the_work_leaves_it_safe(error, opened):
    smu, tap = opened("keithley-2400")

    def work():
        with smu:
            smu.source_volts(1.0, 1e-3)
            smu.output(True)
            raise error

    with pytest.raises(type(error)):
        work()
    assert tap.commands(smu.ERRORS)[-2:] == list(smu.SAFE)
    assert tap.cleared == 1
    assert tap.closed


def test_a_process_that_ends_without_closing_closes(opened, monkeypatch):
    kept = []
    monkeypatch.setattr(atexit, "register", kept.append)
    smu, tap = opened("keithley-2400")
    smu.source_volts(1.0, 1e-3)
    smu.output(True)
    assert kept == [smu.close]
    kept[0]()
    assert tap.commands(smu.ERRORS)[-2:] == list(smu.SAFE)


def test_a_closed_instrument_says_so(opened):
    smu, _ = opened("keithley-2400")
    smu.close()
    with pytest.raises(InstrumentLost, match="was closed; open the instrument again"):
        smu.source_volts(1.0, 1e-3)


def test_an_instrument_s_error_is_not_the_board_s():
    """What retries a board's line must not take an instrument for it."""
    assert not issubclass(InstrumentError, LinkError)
    assert InstrumentError.exit_code == LinkError.exit_code == 4


# --- what instruments say ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["OL", "nan", "9.91E37", "-9.9E+37", "inf", "1,2", ""])
def test_an_answer_that_is_no_number(text, opened):
    supply, tap = opened("rigol-dp832")
    tap.answers[":MEAS:VOLT? CH1"] = [text]
    with pytest.raises(InstrumentError, match=r"answers .* to :MEAS:VOLT"):
        supply.measure("1")
    assert tap.commands(supply.ERRORS)[-1] == ":SOUR1:VOLT 0.0000"


@given(st.text(max_size=60))
def test_whatever_an_instrument_says_is_understood_or_an_error(text):
    for parse in (lambda: parse_error(text), lambda: parse_identity(text, "here")):
        with suppress(InstrumentError):
            parse()


@pytest.mark.parametrize("text", ["", "#9", "#", "#9000000001x", "1.0,abc", "1.0,2.0", "1,nan"])
def test_a_waveform_that_is_none(text, opened):
    scope, tap = opened("keysight-infiniivision")
    tap.answers[":WAV:DATA?"] = [text]
    with pytest.raises(InstrumentError, match=r"no row of numbers|waveform of . points|off the"):
        scope.waveform("1")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("KEITHLEY INSTRUMENTS INC.,MODEL 2400,123,C30 a,b", ("MODEL 2400", "123", "C30 a,b")),
        ("LSCI,MODEL335,335A/###,1.2\r\n", ("MODEL335", "335A/###", "1.2")),
        ("A,B", ("B", "", "")),
    ],
)
def test_identities(text, parts):
    found = parse_identity(text, "here")
    assert (found.model, found.serial, found.firmware) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('0,"No error"', (0, "No error")),
        ('+0,"No error"', (0, "No error")),
        ('-113,"Undefined header;1;2026"', (-113, "Undefined header;1;2026")),
        ("-2.85000e+02\tTSP Syntax error\t20", (-285, "TSP Syntax error\t20")),
    ],
)
def test_error_queues(text, parts):
    assert parse_error(text) == parts


def test_an_error_queue_that_talks_nonsense():
    with pytest.raises(InstrumentError, match="not an entry"):
        parse_error("fine, thanks")


@pytest.mark.parametrize("name", ["rigol-ds1054z", "keysight-infiniivision"])
def test_a_scope_that_is_dead_is_not_one_that_nothing_triggers(name, opened):
    scope, tap = opened(name)
    tap.silent |= {":TRIG:STAT?", ":OPER:COND?"}
    with pytest.raises(InstrumentTimeout) as caught:
        scope.waveform("1")
    assert not isinstance(caught.value, NotTriggered)


def test_one_that_drives_is_opened_once_and_a_thermometer_is_shared():
    file = str(DIALOGUES / "keithley-2400.yaml")
    refused = pytest.raises(InstrumentError, match="in use already, by another part")
    with open_at(SMU_2400, file), refused:
        open_at("GPIB::24::INSTR", file)  # the same address, written another way
    with open_at(SMU_2400, file) as again:
        assert again.identity.model == "MODEL 2400"
    file = str(DIALOGUES / "lakeshore-335.yaml")
    with open_at("GPIB0::12::INSTR", file, role="thermometer") as first:
        with open_at("GPIB0::12::INSTR", file, role="thermometer") as second:
            assert second.celsius() == first.celsius()
        assert first.celsius() == pytest.approx(24.871)
    with pytest.raises(InstrumentLost):
        first.celsius()
