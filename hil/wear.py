"""The wear account: what every cell of one chip has been through, over its whole life.

It lives beside the chip, `<chip folder>/<chip id>/wear.sqlite`, and belongs to the chip id of the
bench file, whatever process or run drove the pulses. The journals are the truth, the account is
their sum:

- A journal is registered here, by its own id, before its first pulse is driven.
- Booking reads the journal's acknowledged frames from the one after the last that was booked, and
  writes the new sums together with the number of the last frame in one transaction. So a process
  that is killed at any moment neither loses a pulse (the next booking finds it in the journal) nor
  counts one twice (its number is below the mark).
- A journal is closed here when nothing can write it any more: at the end of its session, or by the
  next holder of the chip when its session died. Pulses that were meant and never acknowledged are
  then kept apart as of unknown outcome, and budgets take them as driven.

What cannot be booked (a journal that was deleted before it was read, damaged rows) stands in
`WearAccount.notes`.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.rram.geometry import Geometry
from hil.journal import Journal
from hil.journal_reader import Driven, JournalReader
from hil.plain_database import refuse_programs
from hil.wear_cells import CELL_WEAR, CellWear, Ints, Pulses, Wear, add_pulses, no_wear
from hil.wear_entries import Entry, ReadScale, entry_of
from protocols.errors import RecordError

WEAR_FILE = "wear.sqlite"
DRY_RUN_LABEL = "dry run"  # intents whose label starts so were never meant to be driven
FRAMES_AT_ONCE = 4096  # booked together: bounds the memory, not the transaction
BUSY_TIMEOUT_S = 10.0
_FORMAT = "hil-wear-1"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE total (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE journal (id TEXT PRIMARY KEY, path TEXT NOT NULL, wall_s REAL NOT NULL,
    siemens_slope REAL NOT NULL, siemens_offset REAL NOT NULL, booked INTEGER NOT NULL,
    pulses INTEGER NOT NULL, closed INTEGER NOT NULL, unknown BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE note (id INTEGER PRIMARY KEY, wall_s REAL NOT NULL, journal TEXT NOT NULL,
    text TEXT NOT NULL);
"""


class WearAccount:
    """One chip's account. `create`, `open` or `at`; close it, or use it as a context manager."""

    def __init__(self, path: Path, db: sqlite3.Connection, geometry: Geometry, chip: str) -> None:
        """Used by `create` and `open`."""
        self.path, self.geometry, self.chip = path, geometry, chip
        self._db = db

    # --- opening and closing -----------------------------------------------------------------

    @classmethod
    def at(cls, path: Path, geometry: Geometry, chip: str) -> Self:
        """The account at `path`, a new one where there is none.

        Raises:
            RecordError: not an account, of another chip or geometry, or it cannot be written.
        """
        return cls.open(path, geometry, chip) if path.exists() else cls.create(path, geometry, chip)

    @classmethod
    def create(cls, path: Path, geometry: Geometry, chip: str) -> Self:
        """A new account of a chip without any wear.

        Raises:
            RecordError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"{path}: the folder cannot be made ({error.strerror}).") from error
        account = cls(path, _connect(path, "rwc"), geometry, chip)
        account._fill()
        return account

    @classmethod
    def unwritten(cls, geometry: Geometry, chip: str) -> Self:
        """The account of a chip that nobody has driven: empty, and in memory only."""
        account = cls(Path(), sqlite3.connect(":memory:", isolation_level=None), geometry, chip)
        account._fill()
        return account

    def _fill(self) -> None:
        facts = {
            "format": _FORMAT,
            "chip": self.chip,
            "rows": str(self.geometry.rows),
            "columns": str(self.geometry.columns),
            "disagreement": "",
        }
        with self._transaction():
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._db.execute(statement)
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
            self._save(no_wear(self.geometry.cells))

    @classmethod
    def open(cls, path: Path, geometry: Geometry, chip: str) -> Self:
        """An existing account.

        Raises:
            RecordError: there is none, it is damaged, or of another chip or geometry.
        """
        if not path.is_file():
            raise RecordError(f"{path}: there is no wear account; nothing was driven here yet.")
        account = cls(path, _connect(path, "rw"), geometry, chip)
        try:
            account._refuse_programs()
            facts = {str(k): v for k, v in account._query("SELECT key, value FROM meta")}
            wanted = (_FORMAT, chip, str(geometry.rows), str(geometry.columns))
            found = tuple(facts.get(key) for key in ("format", "chip", "rows", "columns"))
            if found != wanted:
                raise RecordError(
                    f"{path}: this account ({found[0]}) is of chip {found[1]!r} with {found[2]} x "
                    f"{found[3]} cells, the bench has {wanted[1]!r} with {wanted[2]} x "
                    f"{wanted[3]}. Name the right chip in the bench file."
                )
        except BaseException:
            account.close()
            raise
        return account

    def close(self) -> None:
        """Closes the file. Closing twice does nothing."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- booking -----------------------------------------------------------------------------

    def register(self, journal: Path, scale: ReadScale) -> str:
        """Names a journal whose pulses belong to this chip, before the first is driven.

        A journal that was closed and is continued is open again. Returns the journal's id.

        Raises:
            RecordError: no such journal, or the account cannot be written.
        """
        with Journal.open_read(journal, check=False) as reader:
            key = journal_id(reader)
        path = os.path.relpath(journal.resolve(), self.path.parent.resolve())
        row = (key, path, time.time(), scale.slope, scale.offset)
        with self._transaction():
            self._db.execute(
                "INSERT INTO journal VALUES (?, ?, ?, ?, ?, 0, 0, 0, x'') "
                "ON CONFLICT (id) DO UPDATE SET path = excluded.path, closed = 0, unknown = x''",
                row,
            )
        return key

    def book(self, *, close: bool) -> None:
        """Books what the registered journals hold beyond their marks.

        Args:
            close: also close them; only for the holder of the chip, when none of them can grow.

        Raises:
            RecordError: the account is damaged or cannot be written; nothing of it was changed.
        """
        if not any(not entry.closed for entry in self.entries()):
            return
        with self._transaction():  # the marks and the sums are read inside, so nobody is between
            cells = self._load()
            for entry in self.entries():
                if not entry.closed:
                    self._book_one(entry, cells, close)
            self._save(cells)

    def _book_one(self, entry: Entry, cells: CellWear, close: bool) -> None:
        try:
            reader = Journal.open_read(entry.path, check=False)
        except RecordError as error:
            self._lost(entry, f"{error} Its pulses after the last booking are not in this account.")
            return
        with reader:
            if journal_id(reader) != entry.id:
                self._lost(entry, f"{entry.path}: another journal stands in its place now.")
                return
            bad: list[str] = []
            booked, pulses, unknown = entry.booked, entry.pulses, entry.unknown
            try:
                for frames in _chunks(reader.driven(entry.booked, bad)):
                    add_pulses(cells, pulses_of(frames, self.geometry, entry.scale))
                    booked, pulses = frames[-1].outcome, pulses + sum(len(f.meant) for f in frames)
                unknown = self._unknown(reader, bad) if close else unknown
            except RecordError as error:
                bad.append(f"what follows frame {booked} ({error})")
        for text in bad:
            self._note(entry.id, f"{entry.path}: {text} is damaged and not in this account.")
        self._db.execute(
            "UPDATE journal SET booked = ?, pulses = ?, closed = ?, unknown = ? WHERE id = ?",
            (booked, pulses, int(close), unknown.astype("<i4").tobytes(), entry.id),
        )

    def _unknown(self, reader: JournalReader, bad: list[str]) -> Ints:
        """Flat indices of pulses that were meant and never acknowledged."""
        meant, acknowledged = reader.counts()
        if meant == acknowledged or bad:
            return np.empty(0, np.int64)
        parts = [
            self._flat(intent.records)
            for intent in reader.unknown()
            if not intent.label.startswith(DRY_RUN_LABEL)
        ]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _flat(self, records: NDArray[Any]) -> Ints:
        flat: Ints = records["row"].astype(np.int64) * self.geometry.columns + records["column"]
        return flat

    def _lost(self, entry: Entry, text: str) -> None:
        self._note(entry.id, text)
        self._db.execute("UPDATE journal SET closed = 1 WHERE id = ?", (entry.id,))

    def _note(self, journal: str, text: str) -> None:
        self._db.execute("INSERT INTO note VALUES (NULL, ?, ?, ?)", (time.time(), journal, text))

    # --- reading -----------------------------------------------------------------------------

    def wear(self) -> Wear:
        """What has been booked.

        Raises:
            RecordError: the account is damaged.
        """
        unknown = np.zeros(self.geometry.cells, np.int64)
        for entry in self.entries():
            np.add.at(unknown, entry.unknown, 1)
        return Wear(self.geometry, self._load(), unknown)

    def entries(self) -> list[Entry]:
        """The journals of this account, oldest first."""
        query = (
            "SELECT id, path, siemens_slope, siemens_offset, booked, pulses, closed, unknown "
            "FROM journal ORDER BY wall_s, id"
        )
        found = []
        for row in self._query(query):
            entry = entry_of(row, self.path.parent, self.geometry.cells)
            if entry is None:
                raise self._is_damaged(f"the entry of journal {row[0]!r:.80} is damaged")
            found.append(entry)
        return found

    def _is_damaged(self, what: str) -> RecordError:
        return RecordError(
            f"{self.path}: {what}. Move the file away: a new account is then made from "
            "the run folders' journals."
        )

    def notes(self) -> list[str]:
        """What is missing from this account, and where it disagrees with the chip."""
        found = [str(text) for (text,) in self._query("SELECT text FROM note ORDER BY id")]
        return found + [text for text in (self.disagreement,) if text]

    @property
    def disagreement(self) -> str:
        """How the chip and the account differed when they were last compared; empty: they agree."""
        rows = list(self._query("SELECT value FROM meta WHERE key = 'disagreement'"))
        return str(rows[0][0]) if rows else ""

    def set_disagreement(self, text: str) -> None:
        """Keeps the outcome of the last comparison with the chip."""
        if text != self.disagreement:
            with self._transaction():
                self._db.execute("UPDATE meta SET value = ? WHERE key = 'disagreement'", (text,))

    # --- inside ------------------------------------------------------------------------------

    def _load(self) -> CellWear:
        rows = list(self._query("SELECT crc, blob FROM total WHERE id = 1"))
        size = self.geometry.cells * CELL_WEAR.itemsize
        crc, blob = rows[0] if rows else (0, b"")
        if not isinstance(blob, bytes) or len(blob) != size or zlib.crc32(blob) != crc:
            raise self._is_damaged("the sums are damaged")
        return np.frombuffer(blob, CELL_WEAR).copy()

    def _save(self, cells: CellWear) -> None:
        blob = cells.tobytes()
        self._db.execute("INSERT OR REPLACE INTO total VALUES (1, ?, ?)", (zlib.crc32(blob), blob))

    def _refuse_programs(self) -> None:
        try:
            refuse_programs(self._db)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise RecordError(f"{self.path}: not a wear account, or damaged ({error}).") from error

    def _query(self, query: str) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(query).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise RecordError(f"{self.path}: not a wear account, or damaged ({error}).") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._db:  # commits, or rolls back on any exception
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise RecordError(
                f"{self.path}: the wear account cannot be written ({error}); it is as it was. "
                "Check the space on the disk and that no other process holds the file."
            ) from error


def journal_id(reader: JournalReader) -> str:
    """What names a journal wherever its file is; older ones are named by run and first pulse."""
    known = reader.meta.get("id")
    if known:
        return known
    first = next((intent.wall_s for intent in reader.intents()), 0.0)
    return f"{reader.meta.get('run', '')}@{first!r}"


def pulses_of(frames: list[Driven], geometry: Geometry, scale: ReadScale) -> Pulses:
    """Frames of a journal as pulses in order."""
    meant = np.concatenate([frame.meant for frame in frames])
    codes = np.concatenate([frame.records["reading_code"] for frame in frames])
    return Pulses(
        flat=meant["row"].astype(np.int64) * geometry.columns + meant["column"],
        operation=meant["operation"].astype(np.int64),
        gate_volts=meant["gate_volts"],
        line_volts=meant["line_volts"],
        width_s=meant["width_s"],
        siemens=scale.slope * codes.astype(np.float64) + scale.offset,
    )


def _chunks(frames: Iterator[Driven]) -> Iterator[list[Driven]]:
    held: list[Driven] = []
    for frame in frames:
        held.append(frame)
        if len(held) == FRAMES_AT_ONCE:
            yield held
            held = []
    if held:
        yield held


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
        raise RecordError(f"{path}: the wear account cannot be opened ({error}).") from error
    return db
