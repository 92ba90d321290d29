"""The planner's own model of a technology or a chip, in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.cell_model.data import ResponseData
from calibration.cell_model.laws import Bounds, DriveLaw, NoiseLaw, RelaxLaw, ResetLaw, SetLaw
from protocols.errors import CalibrationError, FileError
from protocols.files import (
    MAX_YAML_BYTES,
    parse_json,
    parse_yaml,
    read_text,
    replace_whole,
)

FORMAT = "cell-model-1"
_LARGEST_BYTES: Mapping[Callable[[str], Any], int] = {
    parse_json: 1 << 20,
    parse_yaml: MAX_YAML_BYTES,
}
_GROUPS: Mapping[str, Any] = {
    "bounds": Bounds,
    "set": SetLaw,
    "reset": ResetLaw,
    "drive": DriveLaw,
    "read_noise": NoiseLaw,
    "relaxation": RelaxLaw,
}


@dataclass(frozen=True)
class CellModel:
    """What the planner believes about the cells of a technology or of one chip.

    Attributes:
        name: of the technology or chip.
        bounds, set, reset, drive, read_noise, relaxation: see `laws`.
        figures: what a fit reached, by name; empty for a model that was only read.
        records: the pulses that it was fitted to, for planners that look closer than the laws do.
    """

    name: str
    bounds: Bounds
    set: SetLaw
    reset: ResetLaw
    drive: DriveLaw
    read_noise: NoiseLaw
    relaxation: RelaxLaw
    figures: Mapping[str, float] = field(default_factory=dict)
    records: ResponseData | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_profile(cls, source: str | Path | Mapping[str, Any]) -> CellModel:
        """From a technology profile (YAML file or its content).

        Raises:
            CalibrationError: the file cannot be read, or a group or a key is missing or wrong.
        """
        if isinstance(source, Mapping):
            return cls._read(source, "profile")
        return cls._read(_load(Path(source), parse_yaml), str(source))

    @classmethod
    def fit(cls, records: ResponseData, start: CellModel) -> CellModel:
        """`start` adapted to a chip's own records.

        Raises:
            CalibrationError: too few records to say anything.
        """
        from calibration.cell_model.fit import fit_model  # it needs this module

        return fit_model(records, start)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        groups = {key: getattr(self, key).to_dict() for key in _GROUPS}
        rows = {} if self.records is None else {"records": self.records.to_dict()}
        return {
            "format": FORMAT,
            "name": self.name,
            **groups,
            "figures": dict(self.figures),
            **rows,
        }

    @classmethod
    def from_dict(cls, values: Any, where: str = "cell model") -> CellModel:
        """From `to_dict`. Raises CalibrationError."""
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise CalibrationError(f"{where}: not a cell model of format {FORMAT}.")
        return cls._read(values, where)

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises CalibrationError when the file cannot be written."""
        try:
            replace_whole(Path(path), (json.dumps(self.to_dict(), indent=1) + "\n").encode())
        except OSError as error:
            raise CalibrationError(f"{path}: the cell model cannot be written: {error}") from error

    @classmethod
    def load(cls, path: Path) -> CellModel:
        """Read what `save` wrote. Raises CalibrationError naming the file and what is wrong."""
        return cls.from_dict(_load(Path(path), parse_json), str(path))

    @classmethod
    def _read(cls, values: Mapping[str, Any], where: str) -> CellModel:
        if not isinstance(values, Mapping):
            raise CalibrationError(f"{where}: a table of parameters is needed, got {values!r:.60}.")
        missing = [key for key in _GROUPS if key not in values]
        if missing:
            raise CalibrationError(f"{where}: {', '.join(missing)} missing.")
        groups = {key: law.read(values[key], f"{where}: {key}") for key, law in _GROUPS.items()}
        figures = values.get("figures", {})
        if not isinstance(figures, Mapping):
            raise CalibrationError(f"{where}: figures must be a table of numbers.")
        try:
            numbers = {str(key): float(value) for key, value in figures.items()}
        except (TypeError, ValueError) as error:
            raise CalibrationError(f"{where}: figures: {error}") from error
        rows = values.get("records")
        records = None if rows is None else ResponseData.from_dict(rows, f"{where}: records")
        name = str(values.get("name", ""))
        return cls(name=name, figures=numbers, records=records, **groups)


def _load(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(read_text(path, _LARGEST_BYTES[parse]))
    except FileError as error:
        raise CalibrationError(f"{path} cannot be read: {error}") from error
