"""`hil` as processes of its own: a shared chip, Ctrl-C in the middle, a full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.network import place
from hil.journal import Journal
from hil.record import RunFolder
from hil.sim.board import make_board

ROOT = Path(__file__).parents[2]
HIL = [sys.executable, "-c", "from hil.cli.app import main; main()"]
CONFIG = BenchConfig()
CHIP = Path("chips/sim-001/cells.chip")
CELLS = place(load_model("ring"), CONFIG).cells
KIB = 1024


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def start(*arguments: str, before: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # also where the tests run in the background
        if before is not None:
            before()

    return subprocess.Popen(
        [*HIL, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=prepare,
    )


def call(*arguments: str, before: Callable[[], object] | None = None) -> tuple[int, str, str]:
    process = start(*arguments, before=before)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out, err


def done(*arguments: str) -> dict[str, Any]:
    code, out, err = call(*arguments, "--json")
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def chip_pulses() -> np.ndarray:
    """Pulses that each cell of the chip file has had, (rows, columns)."""
    board = make_board(CONFIG.sim, CONFIG.load_description(), CHIP)
    try:
        return board.chip.cells.state["pulse_count"].reshape(128, 128).astype(int)
    finally:
        board.close()


def journal_pulses(run: RunFolder) -> np.ndarray:
    """Acknowledged pulses of a run, (rows, columns)."""
    counts = np.zeros((128, 128), dtype=int)
    with Journal.open_read(run.file("journal.sqlite")) as journal:
        assert journal.damage() == []
        records = journal.records()
    np.add.at(counts, (records["row"], records["column"]), 1)
    return counts


def formed_chip() -> np.ndarray:
    """A chip whose cells read as formed, put there from behind; the pulses that this counts as."""
    board = make_board(CONFIG.sim, CONFIG.load_description(), CHIP)
    siemens = np.full((128, 128), np.nan)
    siemens[CELLS.rows, CELLS.columns] = 100e-6
    board.set_conductances(siemens)
    board.close()
    return chip_pulses()


def limit_files(size_bytes: int) -> Callable[[], None]:
    """As a full disk: no file may grow beyond this."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@pytest.mark.slow
def test_processes_share_the_chip_and_its_records() -> None:
    formed = done("form")
    assert formed["formed"] == len(CELLS)
    programmed = done("program", "--algorithm", "ispp")
    assert programmed["in_tolerance"] >= 0.9 * len(CELLS)
    verified = done("verify")
    assert verified["program"] == Path(programmed["run"]).name
    assert verified["in_tolerance"] >= 0.75 * len(CELLS)
    total = sum(journal_pulses(RunFolder.open(Path(r["run"]))) for r in (formed, programmed))
    np.testing.assert_array_equal(chip_pulses(), total)


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_programming_loses_nothing() -> None:
    before = formed_chip()
    process = start("program", "--algorithm", "ispp")
    assert process.stderr is not None
    while "programming:" not in (line := process.stderr.readline()):
        assert line, "it ended before it could be interrupted"
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "Traceback" not in rest
    assert "Interrupted" in rest
    assert "outputs are safe" in rest

    run = RunFolder.latest(Path("runs"), "program")
    assert run.status == "interrupted"
    assert run.info["reason"] == "stopped from the keyboard"
    pulses = journal_pulses(run)
    assert pulses.sum() > 50
    # Every pulse that was driven is in the journal, and no other.
    np.testing.assert_array_equal(chip_pulses() - before, pulses)

    # The cells are half-way: nothing may take them for a programmed network.
    code, _, err = call("run", "--samples", "5")
    assert code == 8
    assert "left none (interrupted)" in " ".join(err.split())
    assert done("info")["chip"]["last_programmed_by"] is None

    again = done("program", "--algorithm", "ispp")
    assert again["in_tolerance"] >= 0.9 * len(CELLS)
    assert done("verify")["program"] == Path(again["run"]).name
    np.testing.assert_array_equal(
        chip_pulses() - before, pulses + journal_pulses(RunFolder.open(Path(again["run"])))
    )


def test_a_command_loads_only_what_it_needs() -> None:
    slow = ("matplotlib", "pyarrow", "scipy.optimize", "scipy.stats", "sklearn", "torch")
    code = "import sys; from hil.cli.app import run; code = run(['info', '--json'])\n"
    code += f"print([name for name in {slow} if name in sys.modules], code, file=sys.stderr)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    assert found.stderr.strip() == "[] 0"


def test_ctrl_c_before_anything_was_done_is_quiet() -> None:
    """While the commands are being loaded, which is when an impatient user presses it."""
    code = "import hil.cli.app as app, os, signal, sys\n"
    code += "class Finder:\n"
    code += "    def find_spec(self, name, path=None, target=None):\n"
    code += "        if name == 'hil.cli.tree': os.kill(os.getpid(), signal.SIGINT)\n"
    code += "sys.meta_path.insert(0, Finder())\n"
    code += "sys.argv = ['hil', 'program']\n"
    code += "app.main()\n"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        timeout=60,
        check=False,
    )
    assert found.returncode == 130
    assert "Traceback" not in found.stderr
    assert "Stopped from the keyboard before anything was done" in found.stderr
    assert not Path("runs").exists()


def test_a_disk_that_fills_up_while_programming_keeps_what_was_done() -> None:
    before = formed_chip()
    code, _, err = call("program", "--algorithm", "ispp", before=limit_files(1600 * KIB))
    text = " ".join(err.split())
    assert code == 10
    assert "journal.sqlite" in text
    assert "What was recorded before is safe" in text
    run = RunFolder.latest(Path("runs"), "program")
    assert run.status == "failed"
    assert "journal cannot be written" in run.info["reason"]
    recorded = journal_pulses(run)
    assert recorded.sum() > 50
    with Journal.open_read(run.file("journal.sqlite")) as journal:
        unknown = np.zeros_like(recorded)
        for intent in journal.unknown():
            np.add.at(unknown, (intent.records["row"], intent.records["column"]), 1)
    driven = chip_pulses() - before
    assert np.all(driven >= recorded)
    assert np.all(driven <= recorded + unknown)  # a pulse is recorded, or known to be unknown


def test_a_disk_that_is_full_before_the_chip_is_made() -> None:
    code, out, _ = call("form", "--json", before=limit_files(100 * KIB))
    error = json.loads(out)["error"]
    assert code == error["exit_code"] == 10
    assert "cells.chip" in error["message"]
    assert not CHIP.exists()
    assert list(CHIP.parent.iterdir()) == []  # no half of a chip is left


def test_a_disk_without_any_space_at_all() -> None:
    code, out, _ = call("form", "--json", before=limit_files(0))
    error = json.loads(out)["error"]
    assert code == error["exit_code"] == 10
    assert "runs" in error["message"]
