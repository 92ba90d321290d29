"""What pulses may not exceed, in SI units, and who said so.

The board's description states its hard limits; a bench file may lower them, never raise them. The
board refuses on its own what is over its hard limits; these checks come first, before a byte is
sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from drivers.rram.pulses import PulseBatch
from protocols.errors import ConfigError, LimitError
from protocols.hardware import HardLimits
from protocols.messages import Operation

_UNITS = {"gate_volts": "V", "line_volts": "V", "width_s": "s"}
_TOLERANCE = 1e-9  # relative; 20e-9 * 1000 is not 20e-6 to the last bit


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest value allowed, and where that was set."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds by name: `set.gate_volts`, ..., `read_volts`, `pulses_per_cell`, `arm_s`."""

    bounds: Mapping[str, Bound]

    @classmethod
    def of(cls, hard: HardLimits, source: str = "board description") -> Limits:
        """The hard limits of a board's description (`description.limits`)."""
        bounds = {
            "read_volts": Bound(hard.read_volts, source),
            "pulses_per_cell": Bound(hard.pulses_per_cell, source),
            "arm_s": Bound(hard.arm_s, source),
        }
        for kind, part in (("set", hard.set), ("reset", hard.reset), ("form", hard.form)):
            for name in _UNITS:
                bounds[f"{kind}.{name}"] = Bound(getattr(part, name), source)
        return cls(MappingProxyType(bounds))

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
            if value > bounds[key].value:
                raise LimitError(
                    f"{source}: limits.{key} is {value:g}, but the {bounds[key].source} allows at"
                    f" most {bounds[key].value:g}; limits can be lowered, never raised"
                )
            bounds[key] = Bound(value, source)
        return Limits(MappingProxyType(bounds))

    def capped(self, values: Mapping[str, float], source: str) -> Limits:
        """New limits in which no bound exceeds the given ones; keys as in `bounds`."""
        lower = {k: v for k, v in values.items() if v < self.bounds[k].value}
        return self.lowered(lower, source)

    def bound(self, operation: Operation, quantity: str) -> Bound:
        """The bound of one quantity (`gate_volts`, `line_volts`, `width_s`) of one operation."""
        return self.bounds[f"{operation.name.lower()}.{quantity}"]

    def check(self, pulses: PulseBatch) -> None:
        """Refuse a batch with a pulse over a limit.

        Raises:
            LimitError: names the cell, the quantity, its value, the limit and where it was set.
        """
        for operation in Operation:
            of_kind = pulses.operation == operation
            if not of_kind.any():
                continue
            for quantity, unit in _UNITS.items():
                values = getattr(pulses, quantity)
                bound = self.bound(operation, quantity)
                over = of_kind & (values > bound.value * (1 + _TOLERANCE))
                if over.any():
                    at = int(np.argmax(over))
                    raise LimitError(
                        f"{operation.name} of cell {next(iter(pulses.cells[at]))}: {quantity} is"
                        f" {values[at]:g} {unit}, the limit is {bound.value:g} {unit} (set in the"
                        f" {bound.source}); nothing of the batch was driven"
                    )

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


def _list(bounds: Mapping[str, Bound]) -> str:
    return ", ".join(sorted(bounds))
