"""The diary: gathered from runs, journals and what is kept with the chip; notes are its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.forming import FormParams, form
from calibration.mapping_knowledge import ChipKnowledge
from drivers.rram.geometry import Cells, Geometry
from hil.bench import Bench
from hil.cli.app import run
from hil.conditions import EVENT, conditions
from hil.config import BenchConfig, parse_config
from hil.diary import add_note, add_touch_down, read_diary
from hil.jobs.mapping import keep_knowledge
from hil.jobs.session import session
from hil.journal import Journal
from hil.record import RunFolder
from protocols.errors import ChipError, ConfigError, InputError, RecordError

BENCH = """
operator: A. Tester
temperature_celsius: 21.5
chip: {id: C7, wafer: W12, die: "3,4", package: CLCC84, label: "blue dot"}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config() -> BenchConfig:
    return parse_config(BENCH, "bench.yaml")


def form_some(config: BenchConfig) -> RunFolder:
    with session(config, "form", parameters={}) as (folder, bench):
        found = form(bench.macro, Cells.block(0, 0, 2, 6), FormParams(start_volts=2.4))
        folder.save_json("forming.json", found.to_dict())
    return folder


def test_every_record_says_who_which_chip_and_how_warm():
    folder = form_some(config())
    info = RunFolder.open(folder.path).info
    assert info["operator"] == "A. Tester"
    assert info["chip"] == "C7"
    assert info["chip_record"] == {
        "id": "C7", "wafer": "W12", "die": "3,4", "package": "CLCC84", "label": "blue dot",
    }  # fmt: skip
    assert (info["temperature_celsius"], info["temperature_source"]) == (21.5, "bench file")
    with Journal.open_read(folder.file("journal.sqlite")) as journal:
        (event,) = journal.events(EVENT)
    assert event.data["operator"] == "A. Tester"
    assert event.data["chip_record"]["wafer"] == "W12"
    (kept,) = Path("chips/C7/characterisation").glob("*-line_map.json")
    context = json.loads(kept.read_text())["context"]
    assert (context["operator"], context["temperature_celsius"]) == ("A. Tester", 21.5)


def test_a_temperature_names_its_source():
    with Bench.open(BenchConfig()) as bench:
        found = bench.conditions
    assert found.temperature_source == "simulated bench"
    assert 20.0 < found.temperature_celsius < 30.0
    nobody = conditions(BenchConfig())
    assert (nobody.temperature_celsius, nobody.temperature_source) == (None, "not known")
    with pytest.raises(ConfigError, match="temperature_celsius"):
        parse_config("temperature_celsius: 900", "bench.yaml")
    with pytest.raises(ConfigError, match="operator"):
        parse_config('operator: "two\\nlines"', "bench.yaml")


def test_the_chip_of_a_run_folder_is_not_said_to_be_the_one_in_the_socket():
    with session(config(), "demo", parameters={}, virgin_chip=True) as (folder, _bench):
        pass
    assert folder.info["chip_record"] == {"id": f"{folder.path.name}/chip.cells"}


def test_the_diary_tells_a_visit():
    folder = form_some(config())
    add_touch_down(config())
    add_note(config(), "  socket cleaned ")
    found = read_diary(config())
    whats = [entry.what for entry in found.entries]
    assert sorted(whats) == ["chip map", "form", "note", "touch-down"]
    assert [e.time for e in found.entries] == sorted(e.time for e in found.entries)
    by_what = {entry.what: entry for entry in found.entries}
    with Journal.open_read(folder.file("journal.sqlite")) as journal:
        assert by_what["form"].pulses == journal.counts()[1] > 12
    assert by_what["form"].status == "done"
    assert by_what["note"].text == "socket cleaned"
    assert {entry.operator for entry in found.entries} == {"A. Tester"}
    assert {entry.temperature_celsius for entry in found.entries} == {21.5}
    assert found.touch_downs == 1
    assert found.chip["package"] == "CLCC84"


def test_what_went_wrong_is_in_it():
    form_some(config())
    wrong = config().model_copy(
        update={"sim": config().sim.model_validate({"chip_faults": {"other_chip": 9}})}
    )
    with pytest.raises(ChipError, match="this is not chip C7"):
        form_some(wrong)
    last = [e for e in read_diary(config()).entries if e.what == "form"][-1]
    assert last.status == "failed"
    assert "this is not chip C7" in last.text


def test_pulses_outside_of_a_run_are_a_session_of_their_own():
    with Bench.open(config()) as bench:
        bench.macro.pulse(3, 4, "form", 2.0, 3.6, 1e-6)
    (entry,) = read_diary(config()).entries
    assert (entry.what, entry.pulses, entry.operator) == ("session", 1, "A. Tester")


def test_lost_cells_and_why():
    folder = form_some(config())
    data = json.loads(folder.file("forming.json").read_text())
    folder.save_json("forming.json", {**data, "failures": [[1, 2, "no forming up to 4.2 V"]]})
    known = ChipKnowledge.blank("C7", Geometry(128, 128))
    known = known.with_stuck(Cells.of([(1, 2), (5, 6)]), [1e-7, 5e-5])
    keep_knowledge(config(), known.with_weak(Cells.of([(7, 8)]), np.array([6e-5])))
    found = read_diary(config())
    said = {(cell.row, cell.column): (cell.kind, cell.why, cell.record) for cell in found.lost}
    assert said == {
        (1, 2): ("dead", "no forming up to 4.2 V", folder.path.name),
        (5, 6): ("stuck", "stands at 50 uS", ""),
        (7, 8): ("weak", "not above 60 uS", ""),
    }
    (entry,) = [e for e in found.entries if e.what == "form"]
    assert "1 cells failed (forming)" in entry.text


def test_what_cannot_be_read_is_said_and_hides_nothing():
    form_some(config())
    add_note(config(), "still there")
    (note,) = Path("chips/C7/diary").glob("*-note.json")
    add_touch_down(config())
    note.write_text("{")
    (journal,) = Path("runs").glob("*/journal.sqlite")
    journal.write_bytes(b"no journal at all")
    found = read_diary(config())
    assert found.touch_downs == 1
    assert len(found.missing) == 2
    assert {entry.what for entry in found.entries} == {"chip map", "form", "touch-down"}


def test_the_command(capsys):
    Path("bench.yaml").write_text(BENCH)
    assert run(["diary", "--note", "first look", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["entries"][0]["text"] == "first look"
    assert run(["diary", "--touch-down", "--operator", "B. Other"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in ("touch-down", "B. Other", "blue dot"))
    assert run(["diary", "C8"]) == RecordError.exit_code
    assert "nothing is on record of a chip 'C8'" in " ".join(capsys.readouterr().err.split())
    assert run(["diary", "--note", " "]) == InputError.exit_code
    assert not list(Path("chips").glob("C8"))


def test_another_chips_diary_has_its_own_origin_from_its_runs():
    form_some(config())
    other = parse_config("chip: {id: C8, wafer: W13}", "bench.yaml")
    found = read_diary(other, "C7")
    assert found.chip["wafer"] == "W12"
    assert "form" in {entry.what for entry in found.entries}
