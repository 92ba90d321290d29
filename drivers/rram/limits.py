"""What pulses may not exceed, in SI units, and who said so.

The board's description states its hard limits; a bench file may lower them, never raise them. The
board refuses on its own what is over its hard limits; these checks come first, before a byte is
sent.

Two of the quantities are worked out. The slew of a pulse's edge is its amplitude over the time
constant of the line drivers, where a first-order edge is steepest. The energy that a pulse leaves
in a cell is at most V^2 G t, with G the largest conductance that a cell can have: whatever state
it is in, and whatever the transistor takes of the voltage, it gets less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.rram.pulses import PulseBatch
from protocols.errors import ConfigError, LimitError
from protocols.hardware import HardLimits, OperationLimits
from protocols.messages import Operation

Floats = NDArray[np.float64]

_UNITS = {
    "gate_volts": "V",
    "line_volts": "V",
    "width_s": "s",
    "gate_volts_per_s": "V/s",
    "line_volts_per_s": "V/s",
    "energy_joules": "J",
}
QUANTITIES = tuple(_UNITS)
"""What is limited of each kind of pulse."""

_TOLERANCE = 1e-9  # relative; 20e-9 * 1000 is not 20e-6 to the last bit


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest value allowed, and where that was set."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds by name: `set.gate_volts`, ..., `read_volts`, `pulses_per_cell`, `arm_s`.

    Made by `of`, narrowed by `lowered` and `capped`; nothing widens it.

    Attributes:
        bounds: all of them.
        edge_s: time constant of the line drivers.
        cell_siemens: the largest conductance that a cell can have.
        hard: the bounds of the board's description, which no other bound may exceed.

    Raises:
        LimitError: a bound is above the hard one.
        ConfigError: a bound is missing.
    """

    bounds: Mapping[str, Bound]
    edge_s: float
    cell_siemens: float
    hard: Mapping[str, Bound] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", MappingProxyType(dict(self.bounds)))
        object.__setattr__(self, "hard", MappingProxyType(dict(self.hard)))
        if set(self.bounds) != set(self.hard):
            odd = ", ".join(sorted(set(self.bounds) ^ set(self.hard)))
            raise ConfigError(f"limits need one bound of each name; missing or unknown: {odd}")
        for key, bound in self.bounds.items():
            _refuse_raised(key, bound, self.hard[key])

    @classmethod
    def of(cls, hard: HardLimits, source: str = "board description") -> Limits:
        """The hard limits of a board's description (`description.limits`)."""
        bounds = {
            "read_volts": Bound(hard.read_volts, source),
            "pulses_per_cell": Bound(hard.pulses_per_cell, source),
            "arm_s": Bound(hard.arm_s, source),
        }
        for kind, part in (("set", hard.set), ("reset", hard.reset), ("form", hard.form)):
            values = _values(hard, part)
            bounds |= {f"{kind}.{name}": Bound(values[name], source) for name in QUANTITIES}
        return cls(bounds, hard.edge_s, hard.cell_siemens, bounds)

    def lowered(self, values: Mapping[str, float], source: str = "bench file") -> Limits:
        """New limits with some bounds lowered; keys as in `bounds`.

        Raises:
            ConfigError: no bound of that name, or not a positive number.
            LimitError: a bound would be raised.
        """
        bounds = dict(self.bounds)
        for key, value in values.items():
            if key not in bounds:
                raise ConfigError(f"{source}: limits.{key}: no such limit; known: {_list(bounds)}")
            if not np.isfinite(value) or value <= 0:
                raise ConfigError(f"{source}: limits.{key} is {value}; a positive number is needed")
            _refuse_raised(key, Bound(value, source), bounds[key])
            bounds[key] = Bound(value, source)
        return replace(self, bounds=bounds)

    def capped(self, values: Mapping[str, float], source: str) -> Limits:
        """New limits in which no bound exceeds the given ones; keys as in `bounds`."""
        lower = {k: v for k, v in values.items() if v < self.bounds[k].value}
        return self.lowered(lower, source)

    def bound(self, operation: Operation, quantity: str) -> Bound:
        """The bound of one of `QUANTITIES` of one operation."""
        return self.bounds[f"{operation.name.lower()}.{quantity}"]

    def amplitude_volts(self, operation: Operation, electrode: str) -> float:
        """The largest voltage of an electrode ("gate", "line"): by its volts and by its slew."""
        slew = self.bound(operation, f"{electrode}_volts_per_s").value
        return min(self.bound(operation, f"{electrode}_volts").value, slew * self.edge_s)

    def check(self, pulses: PulseBatch) -> None:
        """Refuse a batch with a pulse over a limit.

        Raises:
            LimitError: names the cell, the quantity, its value, the limit and where it was set.
        """
        for operation in Operation:
            of_kind = pulses.operation == operation
            if not of_kind.any():
                continue
            for quantity in QUANTITIES:
                values = _MEASURES[quantity](pulses, self)
                bound = self.bound(operation, quantity)
                over = of_kind & (values > bound.value * (1 + _TOLERANCE))
                if over.any():
                    at = int(np.argmax(over))
                    cell = next(iter(pulses.cells[at]))
                    raise over_limit(operation, cell, quantity, float(values[at]), bound)

    def check_read(self, volts: float) -> None:
        """Refuse a read voltage that could change a cell.

        Raises:
            LimitError: names the value, the limit and where it was set.
        """
        bound = self.bounds["read_volts"]
        if not 0 < volts <= bound.value * (1 + _TOLERANCE):
            raise LimitError(
                f"a read voltage of {volts:g} V is refused; above 0 V and at most {bound.value:g} V"
                f" are allowed (set in the {bound.source})"
            )

    def check_arm(self, duration_s: float) -> None:
        """Refuse an arming time that is too long.

        Raises:
            LimitError: names the value, the limit and where it was set.
        """
        bound = self.bounds["arm_s"]
        if not 1e-3 <= duration_s <= bound.value * (1 + _TOLERANCE):
            raise LimitError(
                f"arming for {duration_s:g} s is refused; 1 ms to {bound.value:g} s are allowed"
                f" (set in the {bound.source})"
            )


def over_limit(
    operation: Operation, cell: tuple[int, int], quantity: str, value: float, bound: Bound
) -> LimitError:
    """The refusal of a pulse, as a sentence."""
    unit = _UNITS[quantity]
    return LimitError(
        f"{operation.name} of cell {cell}: {quantity} is {value:g} {unit}, the limit is"
        f" {bound.value:g} {unit} (set in the {bound.source}); nothing of the batch was driven"
    )


_MEASURES: Mapping[str, Callable[[PulseBatch, Limits], Any]] = {
    "gate_volts": lambda pulses, _: pulses.gate_volts,
    "line_volts": lambda pulses, _: pulses.line_volts,
    "width_s": lambda pulses, _: pulses.width_s,
    "gate_volts_per_s": lambda pulses, limits: pulses.gate_volts / limits.edge_s,
    "line_volts_per_s": lambda pulses, limits: pulses.line_volts / limits.edge_s,
    "energy_joules": lambda pulses, limits: (
        pulses.line_volts**2 * limits.cell_siemens * pulses.width_s
    ),
}


def _values(hard: HardLimits, part: OperationLimits) -> dict[str, float]:
    gate, line = part.gate_volts_per_s, part.line_volts_per_s
    return {
        "gate_volts": part.gate_volts,
        "line_volts": part.line_volts,
        "width_s": part.width_s,
        "gate_volts_per_s": part.gate_volts / hard.edge_s if gate is None else gate,
        "line_volts_per_s": part.line_volts / hard.edge_s if line is None else line,
        "energy_joules": hard.energy_of(part),
    }


def _refuse_raised(key: str, bound: Bound, most: Bound) -> None:
    if not bound.value <= most.value:
        raise LimitError(
            f"{bound.source}: limits.{key} is {bound.value:g}, but the {most.source} allows at"
            f" most {most.value:g}; limits can be lowered, never raised"
        )


def _list(bounds: Mapping[str, Bound]) -> str:
    return ", ".join(sorted(bounds))
