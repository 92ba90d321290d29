"""A chip of measured rows: another way to make a cell than by the equations of the fit.

Every pulse draws its outcome from rows (G before, pulse) -> G after that somebody measured
(`empirical_rows.py` says which, `empirical_kernels.py` how). Pulses that were not measured are
refused: by a board before anything is driven (out_of_range with the nearest code), here with
InputError. `grid` lists the others. Faults, the pristine conductance and bounds are the profile's.

What it does not have, because no table says it: relaxation beyond the next reading, endurance,
half-select, line resistance (the rows have their lines in them), weak cells.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.sim import empirical_kernels as kernels
from hil.sim.cells import CellArray
from hil.sim.effects import Effects
from hil.sim.empirical_rows import MeasuredRows, read_rows
from hil.sim.profile import Profile
from hil.sim.pulse_grid import NOT_ON_GRID
from protocols.errors import ConfigError, InputError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

DATA_VARIABLE = "HIL_MEASURED_DATA"


class _Tables(NamedTuple):
    """`MeasuredRows` for the kernels, with the effects as factors."""

    first: I64
    middle: I64
    last: I64
    near: F64
    reaches: NDArray[np.bool_]
    ln_before: F64
    ln_after: F64
    moved: NDArray[np.bool_]
    device: F64
    device_step: F64
    memory: F64
    form_volts: F64
    form_ln: F64
    settle_ln: F64
    settle_move: F64
    series_ln: F64
    series: F64
    device_on: float
    cycle_on: float
    settle_on: float
    noise_on: float


def measured_rows(folder: str | None) -> MeasuredRows:
    """The rows of the tables in `folder`, or in the folder that HIL_MEASURED_DATA names.

    Raises:
        ConfigError: no folder is named.
        DataError: a table is missing, damaged or too small.
    """
    named = folder or os.environ.get(DATA_VARIABLE)
    if not named:
        raise ConfigError(
            "empirical cells need the measured tables, which are not part of this project: name "
            f"their folder as sim.data_folder or in {DATA_VARIABLE}"
        )
    return _rows_of(str(Path(named).resolve()))


@lru_cache(maxsize=4)
def _rows_of(folder: str) -> MeasuredRows:
    return read_rows(Path(folder))


def _tables(rows: MeasuredRows, effects: Effects) -> _Tables:
    switched = {
        "device_on": effects.device_to_device,
        "cycle_on": effects.cycle_to_cycle,
        "settle_on": effects.relaxation,
        "noise_on": effects.read_noise,
    }
    values: list[Any] = [
        float(switched[name]) if name in switched else np.ascontiguousarray(getattr(rows, name))
        for name in _Tables._fields
    ]
    return _Tables(*values)


class EmpiricalCells(CellArray):
    """Cells that draw measured rows; otherwise like `CellArray`.

    `pulse` raises InputError for a pulse that was not measured, with the nearest one that was.
    """

    kind: ClassVar[str] = "empirical"

    def __init__(
        self,
        profile: Profile,
        seed: int,
        state: NDArray[np.void],
        effects: Effects | None = None,
        *,
        rows: MeasuredRows,
    ) -> None:
        super().__init__(profile, seed, state, effects)
        self.grid = rows.grid
        self.programming = rows.programming
        """The pulses of `grid` that do something: what a menu for programming is made of."""
        self.fingerprint = rows.fingerprint
        self._tables = _tables(rows, self.effects)

    def _pulse(
        self, cells: I64, direction: I64, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        parts = np.broadcast_arrays(direction, gate, line, width_s)
        point = self._points(*parts)
        kernels.pulse_cells(
            self._raw, cells, direction, gate, line, point, now_s, self._parameters, self._tables
        )

    def _points(self, direction: I64, gate: F64, line: F64, width_s: F64) -> I64:
        if self.grid is None:
            raise InputError("Empirical cells have lost their grid of pulses.")
        found = self.grid.find(direction, gate, line, width_s)
        bad = np.flatnonzero(found == NOT_ON_GRID)
        if bad.size:
            k = int(bad[0])
            near = self.grid.nearest(int(direction[k]), gate[k], line[k], width_s[k])
            raise InputError(
                f"Pulse {k} (gate {gate[k]:g} V, line {line[k]:g} V, {width_s[k] * 1e9:g} ns) was "
                f"not measured, so empirical cells have no answer to it; the nearest is {near}."
            )
        return found

    def _read(self, cells: I64, now_s: F64, out: F64) -> None:
        kernels.read_cells(self._raw, cells, now_s, self._parameters, self._tables, out)

    def _mean(self, cells: I64, now_s: F64, out: F64) -> None:
        kernels.mean_cells(self._raw, cells, now_s, self._parameters, self._tables, out)

    def _solve_noise(self, cells: I64, trajectories: I64, out: NDArray[np.float32]) -> None:
        kernels.solve_noise_cells(
            self._raw, cells, trajectories, self._parameters, self._tables, out
        )
