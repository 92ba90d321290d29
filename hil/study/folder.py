"""The folder of a study: what it is, the rows that are done, and in the end its table.

    study.yaml      the study file as it was read
    study.json      the same with its defaults, and checksums of what else it reads
    parts/*.parquet rows by batch, written whole as they come; none when the study is finished
    table.parquet   every point, by its number
    times.parquet   what each point cost, and which worker solved it
    figures/*.png

A folder belongs to one study. Starting it again does what is missing; a study that has changed is
refused, because its table would be of neither.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hil.jsonable import plain, to_json
from hil.study.columns import DONE, ROW, TABLE, TIMES
from hil.study.config import StudyConfig
from hil.study.work import Row, project_version
from protocols.errors import ConfigError, FileError, RecordError
from protocols.files import parse_json, read_text, replace_whole

MAX_JSON_BYTES = 8 << 20
FORMAT = "study-1"
FREE_KEYS = ("about", "batch", "workers", "figures")
"""Of a study file: what changes no row."""
MOST_CHANGES = 8


class StudyFolder:
    """The folder of one study; `opened` locks it."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._identity = identity

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, study: StudyConfig, text: str, inputs: Mapping[str, str]
    ) -> Iterator[StudyFolder]:
        """The folder of a study, made if it is not there, for this process alone.

        Raises:
            ConfigError: it holds another study, or this one as it was before it was changed.
            RecordError: it cannot be written or read, or another process works on it.
        """
        identity = _identity(study, inputs)
        try:
            (path / "parts").mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("w")
        except OSError as error:
            raise _unwritable(path, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RecordError(
                    f"{path}: another process works on this study; wait for it, or name another "
                    "folder with --out"
                ) from error
            folder = cls(path, identity)
            folder._begin(text)
            yield folder

    def _begin(self, text: str) -> None:
        before = self.path / "study.json"
        if before.exists():
            _refuse_changes(_read_json(before), self._identity, self.path)
        else:
            self.write("study.yaml", text.encode())
            self.write("study.json", (to_json(self._identity, indent=1) + "\n").encode())

    # --- rows --------------------------------------------------------------------------------

    def rows(self) -> dict[int, Row]:
        """Every row that is on the disk, by its point.

        Raises:
            RecordError: a file of this folder is damaged; names it.
        """
        found: dict[int, Row] = {}
        table, times = self.path / "table.parquet", self.path / "times.parquet"
        if table.exists() and times.exists():
            spent = {row["point"]: row for row in _read(times, TIMES)}
            found = {row["point"]: row | spent.get(row["point"], {}) for row in _read(table, TABLE)}
        for part in sorted((self.path / "parts").glob("*.parquet")):
            for row in _read(part, ROW):
                before = found.get(row["point"])
                if before is None or before["status"] != DONE:  # else an older one that failed
                    found[row["point"]] = row
        return found

    def add(self, rows: Sequence[Row]) -> None:
        """Rows of a batch, on the disk when this returns. Raises RecordError."""
        name = f"{rows[0]['point']:07d}-{len(rows):05d}.parquet"
        self._write_table(f"parts/{name}", rows, ROW)

    def finish(self, rows: Mapping[int, Row]) -> None:
        """The tables of all rows; the parts are not needed any more then. Raises RecordError."""
        ordered = [rows[point] for point in sorted(rows)]
        self._write_table("times.parquet", ordered, TIMES)
        self._write_table("table.parquet", ordered, TABLE)
        for part in (self.path / "parts").glob("*.parquet"):
            part.unlink()

    def write(self, name: str, content: bytes) -> Path:
        """A file of the folder, whole or not at all. Raises RecordError."""
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
            replace_whole(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error
        return path

    def _write_table(self, name: str, rows: Sequence[Row], schema: pa.Schema) -> None:
        columns = {one: [row[one] for row in rows] for one in schema.names}
        facts = {"study": str(self._identity["study"]["name"]), "simulated": "true"}
        table = pa.table(columns, schema.with_metadata(facts))
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        self.write(name, buffer.getvalue().to_pybytes())


def failed(rows: Mapping[int, Row]) -> list[int]:
    """Points whose row has a reason in place of figures."""
    return [point for point, row in rows.items() if row["status"] != DONE]


# --- what a folder belongs to --------------------------------------------------------------------


def _identity(study: StudyConfig, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What makes the rows what they are."""
    content = study.model_dump(mode="json", exclude=set(FREE_KEYS))
    return {
        "format": FORMAT,
        "version": project_version(),
        "study": plain(content),
        "inputs": dict(inputs),
    }


def _refuse_changes(before: object, now: Mapping[str, Any], path: Path) -> None:
    old, new = _flat(before), _flat(now)
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if not changed:
        return
    lines = [
        f"  {key.removeprefix('study.')}: {old.get(key, 'not there')} before, "
        f"{new.get(key, 'not there')} now"
        for key in changed[:MOST_CHANGES]
    ]
    if len(changed) > MOST_CHANGES:
        lines.append(f"  and {len(changed) - MOST_CHANGES} more")
    raise ConfigError(
        f"{path}: this folder holds the study as it was before it was changed:\n"
        + "\n".join(lines)
        + "\nGive the changed study another name, or another folder with --out."
    )


def _flat(value: object, prefix: str = "") -> dict[str, str]:
    """Leaves of a nested mapping by their dotted names."""
    if not isinstance(value, dict):
        return {prefix.rstrip("."): json.dumps(value)}
    if not value:
        return {prefix.rstrip("."): "{}"} if prefix else {}
    return {k: v for key in value for k, v in _flat(value[key], f"{prefix}{key}.").items()}


# --- files ---------------------------------------------------------------------------------------


def _read_json(path: Path) -> object:
    try:
        return parse_json(read_text(path, MAX_JSON_BYTES))
    except FileError as error:
        raise RecordError(f"{path}: not the file of a study ({error})") from error


def _read(path: Path, schema: pa.Schema) -> list[Row]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RecordError(
            f"{path}: damaged ({error}); move it away and start the study again: its points are "
            "then solved once more"
        ) from error
    if not table.schema.equals(schema):
        raise RecordError(f"{path}: its columns are not those of a study of this version")
    return list(table.to_pylist())


def _unwritable(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"{path}: cannot be written ({error.strerror or error}); the rows that are on the disk are "
        "kept, and the study goes on from them when it is started again"
    )
