"""What a run plans with: the tables of a model and a menu, and the value of windows."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.cell_model import CellModel
from calibration.cell_model.kernel import numbers
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive_lists import Lists
from calibration.programming.predictive_rows import follow
from calibration.programming.predictive_tables import U_NODES, build_tables
from calibration.programming.predictive_value import nodes_after, remaining_pulses
from protocols.messages import Operation

_FEW = 24  # different windows that are all planned for exactly
_VALUED = 16  # of many windows, those whose value is iterated; the others' are moved from them
_ALIKE = 0.3  # targets that differ by this share of the narrowest aim are one group
_MANY = 400
_HARD = 50.0  # pulses that a miss costs more in a window that cannot be overshot: nothing but the
# chance of the next pulse counts there, since a cell that misses is one at the end of its reach
_EQUAL_LN, _STRONGEST = 0.03, 2  # of entries that lead equally far, those of the highest voltages
_BLUR_LN = 0.002  # at least; the tables are no better


class Planner:
    """The tables of a menu for a model, and the value of windows over them."""

    def __init__(self, model: CellModel, menu: PulseMenu) -> None:
        self.menu = menu
        flat = numbers(model)
        self._noise = flat.noise_ln, flat.noise_sigma
        self.tables = build_tables(model, menu)
        if model.records is not None:
            self.tables = follow(self.tables, model, menu, model.records, self.blur)
        self.memory = np.array([model.set.cycle_correlation, model.reset.cycle_correlation])
        self.weight = np.exp(-0.5 * U_NODES**2)
        grid, after = self.tables.grid, self.tables.after
        self.ends = float(max(after.min(), grid[0])), float(after.max())
        self.strongest = self._strongest()
        self._listed = np.zeros((2, 0)), Lists.empty(0, self.tables)
        self._values: dict[tuple[float, float], FloatArray] = {}
        self._node = nodes_after(self.tables)

    def blur(self, ln: FloatArray) -> FloatArray:
        """(n,) how far off in ln G a reading may be: its noise."""
        return np.maximum(np.interp(ln, *self._noise), _BLUR_LN)

    def windows(
        self, target: FloatArray, aim: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Group of each cell (n,), and each group's window in ln siemens.

        A group's window lies inside the windows of all of its cells.
        """
        low, high = target - aim, target + aim
        table, group = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
        if len(table) > _FEW:
            span = float(np.ptp(target))
            bins = int(np.clip(np.ceil(span / (_ALIKE * aim.min())), 1, _MANY))
            place = np.minimum(((target - target.min()) / max(span, 1e-12) * bins), bins - 1)
            _, group = np.unique(place.astype(np.int64), return_inverse=True)
            table = _shared(low, high, group)
        bottom = np.exp(self.tables.grid[0])
        return (
            group.reshape(-1).astype(np.int64),
            np.log(np.maximum(table[:, 0], bottom)),
            np.log(np.maximum(table[:, 1], 1.01 * bottom)),
        )

    def remaining(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """(windows, 2, nodes) expected pulses that remain; see `predictive_value`."""
        many = low.size > _FEW
        at = (
            np.linspace(0, low.size - 1, _VALUED).round().astype(int)
            if many
            else np.arange(low.size)
        )
        valued = [self._value(float(low[t]), float(high[t])) for t in at]
        if not many:
            return np.stack(valued)
        grid, middle = self.tables.grid, 0.5 * (low + high)
        out = np.empty((low.size, 2, grid.size))
        for t in range(low.size):
            near = int(np.argmin(np.abs(middle[at] - middle[t])))
            from_ln = grid + middle[at[near]] - middle[t]
            for d in range(2):
                out[t, d] = np.interp(from_ln, grid, valued[near][d])
        return out

    def _value(self, low: float, high: float) -> FloatArray:
        key = low, high
        if key not in self._values:
            window = np.array([low]), np.array([high])
            found = remaining_pulses(self.tables, self.memory, *window, self._node)
            if len(self._values) >= _MANY:
                self._values.clear()
            one_sided = low <= self.ends[0] or high >= self.ends[1]
            self._values[key] = found.remaining[0] + (_HARD if one_sided else 0.0)
        return self._values[key]

    def lists(self, low: FloatArray, high: FloatArray) -> Lists:
        """Entries worth trying for these windows, as far as they are known from earlier runs."""
        windows, lists = self._listed
        known = np.array_equal(windows, np.stack([low, high]))
        return lists if known else Lists.empty(low.size, self.tables)

    def keep(self, low: FloatArray, high: FloatArray, lists: Lists) -> None:
        """Lists for the next run with the same windows."""
        self._listed = np.stack([low, high]), lists

    def _reach(self, operation: int) -> tuple[IntArray, FloatArray]:
        """Entries of an operation, and the typical ln G that each leads to from the other end."""
        entries = np.flatnonzero(self.menu.operation == operation)
        ends = self.tables.grid
        start = int(
            np.searchsorted(ends, np.log(5e-6 if operation == int(Operation.SET) else 2e-4))
        )
        return entries, self.tables.after[entries, start, U_NODES.size // 2].astype(np.float64)

    def furthest(self, operation: int) -> int:
        """The entry that leads furthest, with the highest voltages among equals."""
        entries, ln = self._reach(operation)
        sign = 1.0 if operation == int(Operation.SET) else -1.0
        volts = self.menu.gate_volts[entries] + self.menu.line_volts[entries]
        return int(entries[np.argmax(sign * ln + 1e-3 * volts)])

    def _strongest(self) -> BoolArray:
        """(K,) the few entries of each operation that lead furthest, as `furthest` has it."""
        found = np.zeros(len(self.menu), np.bool_)
        for operation in (Operation.SET, Operation.RESET):
            entries, ln = self._reach(int(operation))
            sign = 1.0 if operation == Operation.SET else -1.0
            volts = self.menu.gate_volts[entries] + self.menu.line_volts[entries]
            near = sign * ln >= (sign * ln).max() - _EQUAL_LN
            order = np.argsort(np.where(near, volts, 0.0), kind="stable")
            found[entries[order[-_STRONGEST:]]] = True
        return found

    def at_limit(self, within_ln: float) -> BoolArray:
        """(K,) entries that lead within `within_ln` as far as the furthest of their operation."""
        found = np.zeros(len(self.menu), np.bool_)
        for operation in (Operation.SET, Operation.RESET):
            entries, ln = self._reach(int(operation))
            sign = 1.0 if operation == Operation.SET else -1.0
            found[entries] = sign * ln >= (sign * ln).max() - within_ln
        return found


def _shared(low: FloatArray, high: FloatArray, group: NDArray[np.int64]) -> FloatArray:
    """(groups, 2) the part that the windows of each group share."""
    groups = int(group.max()) + 1
    bottom, top = np.full(groups, -np.inf), np.full(groups, np.inf)
    np.maximum.at(bottom, group, low)
    np.minimum.at(top, group, high)
    return np.stack([bottom, top], axis=1)


def planner_of(model: CellModel, menu: PulseMenu) -> Planner:
    """The planner of a model and a menu; the last few are kept, since tables take seconds."""
    return _planner(json.dumps(model.to_dict()), json.dumps(menu.to_dict()))


@lru_cache(maxsize=3)
def _planner(model: str, menu: str) -> Planner:
    return Planner(CellModel.from_dict(json.loads(model)), PulseMenu.from_dict(json.loads(menu)))
