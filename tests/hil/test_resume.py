"""`--resume`: a command that was killed goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hil.cli.app import run
from hil.journal import Journal
from hil.record import RunFolder
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from protocols.errors import InputError, LinkError, RecordError
from protocols.hardware import load_board

ROOT = Path(__file__).parents[2]
BENCH = """\
programming: {algorithm: ispp, settle_s: [0.0, 5.0], pulse_budget: 40}
loop: {trim_again: false}
sim: {trajectories_per_poll: 8}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bench.yaml").write_text(BENCH)


def pulses() -> np.ndarray:
    with Chip.open(
        Path("chips/sim-001/cells.chip"), SimSettings(), load_board("reference")
    ) as chip:
        return chip.cells.state["pulse_count"].astype(int)


def killed_when(command: str, rows: int) -> RunFolder:
    """The run of a process that was killed when its journal had so many exchanges and rounds."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from hil.cli.app import main; main()", command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        found = [r for r in RunFolder.all(Path("runs")) if r.kind == command]
        if found and found[0].file("journal.sqlite").is_file() and journal_rows(found[0]) >= rows:
            break
        time.sleep(0.005)
    assert process.poll() is None, "it was to be killed before its end"
    process.send_signal(signal.SIGKILL)
    process.wait()
    return RunFolder.latest(Path("runs"), command)


def journal_rows(run: RunFolder) -> int:
    try:
        with Journal.open_read(run.file("journal.sqlite"), check=False) as journal:
            return len(list(journal.exchanges())) + len(journal.intents())
    except RecordError:
        return 0  # it is being made


def done(*arguments: str, capsys) -> dict:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def said(capsys) -> str:
    """The error without the breaks of its lines."""
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_killed_programming_and_a_killed_run_go_on(capsys):
    done("form", capsys=capsys)
    before = pulses()
    half = killed_when("program", 25)
    assert half.status == "running"
    with Journal.open_read(half.file("journal.sqlite")) as journal:
        acknowledged, meant = len(journal.records()), journal.counts()[0]
    assert acknowledged <= (pulses() - before).sum() <= meant
    found = done("program", "--resume", str(half.path), capsys=capsys)
    assert found["run"] == str(half.path)
    whole = RunFolder.open(half.path)
    assert whole.status == "done"
    assert whole.info["resumed"]["replayed"] > 0
    assert len(whole.info["cut_off"]) == 1
    assert found["in_tolerance"] > 300
    with Journal.open_read(half.file("journal.sqlite")) as journal:
        assert journal.damage() == []
        unknown = sum(len(intent.records) for intent in journal.unknown())
        acknowledged = len(journal.records())
    assert acknowledged <= (pulses() - before).sum() <= acknowledged + unknown
    assert unknown == whole.info["resumed"]["unknown_pulses"]

    half = killed_when("run", 60)
    found = done("run", "--resume", str(half.path), capsys=capsys)
    assert found["rows"]["chip_ode"]["samples"] == 1000
    assert found["rows"]["chip_ode"]["radius_mean"] == pytest.approx(0.7, abs=0.05)
    assert run(["run", "--resume", str(half.path)]) == RecordError.exit_code
    assert "is done" in capsys.readouterr().err


@pytest.mark.slow
def test_a_board_that_resets_again_and_again_is_programmed_all_the_same(capsys):
    done("form", capsys=capsys)
    text = BENCH.replace("sim: {", "sim: {upsets: {reset: 3.0e-4, seed: 5}, ")
    Path("bench.yaml").write_text(text)
    assert run(["program"]) == LinkError.exit_code
    assert "not known" in capsys.readouterr().err
    path, resets = str(RunFolder.latest(Path("runs"), "program").path), 1
    while (code := run(["program", "--resume", path, "--json"])) == LinkError.exit_code:
        resets += 1
        capsys.readouterr()
    assert code == 0
    assert resets > 1
    assert json.loads(capsys.readouterr().out)["in_tolerance"] > 300


def test_what_cannot_be_resumed_says_why(capsys, tmp_path):
    assert run(["program", "--resume", "nowhere"]) == RecordError.exit_code
    assert "not a run folder" in said(capsys)
    other = RunFolder.create(tmp_path / "runs", "form", parameters={}, seed=1, bench_text=None)
    assert run(["program", "--resume", str(other.path)]) == RecordError.exit_code
    assert "'form' run" in said(capsys)
    assert run(["form", "--resume", str(other.path)]) == RecordError.exit_code
    assert "before it asked anything" in said(capsys)
    assert run(["form", "--resume", str(other.path), "--seed", "3"]) == InputError.exit_code
    assert "leave out --seed" in said(capsys)
    other.finish("done")
    assert run(["form", "--resume", str(other.path)]) == RecordError.exit_code
    assert "is done" in said(capsys)
