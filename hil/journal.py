"""The append-only journal of a run: every pulse meant and every pulse acknowledged.

An *intent* is written before a round of pulses leaves this computer, an *outcome* after each
acknowledged frame; both are on the disk when the call returns. After a crash every acknowledged
pulse is therefore in the file, and what was meant but never acknowledged is known by name.

The store is SQLite with a write-ahead log and `synchronous = FULL`: one row per batch that holds
its records packed in one blob, and no index while capturing. The layout of the packed records
(names, numpy types, units) stands in a table beside them, and each row carries a CRC-32 of its
blob and of the numbers that say where the blob belongs. `hil.journal_reader` reads it back.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.rram.pulses import PulseBatch
from hil.jsonable import to_json
from protocols.errors import RecordError

if TYPE_CHECKING:
    from hil.journal_reader import JournalReader

FORMAT = "hil-journal"
VERSION = 2
PULSE_LAYOUT = "pulse"
INTENT_LAYOUT = "intent"
BUSY_TIMEOUT_S = 5.0  # this project's choice: how long to wait for a reader's checkpoint

UNITS = {
    "row": "index",
    "column": "index",
    "operation": "enum operation of messages.yaml",
    "gate_code": "DAC code",
    "line_code": "DAC code",
    "width_ticks": "ticks of the board's pulse width",
    "reading_code": "ADC code",
    "time_us": "us of board time",
    "session": "wire session",
    "sequence": "wire sequence number",
    "gate_volts": "V",
    "line_volts": "V",
    "width_s": "s",
}

INTENT_RECORD = np.dtype(
    [
        ("row", "<u2"),
        ("column", "<u2"),
        ("operation", "u1"),
        ("gate_volts", "<f8"),
        ("line_volts", "<f8"),
        ("width_s", "<f8"),
    ]
)

_IS_WRITTEN = "SELECT 1 FROM outcome WHERE token = ? AND start = ?"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layout (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, fields TEXT NOT NULL,
    crc INTEGER NOT NULL);
CREATE TABLE intent (token INTEGER PRIMARY KEY, wall_s REAL NOT NULL, label TEXT NOT NULL,
    layout INTEGER NOT NULL, count INTEGER NOT NULL, crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE outcome (id INTEGER PRIMARY KEY, token INTEGER NOT NULL, start INTEGER NOT NULL,
    wall_s REAL NOT NULL, layout INTEGER NOT NULL, count INTEGER NOT NULL, crc INTEGER NOT NULL,
    blob BLOB NOT NULL);
CREATE TABLE exchange (id INTEGER PRIMARY KEY, wall_s REAL NOT NULL, after INTEGER NOT NULL,
    token INTEGER NOT NULL, count INTEGER NOT NULL, crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE event (id INTEGER PRIMARY KEY, wall_s REAL NOT NULL, kind TEXT NOT NULL,
    data TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE array (id INTEGER PRIMARY KEY, wall_s REAL NOT NULL, kind TEXT NOT NULL,
    dtype TEXT NOT NULL, shape TEXT NOT NULL, crc INTEGER NOT NULL, blob BLOB NOT NULL);
"""


def checksum(blob: bytes, *belongs: int | str) -> int:
    """CRC-32 of a blob and of the numbers and texts that say where it belongs."""
    return zlib.crc32(blob, zlib.crc32(json.dumps(belongs).encode()))


def describe_layout(dtype: np.dtype[Any]) -> str:
    """The layout of a packed record as JSON: name, numpy type and unit of each field.

    Raises RecordError for a type that is not packed or holds Python objects.
    """
    if dtype.names is None or dtype.fields is None or dtype.hasobject:
        raise RecordError(f"{dtype}: not a record of plain numbers; it cannot be journaled.")
    fields = [
        {"name": name, "type": dtype.fields[name][0].str, "unit": UNITS.get(name, "")}
        for name in dtype.names
    ]
    if np.dtype([(f["name"], f["type"]) for f in fields]) != dtype:
        raise RecordError(f"{dtype}: the record has gaps between its fields; pack it first.")
    return json.dumps(fields)


def meant_of(batch: PulseBatch) -> NDArray[Any]:
    """The pulses of a batch as rows of INTENT_RECORD."""
    records = np.empty(len(batch), INTENT_RECORD)
    records["row"], records["column"] = batch.cells.rows, batch.cells.columns
    for name in ("operation", "gate_volts", "line_volts", "width_s"):
        records[name] = getattr(batch, name)
    return records


class Journal:
    """The writing end of one journal file. Calls return when their row is on the disk.

    Implements the drivers' `PulseRecorder`. Not for use from several threads.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Used by `create` and `resume`."""
        self.path = path
        self._db = db
        self._layouts: dict[str, tuple[int, np.dtype[Any]]] = {}
        self._told = (0, 0)  # the outcome that was written last, or is being written

    # --- opening and closing -----------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str] | None = None) -> Self:
        """A new, empty journal; `meta` holds texts such as the run's kind and the chip's id.

        Raises:
            RecordError: the file exists already or the folder cannot be written.
        """
        if path.exists():
            raise RecordError(f"{path}: a journal is there already; it is never overwritten.")
        journal = cls(path, _connect(path, "rwc"))
        named = {"format": FORMAT, "version": str(VERSION), "id": uuid.uuid4().hex}
        facts = {**named, **(meta or {})}
        with journal._transaction("the new journal"):
            for statement in filter(str.strip, _SCHEMA.split(";")):
                journal._db.execute(statement)
            journal._db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
        return journal

    @classmethod
    def resume(cls, path: Path) -> Self:
        """An existing journal, to be continued where it ends.

        Raises:
            RecordError: no such file, not a journal, or one of another version.
        """
        with Journal.open_read(path) as reader:
            names = reader.layouts()
        journal = cls(path, _connect(path, "rw"))
        journal._layouts = dict(names)
        return journal

    @staticmethod
    def open_read(path: Path, check: bool = True) -> JournalReader:
        """The reading end; works while a run is still writing. For `check` see the reader.

        Raises:
            RecordError: no such file, not a journal, or one of another version.
        """
        from hil.journal_reader import JournalReader  # the two halves need each other

        return JournalReader(path, check)

    def close(self) -> None:
        """Folds the write-ahead log into the file and closes it. Closing twice does nothing."""
        try:
            self._db.close()
        except sqlite3.Error as error:
            raise RecordError(f"{self.path}: the journal cannot be closed ({error}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- writing -----------------------------------------------------------------------------

    def intent(self, batch: PulseBatch, *, label: str) -> int:
        """Writes what is about to be driven; returns the token that its outcomes name.

        Raises:
            RecordError: the disk is full or fails. Nothing of this batch may then be driven.
        """
        records = meant_of(batch)
        blob = records.tobytes()
        with self._transaction(f"the intent of {len(records)} pulses ({label}), not driven"):
            layout = self._layout(INTENT_LAYOUT, records.dtype)
            crc = checksum(blob, label, layout, len(records))
            row = (time.time(), label, layout, len(records), crc, blob)
            cursor = self._db.execute("INSERT INTO intent VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
        return int(cursor.lastrowid or 0)

    def outcome(self, token: int, start: int, records: NDArray[Any]) -> None:
        """Writes one acknowledged frame: `records` of pulses `start`.. of the intent `token`.

        An interrupt that falls in here makes the link tell of the same frame again: it is written
        once.

        Raises:
            RecordError: the disk is full or fails; these pulses were driven all the same.
        """
        blob, count = records.tobytes(), len(records)
        again, self._told = self._told == (token, start), (token, start)
        with self._transaction(f"the outcome of {count} pulses that were driven"):
            if again and self._db.execute(_IS_WRITTEN, (token, start)).fetchone():
                return
            layout = self._layout(PULSE_LAYOUT, records.dtype)
            crc = checksum(blob, token, start, layout, count)
            row = (token, start, time.time(), layout, count, crc, blob)
            self._db.execute("INSERT INTO outcome VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)

    def exchange(self, token: int, blob: bytes, count: int) -> None:
        """Writes requests other than pulses together with their answers; `hil.ledger` packs them.

        `token` and `count` are the ledger's; the intent that was written last goes with them.

        Raises:
            RecordError: the disk is full or fails.
        """
        with self._transaction("the answers of the board"):
            (after,) = self._db.execute("SELECT COALESCE(MAX(token), 0) FROM intent").fetchone()
            row = (time.time(), after, token, count, checksum(blob, after, token, count), blob)
            self._db.execute("INSERT INTO exchange VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Writes anything else that happened: a calibration, a run of the loop, an error.

        Raises:
            RecordError: the disk is full or fails, or `data` has no JSON form.
        """
        try:
            text = to_json(data)
        except TypeError as error:
            raise RecordError(f"{self.path}: event {kind!r} cannot be written: {error}.") from error
        with self._transaction(f"the event {kind!r}"):
            row = (time.time(), kind, text, checksum(b"", kind, text))
            self._db.execute("INSERT INTO event VALUES (NULL, ?, ?, ?, ?)", row)

    def array(self, kind: str, values: NDArray[Any]) -> None:
        """Writes one plain array, for instance the codes of the initial conditions of a run.

        Raises:
            RecordError: the disk is full or fails, or the array holds Python objects.
        """
        if values.dtype.hasobject or values.dtype.names is not None:
            raise RecordError(f"{self.path}: array {kind!r} is not an array of plain numbers.")
        blob, dtype, shape = values.tobytes(), values.dtype.str, json.dumps(values.shape)
        with self._transaction(f"the array {kind!r}"):
            crc = checksum(blob, kind, dtype, shape)
            row = (time.time(), kind, dtype, shape, crc, blob)
            self._db.execute("INSERT INTO array VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)

    # --- inside ------------------------------------------------------------------------------

    def _layout(self, name: str, dtype: np.dtype[Any]) -> int:
        if name not in self._layouts:
            fields = describe_layout(dtype)
            row = (name, fields, checksum(b"", name, fields))
            cursor = self._db.execute("INSERT INTO layout VALUES (NULL, ?, ?, ?)", row)
            self._layouts[name] = (int(cursor.lastrowid or 0), dtype)
        key, known = self._layouts[name]
        if known != dtype:
            raise RecordError(
                f"{self.path}: {name} records were laid out as {known} and now come as {dtype}; "
                "start a new run with this version of the project."
            )
        return key

    @contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        """One durable transaction; every failure of the disk becomes one sentence."""
        layouts = dict(self._layouts)
        try:
            with self._db:  # commits, or rolls back on any exception
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            self._layouts = layouts
            raise RecordError(
                f"{self.path}: the journal cannot be written ({error}), so {what}, could not be "
                "recorded. What was recorded before is safe. Free disk space and resume."
            ) from error
        except BaseException:
            self._layouts = layouts
            raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    db: sqlite3.Connection | None = None
    try:
        uri = f"{path.resolve().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except (OSError, ValueError, sqlite3.Error) as error:
        if db is not None:
            db.close()
        raise RecordError(
            f"{path}: the journal cannot be opened for writing ({error}); check that the folder "
            "exists, may be written and has space."
        ) from error
    return db
