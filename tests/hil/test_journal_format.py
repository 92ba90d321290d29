"""The journal's document says what the journal is; what a hostile one holds is refused."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import struct
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from drivers.rram.geometry import Cells, Geometry
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import PULSE_RECORD
from drivers.stream import MemoryStream
from hil import journal as journal_module
from hil.bench import Bench
from hil.config import BenchConfig, ChipSection
from hil.journal import FORMAT, VERSION, Journal, checksum
from hil.journal_reader import JournalReader
from hil.ledger import Exchange, past_of
from hil.record import RunFolder
from hil.serve import Server
from hil.sim.board import make_board
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.wear import WearAccount
from protocols.errors import ChipBusyError, ConfigError, LinkError, RecordError
from protocols.hardware import load_board
from protocols.messages import StatusRequest

DOCUMENT = Path(journal_module.__file__).with_name("JOURNAL.md").read_text(encoding="utf-8")
SETTINGS, BOARD = SimSettings(), load_board("reference")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.S)
    assert found is not None
    return found[1]


def filled(path: Path, rounds: int = 3) -> Path:
    with Journal.create(path, {"kind": "program", "run": "r"}) as book:
        for row in range(rounds):
            cells = Cells.of([(row, 0), (row, 1)])
            pulses = PulseBatch.set(cells, gate_volts=1.5, line_volts=2.0, width_s=1e-7)
            token = book.intent(pulses, label="round")
            records = np.zeros(2, PULSE_RECORD)
            records["row"], records["column"], records["reading_code"] = row, [0, 1], 7 + row
            book.outcome(token, 0, records[: 1 if row == rounds - 1 else 2])
            blob = Exchange.of([StatusRequest()], [b"\0abc"]).pack()
            book.exchange(0, blob, 1)
        book.event("e", {"a": 1})
        book.array("codes", np.arange(4, dtype=np.uint16))
    return path


def test_the_documented_schema_is_the_real_one(tmp_path):
    path = filled(tmp_path / "j.sqlite")
    with sqlite3.connect(path) as db:
        real = [text for (text,) in db.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")]
        meta = dict(db.execute("SELECT key, value FROM meta"))
    db.close()
    documented = [text.strip() for text in block("sql").split(";") if text.strip()]
    assert sorted(" ".join(t.split()) for t in real) == sorted(
        " ".join(t.split()) for t in documented
    )
    assert f"format `{FORMAT}`, version {VERSION}" in DOCUMENT
    assert set(meta) == {"format", "version", "id", "kind", "run"}
    tables = re.findall(r"CREATE TABLE (\w+)", block("sql"))
    assert re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.M) == tables


def test_the_documented_ways_of_reading_it_work(tmp_path, monkeypatch):
    filled(tmp_path / "journal.sqlite")
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    exec(block("python"), space)
    np.testing.assert_array_equal(space["pulses"]["row"], [0, 0, 1, 1, 2])  # type: ignore[index]
    space["db"].close()  # type: ignore[attr-defined]
    with sqlite3.connect("journal.sqlite") as db:
        first, second = (
            db.execute(query).fetchall()
            for query in re.findall(r"'(SELECT.*?)'", block("sh"), re.S)
        )
    db.close()
    assert first == [(1, "round", 2), (2, "round", 2), (3, "round", 2)]
    assert second == [(3, 1)]


@pytest.mark.parametrize("jump_s", [-10 * 365 * 86400.0, 10 * 365 * 86400.0])
def test_a_clock_that_jumps_changes_no_order(tmp_path, monkeypatch, jump_s):
    path = tmp_path / "j.sqlite"
    clock = [1.8e9]
    monkeypatch.setattr(journal_module.time, "time", lambda: clock[0])
    with Journal.create(path) as book:
        for row in range(4):
            clock[0] += jump_s if row == 2 else 1.0
            pulses = PulseBatch.set(
                Cells.of([(row, 0)]), gate_volts=1.0, line_volts=1.0, width_s=1e-7
            )
            token = book.intent(pulses, label=f"round {row}")
            records = np.zeros(1, PULSE_RECORD)
            records["row"] = row
            book.outcome(token, 0, records)
            book.exchange(0, Exchange.of([StatusRequest()], [bytes([0, row])]).pack(), 1)
            book.event("e", {"row": row})
    with JournalReader(path) as reader:
        assert reader.records()["row"].tolist() == [0, 1, 2, 3]
        assert [intent.label for intent in reader.intents()] == [f"round {k}" for k in range(4)]
        assert [event.data["row"] for event in reader.events()] == [0, 1, 2, 3]
        items = past_of(reader)
        answers = [item.answers[0][1] for item in items if isinstance(item, Exchange)]
        assert answers == [0, 1, 2, 3]
        walls = [event.wall_s for event in reader.events()]
        assert (walls == sorted(walls)) is (jump_s > 0)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_said(tmp_path, share):
    path = filled(tmp_path / "j.sqlite", rounds=40)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RecordError, match=r"j\.sqlite"), JournalReader(path) as reader:
        past_of(reader)


def test_a_torn_last_transaction_leaves_all_before_it(tmp_path):
    """The log is cut in the middle of its last commit, as a power cut leaves it."""
    path, torn = tmp_path / "j.sqlite", tmp_path / "torn.sqlite"
    book = Journal.create(path)
    sizes = []
    for row in range(6):
        book.event("e", {"row": row})
        sizes.append(Path(f"{path}-wal").stat().st_size)
    log = Path(f"{path}-wal").read_bytes()
    for cut in (sizes[-1] - 1, sizes[-1] - 2000, sizes[-2] + 10):
        torn.write_bytes(path.read_bytes())
        Path(f"{torn}-wal").write_bytes(log[:cut])
        with JournalReader(torn) as reader:
            assert [event.data["row"] for event in reader.events()] == [0, 1, 2, 3, 4]
        for left in tmp_path.glob("torn*"):
            left.unlink()
    book.close()


HOSTILE = {
    "view": ("CREATE VIEW v AS SELECT 1", "holds a view"),
    "trigger": ("CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM meta; END", "trigger"),
    "virtual": ("CREATE VIRTUAL TABLE x USING fts5(a)", "holds a table"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_database_that_would_run_something_is_refused(tmp_path, name):
    path = filled(tmp_path / "j.sqlite")
    statement, words = HOSTILE[name]
    with sqlite3.connect(path) as db:
        try:
            db.execute(statement)
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no such table")
    db.close()
    with pytest.raises(RecordError, match=words):
        JournalReader(path)


@pytest.mark.parametrize(
    "fields",
    [
        "[" * 5000,
        "{}",
        '[{"name": "row", "type": "|O"}]',
        '[{"name": "row", "type": "V2147483647"}]',
        '[{"name": "row", "type": "<u2"}]',
        '[{"name": "row"}]',
        '[{"name": "row", "type": "(,)f4"}]',
    ],
)
def test_a_layout_that_is_none_is_refused_though_its_checksum_fits(tmp_path, fields):
    path = filled(tmp_path / "j.sqlite")
    with sqlite3.connect(path) as db:
        crc = checksum(b"", "pulse", fields)
        db.execute("UPDATE layout SET fields = ?, crc = ? WHERE name = 'pulse'", (fields, crc))
    db.close()
    with JournalReader(path) as reader, pytest.raises(RecordError, match="layout of 'pulse'"):
        reader.records()


def test_exchanges_that_belong_to_nothing_are_refused(tmp_path):
    path = filled(tmp_path / "j.sqlite")
    cut = struct.pack("<BIH", 1, 2, 500) + b"\0"
    for token, blob in ((99, b""), (0, cut), (0, b"x")):
        with Journal.resume(path) as book:
            book.exchange(token, blob, 1)
        with JournalReader(path) as reader, pytest.raises(RecordError, match="do not fit together"):
            past_of(reader)
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM exchange WHERE id = (SELECT MAX(id) FROM exchange)")
        db.close()


def test_two_processes_and_one_chip_file(tmp_path):
    path = tmp_path / "c.chip"
    with Chip.open(path, SETTINGS, BOARD), pytest.raises(ChipBusyError, match=r"c\.chip"):
        Chip.open(path, SETTINGS, BOARD)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e30])
def test_a_chip_file_with_impossible_cells_is_refused(tmp_path, value):
    path = tmp_path / "c.chip"
    with Chip.open(path, SETTINGS, BOARD) as chip:
        chip.cells.state["siemens"][5] = value
    with pytest.raises(ConfigError, match=r"c\.chip.*damaged"):
        Chip.open(path, SETTINGS, BOARD)
    with pytest.raises(ConfigError, match="damaged"):
        Chip.open(path, SETTINGS, BOARD)  # and nobody holds it


def test_a_chip_file_whose_head_is_deep_is_refused(tmp_path):
    path = tmp_path / "c.chip"
    Chip.open(path, SETTINGS, BOARD).close()
    content = bytearray(path.read_bytes())
    content[8:4096] = b"[" * 4088
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="head of the chip file is damaged"):
        Chip.open(path, SETTINGS, BOARD)


@pytest.fixture
def nobody():
    """As a user who may not write everywhere; a folder of his own that is then read-only."""
    folder = Path(tempfile.mkdtemp())
    mine, owner = os.geteuid(), 65534 if os.geteuid() == 0 else os.geteuid()
    filled(folder / "j.sqlite")
    folder.chmod(0o555)
    os.seteuid(owner)
    yield folder
    os.seteuid(mine)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_read_and_never_written(nobody):
    with pytest.raises(RecordError, match=r"k\.sqlite.*may be written"):
        Journal.create(nobody / "k.sqlite")
    with pytest.raises(RecordError, match=r"j\.sqlite"):
        Journal.resume(nobody / "j.sqlite").event("e", {})
    with JournalReader(nobody / "j.sqlite") as reader:
        assert len(reader.records()) == 5
    with pytest.raises(RecordError, match="a run folder cannot be made here"):
        RunFolder.create(nobody / "runs", "program", parameters={}, seed=1, bench_text=None)
    with pytest.raises(RecordError, match=r"c\.chip"):
        Chip.open(nobody / "c.chip", SETTINGS, BOARD)
    with pytest.raises(RecordError, match=r"w\.sqlite"):
        WearAccount.at(nobody / "w.sqlite", Geometry(4, 4), "a")


def test_a_port_that_is_unplugged_in_the_middle_loses_nothing_acknowledged(tmp_path):
    """Over TCP; the far end goes away in the middle of a batch, and the chip is looked at."""
    config = BenchConfig().with_changes(
        chip=ChipSection(id="a", folder=tmp_path / "chips"), runs=tmp_path / "runs"
    )
    board = make_board(SETTINGS, BOARD)
    left = [60]

    def until_unplugged(data: bytes) -> bytes:
        left[0] -= 1
        if left[0] <= 0:
            raise OSError("pulled out")
        return board.receive(data)

    cells = Cells.block(0, 0, 16, 16)
    pulses = PulseBatch.form(cells, gate_volts=2.0, line_volts=3.3, width_s=1e-6)
    path = tmp_path / "j.sqlite"
    with Server(MemoryStream(until_unplugged)) as server, Journal.create(path) as book:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        plugged = config.with_changes(board=f"socket://{server.address}")

        def drive() -> None:
            with Bench.open(plugged, recorder=book) as bench, bench.macro.armed():
                left[0] = 6
                while True:
                    bench.macro.pulse_read(pulses, label="test")

        with pytest.raises(LinkError):
            drive()
        server.stop()
        thread.join(5.0)
    driven = board.chip.cells.state["pulse_count"].astype(int)
    with JournalReader(path) as reader:
        recorded, unknown = np.zeros_like(driven), np.zeros_like(driven)
        records = reader.records()
        np.add.at(recorded, records["row"].astype(int) * BOARD.columns + records["column"], 1)
        for intent in reader.unknown():
            rows = intent.records["row"].astype(int) * BOARD.columns
            np.add.at(unknown, rows + intent.records["column"], 1)
        assert reader.damage() == []
    assert np.all(recorded <= driven)
    assert np.all(driven <= recorded + unknown)
    assert unknown.sum() > 0
