"""What was measured of a chip, kept with the chip: dated results, their arrays and figures.

    chips/sim-001/characterisation/
        2026-03-01T09-30-00.123456Z-read_noise.json     the result and when, on which board
        2026-03-01T09-30-00.123456Z-read_noise.npz      what was measured
        2026-03-01T09-30-00.123456Z-read_noise.png      the figure

Nothing is overwritten: a later measurement of the same kind has a later name. Files are written
whole, arrays and figure before the result, so that a result that is there is complete. Names sort
by time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from calibration.cell_model import CellModel
from hil.conditions import Conditions, conditions
from hil.config import BenchConfig
from hil.jsonable import to_json
from hil.record import array_bytes, read_arrays, write_whole
from protocols.errors import FileError, RecordError
from protocols.files import parse_json, read_text

FOLDER = "characterisation"
FORMAT = "chip-result-1"
CELL_MODEL = "cell_model"
MAX_BYTES = 16 << 20  # of one result without its arrays (this project's choice)
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z)-([a-z][a-z0-9_]{0,31})\.json")
_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"


@dataclass(frozen=True)
class Stored:
    """One result as it was kept.

    Attributes:
        path: its JSON file; arrays and figure have the same name with another ending.
        kind: of measurement.
        time: when it was kept.
        chip: id of the chip; board: serial number of the board, "" where it was not said.
        simulated: whether its figures come from a simulator.
        result: what was found.
        context: who did it and how warm it was, as far as it was said.
    """

    path: Path
    kind: str
    time: datetime
    chip: str
    board: str
    simulated: bool
    result: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figure(self) -> Path | None:
        """The figure, if one was kept."""
        path = self.path.with_suffix(".png")
        return path if path.is_file() else None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays; none is no error. Raises RecordError for a damaged file."""
        path = self.path.with_suffix(".npz")
        return read_arrays(path) if path.is_file() else {}


class ChipStore:
    """The results of one chip."""

    def __init__(
        self,
        folder: Path,
        chip: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Results in `folder`, of the chip of that id; `context` goes into each of them."""
        self.folder = folder
        self.chip = chip
        self.context = dict(context or {})
        self._clock = clock

    @classmethod
    def of(cls, config: BenchConfig, under: Conditions | None = None) -> Self:
        """The store of the chip of a bench; `under` as the bench file says it where it is None."""
        context = (under or conditions(config)).facts()
        return cls(config.chip.folder / config.chip.id / FOLDER, config.chip.id, context=context)

    def save(
        self,
        kind: str,
        result: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
        figure: bytes | None = None,
        *,
        board: str = "",
        simulated: bool = True,
    ) -> Stored:
        """Keep a result, dated now.

        Args:
            kind: lower-case letters, digits and underscores.
            result: must have a JSON form.
            figure: a PNG.

        Raises:
            RecordError: no such kind can be, or a file cannot be written.
        """
        if not _KIND.fullmatch(kind):
            raise RecordError(f"{kind!r} is no kind of result: lower-case letters, digits, _.")
        path = self._new(kind)
        head = {
            "format": FORMAT,
            "kind": kind,
            "time": path.name[: -len(f"-{kind}.json")],
            "chip": self.chip,
            "board": board,
            "simulated": simulated,
        }
        try:
            text = to_json({**head, "context": self.context, "result": result}, indent=1) + "\n"
        except TypeError as error:
            raise RecordError(f"{path} cannot be written: {error}.") from error
        if arrays:
            write_whole(path.with_suffix(".npz"), array_bytes(path, arrays))
        if figure is not None:
            write_whole(path.with_suffix(".png"), figure)
        write_whole(path, text.encode())
        return self.load(path)

    def history(self, kind: str) -> list[Path]:
        """The files of all results of a kind, the oldest first; none is no error."""
        found = [path for path in self.folder.glob(f"*-{kind}.json") if _named(path) == kind]
        return sorted(found, key=lambda path: path.name)

    def latest(self, kind: str) -> Stored | None:
        """The result of a kind that was kept last; None when there is none.

        Raises:
            RecordError: that file is damaged or another chip's. An older one is not taken for it.
        """
        found = self.history(kind)
        return self.load(found[-1]) if found else None

    def load(self, path: Path) -> Stored:
        """One result.

        Raises:
            RecordError: too large, damaged, of another version, or of another chip.
        """
        data = _object(path)
        wanted = {"format": FORMAT, "kind": _named(path), "chip": self.chip}
        for key, value in wanted.items():
            if data.get(key) != value:
                raise RecordError(
                    f"{path}: {key} is {data.get(key)!r}, {value!r} is expected; move the file "
                    "away if it belongs to another chip, or measure again"
                )
        result, board, simulated = (data.get(key) for key in ("result", "board", "simulated"))
        if not (isinstance(result, dict) and isinstance(board, str) and type(simulated) is bool):
            raise RecordError(
                f"{path}: result, board or simulated is missing or wrong; measure again."
            )
        context = data.get("context")
        return Stored(
            path,
            str(data["kind"]),
            _time_of(path),
            self.chip,
            board,
            simulated,
            result,
            context if isinstance(context, dict) else {},
        )

    # --- the cell model ----------------------------------------------------------------------

    def save_model(self, model: CellModel, *, board: str = "", simulated: bool = True) -> Stored:
        """Keep the model that predictive programming plans with."""
        return self.save(CELL_MODEL, model.to_dict(), board=board, simulated=simulated)

    def model(self) -> CellModel | None:
        """This chip's latest cell model; None when none was measured yet.

        Raises:
            RecordError: the file is damaged.
            CalibrationError: it holds no cell model.
        """
        found = self.latest(CELL_MODEL)
        return None if found is None else CellModel.from_dict(found.result, str(found.path))

    # --- inside ------------------------------------------------------------------------------

    def _new(self, kind: str) -> Path:
        """A name that is later than all others of its kind, whatever the clock says."""
        now = self._clock().astimezone(UTC)
        name = f"{now.strftime(_TIME)}-{kind}.json"
        last = self.history(kind)
        if last and name <= last[-1].name:
            raise RecordError(
                f"{last[-1]}: is dated later than now ({name}); set this computer's clock right, "
                "or move the file away"
            )
        return self.folder / name


def _named(path: Path) -> str | None:
    found = _NAME.fullmatch(path.name)
    return found[2] if found else None


def _time_of(path: Path) -> datetime:
    found = _NAME.fullmatch(path.name)
    try:
        return datetime.strptime(found[1] if found else "", _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise RecordError(f"{path}: its name says no time.") from error


def _object(path: Path) -> dict[str, Any]:
    try:
        data = parse_json(read_text(path, MAX_BYTES))
    except FileError as error:
        raise RecordError(f"{path}: cannot be read ({error}); measure again.") from error
    if not isinstance(data, dict):
        raise RecordError(f"{path}: holds no JSON object; measure again.")
    return data
