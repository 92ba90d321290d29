"""The soak's page and verdict; its jobs themselves run in `make soak`."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest

from benchmarks import soak

GOOD = soak.Row(3, "program", "ispp", 3e-5, 2, 1, True, True, 0, 0, 0, 12.3)


@pytest.mark.parametrize(
    "trouble",
    [{"completed": False}, {"within": False}, {"missing": 1}, {"twice": 1}, {"outside": 1}],
)
def test_a_job_that_ends_badly_is_named_and_can_be_made_again(
    trouble, monkeypatch, capsys, tmp_path
):
    rows = [GOOD, dataclasses.replace(GOOD, number=7, **trouble)]
    monkeypatch.setattr(soak, "soak", lambda *_: iter(rows))
    monkeypatch.setattr("sys.argv", ["soak.py", "--seed", "5", "--json", str(tmp_path / "f")])
    assert soak.main() == 1
    said = capsys.readouterr().out
    assert "2 jobs, 4 kills, 2 times the board was lost, 1 bad" in said
    assert "soak.py --seed 5 --job 7" in said
    assert json.loads((tmp_path / "f").read_text())["jobs"] == 2


def test_good_jobs_pass(monkeypatch, capsys):
    monkeypatch.setattr(soak, "soak", lambda *_: iter([GOOD]))
    monkeypatch.setattr("sys.argv", ["soak.py", "--quick"])
    assert soak.main() == 0
    assert "0 bad" in capsys.readouterr().out


def test_rates_are_drawn_between_their_ends():
    rng = random.Random(1)
    drawn = [soak._drawn(rng, soak.LINE_RATES) for _ in range(300)]
    low, high = soak.LINE_RATES
    assert low <= min(drawn) < 2 * low
    assert high / 2 < max(drawn) <= high
    assert sum(rate < (low * high) ** 0.5 for rate in drawn) == pytest.approx(150, abs=40)
