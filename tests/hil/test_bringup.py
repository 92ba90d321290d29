"""`hil bringup` on the simulated bench: end to end, its records, taking it up, and bad input."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from calibration.bringup import BOARD_STAGES, STAGES, StageResult
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.cli.app import run
from hil.config import BenchConfig, load_config
from hil.instruments import Instruments
from hil.jobs.bringup import Asked, bringup, plan
from hil.jobs.bringup_record import FAILED, NOT_RUN, PASSED, file_of, inherit, stages_of
from hil.jobs.bringup_rig import make_rig
from hil.record import RunFolder
from protocols.errors import (
    CalibrationError,
    ChipError,
    InputError,
    InstrumentError,
    RecordError,
    SafetyError,
)

NAMES = [stage.name for stage in STAGES]
ROWS, COLUMNS = 40, 60


def answer(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def write_bench(folder: Path, **more) -> None:
    """A small board: the drawn one's, with fewer rows and columns."""
    shipped = Path(__file__).parents[2] / "protocols/boards/reference.yaml"
    board = yaml.safe_load(shipped.read_text()) | {"rows": ROWS, "columns": COLUMNS}
    (folder / "small.yaml").write_text(yaml.safe_dump(board))
    bench = {"description": str(folder / "small.yaml"), "operator": "A. Person", **more}
    (folder / "bench.yaml").write_text(yaml.safe_dump(bench))


def yes(question: str, hands: bool) -> bool:
    return True


@pytest.fixture(scope="module")
def brought_up(tmp_path_factory) -> Path:
    """A folder with one whole bring-up, made once; tests work on copies of what they change."""
    folder = tmp_path_factory.mktemp("bringup")
    write_bench(folder)
    with chdir(folder):
        assert run(["bringup", "--yes"]) == 0
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """The acceptance sheet without its pictures, which take longer than the stages."""
    monkeypatch.setattr("hil.report.acceptance.pictures_of", lambda *_, **__: [])


def the_run(folder: Path) -> RunFolder:
    return RunFolder.latest(folder / "runs", "bringup")


# --- the whole course ------------------------------------------------------------------------


def test_every_stage_passes_and_leaves_its_record(brought_up):
    record = the_run(brought_up)
    assert record.status == "done"
    kept = stages_of(record)
    assert [one.name for one in kept] == NAMES
    assert all(one.status == PASSED and one.result.figures for one in kept)
    assert all(one.celsius == pytest.approx(25.0, abs=2.0) for one in kept)
    events = [data for kind, data in _events(record) if kind == "stage"]
    assert [data["name"] for data in events] == NAMES


def _events(record: RunFolder) -> list[tuple[str, dict]]:
    from hil.journal import Journal

    with Journal.open_read(record.file("journal.sqlite")) as reader:
        return [(one.kind, one.data) for one in reader.events()]


def test_the_acceptance_sheet_is_made(brought_up):
    record = the_run(brought_up)
    results = record.load_json("results.json")
    assert results["accepted"] is True
    assert results["operator"] == "A. Person"
    assert results["simulated"] is True
    assert record.file("acceptance.pdf").read_bytes()[:5] == b"%PDF-"
    page = record.file("acceptance.html").read_text()
    assert "A. Person" in page
    assert STAGES[3].title.lower()[:14] in page.lower()


def test_later_benches_work_with_the_curves_that_were_measured(brought_up):
    with chdir(brought_up):
        config, _ = load_config(None)
        with Bench.open(config) as bench:
            assert bench.board_curves.state == "measured"
            assert bench.curves.columns is not None


def test_the_chip_is_on_record_afterwards(brought_up):
    with chdir(brought_up):
        config, _ = load_config(None)
        store = ChipStore.of(config)
        assert store.latest("line_map") is not None


def test_pulses_into_the_resistor_board_are_no_wear_of_the_chip(brought_up):
    with chdir(brought_up):
        config, _ = load_config(None)
        with Bench.open(config) as bench:
            pulses = bench.wear.wear().pulses.reshape(ROWS, COLUMNS)
            counted = bench.simulated.chip.cells.state["pulse_count"].reshape(ROWS, COLUMNS)
    assert pulses.any()  # the pilot block's
    assert not pulses[0].any()  # the row of stage 5's site
    assert (pulses == counted).all()


@pytest.mark.usefixtures("no_pictures")
def test_one_stage_alone_takes_over_those_before_it(brought_up, capsys):
    with chdir(brought_up):
        code = run(["bringup", "--yes", "--json", "--only", "pin-map"])
    told = answer(capsys)
    assert code == 0
    record = RunFolder.open(brought_up / told["run"])
    status = {one["name"]: one["status"] for one in told["stages"]}
    assert status == dict.fromkeys(NAMES[:3], PASSED) | dict.fromkeys(NAMES[3:], NOT_RUN)
    assert told["accepted"] is False
    assert stages_of(record)[0].taken_from.startswith("20")
    assert stages_of(record)[2].taken_from == ""


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "stage", "error"),
    [
        ("supply_low", "supplies", CalibrationError),
        ("dac_swapped", "converters", CalibrationError),
        ("scope_absent", "pin_map", InstrumentError),
        ("pads_swapped=source_line:3:9", "pin_map", CalibrationError),
        ("resistor_wrong=7:8:1.3", "resistor_board", CalibrationError),
        ("open_word_line=5", "leakage", ChipError),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_a_planted_fault_stops_at_its_stage(tmp_path, capsys, fault, stage, error):
    write_bench(tmp_path)
    with chdir(tmp_path):
        code = run(["bringup", "--yes", "--json", "--chip-faults", fault])
        told = answer(capsys)
        record = the_run(tmp_path)
    assert code == error.exit_code
    assert f"stage {stage} " in told["stopped_by"]
    status = {one["name"]: one["status"] for one in told["stages"]}
    at = NAMES.index(stage)
    assert status == (
        dict.fromkeys(NAMES[:at], PASSED)
        | {stage: FAILED}
        | dict.fromkeys(NAMES[at + 1 :], NOT_RUN)
    )
    assert record.status == "failed"
    assert record.file("acceptance.html").is_file()
    assert not record.file(file_of(NAMES[-1])).exists()
    if stage in [one.name for one in BOARD_STAGES]:
        assert not (tmp_path / "boards").exists()  # no curves of a board that has failed


@pytest.mark.usefixtures("no_pictures")
def test_what_was_mended_goes_on_from_there(tmp_path, capsys):
    write_bench(tmp_path)
    with chdir(tmp_path):
        faulty = ["--chip-faults", "pads_swapped=bit_line:3:9"]
        assert run(["bringup", "--yes", "--json", *faulty]) == CalibrationError.exit_code
        failed = the_run(tmp_path)
        answer(capsys)
        assert run(["bringup", "--yes", "--json", "--only", "resistor-board"]) == 9
        assert "has not passed" in answer(capsys)["error"]["message"]
        saved = failed.load_json("config.json")
        saved["sim"]["board_faults"]["pads_swapped"] = None  # the person has mended the wiring
        failed.save_json("config.json", saved)
        both = ["--only", "pin-map", "--only", "resistor-board"]
        assert run(["bringup", "--yes", "--json", "--resume", str(failed.path), *both]) == 0
        told = answer(capsys)
    assert (
        Path(told["run"]) == failed.path.relative_to(tmp_path) or Path(told["run"]) == failed.path
    )
    status = [one["status"] for one in told["stages"]]
    assert status == [PASSED] * 4 + [NOT_RUN] * 6
    history = [(d["name"], d["status"]) for kind, d in _events(failed) if kind == "stage"]
    assert history[2:4] == [("pin_map", FAILED), ("pin_map", PASSED)]


@pytest.mark.usefixtures("no_pictures")
def test_a_bench_without_instruments_says_what_is_missing(tmp_path, capsys):
    write_bench(tmp_path, instruments="none")
    with chdir(tmp_path):
        assert run(["bringup", "--yes", "--json"]) == InstrumentError.exit_code
    assert "no supply" in answer(capsys)["stopped_by"]


# --- questions -------------------------------------------------------------------------------


def test_without_a_terminal_and_without_yes_nothing_is_formed(tmp_path, capsys, monkeypatch):
    write_bench(tmp_path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with chdir(tmp_path):
        assert run(["bringup", "--json"]) == InputError.exit_code
        assert "--yes" in answer(capsys)["error"]["message"]
        record = the_run(tmp_path)
        config, _ = load_config(None)
        with Bench.open(config) as bench:
            assert not bench.simulated.chip.cells.state["pulse_count"].any()
    assert record.status == "failed"
    assert [one.name for one in stages_of(record)] == NAMES[: NAMES.index("pilot")]


class Someone:
    """Answers questions and keeps them."""

    def __init__(self, says: bool) -> None:
        self.says, self.asked = says, list[tuple[str, bool]]()

    def __call__(self, question: str, hands: bool) -> bool:
        self.asked.append((question, hands))
        return self.says


def test_on_a_real_bench_hands_are_asked_for(tmp_path, monkeypatch):
    write_bench(tmp_path)
    with chdir(tmp_path):
        config, _ = load_config(None)
        with Bench.open(config) as bench:
            monkeypatch.setattr(bench, "simulated", None)
            record = RunFolder.create(
                Path("runs"), "bringup", parameters={}, seed=1, bench_text=None
            )
            someone = Someone(True)
            rig = make_rig(bench, Instruments(), record, someone, lambda *_: None, "resistor board")
            rig.put_probe("scope", "1", "pad:BL3")
            rig.put_probe("smu", "", "dac:drift")
            rig.put_fixture("resistor board")  # is there already
            assert rig.macro is not bench.macro  # its pulses are no wear of the chip
            assert all(hands for _, hands in someone.asked)
            said = [question for question, _ in someone.asked]
            assert len(said) == 2
            assert "pad BL3 (J1.4)" in said[0]
            assert "output of drift" in said[1]
            with pytest.raises(SafetyError, match="rails are off"):
                rig.put_fixture("chip")
            rig = make_rig(bench, Instruments(), record, Someone(False), lambda *_: None)
            with pytest.raises(SafetyError, match="not confirmed"):
                rig.put_probe("scope", "1", "pad:BL3")


def test_a_fixture_goes_in_before_anything_is_switched_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    someone = Someone(False)
    config = BenchConfig(board="serial:/dev/does-not-exist")
    with pytest.raises(SafetyError, match="resistor board in the socket"):
        bringup(config, ask=someone, sheet=False)
    assert [hands for _, hands in someone.asked] == [True]


# --- what cannot be done ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "soldering"], "no stage"),
        (["--from", "lunch"], "no stage"),
        (["--from", "supplies", "--only", "pulses"], "not both"),
    ],
)
def test_a_wrong_stage_is_refused_before_anything_is_opened(tmp_path, capsys, arguments, said):
    with chdir(tmp_path):
        assert run(["bringup", "--yes", "--json", *arguments]) == InputError.exit_code
        assert said in answer(capsys)["error"]["message"]
        assert not Path("chips").exists()


def test_no_stage_is_run_before_those_that_it_needs(tmp_path, capsys):
    with chdir(tmp_path):
        assert run(["bringup", "--yes", "--json", "--from", "pilot"]) == 9
        assert "pilot comes after supplies" in answer(capsys)["error"]["message"]


def test_a_bad_limit_in_the_bench_file_is_named(tmp_path, capsys):
    write_bench(tmp_path, bringup={"pin_map": {"stride": 0}})
    with chdir(tmp_path):
        assert run(["bringup", "--yes", "--json"]) == 2
        assert "pin_map" in answer(capsys)["error"]["message"]
    write_bench(tmp_path, bringup={"soldering": {}})
    with chdir(tmp_path):
        assert run(["bringup", "--yes", "--json"]) == 2
        assert "soldering" in answer(capsys)["error"]["message"]


@pytest.mark.usefixtures("no_pictures")
def test_limits_of_the_bench_file_count(tmp_path, capsys):
    write_bench(tmp_path, bringup={"converters": {"gain": 1e-7}})
    with chdir(tmp_path):
        assert run(["bringup", "--yes", "--json", "--from", "supplies"]) == 9
        assert "stage converters" in answer(capsys)["stopped_by"]


def test_resume_takes_no_other_board(brought_up, capsys):
    record = the_run(brought_up)
    arguments = ["bringup", "--resume", str(record.path), "--board", "native", "--json"]
    assert run(arguments) == InputError.exit_code
    assert "--board" in answer(capsys)["error"]["message"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("figures"),
        lambda data: data.update(status="failed"),
        lambda data: data.update(name="pulses"),
        lambda data: data.update(figures=[{"name": "f"}]),
        lambda data: data.update(findings=[3]),
    ],
)
def test_a_damaged_record_of_a_stage_is_named(tmp_path, damage):
    record = RunFolder.create(tmp_path, "bringup", parameters={}, seed=1, bench_text=None)
    data = {
        **StageResult("supplies").to_dict(),
        "title": "t",
        "status": PASSED,
        "ended": "",
        "seconds": 1.0,
        "temperature_celsius": None,
        "taken_from": "",
    }
    record.save_json(file_of("supplies"), data)
    assert [one.name for one in stages_of(record)] == ["supplies"]
    damage(data)
    record.save_json(file_of("supplies"), data)
    with pytest.raises(RecordError, match="supplies"):
        stages_of(record)


def test_stages_that_failed_are_not_taken_over(brought_up, tmp_path):
    before = the_run(brought_up)
    record = RunFolder.create(tmp_path, "bringup", parameters={}, seed=1, bench_text=None)
    inherit(record, before, ["pulses"])
    there = {one.name for one in stages_of(record)}
    assert there <= set(NAMES[:4])
    assert {"supplies", "converters"} <= there


# --- dry runs --------------------------------------------------------------------------------


def test_a_dry_run_says_what_each_stage_drives_and_opens_nothing(tmp_path, capsys):
    with chdir(tmp_path):
        assert run(["bringup", "--dry-run", "--json"]) == 0
        told = answer(capsys)
        assert list(Path().iterdir()) == []
    assert told["dry_run"] is True
    assert list(told["plan"]) == [stage.title for stage in STAGES]


def test_the_plan_of_some_stages(tmp_path):
    del tmp_path
    config = BenchConfig()
    assert list(plan(config, Asked(only=("pulses",)))) == [STAGES[4].title]
    assert len(plan(config, Asked(first="leakage"))) == 5
    with pytest.raises(InputError):
        plan(config, Asked(only=("nothing",)))


def test_a_person_who_says_no_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bench(tmp_path)
    config, _ = load_config(None)
    with pytest.raises(SafetyError, match="not confirmed"):
        bringup(config, ask=Someone(False), sheet=False)
    assert the_run(tmp_path).status == "failed"
