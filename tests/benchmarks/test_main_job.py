"""The bars of the main job: what is allowed, what is missed, and that a miss is an exit status."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from hil.diffusion.data import draw
from hil.diffusion.metrics import Metrics, evaluate
from protocols.errors import CalibrationError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "main_job.py"


def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module of its own, leaving the module search path as it was."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setitem(sys.modules, "_common", None)
    monkeypatch.delitem(sys.modules, "_common")
    spec = importlib.util.spec_from_file_location("main_job_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(monkeypatch):
    return load(monkeypatch)


GOOD = Metrics(0.005, 0.4, 0.01, 0.70, 0.04, 0.03, 1000)
SUMMARY = {
    "cells": 564,
    "in_tolerance": 550,
    "pulses_mean": 30.0,
    "pulses_p99": 99.0,
    "round_trips": 600,
    "bench_s": 396.0,
}


def outcome(**changed):
    """What a chip gives whose samples are all good, but for the rows in `changed`."""
    names = ("data", "software", "software_sde", "loop_ideal", "chip_ode", "chip_sde")
    metrics = {**dict.fromkeys(names, GOOD), **changed}
    points = draw("ring", 1000, 5)
    return SimpleNamespace(
        rows={name: SimpleNamespace(samples=points, metrics=m) for name, m in metrics.items()},
        programmed=SimpleNamespace(
            program=SimpleNamespace(summary=lambda: SUMMARY),
            verify=SimpleNamespace(statistics=lambda: SimpleNamespace(rms=2.5e-6)),
        ),
        model=SimpleNamespace(training=SimpleNamespace(data="ring")),
        accounts=SimpleNamespace(bench_s=1465.0, host_s=20.0),
    )


def but(**figures):
    return dataclasses.replace(GOOD, **figures)


def run(bench, monkeypatch, chip, tmp_path, *arguments):
    """Exit status and figures of the benchmark on chips that `chip(seed)` gives."""
    monkeypatch.setattr(bench, "run_chip", lambda seed, *_: chip(seed))
    monkeypatch.setattr(bench, "evaluate", lambda *_: GOOD)  # of the software's own samples
    out = tmp_path / "figures.json"
    status = bench.main(["--json", str(out), "--part", "demo", *arguments])
    return status, json.loads(out.read_text())


def test_good_chips_pass(bench, monkeypatch, tmp_path, capsys):
    status, figures = run(bench, monkeypatch, lambda _: outcome(), tmp_path)
    assert status == 0
    assert figures["missed"] == []
    assert figures["simulated"] is True
    assert [line["chip"] for line in figures["chips"]] == list(range(1, 11))
    printed = capsys.readouterr().out
    assert "BAR MISSED" not in printed
    assert "MISS" not in printed
    assert printed.count("simulated") >= 3


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"loop_ideal": but(kl_1d=0.00601)}, "ideal loop KL / software KL is 1.202"),
        ({"chip_ode": but(radius_mean=0.679)}, "median ODE radius is 0.679"),
        ({"chip_ode": but(radius_mean=0.721)}, "median ODE radius is 0.721"),
        ({"chip_ode": but(radius_sd=0.029)}, "median ODE spread is 0.029"),
        ({"chip_ode": but(radius_sd=0.071)}, "median ODE spread is 0.071"),
        ({"chip_ode": but(kl_1d=0.0601)}, "median ODE KL is 0.0601"),
        ({"chip_ode": but(kl_1d=float("nan"))}, "median ODE KL is nan"),
        ({"chip_sde": but(kl_1d=0.00651)}, "median SDE KL ratio is 1.302"),
        ({"software_sde": but(kl_1d=0.0)}, "median SDE KL ratio is nan"),
    ],
)
def test_each_bar_can_be_missed(bench, monkeypatch, tmp_path, capsys, changed, sentence):
    status, figures = run(bench, monkeypatch, lambda _: outcome(**changed), tmp_path)
    assert status == 1
    assert len(figures["missed"]) == 1
    assert figures["missed"][0].startswith(sentence)
    printed = capsys.readouterr().out
    assert f"BAR MISSED: {sentence}" in printed
    assert printed.count("MISS\n") == 1


def test_bars_are_met_at_their_edges(bench, monkeypatch, tmp_path):
    edge = outcome(
        loop_ideal=but(kl_1d=0.00599),
        chip_ode=but(radius_mean=0.72, radius_sd=0.03, kl_1d=0.06),
        chip_sde=but(kl_1d=0.00649),
    )
    assert run(bench, monkeypatch, lambda _: edge, tmp_path)[0] == 0


def test_the_median_of_the_chips_counts(bench, monkeypatch, tmp_path):
    def bad_up_to(last):
        return lambda seed: outcome(chip_ode=but(kl_1d=0.2)) if seed <= last else outcome()

    assert run(bench, monkeypatch, bad_up_to(4), tmp_path)[0] == 0
    status, figures = run(bench, monkeypatch, bad_up_to(6), tmp_path)
    assert status == 1
    assert figures["median"]["ODE KL"] == pytest.approx(0.2)
    assert (figures["lowest"]["ODE KL"], figures["highest"]["ODE KL"]) == (0.005, 0.2)


def test_the_sde_bar_is_a_median_of_ratios(bench, monkeypatch, tmp_path):
    """Two chips out of three are above 1.3, though the ratio of the medians is not."""

    def chip(seed):
        chip_kl, software_kl = {1: (0.10, 0.05), 2: (0.14, 0.10), 3: (0.12, 0.20)}[seed]
        return outcome(chip_sde=but(kl_1d=chip_kl), software_sde=but(kl_1d=software_kl))

    status, figures = run(bench, monkeypatch, chip, tmp_path, "--quick")
    assert status == 1
    assert figures["median"]["SDE KL ratio"] == pytest.approx(1.4)


def test_the_software_is_judged_on_as_many_samples_as_the_chip(bench):
    result = outcome(chip_ode=but(samples=200))
    figures = bench.chip_figures(result)
    first = result.rows["software"].samples[:200]
    assert figures["software ODE KL"] == evaluate(first).kl_1d
    assert figures["software ODE KL"] != evaluate(result.rows["software"].samples).kl_1d


def test_a_chip_that_fails_is_a_miss_and_the_others_are_reported(
    bench, monkeypatch, tmp_path, capsys
):
    def chip(seed):
        if seed == 1:
            raise CalibrationError("The loop is dead.")
        return outcome()

    status, figures = run(bench, monkeypatch, chip, tmp_path)
    assert status == 1
    assert figures["missed"] == ["chip 1 was not finished: CalibrationError: The loop is dead."]
    assert [line["chip"] for line in figures["chips"]] == list(range(2, 11))
    assert figures["ideal_loop"]["ideal loop KL / software KL"] == pytest.approx(1.0)
    assert "The loop is dead." in capsys.readouterr().err


def test_no_chip_at_all_misses_every_bar(bench, monkeypatch, tmp_path):
    def chip(_seed):
        raise CalibrationError("The loop is dead.")

    status, figures = run(bench, monkeypatch, chip, tmp_path, "--quick")
    assert status == 1
    bars = len(bench.IDEAL_BARS) + len(bench.MEDIAN_BARS)
    assert len(figures["missed"]) == 3 + bars
    assert figures["median"]["ODE KL"] is None


def test_the_baseline_is_large_once(bench, monkeypatch, tmp_path):
    asked = []

    def record(seed, samples, baseline, _runs):
        asked.append((seed, samples, baseline))
        return outcome()

    monkeypatch.setattr(bench, "run_chip", record)
    monkeypatch.setattr(bench, "evaluate", lambda *_: GOOD)
    assert bench.main(["--json", str(tmp_path / "f.json"), "--part", "demo"]) == 0
    assert asked == [(1, 2000, 50_000), *((seed, 2000, 2000) for seed in range(2, 11))]


def test_a_chip_is_that_of_the_demo(bench, tmp_path):
    config = bench.chip_config(7, tmp_path)
    assert (config.seed, config.sim.seed, config.sim.board_seed) == (7, 7, 7)
    assert config.runs == tmp_path


def test_a_file_that_cannot_be_written_is_refused_first(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", str(tmp_path / "none" / "figures.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "not a file in a folder that exists" in done.stderr
    assert "Traceback" not in done.stderr


# --- chips with stuck cells ------------------------------------------------------------------


def stuck(bench, **changed):
    """The figures of a chip with stuck cells whose ratios are good, but for those in `changed`."""
    columns = {**bench.QUALITY_COLUMNS, **bench.COST_COLUMNS}
    return {**dict.fromkeys(columns, 1.0), **changed}


def run_stuck(bench, monkeypatch, chip, tmp_path, *arguments):
    monkeypatch.setattr(bench, "stuck_chip_figures", lambda seed, *_: chip(seed))
    out = tmp_path / "figures.json"
    status = bench.main(["--json", str(out), "--part", "stuck", *arguments])
    return status, json.loads(out.read_text())


def test_good_chips_with_stuck_cells_pass(bench, monkeypatch, tmp_path, capsys):
    status, figures = run_stuck(bench, monkeypatch, lambda _: stuck(bench), tmp_path)
    assert status == 0
    assert figures["stuck"]["samples"] == 50_000
    assert len(figures["stuck"]["chips"]) == 10
    assert "(simulated)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("programmed KL ratio", 2.51),
        ("repaired KL ratio", 1.51),
        ("repaired KL ratio", float("nan")),
    ],
)
def test_each_bar_of_the_stuck_chips_can_be_missed(bench, monkeypatch, tmp_path, column, value):
    status, figures = run_stuck(
        bench, monkeypatch, lambda _: stuck(bench, **{column: value}), tmp_path
    )
    assert status == 1
    assert figures["missed"] == [
        f"median {column} is {value:.4g}, the bar is 0 to {bench.STUCK_BARS[column][1]:g}"
    ]


def test_a_stuck_chip_that_fails_is_a_miss(bench, monkeypatch, tmp_path):
    def chip(seed):
        if seed == 2:
            raise CalibrationError("The network is broken.")
        return stuck(bench)

    status, figures = run_stuck(bench, monkeypatch, chip, tmp_path, "--quick")
    assert status == 1
    assert figures["missed"][0].startswith("chip 2 with stuck cells was not finished")
    assert figures["stuck"]["samples"] == 5_000


def test_ratios_are_to_the_software_with_as_many_samples(bench):
    helper = sys.modules["_stuck_chips"]
    steps = ("software", "ideal words", "programmed", "re-trimmed", "repaired")
    found = dict.fromkeys(steps, GOOD) | {"programmed": but(kl_1d=0.01)}
    figures = helper.quality_figures(found)
    assert figures["programmed KL ratio"] == pytest.approx(2.0)
    assert figures["repaired KL ratio"] == pytest.approx(1.0)
    dead = helper.quality_figures(found | {"software": but(kl_1d=0.0)})
    assert math.isnan(dead["repaired KL ratio"])
    assert set(figures) <= set(bench.QUALITY_COLUMNS)


def test_half_of_the_stuck_cells_are_stuck_at_each_end(bench, tmp_path):
    config = sys.modules["_stuck_chips"].stuck_config(4, tmp_path)
    assert config.sim.stuck_low_fraction + config.sim.stuck_high_fraction == 0.01
    assert (config.sim.seed, config.seed) == (4, 4)
