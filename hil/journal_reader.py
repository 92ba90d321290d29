"""The reading end of a journal: records, a cell's history, and what has an unknown outcome."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.rram.recorder import PULSE_RECORD
from hil.journal import (
    FORMAT,
    INTENT_LAYOUT,
    INTENT_RECORD,
    PULSE_LAYOUT,
    VERSION,
    checksum,
)
from hil.plain_database import refuse_programs
from protocols.errors import FileError, RecordError
from protocols.files import parse_json

MAX_NAMED_GAP = 100  # missing rows that are named one by one
MAX_RECORD_BYTES = 4096  # of one packed record (this project's choice)

# What a described record may raise that is none; numpy parses parts of it as Python.
_NO_LAYOUT = (FileError, TypeError, KeyError, AttributeError, ValueError, SyntaxError)


@dataclass(frozen=True)
class Intent:
    """One round of pulses as it was meant: `records` is a structured array of INTENT_RECORD."""

    token: int
    label: str
    wall_s: float
    records: NDArray[Any]


@dataclass(frozen=True)
class Driven:
    """Acknowledged pulses of one frame, in volts and seconds as they were meant.

    `meant` are rows of INTENT_RECORD, `records` the same pulses' rows of PULSE_RECORD.
    """

    outcome: int
    meant: NDArray[Any]
    records: NDArray[Any]


@dataclass(frozen=True)
class ExchangeRow:
    """One row of the table `exchange`; `after` is the intent that was written last before it."""

    after: int
    token: int
    count: int
    blob: bytes


@dataclass(frozen=True)
class Event:
    """Something other than a pulse; `wall_s` is seconds since 1970."""

    wall_s: float
    kind: str
    data: dict[str, Any]


class JournalReader:
    """Reads one journal; raises RecordError that names the row when a checksum is wrong."""

    def __init__(self, path: Path, check: bool = True) -> None:
        """Opens `path` read-only.

        Args:
            path: the journal.
            check: read the whole file first and refuse one whose pages do not fit together. False
                reads what is left of a damaged file: the rows found are sound, some may be missing.

        Raises:
            RecordError: no such file, not a journal, or one of another version.
        """
        self.path = path
        self._types: dict[str, np.dtype[Any]] = {}
        if not os.path.isfile(path):  # noqa: PTH113 - False also for a name that cannot be
            raise RecordError(f"{path}: there is no journal.")
        self._db, self.meta = _open(path, check)
        if (self.meta.get("format"), self.meta.get("version")) != (FORMAT, str(VERSION)):
            raise RecordError(
                f"{path}: a journal of format {self.meta.get('format')!r}, version "
                f"{self.meta.get('version')!r}; this project reads {FORMAT!r}, version {VERSION}."
            )

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

    # --- reading -----------------------------------------------------------------------------

    def layouts(self) -> dict[str, tuple[int, np.dtype[Any]]]:
        """Key and numpy type of each packed record, by its name."""
        found = {}
        for key, name, fields, crc in self._rows("SELECT id, name, fields, crc FROM layout"):
            if not _fits(crc, b"", name, fields):
                raise RecordError(
                    f"{self.path}: the layout of {name!r} is damaged; restore a copy."
                )
            if fields not in self._types:
                self._types[fields] = self._record_type(name, fields)
            found[name] = (key, self._types[fields])
        return found

    def units(self, name: str = PULSE_LAYOUT) -> dict[str, str]:
        """The unit of each field of the packed record `name`."""
        for (fields,) in self._rows("SELECT fields FROM layout WHERE name = ?", name):
            self._record_type(name, fields)
            return {str(f["name"]): str(f.get("unit", "")) for f in parse_json(fields)}
        return {}

    def _record_type(self, name: str, fields: str) -> np.dtype[Any]:
        """What packed records look like, as the journal describes them."""
        try:
            described = [(str(field["name"]), str(field["type"])) for field in parse_json(fields)]
            found = np.dtype(described)
        except _NO_LAYOUT as error:
            raise RecordError(
                f"{self.path}: the layout of {name!r} is none ({error!s:.80}); restore a copy."
            ) from error
        if found.hasobject or not 0 < found.itemsize <= MAX_RECORD_BYTES:
            raise RecordError(f"{self.path}: the layout of {name!r} is not of plain numbers.")
        for field in _needed(name):
            if field not in (found.names or ()) or found[field].kind not in "iuf":
                raise RecordError(f"{self.path}: the layout of {name!r} lacks a number {field!r}.")
        return found

    def records(self) -> NDArray[Any]:
        """Every acknowledged pulse in the order of execution, as one structured array.

        Raises:
            RecordError: a blob is damaged; the text names it. See `damage` and `sound_records`.
        """
        return self._join([block for *_, block in self._outcomes()])

    def sound_records(self) -> NDArray[Any]:
        """As `records`, without the damaged blobs; `damage` says which those are."""
        bad: list[str] = []
        return self._join([block for *_, block in self._outcomes(bad)])

    def history(self, row: int, column: int) -> NDArray[Any]:
        """Every acknowledged pulse of one cell, in the order of execution."""
        parts = []
        for *_, block in self._outcomes():
            parts.append(block[(block["row"] == row) & (block["column"] == column)])
        return self._join(parts)

    def driven(self, after: int = 0, bad: list[str] | None = None) -> Iterator[Driven]:
        """Acknowledged frames numbered above `after`, in the order of execution.

        With `bad`, damaged rows are named in it and left out.

        Raises:
            RecordError: a row is damaged, or a frame's intent is missing, and `bad` is None.
        """
        known: dict[int, NDArray[Any]] = {}
        for key, token, start, block in self._outcomes(bad, after):
            if token not in known:
                found = [intent.records for intent in self._intents(bad, token)]
                known = {token: found[0]} if found else {}
            meant = known.get(token, np.empty(0, INTENT_RECORD))[start : start + len(block)]
            if len(meant) != len(block):
                self._damaged(f"intent {token} of outcome {key} (missing)", bad)
                continue
            yield Driven(key, meant, block)

    def acknowledged(self) -> Iterator[tuple[int, int, NDArray[Any]]]:
        """Intent, number of the first pulse in it, and records of each acknowledged frame."""
        for _, token, start, block in self._outcomes():
            yield token, start, block

    def exchanges(self, bad: list[str] | None = None) -> Iterator[ExchangeRow]:
        """Requests other than pulses and their answers, in order; `hil.ledger` unpacks them."""
        query = "SELECT id, after, token, count, crc, blob FROM exchange ORDER BY id"
        for key, after, token, count, crc, blob in self._rows(query):
            sound = _whole(after, token) and isinstance(count, int)
            if not (sound and _fits(crc, blob, after, token, count)):
                self._damaged(f"exchange {key}", bad)
                continue
            yield ExchangeRow(after, token, count, blob)

    def counts(self) -> tuple[int, int]:
        """How many pulses were meant, and how many were acknowledged."""
        totals = []
        for table in ("intent", "outcome"):
            found = list(self._rows(f"SELECT TOTAL(count) FROM {table}"))
            totals.append(int(found[0][0]))
        return totals[0], totals[1]

    def intents(self) -> list[Intent]:
        """Every round of pulses as it was meant."""
        return list(self._intents())

    def unknown(self) -> list[Intent]:
        """Pulses that were meant but never acknowledged: driven or not, nobody knows.

        Each `Intent` holds only the pulses without an outcome. Their cells must be read again
        before anything is decided about them.
        """
        done: dict[int, list[tuple[int, int]]] = {}
        for _, token, start, block in self._outcomes():
            done.setdefault(token, []).append((start, len(block)))
        found = []
        for intent in self._intents():
            missing = np.ones(len(intent.records), dtype=bool)
            for start, count in done.get(intent.token, []):
                missing[start : start + count] = False
            if missing.any():
                records = intent.records[missing]
                found.append(Intent(intent.token, intent.label, intent.wall_s, records))
        return found

    def events(self, kind: str | None = None) -> list[Event]:
        """Every event, or those of one kind, in the order in which they were written."""
        return [event for event in self._events(None) if kind in (None, event.kind)]

    def arrays(self, kind: str) -> list[NDArray[Any]]:
        """Every array of one kind, in the order in which they were written."""
        return [values for name, values in self._arrays(None) if name == kind]

    def damage(self) -> list[str]:
        """One line per row whose checksum is wrong; empty for a sound journal."""
        bad: list[str] = []
        tables: tuple[Iterator[object], ...] = (
            *(self._outcomes(bad), self._intents(bad), self._events(bad), self._arrays(bad)),
            self.exchanges(bad),
        )
        for rows in tables:
            for _ in rows:
                pass
        return bad

    # --- inside ------------------------------------------------------------------------------

    def _rows(self, query: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(query, arguments)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise RecordError(f"{self.path}: the journal cannot be read ({error}).") from error

    def _outcomes(
        self, bad: list[str] | None = None, after: int = 0
    ) -> Iterator[tuple[int, int, int, NDArray[Any]]]:
        """Number, intent, first pulse and records of each frame numbered above `after`."""
        layout = self.layouts().get(PULSE_LAYOUT)
        expected = after + 1
        query = (
            "SELECT id, token, start, layout, count, crc, blob FROM outcome WHERE id > ? "
            "ORDER BY id"
        )
        for key, token, start, code, count, crc, blob in self._rows(query, after):
            expected = self._gap("outcome", expected, key, bad)
            sound = _whole(token, start, code, count)
            sound = sound and _fits(crc, blob, token, start, code, count)
            block = _unpack(blob, layout, code, count) if sound else None
            if block is None:
                self._damaged(f"outcome {key} (of intent {token}, pulses {start}..)", bad)
                continue
            yield key, token, start, block

    def _intents(self, bad: list[str] | None = None, only: int | None = None) -> Iterator[Intent]:
        layout = self.layouts().get(INTENT_LAYOUT)
        expected = 1
        query = "SELECT token, wall_s, label, layout, count, crc, blob FROM intent "
        query += "ORDER BY token" if only is None else "WHERE token = ?"
        chosen = () if only is None else (only,)
        for token, wall_s, label, code, count, crc, blob in self._rows(query, *chosen):
            expected = self._gap("intent", expected if only is None else token, token, bad)
            sound = _whole(code, count) and _fits(crc, blob, label, code, count)
            block = _unpack(blob, layout, code, count) if sound else None
            if block is None:
                self._damaged(f"intent {token} ({label})", bad)
                continue
            yield Intent(token, label, wall_s, block)

    def _events(self, bad: list[str] | None) -> Iterator[Event]:
        for key, wall_s, kind, data, crc in self._rows("SELECT * FROM event ORDER BY id"):
            if not _fits(crc, b"", kind, data):
                self._damaged(f"event {key} ({kind})", bad)
                continue
            try:
                found = parse_json(data)
            except FileError:
                found = None
            if not isinstance(found, dict):
                self._damaged(f"event {key} ({kind})", bad)
                continue
            yield Event(wall_s, kind, found)

    def _arrays(self, bad: list[str] | None) -> Iterator[tuple[str, NDArray[Any]]]:
        for key, _, kind, dtype, shape, crc, blob in self._rows("SELECT * FROM array ORDER BY id"):
            if not _fits(crc, blob, kind, dtype, shape):
                self._damaged(f"array {key} ({kind})", bad)
                continue
            try:
                plain = np.dtype(dtype)
                yield kind, np.frombuffer(blob, plain).reshape(parse_json(shape))
            except (FileError, TypeError, ValueError, OverflowError):
                self._damaged(f"array {key} ({kind})", bad)

    def _gap(self, table: str, expected: int, key: object, bad: list[str] | None) -> int:
        """Rows are numbered without gaps; a missing one is damage. Returns the next number."""
        if not isinstance(key, int):
            raise RecordError(f"{self.path}: the numbers of the {table}s are damaged.")
        for missing in range(expected, min(key, expected + MAX_NAMED_GAP)):
            self._damaged(f"{table} {missing} (missing)", bad)
        return key + 1

    def _damaged(self, what: str, bad: list[str] | None) -> None:
        if bad is None:
            raise RecordError(
                f"{self.path}: {what} is damaged: its checksum does not fit. The other rows can "
                "still be read; restore the file from a copy if there is one."
            )
        bad.append(what)

    def _join(self, parts: list[NDArray[Any]]) -> NDArray[Any]:
        if parts:
            return np.concatenate(parts)
        layout = self.layouts().get(PULSE_LAYOUT)
        return np.empty(0, layout[1] if layout else PULSE_RECORD)


def _open(path: Path, check: bool) -> tuple[sqlite3.Connection, dict[str, str]]:
    """A connection that cannot write, and the journal's meta table.

    The first mode folds in the log that a killed writer left behind; the others serve folders that
    cannot be written, the last one only for a sealed journal without a log.
    """
    modes = ["mode=rw", "mode=ro"]
    if not Path(f"{path}-wal").exists():
        modes.append("mode=ro&immutable=1")
    failure: Exception | None = None
    for mode in modes:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)
        try:
            # Damaged text must reach the checksum, not end as a decoding error.
            db.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            db.execute("PRAGMA query_only = ON")
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0] if check else "ok"
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"{verdict}; check=False reads what is left")
            refuse_programs(db)
            if not db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError(
                    "it is empty: cut off before anything was recorded, and so before anything was "
                    "driven; start a new run"
                )
            return db, dict(db.execute("SELECT key, value FROM meta"))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            db.close()
            failure = error
    raise RecordError(f"{path}: not a journal, or damaged ({failure}).") from failure


def _needed(name: str) -> tuple[str, ...]:
    """The fields that a reader of these records counts on."""
    known = {PULSE_LAYOUT: PULSE_RECORD, INTENT_LAYOUT: INTENT_RECORD}.get(name)
    return () if known is None else known.names or ()


def _fits(crc: object, blob: object, *belongs: object) -> bool:
    """Whether a row's checksum fits; a value of another type than was written never does."""
    if not isinstance(blob, bytes) or not all(isinstance(item, int | str) for item in belongs):
        return False
    return checksum(blob, *belongs) == crc  # type: ignore[arg-type]


def _whole(*values: object) -> bool:
    """Whether these are counts: whole numbers from 0."""
    return all(isinstance(value, int) and value >= 0 for value in values)


def _unpack(
    blob: bytes, layout: tuple[int, np.dtype[Any]] | None, code: int, count: int
) -> NDArray[Any] | None:
    """The records of a blob, or None when the blob is not what its row says."""
    if layout is None or layout[0] != code or len(blob) != count * layout[1].itemsize:
        return None
    return np.frombuffer(blob, layout[1])
