"""The map of a chip: what its lines and its cells conduct, and how well that is known.

Lines: the current of all cells of each bit line and column, twice. Cells: every cell, twice, as the
product of its row alone, which draws no read of a cell. One conversion of a cell that was never
formed is mostly noise (this board's ADC: 0.09 uS beside a spread of 0.03 uS), so nothing can be
said of a single one, but a good deal of thousands. The two passes say how much of the spread is the
cells' own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from drivers.rram.macro import Macro
from protocols.errors import InputError

ZERO_ROWS, ZERO_SAMPLES = 5, 16
"""Where a column's zero is looked for: a row's converter gives a little at zero, which a formed
cell turns into a current, so that no single row will do."""
MOST_APART = 8
_LINES = ("rows", "columns")
_REPEATS = ("rows_repeat", "columns_repeat")
_PASSES = ("cells_first", "cells_second")


@dataclass(frozen=True, eq=False)
class LineMap:
    """Conductance of all cells of each bit line (rows,) and of each column (columns,), siemens.

    `rows_repeat` and `columns_repeat` are half of the difference of two passes, whose mean the
    others are; None where there was one pass.
    """

    rows: FloatArray
    columns: FloatArray
    rows_repeat: FloatArray | None = None
    columns_repeat: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in _LINES:
            values, repeat = getattr(self, name), getattr(self, f"{name}_repeat")
            sound = np.ndim(values) == 1 and bool(np.isfinite(values).all())
            if repeat is not None:
                sound &= np.shape(repeat) == np.shape(values) and bool(np.isfinite(repeat).all())
            if not sound:
                raise InputError(f"a map of lines whose {name} are not a list of numbers")


@dataclass(frozen=True, eq=False)
class CellMap:
    """Conductance of every cell in two passes, siemens, shape (rows, columns) each."""

    first: FloatArray
    second: FloatArray

    def __post_init__(self) -> None:
        alike = np.ndim(self.first) == 2 and np.shape(self.first) == np.shape(self.second)
        if not alike or not (np.isfinite(self.first).all() and np.isfinite(self.second).all()):
            raise InputError("a map of cells whose two passes are not of one shape, or not finite")

    @property
    def siemens(self) -> FloatArray:
        """The mean of both passes."""
        return np.asarray((self.first + self.second) / 2.0)

    def unformed(self, threshold_siemens: float) -> BoolArray:
        """Which cells read as if they had never been formed."""
        return np.asarray(self.siemens < threshold_siemens)


@dataclass(frozen=True, eq=False)
class ChipMap:
    """The fingerprint of a chip; `cells` is None where no cell was looked at."""

    lines: LineMap
    cells: CellMap | None = None

    def __post_init__(self) -> None:
        shape = (self.lines.rows.size, self.lines.columns.size)
        if self.cells is not None and self.cells.first.shape != shape:
            raise InputError(f"a map of {shape} lines and of {self.cells.first.shape} cells")

    def to_dict(self) -> dict[str, Any]:
        """The lines, for the chip's record; `arrays` are the cells."""
        named = {name: getattr(self.lines, name) for name in (*_LINES, *_REPEATS)}
        return {f"{k}_siemens": v.tolist() for k, v in named.items() if v is not None}

    def arrays(self) -> dict[str, FloatArray]:
        """The cells, for the chip's record; none where they were not looked at."""
        if self.cells is None:
            return {}
        passes = zip(_PASSES, (self.cells.first, self.cells.second), strict=True)
        return {name: values.astype(np.float32) for name, values in passes}

    @classmethod
    def from_record(cls, lines: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_dict` and `arrays` gave.

        Raises:
            InputError: it is not that.
        """
        try:
            named = {k: np.asarray(lines[f"{k}_siemens"], np.float64) for k in _LINES}
            for name in _REPEATS:
                if f"{name}_siemens" in lines:
                    named[name] = np.asarray(lines[f"{name}_siemens"], np.float64)
            cells = None
            if _PASSES[0] in arrays:
                cells = CellMap(*(np.asarray(arrays[name], np.float64) for name in _PASSES))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not the map of a chip ({error!r:.80})") from error
        return cls(LineMap(**named), cells)


def read_cells(macro: Macro, lines: LineMap, samples: int = 1) -> CellMap:
    """Every cell twice, `samples` conversions each, at the read voltage.

    128 x 128 cells take 3.5 s on the reference board and its line. The zero of each column is taken
    off. The noise of a simulated board is a function of its time alone, and two simulated chips may
    be looked at right after power-up: what is converted first, to no purpose, lasts as long as
    `lines` say, so that their noise is not the same.

    Raises:
        BoardError: the board makes no products.
    """
    rows, columns = macro.geometry.rows, macro.geometry.columns
    apart = zlib.crc32(lines.rows.tobytes())
    macro.multiply(0, 0, 1 + apart % columns, np.zeros((1 + apart // columns % MOST_APART, 1)))
    zero = _zero(macro)
    volts = np.full((2, 1), macro.read_volts)
    passes = np.empty((2, rows, columns))
    for row in range(rows):
        amperes = macro.multiply(row, 0, columns, volts, samples) - zero
        passes[:, row] = amperes / macro.read_volts
    return CellMap(passes[0], passes[1])


def _zero(macro: Macro) -> FloatArray:
    """(columns,) amperes that each column shows without a drive."""
    some = np.unique(np.linspace(0, macro.geometry.rows - 1, ZERO_ROWS).round().astype(int))
    nothing, columns = np.zeros((1, 1)), macro.geometry.columns
    found = [macro.multiply(row, 0, columns, nothing, ZERO_SAMPLES)[0] for row in some.tolist()]
    return np.asarray(np.median(found, axis=0))
