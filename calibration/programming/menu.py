"""The finite list of pulses that a programming routine may choose from.

A menu is what a bench can or may drive: a grid of word-line and line voltages and widths for SET
and RESET. Routines with ramps snap to it; the predictive routine weighs its entries. A chip that
resamples measured rows offers no other pulses than those that were measured, and its menu is that
grid. The whole menu is checked against the board's limits before the first pulse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from calibration.arrays import FloatArray, IntArray
from drivers.rram.geometry import Cells
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError
from protocols.messages import Operation

_FIELDS = ("gate_volts", "line_volts", "width_s")
_LARGEST = 4096  # entries; a menu is weighed entry by entry
_VOLTS, _DECADES = 0.05, 0.1  # what counts as equally far when a pulse is snapped


@dataclass(frozen=True, eq=False)
class PulseMenu:
    """Pulses by number: entry k is `operation[k]`, `gate_volts[k]`, `line_volts[k]`, `width_s[k]`.

    All arrays have shape (K,). `operation` holds `Operation.SET` and `Operation.RESET` only.
    Raises InputError for an empty menu, a repeated entry, or a value that is not positive.
    """

    operation: IntArray
    gate_volts: FloatArray
    line_volts: FloatArray
    width_s: FloatArray

    def __post_init__(self) -> None:
        kinds = np.asarray(self.operation, dtype=np.int64)
        if kinds.ndim != 1 or not 0 < kinds.size <= _LARGEST:
            raise InputError(f"A pulse menu needs 1 to {_LARGEST} entries, got {kinds.shape}.")
        if not np.isin(kinds, (Operation.SET, Operation.RESET)).all():
            raise InputError("A pulse menu holds SET and RESET pulses only.")
        object.__setattr__(self, "operation", kinds)
        for name in _FIELDS:
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != kinds.shape or not np.all(np.isfinite(values) & (values > 0.0)):
                raise InputError(f"menu.{name}: {kinds.size} positive numbers are needed.")
            object.__setattr__(self, name, values)
        if np.unique(self._table(), axis=0).shape[0] != kinds.size:
            raise InputError("A pulse menu must not list the same pulse twice.")

    # --- making one --------------------------------------------------------------------------

    @classmethod
    def grid(
        cls,
        operation: Operation,
        *,
        gate_volts: ArrayLike,
        line_volts: ArrayLike,
        width_s: ArrayLike,
    ) -> PulseMenu:
        """Every combination of the given voltages and widths of one operation."""
        axes = [np.unique(np.asarray(v, np.float64)) for v in (gate_volts, line_volts, width_s)]
        gate, line, width = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
        return cls(np.full(gate.size, int(operation)), gate, line, width)

    @classmethod
    def join(cls, menus: Iterable[PulseMenu]) -> PulseMenu:
        """The entries of several menus, each pulse once, in the order of first appearance."""
        parts = list(menus)
        if not parts:
            raise InputError("No menus to join.")
        table = np.concatenate([menu._table() for menu in parts])
        _, first = np.unique(table, axis=0, return_index=True)
        kinds, gate, line, width = table[np.sort(first)].T
        return cls(kinds.astype(np.int64), gate, line, width)

    @classmethod
    def default(cls, set_width_s: Iterable[float] = (200e-9, 1e-6)) -> PulseMenu:
        """Word-line and line sweeps at the given SET widths, RESET at 200 ns.

        The sweeps are those of the measured 1T1R cells (SET at VBL 2 V over the word line and with
        an open gate over the bit line, RESET at VSL 2.8 V over the word line and at VWL 3.5 V over
        the source line); the steps are this project's choice. The highest gate is what a board with
        a limit of 3.6 V allows when its converters may be 1.2 % high.
        """
        parts = [part for width in set_width_s for part in _set_sweeps(float(width))]
        return cls.join([*parts, *_reset_sweeps(200e-9)])

    @classmethod
    def short(cls) -> PulseMenu:
        """As `default` with SETs of 100 and 200 ns: the widths of the published comparisons."""
        return cls.default((100e-9, 200e-9))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PulseMenu:
        """A menu from `to_dict`. Raises InputError for missing, unknown or wrong entries."""
        names = ("operation", *_FIELDS)
        if set(values) != set(names):
            raise InputError(f"A pulse menu has the keys {', '.join(names)}; got {sorted(values)}.")
        try:
            kinds = [int(Operation[str(name).upper()]) for name in values["operation"]]
            columns = [np.asarray(values[name], np.float64) for name in _FIELDS]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"A pulse menu cannot be read: {error}.") from error
        return cls(np.asarray(kinds, np.int64), *columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = [Operation(int(k)).name.lower() for k in self.operation]
        return {"operation": names, **{name: getattr(self, name).tolist() for name in _FIELDS}}

    # --- using one ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self.operation.size)

    def __getitem__(self, which: slice | ArrayLike) -> PulseMenu:
        """The entries at a slice, an index array or a mask."""
        index = which if isinstance(which, slice) else np.atleast_1d(np.asarray(which))
        return PulseMenu(
            self.operation[index],
            self.gate_volts[index],
            self.line_volts[index],
            self.width_s[index],
        )

    def of(self, operation: Operation) -> IntArray:
        """Numbers of the entries of one operation."""
        return np.flatnonzero(self.operation == int(operation))

    def check(self, limits: Limits) -> None:
        """Refuse a menu with an entry over a limit.

        Raises:
            LimitError: names the quantity, its value, the limit and where it was set.
        """
        limits.check(self.batch(_origin(len(self)), np.arange(len(self))))

    def within(self, limits: Limits) -> PulseMenu:
        """The entries that keep the limits. Raises InputError if none does."""
        keep = np.ones(len(self), np.bool_)
        for operation in (Operation.SET, Operation.RESET):
            mine = self.operation == int(operation)
            for name in _FIELDS:
                bound = limits.bound(operation, name).value * (1.0 + 1e-9)
                keep &= ~mine | (getattr(self, name) <= bound)
        if not keep.any():
            raise InputError("No pulse of the menu keeps the limits; lower its voltages or widths.")
        return self if keep.all() else self[keep]

    def snap(
        self,
        operation: ArrayLike,
        gate_volts: ArrayLike,
        line_volts: ArrayLike,
        width_s: ArrayLike,
    ) -> IntArray:
        """(n,) numbers of the entries nearest to n wished pulses, of the wished operation.

        Distance: 50 mV of either voltage counts as much as a tenth of a decade of width (this
        project's choice). Raises InputError when the menu lacks an operation that is asked for.
        """
        wished = np.broadcast_arrays(
            np.atleast_1d(operation), gate_volts, line_volts, np.log10(np.asarray(width_s))
        )
        kinds = np.asarray(wished[0], np.int64)
        out = np.full(kinds.size, -1)
        for kind in np.unique(kinds):
            entries = np.flatnonzero(self.operation == kind)
            if not entries.size:
                raise InputError(f"The menu has no {Operation(int(kind)).name} pulse to snap to.")
            mine = np.flatnonzero(kinds == kind)
            out[mine] = entries[self._nearest(entries, *(w[mine] for w in wished[1:]))]
        return out

    def _nearest(
        self, entries: IntArray, gate: FloatArray, line: FloatArray, log_width: FloatArray
    ) -> IntArray:
        away = ((gate[:, None] - self.gate_volts[entries]) / _VOLTS) ** 2
        away += ((line[:, None] - self.line_volts[entries]) / _VOLTS) ** 2
        away += ((log_width[:, None] - np.log10(self.width_s[entries])) / _DECADES) ** 2
        return cast(IntArray, away.argmin(axis=1))

    def batch(self, cells: Cells, entry: ArrayLike) -> PulseBatch:
        """Entry `entry[n]` for cell n; shapes (n,)."""
        index = np.asarray(entry, dtype=np.int64)
        return PulseBatch(
            cells,
            self.operation[index],
            self.gate_volts[index],
            self.line_volts[index],
            self.width_s[index],
        )

    def _table(self) -> FloatArray:
        columns = [self.operation.astype(np.float64), *(getattr(self, name) for name in _FIELDS)]
        return np.stack(columns, axis=1)


def _origin(n: int) -> Cells:
    return Cells(np.zeros(n, np.int64), np.zeros(n, np.int64))


def _steps(start: float, stop: float, step: float) -> FloatArray:
    return np.round(np.arange(start, stop + step / 2.0, step), 6)


def _set_sweeps(width_s: float) -> list[PulseMenu]:
    """The word line at VBL 2 V, and the bit line with the gate open."""
    first = float(np.interp(np.log10(width_s), (-7.0, -6.7, -6.0), (2.15, 1.77, 1.55)))
    gates = np.concatenate([_steps(round(first, 2), 3.0, 0.01), _steps(3.03, 3.51, 0.03), (3.55,)])
    lines = np.concatenate([_steps(0.42, 1.0, 0.01), _steps(1.02, 1.6, 0.02)])
    return [
        PulseMenu.grid(Operation.SET, gate_volts=gates, line_volts=2.0, width_s=width_s),
        PulseMenu.grid(Operation.SET, gate_volts=3.5, line_volts=lines, width_s=width_s),
        PulseMenu.grid(Operation.SET, gate_volts=3.55, line_volts=(2.5, 3.0), width_s=width_s),
    ]


def _reset_sweeps(width_s: float) -> list[PulseMenu]:
    """The word line at VSL 2.8 V, and the source line at VWL 3.5 V."""
    gates = np.concatenate([_steps(2.0, 3.0, 0.025), (3.2, 3.5, 4.0)])
    lines = np.concatenate([_steps(0.4, 1.2, 0.02), _steps(1.25, 2.0, 0.05), (2.4, 2.8, 3.2)])
    return [
        PulseMenu.grid(Operation.RESET, gate_volts=gates, line_volts=2.8, width_s=width_s),
        PulseMenu.grid(Operation.RESET, gate_volts=3.5, line_volts=lines, width_s=width_s),
        PulseMenu.grid(Operation.RESET, gate_volts=4.0, line_volts=(2.8, 3.2), width_s=width_s),
    ]
