"""Pulses in SI units: which cell, what for, how much, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.rram.geometry import Cells
from protocols.errors import InputError
from protocols.messages import Operation

Floats = NDArray[np.float64]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class PulseBatch:
    """One pulse per cell of `cells`, applied in order; every array has shape (n,).

    `gate_volts` is at the word line (column). `line_volts` is at the bit line (row) for a SET and
    a forming pulse, at the source line (column) for a RESET. Numbers are broadcast.
    """

    cells: Cells
    operation: NDArray[np.int64]
    gate_volts: Floats
    line_volts: Floats
    width_s: Floats

    def __post_init__(self) -> None:
        count = len(self.cells)
        kinds = np.asarray(self.operation)
        if kinds.size and not np.isin(kinds, [int(kind) for kind in Operation]).all():
            known = ", ".join(f"{kind.value} {kind.name}" for kind in Operation)
            raise InputError(f"a pulse's operation is one of {known}")
        object.__setattr__(self, "operation", _spread(kinds.astype(np.int64), count, "operation"))
        for name in ("gate_volts", "line_volts", "width_s"):
            values = _spread(np.asarray(getattr(self, name), np.float64), count, name)
            bad = ~np.isfinite(values) | (values < 0)
            if np.any(bad):
                at = int(np.argmax(bad))
                raise InputError(
                    f"{name} of cell {next(iter(self.cells[at]))} is {values[at]}; a finite number"
                    " of at least 0 is needed. Nothing was driven"
                )
            object.__setattr__(self, name, values)

    @classmethod
    def set(
        cls, cells: Cells, *, gate_volts: ArrayLike, line_volts: ArrayLike, width_s: ArrayLike
    ) -> PulseBatch:
        """SET pulses: towards higher conductance; the gate limits the current."""
        return cls._make(Operation.SET, cells, gate_volts, line_volts, width_s)

    @classmethod
    def reset(
        cls, cells: Cells, *, gate_volts: ArrayLike, line_volts: ArrayLike, width_s: ArrayLike
    ) -> PulseBatch:
        """RESET pulses: towards lower conductance; the line is the source line."""
        return cls._make(Operation.RESET, cells, gate_volts, line_volts, width_s)

    @classmethod
    def form(
        cls, cells: Cells, *, gate_volts: ArrayLike, line_volts: ArrayLike, width_s: ArrayLike
    ) -> PulseBatch:
        """Forming pulses: the first SET of a virgin cell, at its own limits."""
        return cls._make(Operation.FORM, cells, gate_volts, line_volts, width_s)

    @classmethod
    def join(cls, batches: Sequence[PulseBatch]) -> PulseBatch:
        """Batches one after the other."""
        if not batches:
            raise InputError("no batches to join")
        return cls(
            Cells(
                np.concatenate([b.cells.rows for b in batches]),
                np.concatenate([b.cells.columns for b in batches]),
            ),
            np.concatenate([b.operation for b in batches]),
            np.concatenate([b.gate_volts for b in batches]),
            np.concatenate([b.line_volts for b in batches]),
            np.concatenate([b.width_s for b in batches]),
        )

    @classmethod
    def _make(
        cls,
        kind: Operation,
        cells: Cells,
        gate_volts: ArrayLike,
        line_volts: ArrayLike,
        width_s: ArrayLike,
    ) -> PulseBatch:
        as_array = np.asarray
        return cls(
            cells,
            np.array(int(kind)),
            as_array(gate_volts, np.float64),
            as_array(line_volts, np.float64),
            as_array(width_s, np.float64),
        )

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, which: int | slice | ArrayLike) -> PulseBatch:
        """The pulses at an index, a slice, an index array or a mask."""
        index = which if isinstance(which, slice) else np.atleast_1d(np.asarray(which))
        if isinstance(index, np.ndarray) and index.size == 0:
            index = index.astype(np.int64)
        return PulseBatch(
            self.cells[index],
            self.operation[index],
            self.gate_volts[index],
            self.line_volts[index],
            self.width_s[index],
        )


def _spread(values: NDArray[Kind], count: int, name: str) -> NDArray[Kind]:
    try:
        out = np.array(np.broadcast_to(values, (count,)))
    except ValueError as error:
        raise InputError(
            f"{name} has shape {values.shape}; one number, or one for each of {count} cells"
        ) from error
    out.flags.writeable = False
    return out
