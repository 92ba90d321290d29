"""The technology profile: what it refuses, and what the shipped one says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hil.sim.fit.write import profile_text, write_profile
from hil.sim.profile import PROFILE_FOLDER, load_profile, parse_profile, profile_path
from protocols.errors import ConfigError, DataError


def content(**changes: Any) -> dict[str, Any]:
    plain = load_profile().model_dump(mode="json")
    for path, value in changes.items():
        *laws, key = path.split("__")
        target = plain
        for law in laws:
            target = target[law]
        target[key] = value
    return plain


def test_shipped_profile_states_its_source_and_assumptions() -> None:
    text = (PROFILE_FOLDER / "rram_1t1r_180nm.yaml").read_text(encoding="utf-8")
    for words in ("10.1109/TED.2021.3097975", "not known", "Assumptions", "# Fitted"):
        assert words in text
    profile = load_profile()
    assert len(profile.reached) > 40
    assert profile.faults.stuck_low_fraction == profile.faults.weak_fraction == 0.0


def test_shipped_figures_are_near_the_measured_ones() -> None:
    reached = load_profile().reached
    medians = {name: r for name, r in reached.items() if "median" in name}
    assert len(medians) > 20
    for name, figure in medians.items():
        tolerance = max(0.1 * figure.measured, 5e-6)
        assert abs(figure.simulated - figure.measured) < tolerance, name
    pulses = reached["incremental_step_pulses"]
    assert abs(pulses.simulated - pulses.measured) < 5.0


def test_a_profile_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write_profile(load_profile(), path)
    assert load_profile(path) == load_profile()
    assert profile_text(load_profile()) == path.read_text(encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_profile(load_profile(), tmp_path / "no" / "folder" / "x.yaml")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"set__cycle_gain": -0.1}, "set.cycle_gain"),
        ({"set__cycle_gain": float("nan")}, "set.cycle_gain"),
        ({"set__cycle_gian": 0.1}, "set.cycle_gian"),
        ({"relaxation__sigma": [0.1]}, "same number of entries"),
        ({"reset__gate_volts": [3.0, 2.0]}, "same number of entries"),
        ({"set__widths_s": [1e-5, 1e-6, 1e-7, 1e-8, 1e-9]}, "widths_s must rise"),
        ({"faults__weak_fraction": 1.5}, "faults.weak_fraction"),
        ({"bounds__lowest_siemens": 1.0}, "highest_siemens must be above"),
        ({"forming__line_volts": None}, "forming.line_volts"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_profile(content(**changes), "mine.yaml")


def test_files_that_are_no_profiles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Shipped profiles: .*rram_1t1r_180nm"):
        load_profile("no_such_technology")
    broken = tmp_path / "broken.yaml"
    broken.write_text("set: [1, 2", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml cannot be read"):
        load_profile(broken)
    broken.write_text("just text", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml is not valid"):
        load_profile(broken)
    broken.write_text(yaml.safe_dump({"name": "x"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="bounds: missing"):
        load_profile(broken)
    assert profile_path("rram_1t1r_180nm").parent == PROFILE_FOLDER
