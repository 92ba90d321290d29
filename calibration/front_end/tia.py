"""The read path of every column against reference resistors: gain and offset of its trans-impedance
stage.

The reference board has one range of the read path, the one whose full scale its description names;
a board with several would be measured once in each. Because the same bit-line voltage drives
resistors and cells, a common error of the voltage falls out of a conductance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.front_end.averaging import averaged
from calibration.front_end.channel import RAIL_CODES
from calibration.front_end.params import FrontEndParams
from drivers.board import Board
from drivers.curves import ChannelCurve
from drivers.transfer import ColumnCurves
from protocols.errors import CalibrationError
from protocols.hardware import BoardDescription

RANGE = "read"
REMEDY = "Check the column's switch, its trans-impedance stage and the reference resistors."


@dataclass(frozen=True, eq=False)
class ColumnResult:
    """The read paths of all columns in one range.

    Attributes:
        columns: what the drivers apply.
        gain_sd, offset_sd_amperes: (columns,) standard deviations, the resistors' tolerance apart.
        residual_amperes: (columns,) largest difference from the straight line.
        true_amperes: (resistors,) what the resistors draw.
        amperes: (columns, resistors) what was read; NaN where it was cut off.
        range_name: which range of the read path.
        conversions: all together.
    """

    columns: ColumnCurves
    gain_sd: FloatArray
    offset_sd_amperes: FloatArray
    residual_amperes: FloatArray
    true_amperes: FloatArray
    amperes: FloatArray
    conversions: int
    range_name: str = RANGE

    def to_dict(self) -> dict[str, Any]:
        """Figures for JSON."""
        return {
            "range": self.range_name,
            "gain": self.columns.gain.tolist(),
            "gain_sd": self.gain_sd.tolist(),
            "offset_amperes": self.columns.offset_amperes.tolist(),
            "offset_sd_amperes": self.offset_sd_amperes.tolist(),
            "residual_amperes": self.residual_amperes.tolist(),
            "relative_sd": self.columns.relative_sd,
            "true_amperes": self.true_amperes.tolist(),
            "conversions": self.conversions,
        }


def run(
    board: Board,
    description: BoardDescription,
    adc: ChannelCurve,
    bit_line: ChannelCurve,
    read_volts: float,
    params: FrontEndParams | None = None,
) -> ColumnResult:
    """Every column at no resistor and at each of the three, at the read voltage; needs no arming.

    Raises:
        CalibrationError: a column is dead, cut off, or not a straight line.
    """
    p = params or FrontEndParams()
    scales, top = description.converters, description.code_max
    per_code = scales.pulse_full_scale_volts / top
    code = _read_code(board, bit_line, read_volts / per_code)
    volts = float(bit_line.at(np.array([float(code)]))[0]) * per_code
    resistors = np.arange(1 + len(description.references.ohms))
    columns = np.repeat(np.arange(description.columns), resistors.size)
    pairs = columns.tolist(), np.tile(resistors, description.columns).tolist()
    means = averaged(lambda n: board.read_reference(code, *pairs, n).codes, p)
    codes = means.codes.reshape(description.columns, resistors.size)
    amperes = adc.at(codes) * scales.read_full_scale_amperes / top
    cut = (codes <= RAIL_CODES) | (codes >= top - RAIL_CODES)
    ohms = np.array(description.references.ohms)
    true = volts * np.concatenate([[0.0], 1.0 / ohms])
    sd = means.sd * scales.read_full_scale_amperes / top
    fitted = _fit(true, np.where(cut, np.nan, amperes), sd)
    relative = float(np.hypot(description.references.ohm_tolerance, fitted[2].max()))
    result = ColumnResult(
        ColumnCurves(fitted[0], fitted[1], relative),
        fitted[2],
        fitted[3],
        fitted[4],
        true,
        np.where(cut, np.nan, amperes),
        means.conversions * columns.size,
    )
    _check(result, scales.read_full_scale_amperes, p)
    return result


def _read_code(board: Board, bit_line: ChannelCurve, effective: float) -> int:
    """The code nearest to a wanted effective one, not above the board's read level."""
    code = round(float(np.interp(effective, bit_line.at(bit_line.knots), bit_line.knots)))
    return max(1, min(code, board.identity.read_code_max))


def _fit(
    true: FloatArray, amperes: FloatArray, sd: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Gain, offset, their standard deviations and the largest residual of each column; NaN where
    fewer than two different currents are left."""
    weight = np.isfinite(amperes).astype(np.float64)
    y = np.nan_to_num(amperes)
    n = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = (weight * true).sum(axis=1) / n, (weight * y).sum(axis=1) / n
        dx = true - mean_x[:, None]
        sxx = (weight * dx**2).sum(axis=1)
        gain = (weight * dx * (y - mean_y[:, None])).sum(axis=1) / sxx
        offset = mean_y - gain * mean_x
        left = np.abs(weight * (y - gain[:, None] * true - offset[:, None])).max(axis=1)
        return gain, offset, sd / np.sqrt(sxx), sd * np.sqrt(1.0 / n + mean_x**2 / sxx), left


def _check(result: ColumnResult, full_scale: float, params: FrontEndParams) -> None:
    gain, offset = result.columns.gain, result.columns.offset_amperes
    left = result.residual_amperes
    used = np.isfinite(result.amperes).sum(axis=1)
    for bad, what in (
        (used < 3, "is dead or at its rail: fewer than three of its resistors can be read"),
        (~(np.abs(gain - 1.0) < params.largest_gain_error), "has a gain that no stage has"),
        (
            ~(np.abs(offset) < params.largest_gain_error * full_scale),
            "has an offset that no stage has",
        ),
        (~(left < params.largest_column_residual * full_scale), "is not a straight line"),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            more = f" (and {np.count_nonzero(bad) - 1} more)" if np.count_nonzero(bad) > 1 else ""
            raise CalibrationError(
                f"The read path of column {at}{more} {what}: gain {gain[at]:.3g}, offset"
                f" {offset[at]:.3g} A, largest residual {left[at]:.3g} A. {REMEDY}"
            )
