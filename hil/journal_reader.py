"""The reading end of a journal: records, a cell's history, and what has an unknown outcome."""

from __future__ import annotations

import json
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
    PULSE_LAYOUT,
    VERSION,
    checksum,
)
from protocols.errors import RecordError

MAX_NAMED_GAP = 100  # missing rows that are named one by one


@dataclass(frozen=True)
class Intent:
    """One round of pulses as it was meant: `records` is a structured array of INTENT_RECORD."""

    token: int
    label: str
    wall_s: float
    records: NDArray[Any]


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
        if not path.is_file():
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
            described = [(field["name"], field["type"]) for field in json.loads(fields)]
            found[name] = (key, np.dtype(described))
        return found

    def units(self, name: str = PULSE_LAYOUT) -> dict[str, str]:
        """The unit of each field of the packed record `name`."""
        for (fields,) in self._rows("SELECT fields FROM layout WHERE name = ?", name):
            return {field["name"]: field["unit"] for field in json.loads(fields)}
        return {}

    def records(self) -> NDArray[Any]:
        """Every acknowledged pulse in the order of execution, as one structured array.

        Raises:
            RecordError: a blob is damaged; the text names it. See `damage` and `sound_records`.
        """
        return self._join([block for _, _, block in self._outcomes()])

    def sound_records(self) -> NDArray[Any]:
        """As `records`, without the damaged blobs; `damage` says which those are."""
        bad: list[str] = []
        return self._join([block for _, _, block in self._outcomes(bad)])

    def history(self, row: int, column: int) -> NDArray[Any]:
        """Every acknowledged pulse of one cell, in the order of execution."""
        parts = []
        for _, _, block in self._outcomes():
            parts.append(block[(block["row"] == row) & (block["column"] == column)])
        return self._join(parts)

    def intents(self) -> list[Intent]:
        """Every round of pulses as it was meant."""
        return list(self._intents())

    def unknown(self) -> list[Intent]:
        """Pulses that were meant but never acknowledged: driven or not, nobody knows.

        Each `Intent` holds only the pulses without an outcome. Their cells must be read again
        before anything is decided about them.
        """
        done: dict[int, list[tuple[int, int]]] = {}
        for token, start, block in self._outcomes():
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
        for rows in (self._outcomes(bad), self._intents(bad), self._events(bad), self._arrays(bad)):
            for _ in rows:
                pass
        return bad

    # --- inside ------------------------------------------------------------------------------

    def _rows(self, query: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(query, arguments)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise RecordError(f"{self.path}: the journal cannot be read ({error}).") from error

    def _outcomes(self, bad: list[str] | None = None) -> Iterator[tuple[int, int, NDArray[Any]]]:
        layout = self.layouts().get(PULSE_LAYOUT)
        expected = 1
        query = "SELECT id, token, start, layout, count, crc, blob FROM outcome ORDER BY id"
        for key, token, start, code, count, crc, blob in self._rows(query):
            expected = self._gap("outcome", expected, key, bad)
            sound = _fits(crc, blob, token, start, code, count)
            block = _unpack(blob, layout, code, count) if sound else None
            if block is None:
                self._damaged(f"outcome {key} (of intent {token}, pulses {start}..)", bad)
                continue
            yield token, start, block

    def _intents(self, bad: list[str] | None = None) -> Iterator[Intent]:
        layout = self.layouts().get(INTENT_LAYOUT)
        expected = 1
        query = "SELECT token, wall_s, label, layout, count, crc, blob FROM intent ORDER BY token"
        for token, wall_s, label, code, count, crc, blob in self._rows(query):
            expected = self._gap("intent", expected, token, bad)
            sound = _fits(crc, blob, label, code, count)
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
            yield Event(wall_s, kind, json.loads(data))

    def _arrays(self, bad: list[str] | None) -> Iterator[tuple[str, NDArray[Any]]]:
        for key, _, kind, dtype, shape, crc, blob in self._rows("SELECT * FROM array ORDER BY id"):
            if not _fits(crc, blob, kind, dtype, shape):
                self._damaged(f"array {key} ({kind})", bad)
                continue
            yield kind, np.frombuffer(blob, np.dtype(dtype)).reshape(json.loads(shape))

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
            return db, dict(db.execute("SELECT key, value FROM meta"))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            db.close()
            failure = error
    raise RecordError(f"{path}: not a journal, or damaged ({failure}).") from failure


def _fits(crc: object, blob: object, *belongs: object) -> bool:
    """Whether a row's checksum fits; a value of another type than was written never does."""
    if not isinstance(blob, bytes) or not all(isinstance(item, int | str) for item in belongs):
        return False
    return checksum(blob, *belongs) == crc  # type: ignore[arg-type]


def _unpack(
    blob: bytes, layout: tuple[int, np.dtype[Any]] | None, code: int, count: int
) -> NDArray[Any] | None:
    """The records of a blob, or None when the blob is not what its row says."""
    if layout is None or layout[0] != code or len(blob) != count * layout[1].itemsize:
        return None
    return np.frombuffer(blob, layout[1])
