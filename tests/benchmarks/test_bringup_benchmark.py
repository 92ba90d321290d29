"""The campaign of planted faults and clean benches: its cases, its judgement, one case of each."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks._common import missed_bars
from calibration.bringup import STAGES
from hil.sim.board_faults import FAULTS


@pytest.fixture
def bench(monkeypatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    return importlib.import_module("benchmarks.bringup")


def test_every_fault_has_a_stage_and_something_that_has_to_be_said(bench):
    assert len(FAULTS) >= 15
    assert set(bench.NAMED) == set(FAULTS)
    assert set(FAULTS.values()) <= {stage.name for stage in STAGES}
    assert set(bench.QUICK) <= set(FAULTS)


def test_the_full_campaign_has_every_fault_on_both_boards_and_fifty_clean_benches(bench):
    cases = bench.cases(quick=False, seed=1)
    faulty = [(one.board, one.fault) for one in cases if one.fault]
    clean = [one for one in cases if not one.fault]
    assert sorted(faulty) == sorted((b, f) for b in bench.BOARDS for f in FAULTS)
    assert len({one.seed for one in clean}) == len(clean) == 50
    assert {one.board for one in clean if one.sheet} == set(bench.BOARDS)


def test_a_planted_fault_is_named_and_judged(bench):
    found = bench.run(bench.Case("sim", "supply_low", 3))
    assert found.right, found.said
    assert "supply_low" in found.said


def test_another_stage_or_another_place_is_not_right(bench, monkeypatch):
    monkeypatch.setitem(bench.NAMED, "supply_low", ("supply_low", ("logic",)))
    assert not bench.run(bench.Case("sim", "supply_low", 3)).right
    monkeypatch.setitem(bench.FAULTS, "rail_over_current", "converters")
    assert not bench.run(bench.Case("sim", "rail_over_current", 3)).right


def test_a_miss_and_a_false_alarm_are_bars_missed(bench):
    found = [
        bench.Found(one, right=True, said="passed", host_s=1.0)
        for one in bench.cases(quick=True, seed=1)
    ]
    assert missed_bars(*bench.judged(found, True)) == []
    missed = [replace(found[0], right=False), *found[1:]]
    assert any("named by" in one for one in missed_bars(*bench.judged(missed, True)))
    alarm = [*found[:-1], replace(found[-1], right=False)]
    assert any("false alarms" in one for one in missed_bars(*bench.judged(alarm, True)))
    slow = [*found[:-1], replace(found[-1], host_s=301.0)]
    assert any("whole on" in one for one in missed_bars(*bench.judged(slow, True)))
