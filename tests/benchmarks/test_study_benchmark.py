"""What the benchmark of studies judges, and that its quick studies are what it says."""

from __future__ import annotations

import pytest

from benchmarks import study as benchmark
from hil.study.runners import Here


def test_the_thousand_chips_are_a_thousand_with_two_thousand_samples() -> None:
    study = benchmark.thousand(benchmark.CHIPS)
    assert len(study.points) == 1000
    assert len({point.chip for point in study.points}) == 1000
    assert {point.samples for point in study.points} == {2000}
    few = benchmark.thousand(benchmark.QUICK_CHIPS)
    assert few.points == study.points[: benchmark.QUICK_CHIPS]


def test_a_table_that_differs_misses_its_bar(capsys) -> None:
    assert not benchmark.report({"tables that differ": 0}, benchmark.CLUSTER_BARS, "x")
    assert benchmark.report({"tables that differ": 1}, benchmark.CLUSTER_BARS, "x")
    assert "tables that differ" in capsys.readouterr().out


TINY = """\
name: tiny
grid: {tolerance_siemens: 0, samples: 10}
effects: []
bench: {loop: {trim_drive: false}}
"""


def test_the_time_of_few_chips_is_that_of_a_thousand_by_the_chip(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(benchmark, "Processes", lambda _count: Here())
    monkeypatch.setattr(benchmark, "thousand", lambda _chips: benchmark.study_of(TINY))
    figures, _ = benchmark.speed(tmp_path, quick=True)
    (row,) = benchmark.rows_of(benchmark.study_of(TINY), tmp_path / "speed")
    assert figures["failed points"] == 0
    assert figures["seconds for 1,000 chips"] == pytest.approx(row["host_s"] * 500)
    late = figures | {"seconds for 1,000 chips": 601.0}
    assert benchmark.report(late, benchmark.SPEED_BARS, "x")
