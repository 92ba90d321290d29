"""Rows of a response measurement: what a cell read before a pulse and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from calibration.arrays import FloatArray, IntArray
from protocols.errors import CalibrationError, InputError

MOST_KEPT = 24_000
"""Pulses that a cell model keeps of its chip (this project's choice: half a megabyte)."""
READ_ONLY = -1  # `operation` of a row that is a second reading without a pulse between


@dataclass(frozen=True, eq=False)
class ResponseData:
    """One row per pulse (or re-read), in the order in which they were given; shapes (rows,).

    Attributes:
        cell: flat index of the cell.
        siemens_before, siemens_after: its readings before and after the pulse.
        operation: `Operation.SET`, `Operation.RESET` or `READ_ONLY`.
        gate_volts, line_volts, width_s: the pulse; zeros for a re-read.
        before_s, after_s: the bench's clock at both readings.
    """

    cell: IntArray
    siemens_before: FloatArray
    operation: IntArray
    gate_volts: FloatArray
    line_volts: FloatArray
    width_s: FloatArray
    siemens_after: FloatArray
    before_s: FloatArray
    after_s: FloatArray

    def __post_init__(self) -> None:
        size = np.asarray(self.cell).size
        for field in fields(self):
            kind = np.int64 if field.name in ("cell", "operation") else np.float64
            values = np.asarray(getattr(self, field.name), dtype=kind)
            if values.shape != (size,) or not np.isfinite(values).all():
                raise InputError(f"records.{field.name}: {size} finite values are needed.")
            object.__setattr__(self, field.name, values)

    def __len__(self) -> int:
        return int(self.cell.size)

    def __getitem__(self, which: ArrayLike) -> ResponseData:
        """The rows at an index array or a mask."""
        index = np.atleast_1d(np.asarray(which))
        return ResponseData(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def pulses_per_cell(self) -> IntArray:
        """Pulses of each distinct cell, in the order of their indices."""
        pulses = self.operation != READ_ONLY
        _, which = np.unique(self.cell, return_inverse=True)
        return np.bincount(which, weights=pulses).astype(np.int64)

    @classmethod
    def join(cls, parts: Sequence[ResponseData]) -> ResponseData:
        """Several measurements one after the other. Raises InputError for none."""
        if not parts:
            raise InputError("No response data to join.")
        columns = ([getattr(p, f.name) for p in parts] for f in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))

    def to_arrays(self) -> dict[str, Any]:
        """The columns by name, for an archive of arrays."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """The last `MOST_KEPT` pulses as plain values: which pulse it was, readings about it in
        nanosiemens. Cells and times are left out, and so are re-reads."""
        rows = self[np.flatnonzero(self.operation != READ_ONLY)[-MOST_KEPT:]]
        columns = (rows.operation, rows.gate_volts, rows.line_volts, rows.width_s)
        table = np.stack([np.asarray(c, np.float64) for c in columns], axis=1)
        pulses, which = np.unique(table, axis=0, return_inverse=True)
        return {
            "pulses": pulses.tolist(),
            "pulse": which.reshape(-1).tolist(),
            "before_nanosiemens": np.rint(1e9 * rows.siemens_before).astype(np.int64).tolist(),
            "after_nanosiemens": np.rint(1e9 * rows.siemens_after).astype(np.int64).tolist(),
        }

    @classmethod
    def from_dict(cls, values: Any, where: str) -> Self:
        """From `to_dict`; all cells are 0 and all times 0.

        Raises:
            CalibrationError: a column is missing or damaged.
        """
        try:
            pulses = np.asarray(values["pulses"], np.float64).reshape(-1, 4)
            kind, gate, line, width = pulses[np.asarray(values["pulse"], np.int64)].T
            before, after = (
                1e-9 * np.maximum(np.asarray(values[f"{name}_nanosiemens"], np.float64), 1.0)
                for name in ("before", "after")
            )
            if not isinstance(values, Mapping) or not np.isin(kind, (0, 1)).all():
                raise ValueError("pulses are SET (0) or RESET (1)")
            if not (pulses[:, 1:] > 0.0).all():
                raise ValueError("voltages and widths must be above 0")
            zero = np.zeros(kind.size)
            return cls(zero, before, kind, gate, line, width, after, zero, zero)
        except (KeyError, IndexError, TypeError, ValueError, InputError) as error:
            raise CalibrationError(f"{where}: its measured rows cannot be read: {error}") from error
