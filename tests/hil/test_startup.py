"""Start-up checks in front of commands: what drives pulses refuses a bench that is at fault."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks._chip_faults import campaign
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.cli.app import run
from hil.config import BenchConfig
from hil.jobs import startup
from hil.jobs.session import session
from hil.jobs.startup import LINE_MAP, check_bench, recorded_map
from hil.ledger import Ledger
from hil.record import RunFolder
from hil.sim.chip import Chip
from hil.sim.chip_faults import KINDS, ChipFaults
from hil.sim.config import SimSettings
from protocols.errors import CalibrationError, ChipError, RecordError
from protocols.hardware import load_board

CHIP = Path("chips/sim-001/cells.chip")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config(**faults) -> BenchConfig:
    return BenchConfig(sim=SimSettings(chip_faults=ChipFaults(**faults)))


def pulses() -> np.ndarray:
    with Chip.open(CHIP, SimSettings(), load_board("reference")) as chip:
        return chip.cells.state["pulse_count"].astype(int)


@pytest.mark.parametrize("command", [["form"], ["program"], ["characterise", "set_response"]])
def test_a_command_that_drives_refuses_and_names_the_fault(command, capsys):
    if command == ["program"]:
        assert run(["form", "--json"]) == 0
    before = pulses().sum() if CHIP.exists() else 0
    code = run([*command, "--chip-faults", "open_row=5"])
    err = capsys.readouterr().err
    assert code == ChipError.exit_code
    assert "bit line 5 is open" in " ".join(err.split())
    assert "Rehearsal" in err
    assert pulses().sum() == before
    record = RunFolder.latest(Path("runs"))
    assert record.status == "failed"
    assert record.info["startup"]["findings"][0]["fault"] == "open_bit_line"


def test_a_demo_refuses_too():
    assert run(["demo", "--chip-faults", "stuck_bit=word_line:7:1"]) == CalibrationError.exit_code


def test_what_only_reads_goes_on(capsys):
    assert run(["read", "--chip-faults", "dead_row=5", "--json"]) == 0
    assert "startup" not in RunFolder.latest(Path("runs")).info if Path("runs").exists() else True
    capsys.readouterr()


def test_the_checks_alone(capsys):
    assert run(["check"]) == 0
    assert "no map of this chip is on record yet" in capsys.readouterr().out
    assert run(["check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert found["stages"]["chip"].startswith("the map is that of this chip: score")
    assert found["identity"]["verdict"] == "same"
    assert found["identity"]["accept_rate"] < 1e-6
    assert run(["check", "--json", "--chip-faults", "absent"]) == ChipError.exit_code
    assert json.loads(capsys.readouterr().out)["findings"][0]["fault"] == "absent"
    assert run(["check", "--chip-faults", "mains"]) == CalibrationError.exit_code
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert "mains" in said.err


@pytest.mark.parametrize("faults", ["open_fuse", "open_bit_line=4000", "swapped_bit_line=3"])
def test_what_is_no_fault_is_an_input_error(faults):
    assert run(["check", "--chip-faults", faults]) == 2


def test_a_real_chip_cannot_be_broken_from_here():
    assert run(["check", "--board", "serial:/dev/ttyNONE", "--chip-faults", "absent"]) == 2


def test_the_native_firmware_finds_the_same(need_firmware):
    need_firmware("native")
    for faults in ({"open_source_line": 9}, {"dead_row": 3}, {"reversed_polarity": True}):
        found = []
        for board in ("sim", "native"):
            with Bench.open(config(**faults).with_changes(board=board)) as bench:
                found.append([one.to_dict() for one in check_bench(bench).findings])
        assert found[0] == found[1]
        assert len(found[0]) == 1


def test_another_chip_is_told_by_the_map_on_record():
    with Bench.open(config()) as bench:
        check_bench(bench)
        store = ChipStore.of(bench.config)
        assert recorded_map(store) is not None
        check_bench(bench)
        assert len(store.history(LINE_MAP)) == 1  # nothing has changed
    with Bench.open(config(other_chip=99)) as bench:
        (finding,) = check_bench(bench).findings
    assert finding.fault == "other_chip"
    assert len(store.history(LINE_MAP)) == 1  # another chip's map is not kept
    path = store.history(LINE_MAP)[0]
    text = json.loads(path.read_text())
    path.write_text(json.dumps(text | {"result": {"rows_siemens": "x"}}))
    with pytest.raises(RecordError, match="no map of lines"):
        recorded_map(store)


def test_a_chip_that_another_one_was_put_for_is_taken_when_the_operator_says_so(capsys):
    assert run(["check"]) == 0
    assert run(["check", "--chip-faults", "other_chip=99"]) == ChipError.exit_code
    err = " ".join(capsys.readouterr().err.split())
    assert "this is not chip sim-001: score" in err
    assert run(["check", "--accept", "--chip-faults", "other_chip=99"]) == 0
    assert run(["check", "--chip-faults", "other_chip=99"]) == 0
    assert run(["check"]) == ChipError.exit_code  # the first one is the other one now
    store = ChipStore.of(BenchConfig())
    assert [store.load(p).result["identity"] for p in store.history(LINE_MAP)] == [
        "first",
        "accepted",
    ]


def test_a_map_that_could_not_be_told_is_kept_but_not_compared_with():
    with Bench.open(config()) as bench:
        check_bench(bench)
        store = ChipStore.of(bench.config)
        first = recorded_map(store)
        cells = np.random.default_rng(1).uniform(5e-6, 2e-4, (128, 128))
        bench.simulated.set_conductances(cells)  # nothing is left to know it by
        found = check_bench(bench)
    assert found.findings == ()
    assert found.identified.verdict == "unknown"
    assert any("cannot be told from another one" in text for text in found.skipped)
    assert len(store.history(LINE_MAP)) == 2
    np.testing.assert_array_equal(recorded_map(store).lines.rows, first.lines.rows)


def test_the_map_of_a_programmed_chip_is_renewed_with_its_cells():
    with Bench.open(config()) as bench:
        check_bench(bench)
        cells = np.full((128, 128), np.nan)
        cells[10:40, 5:60] = 1e-4
        bench.simulated.set_conductances(cells)
        assert check_bench(bench).identified.verdict == "same"
        store = ChipStore.of(bench.config)
        kept = recorded_map(store).cells
    assert len(store.history(LINE_MAP)) == 2
    assert (kept.unformed(1e-6) == np.isnan(cells)).all()


def form_two_rows(monkeypatch, *, checked: bool) -> tuple[np.ndarray, np.ndarray]:
    from calibration.forming import FormParams, form
    from drivers.rram.geometry import Cells

    if not checked:
        monkeypatch.setattr(startup, "DRIVING", frozenset())
    folder = Path(f"bench-{checked}")
    bench_config = BenchConfig.model_validate(
        {"chip": {"folder": str(folder / "chips")}, "runs": str(folder / "runs")}
    )
    with session(bench_config, "form", parameters={}) as (run_folder, bench):
        found = form(bench.macro, Cells.block(0, 0, 2, 20), FormParams(start_volts=2.4))
        assert ("startup" in run_folder.info) is checked
        return np.asarray(found.conductance_siemens), bench.simulated.chip.cells.state[
            "read_count"
        ].copy()


def test_a_good_chip_is_formed_as_without_the_checks(monkeypatch):
    with_checks = form_two_rows(monkeypatch, checked=True)
    without = form_two_rows(monkeypatch, checked=False)
    np.testing.assert_array_equal(with_checks[0], without[0])
    np.testing.assert_array_equal(with_checks[1], without[1])


def test_the_checks_are_no_part_of_what_a_resumed_run_says_again():
    with session(config(), "form", parameters={}) as (first, bench):
        cells_before = bench.macro.read_map()
        clock = bench.simulated.chip.now_ns
    journal = first.journal
    ledger = Ledger.resume(RunFolder.open(first.path).journal)
    assert ledger.replaying  # the reads of the map, and they alone
    with session(config(), "form", parameters={}, resume=RunFolder.open(first.path)) as (
        again,
        bench,
    ):
        np.testing.assert_array_equal(bench.macro.read_map(), cells_before)
        assert again.info["startup"]["passed"]
        assert bench.simulated.chip.now_ns - clock < 1_000_000  # a resumed run loses no time
    assert journal is not None


def test_the_campaign_in_small():
    tally = campaign(1, 3, seed=5, kinds=KINDS[-6:])
    assert tally.passed, (tally.wrong, tally.alarms, tally.driven)
    assert sum(tally.planted.values()) == 6
    assert (tally.good, tally.incomparable) == (3, 0)
