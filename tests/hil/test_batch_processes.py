"""`hil batch` with real workers: boards side by side, Ctrl-C, a kill, and what goes on after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.batch.record import BatchRecord
from hil.bench import Bench
from hil.config import BenchConfig, load_config
from hil.journal import Journal
from hil.record import DONE, FAILED, INTERRUPTED, RUNNING, RunFolder
from hil.sim.board import make_board

ROOT = Path(__file__).parents[2]
HIL = [sys.executable, "-c", "from hil.cli.app import main; main()"]
NAMES = ("left", "right")
RUNS = Path("runs")
LONGEST_S = 300.0


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text("boards: {left: {seed: 1}, right: {seed: 2}}\n")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HIL, "batch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def call(*arguments: str) -> tuple[int, dict[str, Any]]:
    process = start(*arguments, "--json")
    out, err = process.communicate(timeout=LONGEST_S)
    assert "Traceback" not in err
    return process.returncode, json.loads(out)


def started(*arguments: str) -> subprocess.Popen[str]:
    """A batch that forms on both boards, as soon as both have driven pulses.

    On a busy machine one of them may have got to its end by then, never both.
    """
    process = start(*(arguments or ("form", "--on", "all")))
    assert process.stderr is not None
    left = set(NAMES)
    while left:
        line = process.stderr.readline()
        assert line, "it ended before it could be interrupted"
        if "forming:" in line:
            left.discard(line.partition(":")[0])
    return process


def runs(kind: str) -> dict[str, RunFolder]:
    """The latest run of a kind by board."""
    found = [run for run in RunFolder.all(RUNS) if run.kind == kind]
    return {run.info["on"]: run for run in reversed(found)}


def journal_pulses(run: RunFolder) -> np.ndarray:
    counts = np.zeros((128, 128), dtype=int)
    with Journal.open_read(run.file("journal.sqlite")) as journal:
        records = journal.records()
    np.add.at(counts, (records["row"], records["column"]), 1)
    return counts


def chip_pulses(config: BenchConfig) -> np.ndarray:
    cells = config.chip.folder / config.chip.id / "cells.chip"
    board = make_board(config.sim, config.load_description(), cells)
    try:
        return board.chip.cells.state["pulse_count"].reshape(128, 128).astype(int)
    finally:
        board.close()


def bench(name: str) -> BenchConfig:
    return load_config(None)[0].on(name)


@pytest.mark.slow
def test_a_busy_board_fails_alone_and_is_made_up_for() -> None:
    with Bench.open(bench("right")):
        code, said = call("form", "--on", "left,right")
    assert code == 8
    assert said["boards"]["left"]["status"] == DONE
    (step,) = said["boards"]["right"]["steps"]
    assert "process" in step["result"]["error"]["message"]
    first = runs("form")["left"].path
    code, said = call("--resume", said["batch"])
    assert code == 0
    assert {each["status"] for each in said["boards"].values()} == {DONE}
    assert said["boards"]["right"]["steps"][0]["result"]["formed"] == 564
    assert runs("form")["left"].path == first, "what is done stays done"


@pytest.mark.slow
def test_ctrl_c_stops_every_board_and_resume_goes_on() -> None:
    process = started()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 130
    assert "Interrupted" in err
    cut_off = {name for name, run in runs("form").items() if run.status == INTERRUPTED}
    assert cut_off
    assert {run.status for run in runs("form").values()} <= {INTERRUPTED, DONE}
    batch = RunFolder.latest(RUNS, "batch")
    assert batch.status == INTERRUPTED
    code, said = call("--resume", str(batch.path))
    assert code == 0
    for name, run in runs("form").items():
        assert run.status == DONE
        if name in cut_off:
            assert run.info["resumed"]["replayed"] > 0, "the run that was cut off went on"
        np.testing.assert_array_equal(chip_pulses(bench(name)), journal_pulses(run))
        result = said["boards"][name]["steps"][0]["result"]
        assert Path(result["run"]).resolve() == run.path.resolve()


@pytest.mark.slow
def test_workers_end_when_the_batch_is_killed() -> None:
    process = started()
    process.kill()
    process.communicate(timeout=LONGEST_S)
    deadline = time.monotonic() + LONGEST_S
    while RUNNING in {run.status for run in runs("form").values()}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert INTERRUPTED in {run.status for run in runs("form").values()}
    code, said = call("--resume", str(RunFolder.latest(RUNS, "batch").path))
    assert code == 0
    assert {each["status"] for each in said["boards"].values()} == {DONE}


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_its_own_board_alone() -> None:
    Path("batch.yaml").write_text(
        "steps: [{command: form, boards: all}, {command: program, boards: right}]"
    )
    process = started("batch.yaml")
    lock = (Path("chips") / "right").resolve()
    (victim,) = [pid for pid in children_of(process.pid) if holds_a_file_in(pid, lock)]
    os.kill(victim, signal.SIGKILL)
    process.communicate(timeout=LONGEST_S)
    assert process.returncode == 1
    record = BatchRecord.load(RunFolder.latest(RUNS, "batch"))
    assert {name: record.status_of(name) for name in NAMES} == {"left": DONE, "right": FAILED}
    said = next(step.result for step in record.boards["right"] if step.status == FAILED)
    assert said is not None
    assert "its worker ended (-9)" in said["error"]["message"]


def children_of(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]


def holds_a_file_in(pid: int, folder: Path) -> bool:
    links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return any(link.is_relative_to(folder) for link in links)
