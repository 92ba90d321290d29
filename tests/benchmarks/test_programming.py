"""The programming benchmark: it reproduces what was measured, and fails when chips are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "programming.py"
MEASURED = ("ispp", "fppv", "coarse_fine")


def run(folder: Path, *options: str) -> tuple[int, dict[str, object]]:
    file = folder / "figures.json"
    small = ("--quick", "--chips", "1", "--rows", "8", "--only", "two_bit")
    command = [sys.executable, str(SCRIPT), *small, "--json", str(file), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert file.is_file(), done.stderr
    return done.returncode, json.loads(file.read_text())


def missed_of_measured(found: dict[str, object]) -> list[str]:
    sentences = found["missed"]
    assert isinstance(sentences, list)
    return [s for s in sentences if s.split(".")[1] in MEASURED]


@pytest.mark.slow
def test_the_measured_algorithms_are_reproduced(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    _, found = run(tmp_path, "--figures", str(figures))
    assert missed_of_measured(found) == []
    assert found["simulated"] is True
    assert (figures / "programming_two_bit.png").stat().st_size > 1000
    rows = found["sections"]["two_bit"]  # type: ignore[index]
    for name in MEASURED:
        assert rows[name]["in_by_reading"] >= rows[name]["in_truly"]
        assert rows[name]["reads_mean"] > rows[name]["pulses_mean"]


@pytest.mark.slow
@pytest.mark.parametrize("planted", ["--triple-c2c", "--swap-polarity"])
def test_wrong_chips_fail(tmp_path: Path, planted: str) -> None:
    code, found = run(tmp_path, planted, "--rows", "2")
    assert code == 1
    assert missed_of_measured(found)
