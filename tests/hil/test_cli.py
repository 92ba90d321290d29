"""The command line, in this process: what each command does, prints and leaves behind."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from hil.cli.app import run
from hil.diffusion.model import load_model
from hil.diffusion.noise_source import SeededNoise, record_noise
from hil.journal import Journal
from hil.record import RunFolder

CHIP = Path("chips/sim-001/cells.chip")
CELLS = 564  # of the shipped 2-14-14-2 network with bias rows, two cells per weight
COMMON = ("--bench", "--seed", "--json", "--help")
OPTIONS = {
    "demo": (*COMMON, "--board", "--samples", "--baseline", "--no-budget"),
    "info": (*COMMON, "--board"),
    "form": (*COMMON, "--board", "--dry-run", "MODEL"),
    "read": (*COMMON, "--board", "--cell", "--all", "--samples"),
    "map": (*COMMON, "--board", "--after", "--chip-map", "--out", "MODEL"),
    "program": (*COMMON, "--board", "--dry-run", "MODEL"),
    "verify": (*COMMON, "--board", "--run", "--after"),
    "repair": (*COMMON, "--board", "--mode", "ode|sde", "MODEL"),
    "train": ("TASK", "--out", "--seed", "--score-steps", "--solve-steps", "--data", "--json"),
    "run": (*COMMON, "--dry-run", "--samples", "--label", "--per-class", "--mode", "ode|sde"),
    "noise": (*COMMON, "--board", "--law", "--loop", "--out", "--samples", "MODEL"),
    "report": ("RUN", "--bench", "--json"),
    "report headline": ("MODEL", "--components", "--power-watts", "--out", "--json"),
    "characterise": (*COMMON, "--board", "--dry-run", "--cells", "[KIND]..."),
    "bringup": (*COMMON, "--board", "--only", "--from", "--yes", "--resume", "--dry-run"),
    "sim": ("fit",),
    "sim fit": ("DATA_FOLDER", "--out", "--model", "--json"),
}


@pytest.fixture(scope="session")
def programmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `hil form` and `hil program` were run."""
    folder = tmp_path_factory.mktemp("programmed")
    with chdir(folder):
        assert run(["form", "--json"]) == 0
        assert run(["program", "--json"]) == 0
    return folder


@pytest.fixture
def work(programmed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(programmed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(folder: Path) -> dict[str, str]:
    """Every file with its checksum."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON object of a command that must succeed."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # nothing but the object
    found = json.loads(captured.out)
    assert isinstance(found, dict)
    return found


# --- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_every_command_names_its_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"hil {command}" in text
    for option in OPTIONS[command]:
        assert option in text


def test_help_is_a_tour_of_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in OPTIONS:
        assert command.split()[0] in text
    for line in ("hil demo", "hil verify --after 1h", "hil run --samples 500"):
        assert any(row.strip().startswith(line) for row in text.splitlines())


# --- on a virgin chip ------------------------------------------------------------------------


def test_info_of_a_virgin_chip(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = called(capsys, "info")
    assert found["board"]["name"] == "sim"
    assert found["board"]["array"] == "128 x 128"
    assert found["chip"] == {
        "id": "sim-001",
        "simulated": True,
        "cells_of_the_model": CELLS,
        "of_these_formed": 0,
        "last_programmed_by": None,
    }
    assert found["limits"]["form.line_volts"]["value"] == 4.5
    assert not Path("runs").exists()


def test_info_for_a_person(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info"]) == 0
    text = capsys.readouterr().out
    for part in ("sim-001", "128 x 128", "ring", "4.50 V", "board description"):
        assert part in text


@pytest.mark.parametrize("command", ["form", "program", "run"])
def test_dry_runs_on_an_empty_folder_leave_it_empty(
    command: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = called(capsys, command, "--dry-run")
    assert found["dry_run"] is True
    assert found["plan"]
    assert list(empty.iterdir()) == []
    assert run([command, "--dry-run"]) == 0
    assert "nothing was driven" in capsys.readouterr().out


def test_the_programming_plan_says_what_would_be_driven(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = called(capsys, "program", "--dry-run")["plan"]
    assert plan["cells"] == str(CELLS)
    assert "rows 0-2, columns 0-27" in plan["blocks"]
    assert plan["algorithm"] == "predictive"
    assert "bit line up to 3 V" in plan["SET"]
    assert "board description" in plan["limits of RESET"]


def test_read_of_cells_map_and_array(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = called(capsys, "read", "--cell", "3,4", "--cell", "127,0", "--samples", "4")
    assert (found["rows"], found["columns"]) == ([3, 127], [4, 0])
    assert all(0 <= g < 1e-6 for g in found["siemens"])
    assert len(called(capsys, "read")["siemens"]) == CELLS
    assert len(called(capsys, "read", "--all")["siemens"]) == 128 * 128
    assert run(["read", "--cell", "3,4"]) == 0
    assert "(3, 4)" in capsys.readouterr().out


# --- form, program, verify, run, report ------------------------------------------------------


def test_forming_leaves_a_record_of_every_pulse(work: Path) -> None:
    folder = RunFolder.latest(Path("runs"), "form")
    results = folder.load_json("results.json")
    assert (folder.status, results["cells"], results["formed"]) == ("done", CELLS, CELLS)
    assert folder.load_json("forming.json")["formed"] == CELLS
    with Journal.open_read(folder.file("journal.sqlite")) as journal:
        assert len(journal.records()) == sum(folder.load_json("forming.json")["pulses"])
        assert journal.unknown() == []


def test_programming_leaves_targets_results_and_a_verify(work: Path) -> None:
    folder = RunFolder.latest(Path("runs"), "program")
    results = folder.load_json("results.json")
    assert folder.status == "done"
    assert results["cells"] == CELLS
    assert results["in_tolerance"] >= 0.9 * CELLS
    assert (folder.path / "placement.json").is_file()
    assert len(folder.load_json("verify.json")["reading_siemens"]) == CELLS
    with Journal.open_read(folder.file("journal.sqlite")) as journal:
        assert len(journal.records()) == round(results["pulses_mean"] * CELLS)


def test_forming_again_drives_nothing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = called(capsys, "form")
    assert (found["formed"], found["rounds"]) == (CELLS, 0)


def test_info_names_what_was_programmed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chip = called(capsys, "info")["chip"]
    assert chip["of_these_formed"] == CELLS
    assert chip["last_programmed_by"] == RunFolder.latest(Path("runs"), "program").path.name


def test_verify_after_a_wait_sees_cells_relax(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = called(capsys, "verify")
    later = called(capsys, "verify", "--after", "1h")
    named = called(capsys, "verify", "--run", f"runs/{now['program']}")
    assert now["cells"] == later["cells"] == named["cells"] == CELLS
    assert later["in_tolerance"] < now["in_tolerance"]
    assert len(later["failures"]) == CELLS - later["in_tolerance"]
    parameters = RunFolder.open(Path(later["run"])).info["parameters"]
    assert parameters == {"program": now["program"], "after_s": 3600.0, "retrim": False}
    drift, run = later["drift"], Path(later["run"])
    assert drift["elapsed_s"] >= 3600.0
    assert drift["weight_error_now_siemens"] > drift["weight_error_then_siemens"]
    assert (run / "figures" / "drift.png").read_bytes().startswith(b"\x89PNG")
    assert len(RunFolder.open(run).load_json("drift.json")["renew"]) == drift["cells_to_retrim"]
    with Journal.open_read(Path(later["run"]) / "journal.sqlite") as journal:
        assert len(journal.intents()) == 0  # verifying drives nothing


@pytest.mark.slow
def test_verify_corrects_what_moved_and_is_then_what_later_verifies_compare_with(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = called(capsys, "verify", "--after", "1h", "--retrim")
    retrim = done["retrim"]
    assert 0 < retrim["cells_touched"] < CELLS
    assert retrim["error_after_siemens"] < 0.6 * retrim["error_before_siemens"]
    with Journal.open_read(Path(done["run"]) / "journal.sqlite") as journal:
        assert len(journal.records()) == retrim["extra_pulses"]
    later = called(capsys, "verify", "--after", "1h")
    assert later["program"] == Path(done["run"]).name
    assert later["drift"]["weight_error_now_siemens"] < done["drift"]["weight_error_now_siemens"]


def test_a_run_plays_a_recorded_noise_stream(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record_noise(work / "noise.npz", SeededNoise(3), 5, 200, 2)
    asked = ("run", "--samples", "5", "--mode", "sde", "--noise", str(path))
    found = called(capsys, *asked)
    folder = RunFolder.open(Path(found["run"]))
    assert folder.info["parameters"]["noise"] == str(path)
    page = Path(found["report"]).read_text()
    assert "Source of the noise: recording noise.npz" in page
    assert run([*asked, "--samples", "6"]) != 0
    assert "noise for 5 trajectories of 200 ticks" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("mode", "software"), [("ode", "software"), ("sde", "software_sde")])
def test_run_and_report(
    work: Path, capsys: pytest.CaptureFixture[str], mode: str, software: str
) -> None:
    found = called(capsys, "run", "--samples", "20", "--mode", mode)
    assert set(found["rows"]) == {"data", software, f"chip_{mode}"}
    assert found["rows"][f"chip_{mode}"]["samples"] == 20
    assert 0.5 < found["rows"][f"chip_{mode}"]["radius_mean"] < 0.9
    folder = RunFolder.open(Path(found["run"]))
    assert folder.status == "done"
    assert folder.info["chip"] == "sim-001"
    page = Path(found["report"]).read_text()
    assert "simulated" in page.lower()
    Path(found["report"]).unlink()
    again = called(capsys, "report")
    assert again["report"] == found["report"]
    assert again["rows"] == found["rows"]
    assert Path(found["report"]).is_file()


def test_dry_runs_touch_neither_chip_nor_runs(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(work)
    for command in ("form", "program", "run"):
        called(capsys, command, "--dry-run")
    assert state(work) == before


def test_information_drives_no_pulse(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = sorted(Path("runs").iterdir())
    first = called(capsys, "read", "--samples", "64")["siemens"]
    called(capsys, "info")
    again = called(capsys, "read", "--samples", "64")["siemens"]
    assert sorted(Path("runs").iterdir()) == runs
    off = [abs(a - b) / a for a, b in zip(first, again, strict=True)]
    assert sorted(off)[CELLS // 2] < 0.02


def test_a_model_that_is_not_on_the_chip_is_not_run(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called(capsys, "train", "ring", "--score-steps", "3", "--solve-steps", "1", "--out", "t.npz")
    before = state(work / "runs")
    assert run(["run", "t.npz", "--samples", "5", "--json"]) == 8
    error = json.loads(capsys.readouterr().out)["error"]
    assert "programmed with another network" in error["message"]
    assert state(work / "runs") == before


# --- demo ------------------------------------------------------------------------------------

DEMO = ("demo", "--samples", "60", "--baseline", "500", "--no-budget")


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    with chdir(folder):
        assert run([*DEMO, "--seed", "11", "--json"]) == 0
    return folder


def results_of(folder: Path) -> dict[str, Any]:
    return RunFolder.latest(folder / "runs", "demo").load_json("results.json")


@pytest.mark.slow
def test_demo_has_the_documented_fields(demo_folder: Path) -> None:
    found = results_of(demo_folder)
    metrics = {"kl_1d", "kl_2d", "sliced_w1", "radius_mean", "radius_sd", "samples"}
    for name in ("data", "software", "loop_ideal", "chip_ode", "chip_sde"):
        assert metrics <= found["rows"][name].keys()
        assert all(math.isfinite(found["rows"][name][key]) for key in metrics)
    assert found["rows"]["chip_ode"]["samples"] == found["rows"]["chip_sde"]["samples"] == 60
    assert found["rows"]["loop_ideal"]["samples"] == found["rows"]["software"]["samples"] == 500
    keys = {"cells", "in_tolerance", "pulses_mean", "pulses_p99", "round_trips"}
    assert found["programming"].keys() == keys
    assert found["programming"]["cells"] == CELLS
    assert found["time"].keys() == {"bench_s", "host_s"}
    assert found["time"]["bench_s"] > 120  # two times 60 samples of a second, and the rest


@pytest.mark.slow
def test_demo_leaves_a_report_and_another_chip_than_the_benchs(demo_folder: Path) -> None:
    folder = RunFolder.latest(demo_folder / "runs", "demo")
    assert folder.status == "done"
    assert (folder.path / "report.html").stat().st_size > 100_000
    assert folder.file("chip.cells").is_file()
    assert folder.info["seed"] == 11
    assert not (demo_folder / CHIP).exists()
    # The virgin chip of the demo is not the one of the bench: nothing is programmed on that one.
    with chdir(demo_folder):
        assert run(["verify"]) == 10


@pytest.mark.slow
def test_the_same_seed_gives_the_same_demo(
    demo_folder: Path, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = called(capsys, *DEMO, "--seed", "11")
    first = results_of(demo_folder)
    for found in (first, again):
        del found["time"]["host_s"]
    assert again == first


# --- training --------------------------------------------------------------------------------


def test_a_trained_file_is_a_model_that_other_commands_take(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ("--score-steps", "3", "--solve-steps", "1")
    found = called(capsys, "train", "ring", *steps, "--out", "tiny.npz")
    assert found["model"] == "tiny.npz"
    assert found["metrics"]["kl_1d"] > 0
    assert load_model("tiny.npz").channels == 14
    Path("bench.yaml").write_text("model: tiny.npz\n")
    assert called(capsys, "info")["model"]["name"] == "ring"
    for arguments in (["program"], ["program", "tiny.npz"], ["run", "tiny.npz"], ["form"]):
        assert called(capsys, *arguments, "--dry-run")["dry_run"] is True
    first = Path("tiny.npz").read_bytes()
    called(capsys, "train", "ring", *steps, "--out", "tiny.npz")
    assert Path("tiny.npz").read_bytes() == first


def test_the_bench_file_here_is_used_and_kept(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "chip: {id: C7}\nlimits: {set: {line_volts: 2.5}}\n"
    Path("bench.yaml").write_text(text)
    found = called(capsys, "info")
    assert found["chip"]["id"] == "C7"
    assert found["limits"]["set.line_volts"] == {"value": 2.5, "source": "bench file"}
    assert Path("chips/C7/cells.chip").is_file()
    called(capsys, "form")
    assert (RunFolder.latest(Path("runs")).path / "bench.yaml").read_text() == text


@pytest.mark.slow
def test_repair_leaves_a_network_that_runs(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repaired = called(capsys, "repair")
    assert repaired["error_after"] <= repaired["error_before"] < repaired["error_ideal_drive"]
    assert repaired["reason"]
    found = called(capsys, "run", "--samples", "20")
    assert found["rows"]["chip_ode"]["samples"] == 20
