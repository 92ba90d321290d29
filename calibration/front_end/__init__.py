"""The board's converters and read paths, measured against its own references.

In order, each step by what the ones before it found: ADC inputs against the ladder below the
voltage reference (`adc`), DAC channels through the loop-back (`dac`), the read path of every column
against reference resistors (`tia`), amplitudes of the lines tried out (`pulse`). The array is cut
off throughout, so no cell sees any of it; the board is armed for the lines, because their codes go
above the read level. What the lines of the array themselves do is measured on a chip
(`line_resistance`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibration.front_end import adc, dac, pulse, tia
from calibration.front_end.channel import ChannelResult
from calibration.front_end.params import FrontEndParams
from calibration.front_end.pulse import PulseResult
from calibration.front_end.tia import ColumnResult
from calibration.progress import Progress, silent
from drivers.curves import ChannelCurve, MeasuredCurves
from drivers.rram.macro import Macro
from protocols.hardware import BoardDescription

__all__ = ["FrontEndCalibration", "FrontEndParams", "calibrate_front_end"]

PARTS = 5


@dataclass(frozen=True, eq=False)
class FrontEndCalibration:
    """All that was found out about a board.

    Attributes:
        adcs, dacs: by the protocol's names.
        columns: read paths.
        pulse: amplitudes as tried out, and what stays nominal.
        ladder_tolerance: relative standard deviation of the reference itself.
        bench_s: what it took.
    """

    adcs: Mapping[str, ChannelResult]
    dacs: Mapping[str, ChannelResult]
    columns: ColumnResult
    pulse: PulseResult
    ladder_tolerance: float
    bench_s: float

    @property
    def curves(self) -> MeasuredCurves:
        """What the drivers apply."""
        return _curves(self.adcs, self.dacs, self.columns, self.ladder_tolerance)

    @property
    def conversions(self) -> int:
        """How many there were."""
        channels = [*self.adcs.values(), *self.dacs.values()]
        return self.columns.conversions + sum(one.points.conversions for one in channels)

    def to_dict(self) -> dict[str, Any]:
        """Figures for JSON."""
        return {
            "adcs": {name: one.to_dict() for name, one in self.adcs.items()},
            "dacs": {name: one.to_dict() for name, one in self.dacs.items()},
            "columns": self.columns.to_dict(),
            "pulse": self.pulse.to_dict(),
            "ladder_tolerance": self.ladder_tolerance,
            "conversions": self.conversions,
            "bench_s": self.bench_s,
        }


def calibrate_front_end(
    macro: Macro,
    description: BoardDescription,
    params: FrontEndParams | None = None,
    progress: Progress | None = None,
    *,
    read_volts: float | None = None,
) -> FrontEndCalibration:
    """Measure everything between codes and the array's edge.

    Args:
        macro: the board; its own curves do not matter.
        description: nominal figures.
        params: None is the default.
        progress: counts parts.
        read_volts: at which resistors are read; None is the macro's.

    Raises:
        CalibrationError: a channel or column is dead, railed, or farther off than a working one
            can be; names it, and says what to check.
        SafetyError: the board is in a safe state.
    """
    p, tell = params or FrontEndParams(), progress or silent
    board, start_s = macro.board, macro.board.status().time_s
    tell(0, PARTS, "front end: ADC inputs against the ladder")
    adcs = adc.run(board, description, p)
    by = _tables(adcs)
    tell(1, PARTS, "front end: DAC channels of the loop")
    dacs = dac.run(board, description, by, dac.loop_channels(description), p)
    tell(2, PARTS, "front end: lines of the array, cut off from it")
    with macro.armed(min(p.arm_s, macro.limits.bounds["arm_s"].value)):
        dacs = {**dac.run(board, description, by, dac.LINES, p), **dacs}
        known = _curves(adcs, dacs, None, description.references.ladder_tolerance)
        curves = known.applied_to(description)
        tell(3, PARTS, "front end: amplitudes tried out")
        lines = {s.name.lower(): getattr(curves, s.name.lower()) for s in dac.LINES}
        amplitudes = pulse.run(board, description, by["read"], lines, p)
    tell(4, PARTS, "front end: read path of every column")
    volts = macro.read_volts if read_volts is None else read_volts
    columns = tia.run(board, description, by["read"], dacs["bit_line"].curve, volts, p)
    tell(PARTS, PARTS, "front end: done")
    return FrontEndCalibration(
        adcs=adcs,
        dacs=dacs,
        columns=columns,
        pulse=amplitudes,
        ladder_tolerance=description.references.ladder_tolerance,
        bench_s=board.status().time_s - start_s,
    )


def _tables(channels: Mapping[str, ChannelResult]) -> dict[str, ChannelCurve]:
    return {name: one.curve for name, one in channels.items()}


def _curves(
    adcs: Mapping[str, ChannelResult],
    dacs: Mapping[str, ChannelResult],
    columns: ColumnResult | None,
    ladder_sd: float,
) -> MeasuredCurves:
    found = None if columns is None else columns.columns
    return MeasuredCurves(_tables(dacs), _tables(adcs), found, ladder_sd)
