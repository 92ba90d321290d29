"""The headline: what is searched, what is measured, what is modelled, and what stays unknown."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from hil.cli.app import run
from hil.config import BenchConfig
from hil.diffusion.baselines import EagerTorch, PublishedTorch
from hil.diffusion.model import load_model
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.fewest_steps import fewest_steps
from hil.host_power import EnergyCounter
from hil.jobs.headline import cells_watts
from hil.jobs.headline_software import CompiledForm, Power
from hil.jobs.network import place
from hil.report.headline import tables
from hil.report.headline.components import (
    COMPONENTS_FILE,
    Components,
    Figure,
    chip_energy,
    counts,
    load_components,
)
from hil.report.headline.data import (
    BenchRow,
    HeadlineData,
    ModelledRow,
    SoftwareRow,
    TaskRow,
    factors,
    to_dict,
)
from hil.report.headline.page import render
from protocols.errors import CalibrationError, ConfigError

RING = load_model("ring")


# --- the software forms ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "steps", "atol"),
    [
        (PublishedTorch(RING), 60, 2e-6),
        (EagerTorch(RING, heun=False), 60, 2e-6),
        (EagerTorch(RING), 60, 3e-3),
        (CompiledForm(RING), 60, 3e-3),
    ],
    ids=lambda value: getattr(value, "key", None),
)
def test_every_form_solves_the_same_equation(form, steps, atol):
    """Euler's forms as the numpy sampler does, the others as a fine solve."""
    x0 = initial_conditions(RING, 3, 0, 200)
    fine = solve(RING, x0, Solve(steps=steps if atol < 1e-4 else 2000))
    np.testing.assert_allclose(form.solve(x0, steps), fine, atol=atol)


def test_the_second_order_forms_are_one_rule():
    x0 = initial_conditions(RING, 3, 0, 200)
    np.testing.assert_allclose(
        EagerTorch(RING).solve(x0, 12), CompiledForm(RING).solve(x0, 12), atol=2e-6
    )


def test_classes_reach_every_form():
    offsets = np.arange(28.0).reshape(2, 14) / 100
    model = dataclasses.replace(RING, class_offsets=offsets)
    x0 = initial_conditions(model, 3, 0, 20)
    wanted = solve(model, x0, Solve(steps=30, label=1))
    for form in (PublishedTorch(model), EagerTorch(model, heun=False)):
        np.testing.assert_allclose(form.solve(x0, 30, 1), wanted, atol=2e-6)
    assert np.abs(CompiledForm(model).solve(x0, 30, 1) - wanted).max() < 0.05


# --- the search -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fewest", [1, 2, 7, 50, 999, 1000, 1500, 9999])
def test_the_fewest_steps_are_found(fewest):
    found = fewest_steps(lambda n: 1.0 + 10.0 * (n < fewest), 1.05, 10_000)
    assert found.steps == fewest
    assert found.figure == 1.0
    assert list(found.tried) == sorted(found.tried)


def test_a_lucky_figure_below_a_bad_one_does_not_count():
    found = fewest_steps(lambda n: 2.0 if 20 <= n < 90 else 1.0, 1.05, 10_000)
    assert found.steps == 90


def test_a_solver_that_never_gets_there_is_said_to():
    with pytest.raises(CalibrationError, match="with 4000 steps, more than"):
        fewest_steps(lambda n: 2.0, 1.05, 4000)


# --- component figures ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> Components:
    return load_components()


def test_no_shipped_figure_stands_without_a_source(shipped):
    for part in (shipped.solve, shipped.host, *shipped.components):
        assert part.value is None or part.source
        assert part.assumed is None
        assert part.source or part.note
    assert {each.task for each in shipped.published} == {"unconditional", "conditional"}


def test_the_published_factors_are_those_of_the_sources(shipped):
    stated = {
        kind: [(p.speed_up, round(p.ratio, 1)) for p in shipped.published if p.task == kind]
        for kind in ("unconditional", "conditional")
    }
    assert stated["unconditional"] == [(64.8, 5.2), (69.0, 1.5)]
    assert stated["conditional"] == [(156.5, 4.1), (116.5, 2.1), (150.0, 3.1)]


def test_the_sum_is_a_lower_bound_until_every_part_is_known(shipped):
    energy = chip_energy(shipped, RING, cells_watts=1e-4)
    assert energy.joules == pytest.approx(1e-4 * 2e-5)
    assert not energy.is_complete
    assert "integrators" in energy.unknown
    known = tuple(
        part.model_copy(update={"assumed": 1e-3, "assumption": "a guess"})
        for part in shipped.components
        if not part.computed
    )
    filled = shipped.model_copy(update={"components": (shipped.components[0], *known)})
    energy = chip_energy(filled, RING, cells_watts=1e-4)
    there = counts(RING)
    pieces = there["output"] + there["hidden"] + 2 * 2 + 2 + (14 + 2 + 2) + 2 + 1
    assert (there["output"], there["hidden"]) == (30, 28)
    assert energy.joules == pytest.approx((1e-4 + pieces * 1e-3) * 2e-5)
    assert energy.is_complete
    assert len(energy.assumed) == len(known)


def test_without_a_time_nothing_is_added_up(shipped):
    timeless = shipped.model_copy(update={"solve": Figure(note="unknown")})
    assert chip_energy(timeless, RING, 1e-4).joules is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["components"][1].update(value=1e-3), "a value needs a source"),
        (lambda d: d["host"].update(assumed=5.0), "needs its assumption"),
        (lambda d: d["solve"].update(value=-1.0), "solve.value"),
        (lambda d: d["components"][1].update(watts=3), "components.1.watts"),
        (lambda d: d["components"][1].update(count={"transistor": 3}), "components.1.count"),
        (lambda d: d.pop("published"), "published"),
    ],
)
def test_a_bad_file_of_figures_is_refused_with_the_key(tmp_path, change, words):
    data = yaml.safe_load(COMPONENTS_FILE.read_text())
    change(data)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=words):
        load_components(path)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no component figures"):
        load_components(tmp_path / "nothing.yaml")


def test_the_power_of_the_cells_is_that_of_a_direct_sum():
    """One cell of a known row voltage: the bias rows alone, from their conductances."""
    placement = place(RING, BenchConfig())
    total = cells_watts(RING, placement)
    inputs = np.array([2, 14, 14])
    bias = placement.input == inputs[placement.layer]
    of_bias = np.sum(placement.target_siemens[bias]) * RING.volts_per_unit**2
    largest = np.sum(placement.target_siemens) * (4.0 * RING.volts_per_unit) ** 2
    assert of_bias < total < largest
    half = dataclasses.replace(placement, target_siemens=0.5 * placement.target_siemens)
    assert cells_watts(RING, half) == pytest.approx(0.5 * total)


# --- energy of this computer ----------------------------------------------------------------------


def powercap(root: Path, microjoules: int, most: int = 1000) -> Path:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "energy_uj").write_text(f"{microjoules}\n")
        (folder / "max_energy_range_uj").write_text(f"{most}\n")
    return root


def test_energy_counters_are_read_per_package_and_wrap(tmp_path):
    counter = EnergyCounter.open(powercap(tmp_path, 900))
    assert counter is not None
    assert len(counter.files) == 2  # a part of a package is counted in it
    assert counter.joules_of(lambda: powercap(tmp_path, 950)) == pytest.approx(100e-6)
    assert counter.joules_of(lambda: powercap(tmp_path, 50)) == pytest.approx(200e-6)
    counter.files[0].unlink()
    assert counter.joules_of(lambda: None) is None


def test_without_counters_power_is_unknown_or_whatever_is_stated(tmp_path):
    assert EnergyCounter.open(tmp_path) is None
    given = Power.of(20.0, Figure(note=""))
    assert given.joules(lambda: None, 0.5, lambda j: j) == pytest.approx(10.0)
    assert "given by the user" in given.origin
    stated = Power(None, None, "unknown")
    assert stated.joules(lambda: None, 0.5, lambda j: j) is None


# --- the report -----------------------------------------------------------------------------------


def row(key, steps, batch, single, joules=None):
    return SoftwareRow(
        key, f"form {key}", steps, 0.004, 0.01, steps < 10_000, 100, batch, single, 200, joules
    )


def data_of(shipped, *, joules=None, cells=1e-4, bench=True, conditional=False) -> HeadlineData:
    task = TaskRow(
        task="ring",
        model="ring",
        is_conditional=conditional,
        reference_steps=10_000,
        reference_kl=0.0038,
        tolerance=0.05,
        samples=20_000,
        tried={11: 0.0038, 1000: 0.0037},
        software=(
            row("published", 10_000, 2e-3, 1.0, joules),
            row("published", 11, 4e-6, 2e-3),
            row("eager", 24, 1e-6, 1e-3),
            row("compiled", 24, 2e-7, 1e-5),
        ),
        bench=BenchRow(1.001, 200, 5e-3, 64) if bench else None,
        modelled=ModelledRow(2e-5, False, chip_energy(shipped, RING, cells)),
        published=tuple(p for p in shipped.published if (p.task == "conditional") == conditional),
    )
    return HeadlineData((task,), {"processor": "one"}, "unknown: nothing", "components.yaml")


def test_every_factor_names_its_baseline_and_is_software_over_chip(shipped):
    found = factors(data_of(shipped, joules=2e-3).tasks[0])
    assert [f.baseline for f in found[:2]] == [
        "form published, 10,000 steps, in a batch",
        "form published, 10,000 steps, one at a time",
    ]
    assert [f.speed for f in found[::2]] == pytest.approx([100.0, 0.2, 0.05, 0.01])
    assert found[0].energy == pytest.approx(2e-3 / (1e-4 * 2e-5))
    assert found[0].energy_at_most
    assert all(f.energy is None for f in found[1:])


def test_no_row_fills_two_columns_of_time(shipped):
    table = tables.overview(data_of(shipped).tasks[0], simulated=True)
    for line in table.rows:
        assert sum(text != "" for text in line[1:4]) == 1
        assert len(line) == len(table.header)
    assert table.rows[-1][4].startswith("at least 2.00 nJ")
    assert table.rows[0][4] == "unknown"
    without = tables.overview(data_of(shipped, bench=False).tasks[0], simulated=True)
    assert "cannot hold" in without.rows[-2][0]


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.outside = "", []

    def handle_data(self, data: str) -> None:
        self.text += " " + data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith(("data:", "#")):
                self.outside.append(value)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_page_needs_nothing_but_itself_and_says_what_is_unknown(shipped, tmp_path, conditional):
    data = data_of(shipped, conditional=conditional)
    page = _Text()
    page.feed(render(data, tmp_path).read_text())
    assert page.outside == []
    stated = ("156.5 ×", "116.5 ×", "7.20 µJ") if conditional else ("64.8 ×", "69 ×")
    for words in (*stated, "No chip has been timed", "lower bound", "÷ ", "unknown: nothing"):
        assert words in page.text
    assert (tmp_path / "headline-ring.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "headline.json").read_text())
    assert set(found["tasks"][0]) >= {"host", "bench", "modelled", "factors", "published"}
    assert found == json.loads(json.dumps(to_dict(data)))


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_measures_the_ring(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["report", "headline", "ring", "--samples", "1000", "--power-watts", "10", "--json"]
    assert run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    (task,) = found["tasks"]
    few = [line for line in task["host"] if line["found"]]
    assert all(line["steps"] < 500 for line in few)
    assert all(line["kl_1d"] <= 1.0501 * task["quality"]["reference"] for line in few)
    assert task["bench"]["seconds"] == pytest.approx(1.0, rel=0.05)
    assert task["modelled"]["joules_is_lower_bound"] is True
    assert task["host"][0]["joules"] == pytest.approx(10 * task["host"][0]["batch_seconds"])
    assert Path(found["report"]).is_file()


def test_bad_requests_end_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for arguments, words in (
        (["--out", "file"], "not a folder"),
        (["--components", "nothing.yaml"], "no component figures"),
        (["nosuch"], "no such model file"),
    ):
        assert run(["report", "headline", *arguments]) != 0
        assert words in " ".join(capsys.readouterr().err.split())
