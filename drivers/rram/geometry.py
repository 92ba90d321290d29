"""Which cells: rows are bit lines (inputs), columns are source and word lines (outputs)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import InputError

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """The size of an array."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise InputError(f"an array of {self.rows} x {self.columns} cells has no cells")

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.rows * self.columns

    def check(self, cells: Cells) -> None:
        """Refuse cells outside the array.

        Raises:
            InputError: names the first of them.
        """
        outside = (cells.rows >= self.rows) | (cells.columns >= self.columns)
        if np.any(outside):
            at = int(np.argmax(outside))
            raise InputError(
                f"cell ({cells.rows[at]}, {cells.columns[at]}) is outside the array of"
                f" {self.rows} x {self.columns} cells; rows and columns count from 0"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells in an order, by row and column, shape (n,) each. Repetitions are allowed."""

    rows: Indices
    columns: Indices

    def __post_init__(self) -> None:
        rows, columns = _indices(self.rows, "row"), _indices(self.columns, "column")
        if rows.shape != columns.shape:
            raise InputError(f"{rows.size} rows and {columns.size} columns do not make cells")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "columns", columns)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Cells:
        """Cells from (row, column) pairs."""
        listed = list(pairs)
        if any(len(pair) != 2 for pair in listed):
            raise InputError("each cell is a pair (row, column)")
        return cls(*(np.array(listed, dtype=np.int64).reshape(-1, 2).T))

    @classmethod
    def block(cls, first_row: int, first_column: int, rows: int, columns: int) -> Cells:
        """A rectangle, row by row."""
        row, column = np.mgrid[first_row : first_row + rows, first_column : first_column + columns]
        return cls(row.ravel(), column.ravel())

    @classmethod
    def all(cls, geometry: Geometry) -> Cells:
        """Every cell of an array, in the order of its flat index."""
        return cls.block(0, 0, geometry.rows, geometry.columns)

    def flat(self, geometry: Geometry) -> Indices:
        """Flat indices row * columns + column, shape (n,).

        Raises:
            InputError: a cell is outside the array.
        """
        geometry.check(self)
        return self.rows * geometry.columns + self.columns

    def __len__(self) -> int:
        return int(self.rows.size)

    def __getitem__(self, which: int | slice | ArrayLike) -> Cells:
        """The cells at an index, a slice, an index array or a mask."""
        index = which if isinstance(which, slice) else np.atleast_1d(np.asarray(which))
        if isinstance(index, np.ndarray) and index.size == 0:
            index = index.astype(np.int64)
        return Cells(self.rows[index], self.columns[index])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self.rows.tolist(), self.columns.tolist(), strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cells):
            return NotImplemented
        return np.array_equal(self.rows, other.rows) and np.array_equal(self.columns, other.columns)

    __hash__ = None  # type: ignore[assignment]


def _indices(values: ArrayLike, what: str) -> Indices:
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{what} numbers have shape {array.shape}, one list of them is needed")
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{what} numbers are of type {array.dtype}, whole numbers are needed")
    if array.size and array.min() < 0:
        raise InputError(f"{what} {int(array.min())}: {what}s count from 0")
    out = array.astype(np.int64)
    out.flags.writeable = False
    return out
