"""The instruments of a bench: section of the bench file, opening, `hil instruments`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import ROLES, PowerSupply
from drivers.instruments.supply_group import SupplyGroup
from hil.bench import Bench
from hil.cli.app import run
from hil.config import BenchConfig, parse_config
from hil.instruments import Instruments, connect_all, open_instruments
from protocols.errors import (
    ConfigError,
    InputError,
    InstrumentError,
    InstrumentLost,
    NoInstrument,
    WrongInstrument,
)

DIALOGUES = Path(__file__).parents[1] / "drivers" / "instruments" / "dialogues"
SUPPLY = "USB0::0x1AB1::0x0E11::DP8C000000001::INSTR"
E36312A = "TCPIP0::192.0.2.12::inst0::INSTR"
SCOPE = "USB0::0x1AB1::0x04CE::DS1ZA000000001::INSTR"


@pytest.fixture
def library(tmp_path: Path) -> str:
    """A VISA library of two supplies and a scope."""
    lines = ['spec: "1.1"', "devices: {}", "resources:"]
    for address, name in (
        (SUPPLY, "rigol-dp832"),
        (SCOPE, "rigol-ds1054z"),
        (E36312A, "keysight-e36312a"),
    ):
        lines.append(f"  {address}: {{device: {name}, filename: {DIALOGUES / name}.yaml}}")
    path = tmp_path / "visa.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return f"{path}@sim"


def config(library: str, **roles: Any) -> BenchConfig:
    return parse_config(json.dumps({"instruments": {"visa": library, **roles}}), "bench.yaml")


# --- the bench file ------------------------------------------------------------------------------


def test_left_out_none_and_empty():
    assert parse_config("", "b").instruments is None
    for text in ("instruments: none", "instruments: {}"):
        section = parse_config(text, "b").instruments
        assert section is not None
        assert section.wanted() == []


def test_limits_and_names_reach_the_driver():
    text = (
        "instruments: {smu: {address: A, max_volts: 3, max_amperes: 0.002, serial: '7'},"
        " supply: {address: B, model: rigol-dp832, channels: {vdd: 2}},"
        " scope: {address: C, probe: 10}, thermometer: {address: D, sensor: B, timeout_s: 2}}"
    )
    section = parse_config(text, "b").instruments
    assert section is not None
    wanted = {one.role: one for one in section.wanted()}
    assert list(wanted) == ["supply", "smu", "scope", "thermometer"]
    limits = wanted["smu"].settings.limits
    assert (limits.volts, limits.amperes) == (3.0, 0.002)
    assert limits.source == "the bench file's instruments.smu"
    assert wanted["smu"].serial == "7"
    assert wanted["supply"].settings.channels == {"vdd": 2}
    assert wanted["scope"].settings.probe == 10.0
    assert (wanted["thermometer"].settings.sensor, wanted["thermometer"].settings.timeout_s) == (
        "B",
        2.0,
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{smu: {}}", "instruments.smu.address: missing"),
        ("{smu: {adress: A}}", "adress: no such key"),
        ("{smu: {address: A, model: x}}", "allowed are auto, keithley-2400"),
        ("{smu: {address: A, model: rigol-dp832}}", "rigol-dp832 is no smu; those are keithley"),
        ("{smu: {address: A, max_volts: 0}}", "max_volts is 0"),
        ("{meter: {address: A}}", "instruments.meter: no such key"),
        ("3", "instruments is 3"),
    ],
)
def test_a_section_that_is_wrong_names_its_key(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_config(f"instruments: {text}", "bench.yaml")


def test_several_supplies_are_a_list():
    text = "instruments: {supply: [{address: A, channels: {logic: 1}}, {address: B}]}"
    section = parse_config(text, "b").instruments
    assert section is not None
    assert [(one.role, one.address) for one in section.wanted()] == [
        ("supply", "A"),
        ("supply", "B"),
    ]
    with pytest.raises(ConfigError, match="keithley-2400 is no supply"):
        parse_config("instruments: {supply: [{address: A, model: keithley-2400}]}", "b")


# --- opening -------------------------------------------------------------------------------------


def test_opens_what_is_named_and_nothing_else(library):
    section = config(library, supply={"address": SUPPLY}, scope={"address": SCOPE}).instruments
    assert section is not None
    with connect_all(section) as instruments:
        assert set(instruments.present()) == {"supply", "scope"}
        assert instruments.require("scope") is instruments.scope
        with pytest.raises(
            NoInstrument, match="needs the instrument 'smu', and the bench has none"
        ):
            instruments.require("smu")


def test_rails_of_several_supplies(library):
    named = [
        {"address": SUPPLY, "channels": {"logic": 3}},
        {"address": E36312A, "channels": {"drivers": 2, "negative": 1}},
    ]
    section = config(library, supply=named).instruments
    assert section is not None
    with connect_all(section) as instruments:
        supply = instruments.supply
        assert isinstance(supply, PowerSupply)
        assert supply.channels == ("logic", "drivers", "negative")
        supply.set("negative", 5.0, 0.1)
        supply.output("negative", True)
        assert supply.measure("negative")[0] == pytest.approx(5.00123, abs=1e-4)
        assert supply.measure("logic")[0] == pytest.approx(3.2997)
        assert "DP832 + E36312A" in str(supply.identity)
    with connect_all(section, ("smu",)) as instruments:
        assert instruments.present() == {}
        with pytest.raises(InputError, match="no supply has a channel 'vx'; they have logic"):
            supply.measure("vx")


def test_two_supplies_with_a_channel_of_the_same_name_are_refused_and_closed(library, monkeypatch):
    closed = []
    real = Driver.close
    monkeypatch.setattr(Driver, "close", lambda self: (closed.append(self.NAME), real(self)))
    section = config(library, supply=[{"address": SUPPLY}, {"address": E36312A}]).instruments
    assert section is not None
    with pytest.raises(InputError, match="both have a channel '1'"):
        connect_all(section)
    assert sorted(closed) == ["keysight-e36312a", "rigol-dp832"]


def test_one_supply_that_is_lost_does_not_keep_the_other_on():
    first, second = Spy(), Spy(lost=True)
    first.channels, second.channels = ("a",), ("b",)
    group = SupplyGroup((first, second))  # type: ignore[arg-type]
    with pytest.raises(InstrumentLost):
        group.safe()
    assert (first.done, second.done) == (["safe"], ["safe"])
    with pytest.raises(InstrumentLost):
        group.close()
    assert first.done[-1] == "close"


def test_one_that_is_wrong_closes_those_opened_before(library, monkeypatch):
    closed = []
    real = Driver.close
    monkeypatch.setattr(Driver, "close", lambda self: (closed.append(self.NAME), real(self)))
    section = config(library, supply={"address": SUPPLY}, smu={"address": SCOPE}).instruments
    assert section is not None
    with pytest.raises(WrongInstrument, match=r"instruments\.smu: RIGOL .* is no smu but a scope"):
        connect_all(section)
    assert closed == ["rigol-dp832"]


class Spy:
    """Something that is switched off, or cannot be."""

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        self.channels: tuple[str, ...] = ()
        self.done: list[str] = []

    def _do(self, what: str) -> None:
        self.done.append(what)
        if self.lost:
            raise InstrumentLost("unplugged")

    def safe(self) -> None:
        self._do("safe")

    def close(self) -> None:
        self._do("close")

    def __exit__(self, *error: object) -> None:
        self._do("exit")


def test_one_that_is_lost_does_not_keep_the_others_on():
    supply, smu, scope = Spy(), Spy(lost=True), Spy()
    instruments = Instruments(supply=supply, smu=smu, scope=scope)  # type: ignore[arg-type]
    with pytest.raises(InstrumentLost):
        instruments.safe()
    assert [one.done for one in (supply, smu, scope)] == [["safe"], ["safe"], ["safe"]]
    with pytest.raises(InstrumentLost):
        instruments.close()
    assert scope.done[-1] == "close"


def test_an_error_on_the_way_out_does_not_hide_the_first():
    smu, scope = Spy(lost=True), Spy()
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        Instruments(smu=smu, scope=scope),  # type: ignore[arg-type]
    ):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["While closing: unplugged"]
    assert scope.done == ["exit"]


@pytest.fixture
def sim_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_simulated_board_has_simulated_ones_unless_told_otherwise(sim_bench):
    with Bench.open(BenchConfig()) as bench:
        with open_instruments(BenchConfig(), bench) as instruments:
            assert set(instruments.present()) == set(ROLES)
            for role, one in instruments.present().items():
                assert isinstance(one, ROLES[role])
                assert one.identity.model
        with open_instruments(parse_config("instruments: none", "b"), bench) as instruments:
            assert instruments.present() == {}


# --- the command ---------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["instruments", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_lists_what_is_connected_and_what_for(library, sim_bench, capsys):
    text = {
        "instruments": {
            "visa": library,
            "supply": {"address": SUPPLY},
            "smu": {"address": SCOPE},
            "matrix": {"address": "nonsense"},
        }
    }
    Path("bench.yaml").write_text(json.dumps(text), encoding="utf-8")
    found = printed(capsys)
    assert found["simulated"] is False
    by_role = {one["role"]: one for one in found["instruments"]}
    assert by_role["supply"]["state"] == "ready"
    assert by_role["supply"]["identity"]["serial"] == "DP8C000000001"
    assert by_role["supply"]["driver"] == "rigol-dp832"
    assert by_role["smu"]["state"] == "wrong instrument: scope, not smu"
    assert by_role["smu"]["fits"] == "scope"
    assert "no instrument at nonsense" in by_role["matrix"]["state"]
    assert len(found["instruments"]) == 4


def test_the_command_says_that_another_one_is_named(library, sim_bench, capsys):
    text = {"instruments": {"visa": library, "scope": {"address": SCOPE, "serial": "1"}}}
    Path("bench.yaml").write_text(json.dumps(text), encoding="utf-8")
    scope, supply, other = printed(capsys)["instruments"]
    assert other["driver"] == "keysight-e36312a"
    assert scope["state"] == "wrong instrument: serial number 1 is named"
    assert (supply["role"], supply["driver"], supply["state"]) == ("", "rigol-dp832", "ready")


def test_the_command_on_a_simulated_board_says_so(sim_bench, capsys):
    found = printed(capsys)
    assert found["simulated"] is True
    assert {one["role"] for one in found["instruments"]} == set(ROLES)
    assert run(["instruments"]) == 0
    assert "Instruments (simulated)" in capsys.readouterr().out


def test_the_command_without_a_visa_library(sim_bench, capsys):
    assert run(["instruments", "--visa", "@nonesuch"]) == InstrumentError.exit_code
    assert "no VISA library '@nonesuch'" in capsys.readouterr().err
