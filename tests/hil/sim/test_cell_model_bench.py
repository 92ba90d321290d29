"""The benchmark of the cell model: it passes, and it fails when the model is made wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "cell_model.py"
MEASURED = os.environ.get("HIL_MEASURED_DATA")
needs_data = pytest.mark.skipif(MEASURED is None, reason="HIL_MEASURED_DATA names no folder")


def run(*options: str, data: str | None = MEASURED) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "HIL_MEASURED_DATA"}
    if data is not None:
        environment["HIL_MEASURED_DATA"] = data
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", *options],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_without_the_measurements_it_says_so() -> None:
    result = run(data=None)
    assert result.returncode == 2
    assert "HIL_MEASURED_DATA" in result.stdout


def test_an_empty_folder_is_no_measurement(tmp_path: Path) -> None:
    result = run(data=str(tmp_path))
    assert result.returncode == 2
    assert "has no set-sweep-wl-200ns" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.slow
@needs_data
def test_every_bar_is_met(tmp_path: Path) -> None:
    result = run("--json", str(tmp_path / "bars.json"), "--figures", str(tmp_path / "figures"))
    assert result.returncode == 0, result.stdout
    bars = json.loads((tmp_path / "bars.json").read_text())["bars"]
    assert len(bars) > 900
    assert len({bar["group"] for bar in bars}) >= 16
    assert all(bar["met"] for bar in bars)
    drawn = sorted(path.name for path in (tmp_path / "figures").glob("*.png"))
    assert drawn == ["cell_medians.png", "cell_noise.png", "cell_spreads.png"]


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(
    ("control", "must_miss"),
    [
        ("--triple-c2c", "cycle-to-cycle spread, SET, VWL"),
        ("--swap-polarity", "SET over VWL, from low R, VBL 2 V, 200 ns"),
    ],
)
def test_a_wrong_model_fails(control: str, must_miss: str, tmp_path: Path) -> None:
    result = run(control, "--json", str(tmp_path / "bars.json"))
    assert result.returncode == 1
    bars = json.loads((tmp_path / "bars.json").read_text())["bars"]
    missed = {bar["group"] for bar in bars if not bar["met"]}
    assert must_miss in missed
    assert sum(not bar["met"] for bar in bars) > 20
