"""One run = one folder: parameters, bench file, versions, journal, results, figures, report.

    runs/2026-03-01-program-002/
        run.json        kind, status, times, versions, seed, parameters, board
        bench.yaml      the bench file as it was read
        journal.sqlite  every pulse meant and acknowledged (hil.journal)
        results.npz     arrays          results.json    figures
        figures/*.png   report.html

Files are written whole under another name and then renamed, so that a reader never sees half of
one and a crash leaves the old one. Nothing is ever written outside the folder, and a folder is
never used twice.
"""

from __future__ import annotations

import io
import platform
import re
import zipfile
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hil.journal import Journal
from hil.jsonable import plain, to_json
from protocols.errors import FileError, RecordError
from protocols.files import parse_json, read_text, replace_whole
from protocols.npz import read_npz

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
STATUSES = (RUNNING, DONE, FAILED, INTERRUPTED)
DISTRIBUTIONS = ("numpy", "scipy", "torch", "analog-diffusion-hil")
MAX_JSON_BYTES = 64 << 20  # this project's choice; a run's own files are far smaller
MAX_ARRAY_BYTES = 2 << 30
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_VERSION = 1


class RunFolder:
    """One run's folder; as a context manager it marks how the run ended.

    Attributes:
        path: the folder.
        info: what stands in run.json.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        """Used by `create` and `open`."""
        self.path = path
        self.info = info
        self._journal: Journal | None = None

    # --- which folder ------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        root: Path,
        kind: str,
        *,
        parameters: Mapping[str, Any],
        seed: int,
        bench_text: str | None,
        board: str | None = None,
    ) -> Self:
        """A new folder `root/DATE-kind-NNN` with status running; with `board` in between its name.

        Args:
            root: where runs are kept; made when it is not there.
            kind: the command, lower-case letters, digits and dashes.
            parameters: what the run was asked to do.
            seed: the run's seed.
            bench_text: the bench file as it was read, None for defaults.
            board: what the bench file calls its board, where it has several.

        Raises:
            RecordError: the folder cannot be made or written.
        """
        if not _KIND.fullmatch(kind):
            raise RecordError(f"{kind!r} is no kind of run: lower-case letters, digits, dashes.")
        now = datetime.now().astimezone()
        stem = kind if board is None else f"{kind}-{board}"
        run = cls(_new_folder(root, f"{now:%Y-%m-%d}-{stem}"), {})
        facts = dict(
            version=_VERSION,
            kind=kind,
            status=RUNNING,
            reason=None,
            started=now.isoformat(timespec="microseconds"),
            ended=None,
            seed=seed,
            versions=versions(),
            board=None,
            parameters=dict(parameters),
            **({} if board is None else {"on": board}),
        )
        try:
            run.update(**facts)
            if bench_text is not None:
                run.save_text("bench.yaml", bench_text)
        except KeyboardInterrupt as error:
            run.info = plain(facts)
            run._finish_by(error)
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run.

        Raises:
            RecordError: not a run folder, or its run.json is damaged.
        """
        run = cls(path, {})
        if not (path / "run.json").is_file():
            raise RecordError(f"{path}: not a run folder; there is no run.json in it.")
        run.info = run.load_json("run.json")
        missing = {"kind", "status", "started", "seed"} - run.info.keys()
        if missing or run.info.get("version") != _VERSION or not _is_time(run.info["started"]):
            raise RecordError(
                f"{path / 'run.json'}: not the description of a run of this version "
                f"({', '.join(sorted(missing)) or 'version or start'} missing or different)."
            )
        return run

    @classmethod
    def all(cls, root: Path) -> list[Self]:
        """Every readable run of a folder, the one that was started last first; none is no error."""
        found: list[Self] = []
        for file in root.glob("*/run.json"):
            try:
                found.append(cls.open(file.parent))
            except RecordError:
                continue  # a damaged neighbour must not hide the sound runs
        return sorted(found, key=_start, reverse=True)

    @classmethod
    def latest(cls, root: Path, kind: str | None = None) -> Self:
        """The run that was started last, of one kind or of any.

        Raises:
            RecordError: there is none.
        """
        for run in cls.all(root):
            if kind in (None, run.kind):
                return run
        what = f"run of kind {kind!r}" if kind else "run"
        raise RecordError(f"{root}: there is no readable {what} here yet; make one first.")

    # --- what it is --------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """The command that made this run."""
        return str(self.info["kind"])

    @property
    def status(self) -> str:
        """running, done, failed or interrupted."""
        return str(self.info["status"])

    def update(self, **facts: Any) -> None:
        """Adds facts to run.json, for instance `board=...`.

        Raises:
            RecordError: a fact has no JSON form, or the file cannot be written.
        """
        changed = {**self.info, **facts}
        self.save_json("run.json", changed)
        self.info = plain(changed)

    def set_board(self, identity: object) -> None:
        """Writes which board answered (a mapping or dataclass)."""
        self.update(board=identity)

    def take_up(self) -> None:
        """Marks that a run that was cut off goes on.

        Raises:
            RecordError: the file cannot be written.
        """
        now = datetime.now().astimezone().isoformat(timespec="microseconds")
        before = {"status": self.status, "reason": self.info.get("reason"), "resumed": now}
        history = [*self.info.get("cut_off", []), before]
        self.update(status=RUNNING, reason=None, ended=None, cut_off=history)

    def finish(self, status: str = DONE, reason: str | None = None) -> None:
        """Seals the journal and marks how the run ended.

        Raises:
            RecordError: an unknown status, or the file cannot be written.
        """
        if status not in STATUSES:
            raise RecordError(f"{status!r} is no status of a run; use one of {STATUSES}.")
        self.close()
        ended = datetime.now().astimezone().isoformat(timespec="microseconds")
        self.update(status=status, reason=reason, ended=ended)

    def close(self) -> None:
        """Closes the journal, if it was opened."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._finish_by(error)
        except RecordError as failure:
            if error is None:
                raise
            error.add_note(str(failure))  # the first error is the one to show

    def _finish_by(self, error: BaseException | None) -> None:
        """Marks an end by what ended it, also when Ctrl-C comes in the middle of that."""
        status, reason = _ending(error)
        try:
            self.finish(status, reason)
        except KeyboardInterrupt:
            self.finish(status, reason)
            raise

    # --- what is in it -----------------------------------------------------------------------

    @property
    def journal(self) -> Journal:
        """The run's journal, opened for writing on first use and continued if it exists."""
        if self._journal is None:
            path = self.file("journal.sqlite")
            meta = {"kind": self.kind, "run": self.path.name}
            self._journal = Journal.resume(path) if path.exists() else Journal.create(path, meta)
        return self._journal

    def file(self, name: str) -> Path:
        """The path of a file of this run.

        Raises:
            RecordError: the name leads out of the folder.
        """
        path = self.path / name
        if not name or not path.resolve().is_relative_to(self.path.resolve()):
            raise RecordError(f"{name!r} lies outside of the run folder {self.path}.")
        return path

    def save_text(self, name: str, text: str) -> Path:
        """Writes a text file whole, or not at all (RecordError)."""
        return write_whole(self.file(name), text.encode())

    def save_json(self, name: str, data: object) -> Path:
        """Writes JSON without NaN (`null` instead) whole, or not at all (RecordError)."""
        try:
            text = to_json(data, indent=2)
        except TypeError as error:
            raise RecordError(f"{self.path / name} cannot be written: {error}.") from error
        return self.save_text(name, text + "\n")

    def load_json(self, name: str) -> dict[str, Any]:
        """A JSON object of this run.

        Raises:
            RecordError: missing, too large, damaged or not an object.
        """
        path = self.file(name)
        try:
            data = parse_json(read_text(path, MAX_JSON_BYTES))
        except FileError as error:
            raise RecordError(f"{path}: cannot be read ({error}).") from error
        if not isinstance(data, dict):
            raise RecordError(f"{path}: holds no JSON object.")
        return data

    def save_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> Path:
        """Writes arrays as a compressed .npz whole, or not at all (RecordError)."""
        path = self.file(name)
        return write_whole(path, array_bytes(path, arrays))

    def load_arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of an .npz of this run; pickles are refused.

        Raises:
            RecordError: missing, too large or damaged.
        """
        return read_arrays(self.file(name))


def array_bytes(path: Path, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of a compressed .npz; `path` names it in the RecordError for objects."""
    if any(np.asarray(array).dtype.hasobject for array in arrays.values()):
        raise RecordError(f"{path}: only arrays of plain values can be saved.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz; pickles are refused.

    Raises:
        RecordError: missing, too large or damaged.
    """
    try:
        return read_npz(path, MAX_ARRAY_BYTES)
    except FileError as error:
        raise RecordError(f"{path}: cannot be read ({error}).") from error


def versions() -> dict[str, str]:
    """Versions of Python and of what the figures depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file so that it is either all there or not there, also after a power cut.

    Raises:
        RecordError: the folder cannot be written or the disk is full; the old file is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, content)
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was changed. Check "
            "that the folder may be written and that the disk has space."
        ) from error
    return path


def _new_folder(root: Path, stem: str) -> Path:
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = [_number(folder.name, stem) for folder in root.glob(f"{stem}-*")]
        number = max(taken, default=0)
        while True:
            number += 1
            path = root / f"{stem}-{number:03d}"
            try:
                path.mkdir()
            except FileExistsError:
                continue  # another process was faster
            return path
    except OSError as error:
        raise RecordError(
            f"{root}: a run folder cannot be made here ({error.strerror or error}); check the "
            "path, its permissions and the space on the disk."
        ) from error


def _number(name: str, stem: str) -> int:
    tail = name.removeprefix(f"{stem}-")
    return int(tail) if tail.isdecimal() else 0


def _is_time(text: object) -> bool:
    try:
        return datetime.fromisoformat(str(text)).tzinfo is not None
    except ValueError:
        return False


def _start(run: RunFolder) -> tuple[datetime, str]:
    return datetime.fromisoformat(run.info["started"]), run.path.name


def _ending(error: BaseException | None) -> tuple[str, str | None]:
    if error is None:
        return DONE, None
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "stopped from the keyboard"
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return DONE, None
    return FAILED, f"{type(error).__name__}: {error}"
