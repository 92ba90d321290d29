"""What one board's converters and read paths were measured to do: plain data, and `Curves` of it.

A channel's deviation is a table: by how many codes its output (a DAC) or the true value (an ADC)
differs from the code, at a few codes along its range. Codes of the common names: those of
`protocols.messages.LoopSource` for DACs, of `AdcInput` for inputs.

Words, noise amplitudes and their zeros stay nominal: the loop calibration measures them where they
act, multipliers and integrators included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.transfer import ColumnCurves, Curves, MeasuredTransfer, Transfer
from protocols.errors import CalibrationError
from protocols.hardware import LINES_MAX, BoardDescription

Floats = NDArray[np.float64]
KNOTS_MAX = 1025
LARGEST_DEVIATION = 0.25
"""Of the converter's range; a table with more is damaged (this project's choice)."""


@dataclass(frozen=True, eq=False)
class ChannelCurve:
    """One channel of a converter.

    Attributes:
        knots: (k,) codes, rising, first to last code.
        deviation: (k,) codes to add.
        sd_codes: standard deviation of `deviation`, at worst.
    """

    knots: Floats
    deviation: Floats
    sd_codes: float

    @property
    def gain(self) -> float:
        """Slope over the whole range, 1 is nominal."""
        run = float(self.knots[-1] - self.knots[0])
        return 1.0 + float(self.deviation[-1] - self.deviation[0]) / run

    def at(self, codes: Floats) -> Floats:
        """Codes with their deviation."""
        return np.asarray(codes + np.interp(codes, self.knots, self.deviation))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "knots": self.knots.tolist(),
            "deviation": self.deviation.tolist(),
            "sd_codes": self.sd_codes,
        }

    @classmethod
    def from_dict(cls, name: str, data: Any) -> ChannelCurve:
        """The inverse of `to_dict`; `name` says which channel in an error.

        Raises:
            CalibrationError: not a table, not finite, not rising, or farther off than a converter
                can be.
        """
        try:
            knots, deviation = (np.asarray(data[k], np.float64) for k in ("knots", "deviation"))
            sd = float(data["sd_codes"])
        except (KeyError, TypeError, ValueError) as error:
            raise CalibrationError(f"curve of {name}: not a table ({error})") from error
        fits = knots.ndim == 1 and 2 <= knots.size <= KNOTS_MAX and knots.shape == deviation.shape
        if not fits or not np.isfinite([*knots, *deviation, sd]).all() or sd < 0:
            raise CalibrationError(
                f"curve of {name}: a table of 2 to {KNOTS_MAX} numbers is needed"
            )
        rising = (np.diff(knots) > 0).all() and (np.diff(knots + deviation) > 0).all()
        if not rising or np.abs(deviation).max() > LARGEST_DEVIATION * float(np.ptp(knots)):
            raise CalibrationError(f"curve of {name}: no curve that a converter can have")
        return cls(knots, deviation, sd)


@dataclass(frozen=True, eq=False)
class MeasuredCurves:
    """The curves of one board.

    Attributes:
        dacs, adcs: channel curves by name; a channel that is not there stays nominal.
        columns: read paths, None if nobody measured them.
        ladder_sd: relative standard deviation of the voltage that all of it was compared with.
    """

    dacs: Mapping[str, ChannelCurve]
    adcs: Mapping[str, ChannelCurve]
    columns: ColumnCurves | None
    ladder_sd: float

    def applied_to(self, description: BoardDescription) -> Curves:
        """The board's curves: measured where it was measured, nominal elsewhere.

        Raises:
            CalibrationError: the tables are of converters of another size, or of another array.
        """
        nominal = Curves.nominal(description)
        self._check(description)
        lines = {
            name: self._one(replace(getattr(nominal, name), down=False), self.dacs, [name])
            for name in ("bit_line", "source_line", "word_line")
            if name in self.dacs
        }
        width = range(1, description.loop.hidden_width + 1)
        embedding = [f"embedding_{k}" for k in width]
        return replace(
            nominal,
            **lines,
            read_amperes=self._one(nominal.read_amperes, self.adcs, ["read"]),
            embedding=self._one(nominal.embedding, self.dacs, embedding),
            class_offset=self._slope(nominal.class_offset, embedding),
            initial=self._one(nominal.initial, self.dacs, ["initial_1", "initial_2"]),
            sample=self._one(nominal.sample, self.adcs, ["sample_1", "sample_2"]),
            probe=self._one(nominal.probe, self.adcs, ["probe"]),
            multiply_amperes=self._one(nominal.multiply_amperes, self.adcs, ["read"]),
            columns=self.columns,
        )

    def _one(
        self, line: Transfer, there: Mapping[str, ChannelCurve], names: Sequence[str]
    ) -> Transfer:
        """The curve of some channels; nominal unless all of them were measured."""
        if not all(name in there for name in names):
            return line
        found = [there[name] for name in names]
        knots = np.unique(np.concatenate([one.knots for one in found]))
        return self._measured(
            line,
            knots,
            np.stack([np.interp(knots, one.knots, one.deviation) for one in found]),
            max(one.sd_codes for one in found),
        )

    def _slope(self, line: Transfer, names: Sequence[str]) -> Transfer:
        """What is added to codes of some channels: their slopes alone count."""
        if not all(name in self.dacs for name in names):
            return line
        knots = np.array([line.code_min, line.code_max], dtype=np.float64)
        slopes = np.array([self.dacs[name].gain - 1.0 for name in names])
        sd = max(self.dacs[name].sd_codes for name in names)
        return self._measured(line, knots, slopes[:, None] * knots, sd)

    def _measured(
        self, line: Transfer, knots: Floats, deviation: Floats, sd_codes: float
    ) -> MeasuredTransfer:
        return MeasuredTransfer(
            line.gain,
            line.offset,
            line.code_min,
            line.code_max,
            line.unit,
            line.down,
            knots=knots,
            deviation=deviation,
            sd_codes=sd_codes,
            relative_sd=self.ladder_sd,
        )

    def _check(self, description: BoardDescription) -> None:
        for name, curve in {**self.dacs, **self.adcs}.items():
            if curve.knots[0] > 0 or curve.knots[-1] < description.code_max:
                raise CalibrationError(
                    f"curve of {name}: from {curve.knots[0]:g} to {curve.knots[-1]:g}, the board's"
                    f" codes are 0 to {description.code_max}"
                )
        if self.columns is not None and self.columns.gain.size != description.columns:
            raise CalibrationError(
                f"{self.columns.gain.size} read paths were measured, the board has"
                f" {description.columns} columns"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "dacs": {name: curve.to_dict() for name, curve in self.dacs.items()},
            "adcs": {name: curve.to_dict() for name, curve in self.adcs.items()},
            "columns": None if self.columns is None else _columns_dict(self.columns),
            "ladder_sd": self.ladder_sd,
        }

    @classmethod
    def from_dict(cls, data: Any) -> MeasuredCurves:
        """The inverse of `to_dict`.

        Raises:
            CalibrationError: something is missing or is no curve.
        """
        try:
            kinds = [dict(data[kind]) for kind in ("dacs", "adcs")]
            columns, ladder = data["columns"], float(data["ladder_sd"])
        except (KeyError, TypeError, ValueError) as error:
            raise CalibrationError(f"not the curves of a board ({error})") from error
        if not 0.0 <= ladder < 1.0:
            raise CalibrationError(f"not the curves of a board (ladder_sd is {ladder})")
        dacs, adcs = (
            {name: ChannelCurve.from_dict(name, item) for name, item in kind.items()}
            for kind in kinds
        )
        return cls(dacs, adcs, None if columns is None else _columns(columns), ladder)


def _columns_dict(columns: ColumnCurves) -> dict[str, Any]:
    return {
        "gain": columns.gain.tolist(),
        "offset_amperes": columns.offset_amperes.tolist(),
        "relative_sd": columns.relative_sd,
    }


def _columns(data: Any) -> ColumnCurves:
    try:
        gain, offset = (np.asarray(data[k], np.float64) for k in ("gain", "offset_amperes"))
        sd = float(data["relative_sd"])
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"read paths: not a table ({error})") from error
    fits = gain.ndim == 1 and 1 <= gain.size <= LINES_MAX and gain.shape == offset.shape
    if not fits or not np.isfinite([*gain, *offset, sd]).all() or (gain <= 0).any() or sd < 0:
        raise CalibrationError("read paths: a gain and an offset for each column are needed")
    return ColumnCurves(gain, offset, sd)
