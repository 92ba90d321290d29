"""What is connected: every address asked who it is, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from drivers.instruments.discovery import NOT_ASKED, discover

DIALOGUES = Path(__file__).parent / "dialogues"


@pytest.fixture
def bench(tmp_path: Path) -> str:
    """A supply, a scope, a silent instrument, an unknown one, a serial line."""
    resources = {}
    for name in ("rigol-dp832", "rigol-ds1054z"):
        data = yaml.safe_load((DIALOGUES / f"{name}.yaml").read_text(encoding="utf-8"))
        resources |= {
            address: {"device": name, "filename": str(DIALOGUES / f"{name}.yaml")}
            for address in data["resources"]
        }
    eom = {"GPIB INSTR": {"q": "\\n", "r": "\\n"}, "ASRL INSTR": {"q": "\\n", "r": "\\n"}}
    devices = {
        "silent": {"eom": eom, "error": "ERROR", "dialogues": [{"q": "*IDN?"}]},
        "other": {"eom": eom, "error": "ERROR", "dialogues": [{"q": "*IDN?", "r": "ACME,9,1,1"}]},
    }
    resources |= {
        "GPIB0::3::INSTR": {"device": "silent"},
        "GPIB0::4::INSTR": {"device": "other"},
        "ASRL1::INSTR": {"device": "other"},
    }
    path = tmp_path / "bench.yaml"
    path.write_text(
        yaml.safe_dump({"spec": "1.1", "devices": devices, "resources": resources}),
        encoding="utf-8",
    )
    return f"{path}@sim"


def test_everything_that_is_connected(bench):
    found = {one.address: one for one in discover(bench, timeout_s=3.0)}
    assert len(found) == 5
    scope = found["USB0::0x1AB1::0x04CE::DS1ZA000000001::0::INSTR"]
    assert (scope.driver, scope.role, scope.state) == ("rigol-ds1054z", "scope", "ready")
    assert scope.identity is not None
    assert scope.identity.serial == "DS1ZA000000001"
    assert found["USB0::0x1AB1::0x0E11::DP8C000000001::0::INSTR"].role == "supply"
    assert "did not answer" in found["GPIB0::3::INSTR"].state
    assert found["GPIB0::4::INSTR"].state == "no driver for this model"
    assert found["ASRL1::INSTR"].state == NOT_ASKED
    assert found["ASRL1::INSTR"].identity is None


def test_named_addresses_come_first_and_a_named_serial_line_is_asked(bench):
    supply = "USB0::0x1AB1::0x0E11::DP8C000000001::INSTR"  # VISA lists it with an interface number
    found = discover(bench, {"ASRL1::INSTR": 57600, supply: None, "nonsense": None}, timeout_s=3.0)
    assert [one.address for one in found[:3]] == ["ASRL1::INSTR", supply, "nonsense"]
    assert str(found[0].identity) == "ACME 9 (serial 1)"
    assert found[1].role == "supply"
    assert "no instrument at nonsense" in found[2].state
    assert len(found) == 6
