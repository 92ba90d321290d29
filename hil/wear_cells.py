"""What a cell has been through: the arithmetic of the wear account.

Energy is an estimate, for no bench of this kind measures it: V^2 * G * t of each pulse, with V the
line voltage as it was meant, t the width, and G the larger of the conductances that were read
before and after the pulse. The whole line voltage is taken to lie across the cell, which leaves
out the select transistor: for most pulses the true figure is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.rram.geometry import Geometry
from protocols.errors import InputError
from protocols.messages import Operation

CELL_WEAR = np.dtype(
    [
        ("set", "<u4"),
        ("reset", "<u4"),
        ("form", "<u4"),
        ("energy_joules", "<f8"),
        ("line_volts", "<f4"),
        ("gate_volts", "<f4"),
        ("siemens", "<f4"),
    ]
)
"""One cell: pulses by kind, their energy, the highest voltages, the last reading (0: none yet)."""
KINDS = {Operation.SET: "set", Operation.RESET: "reset", Operation.FORM: "form"}
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CellWear = NDArray[np.void]


@dataclass(frozen=True)
class Pulses:
    """Pulses in the order in which they were driven; every array has shape (n,).

    `flat` is row * columns + column, `siemens` the reading after each pulse.
    """

    flat: Ints
    operation: Ints
    gate_volts: Floats
    line_volts: Floats
    width_s: Floats
    siemens: Floats


def no_wear(count: int) -> CellWear:
    """Cells that nobody has touched."""
    return np.zeros(count, CELL_WEAR)


def add_pulses(cells: CellWear, pulses: Pulses) -> None:
    """Books pulses onto `cells`, in place. A cell may occur any number of times."""
    if not pulses.flat.size:
        return
    order = np.argsort(pulses.flat, kind="stable")
    flat, after = pulses.flat[order], np.maximum(pulses.siemens[order], 0.0)
    first = np.concatenate([[True], flat[1:] != flat[:-1]])
    starts = np.flatnonzero(first)
    mine = flat[starts]
    before = np.concatenate([[0.0], after[:-1]])
    before[starts] = cells["siemens"][mine]
    energy = pulse_energy(
        np.maximum(before, after), pulses.line_volts[order], pulses.width_s[order]
    )
    cells["energy_joules"][mine] += np.add.reduceat(energy, starts)
    for operation, name in KINDS.items():
        of_kind = (pulses.operation[order] == operation).astype(np.uint32)
        cells[name][mine] += np.add.reduceat(of_kind, starts)
    for name in ("line_volts", "gate_volts"):
        highest = np.maximum.reduceat(getattr(pulses, name)[order], starts).astype(np.float32)
        cells[name][mine] = np.maximum(cells[name][mine], highest)
    ends = np.append(starts[1:], flat.size) - 1
    cells["siemens"][mine] = after[ends]


def pulse_energy(siemens: ArrayLike, line_volts: ArrayLike, width_s: ArrayLike) -> Floats:
    """Estimated energy of pulses in joules: line_volts^2 * siemens * width_s."""
    volts = np.asarray(line_volts, dtype=np.float64)
    return np.asarray(volts * volts * np.asarray(siemens, np.float64) * np.asarray(width_s))


@dataclass(frozen=True, eq=False)
class Wear:
    """The wear of a whole chip: one `CELL_WEAR` per cell in `cells`, row by row.

    `unknown` (n,) counts pulses that were sent and never acknowledged, driven or not; budgets take
    them as driven.
    """

    geometry: Geometry
    cells: CellWear
    unknown: Ints

    def __post_init__(self) -> None:
        if self.cells.shape != (self.geometry.cells,) or self.unknown.shape != self.cells.shape:
            raise InputError(
                f"{self.cells.size} entries do not make the wear of {self.geometry.cells} cells."
            )

    @property
    def pulses(self) -> Ints:
        """(n,) acknowledged pulses of every kind."""
        return sum_of_kinds(self.cells)

    def pulses_at(self, flat: Ints) -> Ints:
        """Acknowledged pulses of some cells."""
        return sum_of_kinds(self.cells[flat])

    def map(self, what: str) -> Floats:
        """(rows, columns) of `pulses`, `energy_joules` or `line_volts`; NaN for untouched cells."""
        pulses = self.pulses
        values = pulses if what == "pulses" else self.cells[what]
        out = np.where(pulses > 0, values.astype(np.float64), np.nan)
        return out.reshape(self.geometry.rows, self.geometry.columns)

    def summary(self) -> dict[str, float | int]:
        """Figures of the whole chip."""
        pulses = self.pulses
        touched = pulses[pulses > 0]
        return {
            "pulses": int(pulses.sum()),
            **{f"{name}_pulses": int(self.cells[name].sum()) for name in KINDS.values()},
            "pulses_of_unknown_outcome": int(self.unknown.sum()),
            "cells_touched": int(touched.size),
            "pulses_per_cell_mean": float(touched.mean()) if touched.size else 0.0,
            "pulses_per_cell_most": int(pulses.max(initial=0)),
            "energy_joules": float(self.cells["energy_joules"].sum()),
            "energy_per_cell_most_joules": float(self.cells["energy_joules"].max(initial=0.0)),
            "highest_line_volts": float(self.cells["line_volts"].max(initial=0.0)),
            "highest_gate_volts": float(self.cells["gate_volts"].max(initial=0.0)),
        }


def sum_of_kinds(cells: CellWear) -> Ints:
    """(n,) pulses of every kind."""
    total = np.zeros(cells.shape, np.int64)
    for name in KINDS.values():
        total += cells[name]
    return total
