"""A network on two small simulated boards, from virgin chips to the report."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest

from hil.cli.app import run as command
from hil.config import ChipSection, load_config
from hil.diffusion.model import load_model, save_model
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.score_model import TrainingRecord
from hil.record import RunFolder
from hil.sim.effects import Effects
from hil.tiled.programming import plan_network, program_network
from hil.tiled.record import NETWORK_FILE, latest_network, load_network, refuse_other_network
from protocols.errors import ChipError, MappingError, RecordError
from protocols.hardware import load_board
from tests.hil.tiled.conftest import make_model

SIDE = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bench with two boards of 12 x 12 cells and a conditional network of 2 -> 8 -> 8 -> 2."""
    path = tmp_path_factory.mktemp("bench")
    board = load_board("reference").model_copy(update={"rows": SIDE, "columns": SIDE})
    (path / "board.yaml").write_text(json.dumps(board.model_dump(mode="json")))
    off = json.dumps({name: False for name in Effects.names() if name != "tia_saturation"})
    (path / "bench.yaml").write_text(
        f"description: {path}/board.yaml\nmodel: {path}/toy.npz\nruns: {path}/runs\n"
        f"boards: {path}/boards\nchip: {{folder: {path}/chips}}\n"
        "stepped: {ticks: 6, batch: 7}\nprogramming: {algorithm: ispp}\n"
        f"sim: {{effects: {off}}}\nmacros: [{{name: left}}, {{name: right}}]\n"
    )
    for name, seed in (("toy", 1), ("other", 2)):
        model = make_model(2, 8, 3, classes=2, seed=seed, name=name)
        record = TrainingRecord(data="ring")
        save_model(
            type(model)(**{**vars(model), "training": record, "hidden_clamp_units": 1e3}),
            path / f"{name}.npz",
        )
    return path


def hil(folder, *words, code=0):
    """What a command says, as JSON."""
    said = io.StringIO()
    with redirect_stdout(said):
        found = command([*words, "--bench", str(folder / "bench.yaml"), "--json"])
    assert found == code, said.getvalue()
    return json.loads(said.getvalue())


@pytest.fixture(scope="module")
def programmed(folder):
    return hil(folder, "program")


@pytest.mark.slow
def test_programming_leaves_the_network_on_the_macros(folder, programmed):
    assert programmed["cells"] == 192
    assert programmed["in_tolerance"] >= 190
    assert programmed["weight_error"] < 0.03
    config, _ = load_config(folder / "bench.yaml")
    network, run = latest_network(config)
    assert str(run.path) == programmed["run"]
    refuse_other_network(network, load_model(folder / "toy.npz"))
    with pytest.raises(ChipError, match="another network than model 'other'"):
        refuse_other_network(network, load_model(folder / "other.npz"))
    members = run.info["members"]
    assert list(members) == ["left", "right"]
    for name, member in members.items():
        found = RunFolder.open(run.path.parent / member)
        assert found.info["chip"] == name
        assert found.info["parameters"]["stepped"] is True
        assert found.file("verify.json").is_file()


@pytest.mark.slow
def test_a_run_samples_as_the_software_does(folder, programmed):
    result = hil(folder, "run", "--label", "none", "--samples", "20")
    assert result["stepped"] is True
    assert result["macros"] == ["left", "right"]
    run = RunFolder.open(folder / "runs" / result["run"].rsplit("/", 1)[-1])
    samples = run.load_arrays("samples_ode.npz")
    assert samples["labels"].tolist() == [-1] * 20
    model = load_model(folder / "toy.npz")
    start = initial_conditions(model, 1, 0, 20)
    np.testing.assert_array_equal(samples["initial"], start)
    wanted = solve(model, start, Solve(steps=200, heun=True))
    moved = np.sqrt(np.mean((wanted - start) ** 2))
    assert np.sqrt(np.mean((samples["x"] - wanted) ** 2)) < 0.05 * moved
    page = run.file("report.html").read_text()
    assert "Stepped" in page
    assert "not an analog chip" in page
    assert result["bench_time_s"]["products of the solves (wire and converters)"] > 0.0


@pytest.mark.slow
def test_guidance_needs_a_network_of_its_own_on_the_macros(folder, programmed):
    said = hil(folder, "run", "--guidance", "1.5", "--label", "0", code=8)
    assert "guided 1.5" in said["error"]["message"]


@pytest.mark.slow
def test_a_chip_that_was_programmed_since_is_refused(folder, programmed):
    config, _ = load_config(folder / "bench.yaml")
    (found,) = [run for run in RunFolder.all(config.runs) if run.kind == "network"]
    later = RunFolder.create(config.runs, "program", parameters={}, seed=1, bench_text=None)
    later.update(chip="right")
    member = found.path.parent / found.info["members"]["right"] / "placement.json"
    later.save_text("placement.json", member.read_text())
    try:
        with pytest.raises(ChipError, match=r"macro 'right'.*programmed again since"):
            latest_network(config)
    finally:
        later.file("placement.json").unlink()
    latest_network(config)


@pytest.mark.slow
def test_a_damaged_network_file_is_refused(folder, programmed):
    config, _ = load_config(folder / "bench.yaml")
    _, run = latest_network(config)
    good = run.file(NETWORK_FILE).read_text()
    plain = json.loads(good)
    try:
        for change, reason in (
            ({"tiles": plain["tiles"][1:]}, "do not hold each"),
            ({"format": "tiled-network-9"}, "format"),
            ({"macros": plain["macros"][:1]}, "does not have"),
            (
                {"macros": [{**each, "run": "../../x"} for each in plain["macros"]]},
                "no run folder's name",
            ),
        ):
            run.save_json(NETWORK_FILE, {**plain, **change})
            with pytest.raises(RecordError, match=reason):
                load_network(run)
    finally:
        run.save_text(NETWORK_FILE, good)


def test_a_bench_without_a_network_says_so(folder, tmp_path):
    config, _ = load_config(folder / "bench.yaml")
    with pytest.raises(RecordError, match="no tiled network has been programmed yet"):
        latest_network(config.with_changes(runs=tmp_path))


def test_a_network_that_no_macro_can_hold_is_refused_with_counts(folder):
    config, _ = load_config(folder / "bench.yaml")
    with pytest.raises(MappingError, match="cells are missing"):
        plan_network(make_model(6, 40), config)


def test_dry_runs_drive_nothing(folder, tmp_path):
    text = (folder / "bench.yaml").read_text().replace(f"{folder}/runs", f"{tmp_path}/runs")
    (tmp_path / "bench.yaml").write_text(text)
    plan = hil(tmp_path, "program", "--dry-run")["plan"]
    assert plan["cells"] == "192, on 2 of 2 macros"
    assert sum(name.startswith("tile") for name in plan) == 5
    run = hil(tmp_path, "run", "--dry-run", "--label", "none", "--samples", "3")["plan"]
    assert run["vectors"] == f"{2 * 6 * 3 * 5}, over all tiles"
    assert not (tmp_path / "runs").exists()


def test_the_analog_loop_alone_refuses_what_does_not_fit(folder):
    said = hil(folder, "program", "--no-stepped", code=2)
    assert "rows of cells (21 needed, 12 there)" in said["error"]["message"]


class _Pulled:
    """A progress callback that ends the command in the middle of programming."""

    def __call__(self, done, total, message, conductance=None):
        if message.startswith("programming") and done > 0:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_programming_that_was_cut_off_goes_on(folder, tmp_path):
    changes = {"runs": tmp_path / "runs", "model": str(tmp_path / "tiny.npz")}
    config = load_config(folder / "bench.yaml")[0].with_changes(**changes)
    config = config.with_changes(chip=ChipSection(folder=tmp_path / "chips"))
    model = make_model(2, 4, 2, name="tiny")
    save_model(model, tmp_path / "tiny.npz")
    network = plan_network(model, config)
    with pytest.raises(KeyboardInterrupt):
        program_network(config, model, network, {"guidance": None}, None, _Pulled())
    run = RunFolder.latest(config.runs, "network")
    assert run.status == "interrupted"
    with pytest.raises(RecordError, match="no tiled network"):
        latest_network(config)
    said = io.StringIO()
    with redirect_stdout(said):
        assert command(["program", "--resume", str(run.path), "--json"]) == 0
    assert json.loads(said.getvalue())["in_tolerance"] >= 30
    found, again = latest_network(config)
    assert again.path == run.path
    refuse_other_network(found, model)
    for member in again.info["members"].values():
        assert RunFolder.open(config.runs / member).info["resumed"]["replayed"] > 0
