"""The journal keeps every acknowledged pulse, says what is unknown, and names what is damaged."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import PULSE_RECORD
from hil.journal import Journal, describe_layout
from protocols.errors import RecordError

REPOSITORY = Path(__file__).parents[2]


def batch(rows, columns):
    n = len(rows)
    cells = Cells.of(list(zip(rows, columns, strict=True)))
    gates = np.linspace(1.0, 2.0, n)
    return PulseBatch.set(cells, gate_volts=gates, line_volts=2.5, width_s=100e-9)


def acknowledged(rows, columns, first_sequence=1):
    records = np.zeros(len(rows), PULSE_RECORD)
    records["row"], records["column"] = rows, columns
    records["operation"], records["gate_code"], records["width_ticks"] = 1, 1234, 5
    records["reading_code"] = 1000 + np.arange(len(rows))
    records["time_us"] = 2**40 + np.arange(len(rows))
    records["sequence"] = first_sequence
    return records


def filled(path):
    """Two rounds: the first acknowledged in two frames, of the second only the first frame."""
    journal = Journal.create(path, {"chip": "sim-001"})
    token = journal.intent(batch([1, 2, 3], [4, 5, 6]), label="round 1")
    journal.outcome(token, 0, acknowledged([1, 2], [4, 5], 1))
    journal.outcome(token, 2, acknowledged([3], [6], 2))
    token = journal.intent(batch([1, 9, 8], [4, 9, 8]), label="round 2")
    journal.outcome(token, 0, acknowledged([1], [4], 3))
    return journal


def test_records_come_back_in_the_order_of_execution(tmp_path):
    filled(tmp_path / "j.sqlite").close()
    with Journal.open_read(tmp_path / "j.sqlite") as reader:
        records = reader.records()
        assert records.dtype == PULSE_RECORD
        assert records["row"].tolist() == [1, 2, 3, 1]
        assert records["sequence"].tolist() == [1, 1, 2, 3]
        assert records["time_us"][1] == 2**40 + 1
        assert reader.meta["chip"] == "sim-001"
        assert reader.units()["width_ticks"].startswith("ticks")
        assert reader.damage() == []


def test_a_cells_whole_history(tmp_path):
    filled(tmp_path / "j.sqlite").close()
    with Journal.open_read(tmp_path / "j.sqlite") as reader:
        assert reader.history(1, 4)["sequence"].tolist() == [1, 3]
        assert len(reader.history(9, 9)) == 0


def test_an_outcome_that_is_told_again_is_written_once(tmp_path):
    """As after an interrupt that fell between its writing and its end."""
    path = tmp_path / "j.sqlite"
    with Journal.create(path) as journal:
        token = journal.intent(batch([1, 2], [4, 5]), label="round 1")
        for _ in range(2):
            journal.outcome(token, 0, acknowledged([1], [4]))
        journal.outcome(token, 1, acknowledged([2], [5], 2))
        with Journal.open_read(path) as reader:
            assert reader.records()["row"].tolist() == [1, 2]
            assert not reader.unknown()


def test_pulses_without_an_outcome_are_unknown(tmp_path):
    filled(tmp_path / "j.sqlite").close()
    with Journal.open_read(tmp_path / "j.sqlite") as reader:
        (unknown,) = reader.unknown()
    assert (unknown.token, unknown.label) == (2, "round 2")
    assert unknown.records["row"].tolist() == [9, 8]
    assert unknown.records["gate_volts"].tolist() == [1.5, 2.0]


def test_events_and_arrays(tmp_path):
    path = tmp_path / "j.sqlite"
    codes = np.arange(12, dtype=np.uint16).reshape(6, 2)
    with Journal.create(path) as journal:
        journal.event("calibration", {"gain": np.float64(0.25), "bad": float("nan")})
        journal.event("error", {"text": "µ"})
        journal.array("initial", codes)
    with Journal.open_read(path) as reader:
        assert [event.kind for event in reader.events()] == ["calibration", "error"]
        assert reader.events("calibration")[0].data == {"gain": 0.25, "bad": None}
        np.testing.assert_array_equal(reader.arrays("initial")[0], codes)
        assert reader.arrays("initial")[0].dtype == np.uint16
        assert len(reader.records()) == 0
        assert reader.records().dtype == PULSE_RECORD


def test_reading_while_writing(tmp_path):
    path = tmp_path / "j.sqlite"
    journal = filled(path)
    with Journal.open_read(path) as reader:
        assert len(reader.records()) == 4
        journal.outcome(2, 1, acknowledged([9, 8], [9, 8], 4))
        assert len(reader.records()) == 6
        assert reader.unknown() == []
    journal.close()


def test_resume_continues_the_same_file(tmp_path):
    path = tmp_path / "j.sqlite"
    filled(path).close()
    with Journal.resume(path) as journal:
        token = journal.intent(batch([7], [7]), label="round 3")
        journal.outcome(token, 0, acknowledged([7], [7], 9))
    with Journal.open_read(path) as reader:
        assert token == 3
        assert reader.records()["row"].tolist() == [1, 2, 3, 1, 7]


def test_resume_refuses_another_layout(tmp_path):
    path = tmp_path / "j.sqlite"
    filled(path).close()
    with Journal.resume(path) as journal, pytest.raises(RecordError, match="laid out"):
        journal.outcome(2, 1, np.zeros(1, [("row", "<u2"), ("column", "<u2")]))


def test_a_journal_is_never_overwritten(tmp_path):
    filled(tmp_path / "j.sqlite").close()
    with pytest.raises(RecordError, match="never overwritten"):
        Journal.create(tmp_path / "j.sqlite")


# --- damage ------------------------------------------------------------------------------------


def tamper(path, statement, *arguments):
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, arguments)
    db.close()


def test_a_damaged_blob_is_named(tmp_path):
    path = tmp_path / "j.sqlite"
    filled(path).close()
    torn = acknowledged([3], [6], 2).tobytes()[:-4] + b"\0\0\0\1"
    tamper(path, "UPDATE outcome SET blob = ? WHERE id = 2", torn)
    with Journal.open_read(path) as reader:
        with pytest.raises(RecordError, match=r"outcome 2 \(of intent 1, pulses 2"):
            reader.records()
        assert reader.damage() == ["outcome 2 (of intent 1, pulses 2..)"]
        assert reader.sound_records()["row"].tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE outcome SET token = 2 WHERE id = 1", "outcome 1"),
        ("UPDATE outcome SET start = 1 WHERE id = 1", "outcome 1"),
        ("UPDATE outcome SET blob = substr(blob, 1, 29) WHERE id = 1", "outcome 1"),
        ("UPDATE intent SET blob = zeroblob(3 * 29) WHERE token = 1", "intent 1"),
        ("UPDATE event SET data = '{}' WHERE id = 1", "event 1"),
        ("UPDATE array SET shape = '[2, 1]' WHERE id = 1", "array 1"),
    ],
)
def test_a_row_moved_or_cut_is_named(tmp_path, statement, name):
    path = tmp_path / "j.sqlite"
    with filled(path) as journal:
        journal.event("run", {"n": 1})
        journal.array("initial", np.arange(2))
    tamper(path, statement)
    with Journal.open_read(path) as reader:
        (line,) = reader.damage()
    assert line.startswith(name)


def test_a_page_that_lost_a_row_is_noticed_and_the_rest_can_be_read(tmp_path):
    path = tmp_path / "j.sqlite"
    filled(path).close()
    content = bytearray(path.read_bytes())
    root = sqlite3.connect(path).execute("SELECT rootpage FROM sqlite_master WHERE name='outcome'")
    cells = (root.fetchone()[0] - 1) * 4096 + 3  # the page header's count of rows, big-endian
    assert content[cells : cells + 2] == b"\0\3"
    content[cells + 1] = 2
    path.write_bytes(content)
    with pytest.raises(RecordError, match="check=False"):
        Journal.open_read(path)
    with Journal.open_read(path, check=False) as reader:
        assert reader.sound_records()["sequence"].tolist() == [1, 1, 2]


def test_files_that_are_no_journal(tmp_path):
    with pytest.raises(RecordError, match="no journal"):
        Journal.open_read(tmp_path / "missing.sqlite")
    with pytest.raises(RecordError, match="no journal"):
        Journal.open_read(tmp_path / ("long" * 100))
    (tmp_path / "text").write_text("not a data base, however long this text may be " * 50)
    with pytest.raises(RecordError, match="not a journal"):
        Journal.open_read(tmp_path / "text")
    sqlite3.connect(tmp_path / "empty").close()
    with pytest.raises(RecordError, match=r"not a journal.*before anything was driven"):
        Journal.open_read(tmp_path / "empty")


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "j.sqlite"
    filled(path).close()
    tamper(path, "UPDATE meta SET value = '99' WHERE key = 'version'")
    with pytest.raises(RecordError, match="version '99'"):
        Journal.open_read(path)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(offset=st.integers(0, 2**31), value=st.integers(0, 255))
def test_any_flipped_byte_gives_records_or_a_record_error(tmp_path_factory, offset, value):
    path = tmp_path_factory.mktemp("flip") / "j.sqlite"
    filled(path).close()
    content = bytearray(path.read_bytes())
    content[offset % len(content)] ^= value
    path.write_bytes(content)
    try:
        with Journal.open_read(path) as reader:
            records = reader.records()
    except RecordError:
        return
    assert records["reading_code"].tolist() == [1000, 1001, 1000, 1000]


# --- crashes and full disks --------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from hil.journal import Journal
sys.path.insert(0, {tests!r})
import test_journal as t
journal = Journal.create(Path(sys.argv[1]))
n = 0
while True:
    token = journal.intent(t.batch(range(20), range(20)), label=f"round {{n}}")
    journal.outcome(token, 0, t.acknowledged(range(20), range(20), n))
    n += 1
    print(n, flush=True)
"""


def start_writer(path, **more):
    script = WRITER.format(repository=str(REPOSITORY), tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)


@pytest.mark.slow
def test_kill_9_loses_no_acknowledged_pulse(tmp_path):
    path = tmp_path / "j.sqlite"
    writer = start_writer(path)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 30:
            break
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged_rounds = max([30, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    writer.wait()
    with Journal.open_read(path) as reader:
        records = reader.records()
        assert reader.damage() == []
        assert len(records) >= 20 * acknowledged_rounds
        assert len(records) + sum(len(i.records) for i in reader.unknown()) <= 20 * (
            acknowledged_rounds + 1
        )
    with Journal.resume(path) as journal:
        journal.event("resumed", {})


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path):
    path = tmp_path / "j.sqlite"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    writer = start_writer(path, stderr=subprocess.PIPE, preexec_fn=small_files)
    output, errors = writer.communicate(timeout=60)
    assert writer.returncode == 1
    assert "RecordError" in errors
    assert "cannot be written" in errors
    assert "safe" in errors
    with Journal.open_read(path) as reader:
        assert len(reader.records()) >= 20 * int(output.split()[-1])
        assert reader.damage() == []


def test_a_full_file_system_refuses_the_intent_and_stays_usable(tmp_path):
    path = tmp_path / "j.sqlite"
    with Journal.create(path) as journal:
        journal._db.execute("PRAGMA max_page_count = 12")
        with pytest.raises(RecordError, match=r"full.*intent of 5000 pulses \(big\), not driven"):
            journal.intent(batch(range(5000), range(5000)), label="big")
        journal._db.execute("PRAGMA max_page_count = 100000")
        token = journal.intent(batch([1], [2]), label="small")
        journal.outcome(token, 0, acknowledged([1], [2]))
    with Journal.open_read(path) as reader:
        assert [intent.label for intent in reader.intents()] == ["small"]
        assert reader.unknown() == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "j.sqlite", tmp_path / "missing" / "j.sqlite"):
        with pytest.raises(RecordError, match="cannot be opened for writing"):
            Journal.create(path)


def test_only_packed_numbers_are_journaled(tmp_path):
    with pytest.raises(RecordError, match="plain numbers"):
        describe_layout(np.dtype([("a", "O")]))
    with pytest.raises(RecordError, match="gaps"):
        describe_layout(np.dtype([("a", "u1"), ("b", "<u4")], align=True))
    with Journal.create(tmp_path / "j.sqlite") as journal:
        with pytest.raises(RecordError, match="event 'x'"):
            journal.event("x", {"socket": object()})
        with pytest.raises(RecordError, match="plain numbers"):
            journal.array("x", np.array([object()]))
