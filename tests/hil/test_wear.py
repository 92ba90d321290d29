"""The wear account of a chip: booked from journals, across sessions, kills and replaced files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drivers.rram.geometry import Cells, Geometry
from drivers.rram.pulses import PulseBatch
from hil.bench import Bench
from hil.cli.tree import invoke
from hil.config import BenchConfig, ChipSection
from hil.jobs.session import session
from hil.journal import Journal
from hil.record import RunFolder
from hil.wear import WEAR_FILE, WearAccount
from hil.wear_budget import WearSection
from hil.wear_entries import ReadScale
from protocols.errors import LimitError, RecordError

ROOT = Path(__file__).parents[2]
BLOCK = Cells.block(2, 3, 8, 8)
GEOMETRY = Geometry(128, 128)


@pytest.fixture
def config(tmp_path: Path) -> BenchConfig:
    return BenchConfig(
        chip=ChipSection(id="chip-A", folder=tmp_path / "chips"), runs=tmp_path / "runs"
    )


def form_pulses(cells: Cells = BLOCK) -> PulseBatch:
    return PulseBatch.form(cells, gate_volts=2.0, line_volts=3.3, width_s=1e-6)


def drive(bench: Bench, times: int = 1, cells: Cells = BLOCK) -> None:
    with bench.macro.armed():
        for _ in range(times):
            bench.macro.pulse_read(form_pulses(cells), label="test")


def account_path(config: BenchConfig) -> Path:
    return config.chip.folder / config.chip.id / WEAR_FILE


def booked(config: BenchConfig) -> np.ndarray:
    with WearAccount.open(account_path(config), GEOMETRY, config.chip.id) as account:
        return account.wear().pulses


def journal_sums(config: BenchConfig) -> np.ndarray:
    """Acknowledged pulses per cell in all journals of the chip."""
    counts = np.zeros(GEOMETRY.cells, np.int64)
    own = (config.chip.folder / config.chip.id).glob("journals/*.sqlite")
    for path in (*own, *config.runs.glob("*/journal.sqlite")):
        with Journal.open_read(path) as journal:
            records = journal.records()
        flat = records["row"].astype(np.int64) * GEOMETRY.columns + records["column"]
        np.add.at(counts, flat, 1)
    return counts


def chip_counts(config: BenchConfig) -> np.ndarray:
    with Bench.open(config) as bench:
        assert bench.simulated is not None
        return bench.simulated.chip.cells.state["pulse_count"].astype(np.int64)


def test_sessions_add_up_and_equal_the_journals_and_the_chip(config: BenchConfig) -> None:
    with session(config, "form", parameters={}) as (_, bench):
        drive(bench, 2)
    with Bench.open(config) as bench:  # without a run folder: a journal of its own
        drive(bench, 3)
        assert bench.wear is not None
        assert bench.wear.wear().pulses.sum() == 5 * len(BLOCK)  # before anything is booked
    with session(config, "form", parameters={}) as (_, bench):
        drive(bench, 1, BLOCK[np.arange(5)])
    assert booked(config).sum() == 5 * len(BLOCK) + 5
    np.testing.assert_array_equal(booked(config), journal_sums(config))
    np.testing.assert_array_equal(booked(config), chip_counts(config))


def test_energy_and_voltage_are_booked_as_they_were_meant(config: BenchConfig) -> None:
    with Bench.open(config) as bench:
        drive(bench)
        live = bench.wear.wear().cells.copy()  # type: ignore[union-attr]
    with WearAccount.open(account_path(config), GEOMETRY, "chip-A") as account:
        wear = account.wear()
    np.testing.assert_array_equal(wear.cells, live)
    flat = BLOCK.flat(GEOMETRY)
    assert np.all(wear.cells["line_volts"][flat] == np.float32(3.3))
    expected = 3.3**2 * wear.cells["siemens"][flat].astype(float) * 1e-6
    np.testing.assert_allclose(wear.cells["energy_joules"][flat], expected, rtol=1e-6)
    assert wear.cells["energy_joules"].sum() > 0.0


def test_a_bench_that_only_reads_leaves_no_account(config: BenchConfig) -> None:
    with Bench.open(config) as bench:
        bench.macro.read(BLOCK)
        assert bench.wear is not None
        assert bench.wear.wear().pulses.sum() == 0
        assert bench.wear.notes() == []
    assert not account_path(config).exists()


def test_runs_from_before_the_account_are_taken_in(config: BenchConfig) -> None:
    with session(config, "form", parameters={}) as (_, bench):
        drive(bench, 2)
    account_path(config).unlink()
    with Bench.open(config) as bench:
        drive(bench)
    assert booked(config).sum() == 3 * len(BLOCK)
    np.testing.assert_array_equal(booked(config), chip_counts(config))


def test_booking_twice_counts_once(config: BenchConfig) -> None:
    with session(config, "form", parameters={}) as (run, bench):
        drive(bench)
        with WearAccount.open(account_path(config), GEOMETRY, "chip-A") as account:
            account.book(close=False)
            account.book(close=False)
            account.register(run.journal.path, ReadScale(1.0, 0.0))
            account.book(close=False)
        drive(bench)
    assert booked(config).sum() == 2 * len(BLOCK)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from hil.config import BenchConfig, ChipSection
from hil.jobs.session import session

root, frames = Path(sys.argv[1]), int(sys.argv[2])
config = BenchConfig(chip=ChipSection(id="chip-A", folder=root / "chips"), runs=root / "runs")
cells = Cells.block(2, 3, 8, 8)
batch = PulseBatch.form(cells, gate_volts=2.0, line_volts=3.3, width_s=1e-6)
with session(config, "form", parameters={}) as (run, bench):
    inner, heard = bench.macro.recorder.outcome, []
    def outcome(token, start, records):
        inner(token, start, records)
        heard.append(start)
        if len(heard) == frames:
            os.kill(os.getpid(), signal.SIGKILL)
    bench.macro.recorder.outcome = outcome
    with bench.macro.armed():
        for _ in range(50):
            bench.macro.pulse_read(batch, label="killed")
"""


@pytest.mark.parametrize("frames", [1, 11])
def test_a_killed_process_neither_loses_nor_doubles_a_pulse(
    config: BenchConfig, tmp_path: Path, frames: int
) -> None:
    with Bench.open(config) as bench:
        drive(bench)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(frames)]
    killed = subprocess.run(command, env=environment, timeout=100, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Bench.open(config) as bench:
        assert bench.wear is not None
        wear = bench.wear.wear()
        np.testing.assert_array_equal(wear.pulses, journal_sums(config))
        there = bench.simulated.chip.cells.state["pulse_count"]  # type: ignore[union-attr]
        assert np.all((there >= wear.pulses) & (there <= wear.pulses + wear.unknown))
        assert wear.unknown.sum() > 0  # the batch had more frames than were heard
        assert bench.wear.notes() == []  # what is unknown is no disagreement
        drive(bench)
    np.testing.assert_array_equal(booked(config), journal_sums(config))
    (run,) = [r for r in RunFolder.all(config.runs) if r.status == "running"]
    with WearAccount.open(account_path(config), GEOMETRY, "chip-A") as account:
        entry = next(e for e in account.entries() if e.path.resolve().parent == run.path.resolve())
        assert entry.closed


def test_a_budget_refuses_before_anything_is_driven(config: BenchConfig) -> None:
    limited = config.with_changes(wear=WearSection(pulses_per_cell=2))
    with Bench.open(limited) as bench:
        drive(bench, 2)
        assert bench.wear is not None
        assert np.all(bench.wear.left(BLOCK) == 0)
        before = bench.simulated.chip.cells.state["pulse_count"].copy()  # type: ignore[union-attr]
        with pytest.raises(
            LimitError,
            match=r"cell \(2, 3\): 2 pulses in its life and 1 more make 3, the budget is 2 "
            r"\(wear.pulses_per_cell",
        ):
            drive(bench)
        after = bench.simulated.chip.cells.state["pulse_count"]  # type: ignore[union-attr]
        np.testing.assert_array_equal(after, before)
    with Bench.open(limited) as bench, pytest.raises(LimitError, match="the budget is 2"):
        drive(bench, 1, BLOCK[np.array([7])])  # over its life, not over a session
    journals = [Journal.open_read(path) for path in account_path(config).parent.glob("journals/*")]
    assert sum(len(journal.intents()) for journal in journals) == 2  # refused is never announced


def test_a_repeated_cell_in_one_batch_is_counted_as_often(config: BenchConfig) -> None:
    limited = config.with_changes(wear=WearSection(pulses_per_cell=2))
    thrice = Cells.of([(5, 5)] * 3)
    with Bench.open(limited) as bench, pytest.raises(LimitError, match=r"0 pulses .* and 3 more"):
        drive(bench, 1, thrice)


def test_an_energy_budget_refuses_with_the_number(config: BenchConfig) -> None:
    limited = config.with_changes(wear=WearSection(energy_joules_per_cell=2e-9))
    with Bench.open(limited) as bench, pytest.raises(LimitError, match=r"J \(estimated\)") as got:
        drive(bench, 40)
    assert "the budget is 2e-09 (wear.energy_joules_per_cell" in str(got.value)


def test_the_command_line_refuses_over_budget_and_says_the_number(
    config: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bench.yaml").write_text("wear: {pulses_per_cell: 1}\n", encoding="utf-8")
    assert invoke(["form", "--json"]) == LimitError.exit_code
    error = json.loads(capsys.readouterr().out)["error"]  # type: ignore[attr-defined]
    assert "1 pulses in its life and 1 more make 2, the budget is 1" in error["message"]


def test_a_replaced_chip_file_is_said(config: BenchConfig) -> None:
    with Bench.open(config) as bench:
        drive(bench, 2)
    (config.chip.folder / config.chip.id / "cells.chip").unlink()
    with Bench.open(config) as bench:
        assert bench.wear is not None
        (note,) = bench.wear.notes()
        drive(bench)
    assert f"{len(BLOCK)} cells have had {2 * len(BLOCK)} pulses fewer" in note
    assert "replaced" in note
    with WearAccount.open(account_path(config), GEOMETRY, "chip-A") as account:
        assert account.disagreement == note
    own = [Journal.open_read(p) for p in (account_path(config).parent / "journals").iterdir()]
    assert any(journal.events("wear_disagreement") for journal in own)
    assert booked(config).sum() == 3 * len(BLOCK)  # the account counts on


def test_pulses_from_elsewhere_are_said(config: BenchConfig) -> None:
    with Bench.open(config) as bench:
        drive(bench)
        bench.simulated.set_conductances(np.full((128, 128), 100e-6))  # type: ignore[union-attr]
    with Bench.open(config) as bench:
        assert bench.wear is not None
        assert "driven without a journal of this account" in bench.wear.notes()[0]


def test_a_journal_that_was_deleted_before_it_was_booked_is_said(config: BenchConfig) -> None:
    with session(config, "form", parameters={}) as (run, bench):
        drive(bench)
        path = run.journal.path
        with WearAccount.open(account_path(config), GEOMETRY, "chip-A") as account:
            for file in path.parent.glob("journal.sqlite*"):
                file.unlink()
            account.book(close=False)
            assert "there is no journal" in account.notes()[0]


def test_another_journal_at_the_same_place_is_not_taken_for_it(tmp_path: Path) -> None:
    with WearAccount.create(tmp_path / WEAR_FILE, GEOMETRY, "A") as account:
        path = tmp_path / "journal.sqlite"
        Journal.create(path).close()
        account.register(path, ReadScale(1.0, 0.0))
        path.unlink()
        Journal.create(path).close()
        account.book(close=True)
        assert "another journal stands in its place" in account.notes()[0]
        assert all(entry.closed for entry in account.entries())


def test_an_account_of_another_chip_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / WEAR_FILE
    WearAccount.create(path, GEOMETRY, "A").close()
    with pytest.raises(RecordError, match="is of chip 'A'"):
        WearAccount.open(path, GEOMETRY, "B")
    with pytest.raises(RecordError, match="128 cells, the bench has 'A' with 4 x 4"):
        WearAccount.open(path, Geometry(4, 4), "A")
    with WearAccount.open(path, GEOMETRY, "A") as account:
        account._db.execute("UPDATE total SET crc = crc + 1")
        with pytest.raises(RecordError, match="the sums are damaged"):
            account.wear()
    path.write_bytes(b"not a database, but long enough to be taken for a file" * 20)
    with pytest.raises(RecordError, match=r"cannot be opened|not a wear account"):
        WearAccount.open(path, GEOMETRY, "A")


def test_a_dry_run_is_neither_booked_nor_unknown(config: BenchConfig) -> None:
    with Bench.open(config) as bench:
        drive(bench)
        bench.macro.dry_run = True
        drive(bench, 3)
    with WearAccount.open(account_path(config), GEOMETRY, "chip-A") as account:
        wear = account.wear()
    assert (wear.pulses.sum(), wear.unknown.sum()) == (len(BLOCK), 0)


def test_info_shows_the_wear_as_json_map_and_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Bench.open(BenchConfig()) as bench:
        drive(bench, 4)
    assert invoke(["info", "--chip", "--json", "--figure", "wear.png"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pulses"], found["cells_touched"]) == (4 * len(BLOCK), len(BLOCK))
    assert found["budget"]["pulses_per_cell"] == 1_000_000
    assert Path("wear.png").read_bytes().startswith(b"\x89PNG")
    assert invoke(["info", "--chip", "--of", "volts"]) == 0
    shown = capsys.readouterr().out
    assert "wear of chip sim-001 (simulated" in shown
    assert "3.30 V" in shown


def test_info_tells_the_wear_of_a_chip_that_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Bench.open(BenchConfig()) as bench:
        drive(bench, 1)
        assert invoke(["info", "--chip", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["pulses"] == len(BLOCK)  # booked from the journal that is being written
        assert "another process holds this chip" in found["notes"][0]
        drive(bench, 1)
    assert booked(BenchConfig()).sum() == 2 * len(BLOCK)
