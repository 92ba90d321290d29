"""The parameters of the planner's own model of a cell. SI units; shapes as in a profile file.

The forms follow what measured 1T1R cells do (A. Levy et al., IEEE TED 2021, data of the RADAR
chip): a SET ends where the select transistor's compliance or the bit line stops it, a RESET ends at
a depth below a reference that grows with both lines, spreads act on gain, switching time and line,
relaxation runs in logarithmic time and read noise is correlated from read to read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from protocols.errors import CalibrationError

_TOP = 1e9  # no parameter is as large as this; catches damaged files
_LONGEST = 64  # knots of a curve


class _Law:
    """Reading a group of parameters from a mapping, and checking it."""

    @classmethod
    def read(cls, values: Any, where: str) -> Self:
        """From a mapping with at least this group's keys; more keys are left alone.

        Raises:
            CalibrationError: a key is missing, or its value is no finite number or list of such.
        """
        if not isinstance(values, Mapping):
            raise CalibrationError(f"{where}: a table of parameters is needed, got {values!r:.60}.")
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        missing = [name for name in names if name not in values]
        if missing:
            raise CalibrationError(f"{where}: {', '.join(missing)} missing.")
        made = cls(
            **{
                field.name: _plain(values[field.name], f"{where}.{field.name}", _depth(field.type))
                for field in fields(cls)  # type: ignore[arg-type]
            }
        )
        made.check(where)
        return made

    def check(self, where: str) -> None:
        """Raises CalibrationError when the values do not fit together."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]


def _depth(kind: Any) -> int:
    """How many lists stand around a number: 0 for a number, 1 for a curve, 2 for a table."""
    return str(kind).count("tuple[")


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= _LONGEST:
            raise CalibrationError(f"{where}: 1 to {_LONGEST} entries are needed.")
        return tuple(_plain(part, where, depth - 1) for part in value)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not (good and math.isfinite(value) and abs(value) < _TOP):
        raise CalibrationError(f"{where}: {value!r:.60} is no finite number.")
    return float(value)


def _need_rising(where: str, values: tuple[float, ...]) -> None:
    if len(values) < 2 or np.any(np.diff(values) <= 0.0):
        raise CalibrationError(f"{where} must rise from entry to entry, with two or more entries.")


def _need_length(where: str, axis: tuple[float, ...], *curves: tuple[float, ...]) -> None:
    if any(len(curve) != len(axis) for curve in curves):
        raise CalibrationError(f"{where}: its curves need {len(axis)} entries each.")


@dataclass(frozen=True)
class SetLaw(_Law):
    """Where a SET ends, and its spreads over cells (device) and from pulse to pulse (cycle)."""

    levels_siemens: tuple[float, ...]
    widths_s: tuple[float, ...]
    gate_volts: tuple[tuple[float, ...], ...]  # [level][width]
    line_levels_siemens: tuple[float, ...]
    line_volts: tuple[float, ...]
    redraw_band_ln: float
    against: float
    device_gain: float
    device_log_width: float
    device_line_volts: float
    cycle_gain: float
    cycle_log_width: float
    cycle_line_volts: float
    cycle_correlation: float

    def check(self, where: str) -> None:
        """See `_Law.check`."""
        for name in ("levels_siemens", "widths_s", "line_levels_siemens", "line_volts"):
            _need_rising(f"{where}.{name}", getattr(self, name))
        _need_length(f"{where}.line_volts", self.line_levels_siemens, self.line_volts)
        _need_length(f"{where}.gate_volts", self.levels_siemens, self.gate_volts)  # type: ignore[arg-type]
        for column in range(len(self.widths_s)):
            _need_length(f"{where}.gate_volts", self.widths_s, *self.gate_volts)
            _need_rising(f"{where}.gate_volts", tuple(row[column] for row in self.gate_volts))
        if not (self.redraw_band_ln > 0.0 and 0.0 <= self.cycle_correlation < 1.0):
            raise CalibrationError(f"{where}: redraw_band_ln > 0, 0 <= cycle_correlation < 1.")


@dataclass(frozen=True)
class ResetLaw(_Law):
    """How deep a RESET goes below a reference, and its spreads."""

    reference_siemens: float
    gate_volts: tuple[float, ...]
    gate_depth_ln: tuple[float, ...]
    line_volts: tuple[float, ...]
    line_depth_ln: tuple[float, ...]
    reference_width_s: float
    volts_per_decade: float
    redraw_band_ln: float
    device_depth_ln: float
    cycle_depth_ln: float
    cycle_gate_volts: float
    cycle_line_volts: float
    cycle_correlation: float

    def check(self, where: str) -> None:
        """See `_Law.check`."""
        for axis, curve in (("gate_volts", "gate_depth_ln"), ("line_volts", "line_depth_ln")):
            _need_rising(f"{where}.{axis}", getattr(self, axis))
            _need_length(f"{where}.{curve}", getattr(self, axis), getattr(self, curve))
        positive = (self.reference_siemens, self.reference_width_s, self.redraw_band_ln)
        if min(positive) <= 0.0 or not 0.0 <= self.cycle_correlation < 1.0:
            raise CalibrationError(
                f"{where}: reference, width and redraw_band_ln > 0, 0 <= cycle_correlation < 1."
            )


@dataclass(frozen=True)
class DriveLaw(_Law):
    """Weak access paths: one skewed figure per cell that acts on SET and RESET."""

    skew: float
    limit: float
    set_gain: float
    reset_gate_volts: float
    reset_line_volts: float

    def check(self, where: str) -> None:
        """See `_Law.check`."""
        if self.skew <= 0.0 or self.limit <= 0.0:
            raise CalibrationError(f"{where}: skew and limit must be above 0.")


@dataclass(frozen=True)
class NoiseLaw(_Law):
    """Relative read noise over conductance, its heavy tail and its correlation between reads."""

    siemens: tuple[float, ...]
    sigma: tuple[float, ...]
    tail: tuple[float, ...]
    correlation: float

    def check(self, where: str) -> None:
        """See `_Law.check`."""
        _need_rising(f"{where}.siemens", self.siemens)
        _need_length(where, self.siemens, self.sigma, self.tail)
        if not 0.0 <= self.correlation < 1.0:
            raise CalibrationError(f"{where}: 0 <= correlation < 1 is needed.")


@dataclass(frozen=True)
class RelaxLaw(_Law):
    """Movement of ln G after a pulse, per decade of time beyond `onset_s`."""

    siemens: tuple[float, ...]
    sigma: tuple[float, ...]
    tail: tuple[float, ...]
    drift: tuple[float, ...]
    onset_s: float

    def check(self, where: str) -> None:
        """See `_Law.check`."""
        _need_rising(f"{where}.siemens", self.siemens)
        _need_length(where, self.siemens, self.sigma, self.tail, self.drift)
        if self.onset_s <= 0.0:
            raise CalibrationError(f"{where}: onset_s must be above 0.")


@dataclass(frozen=True)
class Bounds(_Law):
    """Conductances that no pulse leaves."""

    lowest_siemens: float
    highest_siemens: float

    def check(self, where: str) -> None:
        """See `_Law.check`."""
        if not 0.0 < self.lowest_siemens < self.highest_siemens:
            raise CalibrationError(f"{where}: 0 < lowest_siemens < highest_siemens is needed.")
