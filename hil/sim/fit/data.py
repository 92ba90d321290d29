"""Readers of the measured tables, each checked before anything is fitted to it.

The tables are the public data of A. Levy et al., "RADAR", IEEE TED 2021, doi
10.1109/TED.2021.3097975: tab-separated, without header, gzip; ohm, volt and nanoseconds. In
memory everything is SI and every resistance is a conductance.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.errors import DataError, FileError
from protocols.files import read_bytes

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SWEEP_FILES = {
    "set-sweep-wl-200ns": "gate",
    "set-sweep-bl-200ns": "line",
    "reset-sweep-wl-200ns": "gate",
    "reset-sweep-sl-200ns": "line",
    "set-from-hrs-wl-100ns": "gate",
    "set-from-hrs-wl-1us": "gate",
    "set-from-hrs-wl-10us": "gate",
    "set-from-hrs-bl-100ns": "gate",
    "set-noreset-wl-400ns": "gate",
}
_SWEEP_COLUMNS = 6
MAX_TABLE_BYTES = 64 << 20  # this project's choice


def read_table(folder: Path, name: str, columns: int | None) -> F64:
    """The numbers of `name`.tsv.gz (or .tsv): shape (rows, columns), `columns` None for any.

    Raises DataError for a folder or file that is missing, that is not a table of numbers of this
    many columns, or that holds a number which is not finite.
    """
    path = _find(folder, name)
    try:
        rows = [line.split("\t") for line in _text(path).splitlines() if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, FileError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise DataError(f"{path} is empty.")
    expected = columns or len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != expected:
            raise DataError(f"{path} line {number} has {len(row)} columns, expected {expected}.")
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path} holds something that is not a number: {error}.") from error
    bad = np.argwhere(~np.isfinite(table))
    if bad.size:
        row, column = bad[0]
        raise DataError(f"{path} line {row + 1} column {column + 1} is not a finite number.")
    return table


def _text(path: Path) -> str:
    """What a table holds; a packed one is never unpacked beyond MAX_TABLE_BYTES."""
    content = read_bytes(path, MAX_TABLE_BYTES)
    if path.suffix == ".gz":
        with gzip.open(io.BytesIO(content)) as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
    if len(content) > MAX_TABLE_BYTES:
        raise FileError(f"unpacks to more than {MAX_TABLE_BYTES} bytes")
    return content.decode("ascii")


def _find(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"No folder {folder}. Name the folder that holds the measured tables.")
    for ending in (".tsv.gz", ".tsv", ".txt.gz"):
        path = folder / f"{name}{ending}"
        if path.is_file():
            return path
    raise DataError(f"{folder} has no {name}.tsv.gz. Name the folder that holds it.")


def _siemens(folder: Path, name: str, ohm: F64) -> F64:
    if (ohm <= 0.0).any():
        raise DataError(f"{_find(folder, name)} holds a resistance that is not positive.")
    return 1.0 / ohm


@dataclass(frozen=True)
class Sweep:
    """Pulses of a swept voltage, row by row in the order in which they were given.

    `sweep` numbers the sweeps from 0, `cell` the cells from 0, `volts` is the swept voltage.
    """

    name: str
    swept: str  # "gate" or "line"
    cell: I64
    sweep: I64
    width_s: F64
    gate_volts: F64
    line_volts: F64
    before_siemens: F64
    after_siemens: F64

    @property
    def volts(self) -> F64:
        """The voltage that the sweep raises."""
        return self.gate_volts if self.swept == "gate" else self.line_volts

    def first_rows(self) -> I64:
        """Row at which each sweep starts."""
        return np.flatnonzero(np.r_[True, np.diff(self.sweep) != 0])

    def select(self, rows: NDArray[np.bool_]) -> Sweep:
        """The same sweep with just the rows that `rows` marks."""
        return Sweep(
            self.name,
            self.swept,
            *(
                getattr(self, field)[rows]
                for field in (
                    "cell",
                    "sweep",
                    "width_s",
                    "gate_volts",
                    "line_volts",
                    "before_siemens",
                    "after_siemens",
                )
            ),
        )


def read_sweep(folder: Path, name: str) -> Sweep:
    """One of SWEEP_FILES. Raises DataError (see `read_table`)."""
    table = read_table(folder, name, _SWEEP_COLUMNS)
    swept = SWEEP_FILES[name]
    address, width, line, gate = table[:, 0], table[:, 1] * 1e-9, table[:, 2], table[:, 3]
    volts = gate if swept == "gate" else line
    new = (np.diff(address) != 0) | (np.diff(volts) < -1e-6) | (np.diff(width) != 0)
    sweep = np.concatenate([[0], np.cumsum(new)]).astype(np.int64)
    return Sweep(
        name=name,
        swept=swept,
        cell=np.unique(address, return_inverse=True)[1].astype(np.int64),
        sweep=sweep,
        width_s=width,
        gate_volts=gate,
        line_volts=line,
        before_siemens=_siemens(folder, name, table[:, 4]),
        after_siemens=_siemens(folder, name, table[:, 5]),
    )


@dataclass(frozen=True)
class FormingData:
    """Line voltage at which each cell formed, and the conductance read afterwards."""

    gate_volts: F64
    line_volts: F64
    after_siemens: F64


def read_forming(folder: Path) -> FormingData:
    """The forming table, successful cells. Raises DataError (see `read_table`)."""
    table = read_table(folder, "form", 5)
    table = table[table[:, 4] > 0]
    return FormingData(table[:, 1], table[:, 2], _siemens(folder, "form", table[:, 3]))


@dataclass(frozen=True)
class CyclingData:
    """Conductance after each RESET and SET: shape (cells, cycles)."""

    high_resistance_siemens: F64
    low_resistance_siemens: F64


def read_cycling(folder: Path) -> CyclingData:
    """The endurance table. Raises DataError (see `read_table`)."""
    table = read_table(folder, "cycling", None)
    if table.shape[1] < 5 or table.shape[1] % 2 == 0:
        raise DataError(f"cycling has {table.shape[1]} columns, expected an address and pairs.")
    siemens = _siemens(folder, "cycling", table[:, 1:])
    return CyclingData(siemens[:, 0::2], siemens[:, 1::2])


@dataclass(frozen=True)
class ProgrammingData:
    """Incremental-step programming: one row per (cell, window)."""

    lowest_ohm: F64
    highest_ohm: F64
    set_pulses: F64
    reset_pulses: F64
    success: NDArray[np.bool_]

    @property
    def pulses(self) -> F64:
        """Pulses of a cell as the authors count them: the first RESET is not counted."""
        return self.set_pulses + self.reset_pulses - 1.0


def read_programming(folder: Path) -> ProgrammingData:
    """The incremental-step table of chip 1. Raises DataError (see `read_table`)."""
    table = read_table(folder, "ispp-2bpc-chip1", 11)
    return ProgrammingData(table[:, 6], table[:, 7], table[:, 2], table[:, 3], table[:, 8] > 0.5)


@dataclass(frozen=True)
class RelaxationData:
    """Cells programmed into narrow windows and read back, before and after a bake."""

    window_siemens: F64  # (cells, 2): lower and upper edge, the last level has no upper edge
    before_siemens: F64
    after_siemens: F64


def read_relaxation(folder: Path) -> RelaxationData:
    """The 32-level relaxation tables. Raises DataError (see `read_table`)."""
    before = read_table(folder, "relaxation-prebake", None)[:, 0]
    after = read_table(folder, "relaxation-postbake", None)[:, 0]
    if before.shape != after.shape:
        raise DataError("relaxation-prebake and relaxation-postbake differ in length.")
    number = np.arange(before.size)
    level = (number + number // 32) % 32  # how the authors laid the windows over the array
    lower = 17.5e-6 + 7.5e-6 * level
    upper = np.where(level == 31, np.inf, lower + 7.5e-6)
    return RelaxationData(
        np.stack([lower, upper], axis=1),
        _siemens(folder, "relaxation-prebake", before),
        _siemens(folder, "relaxation-postbake", after),
    )
