"""One converter channel: a smooth curve through its deviations, and whether it can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import legendre

from calibration.arrays import FloatArray
from calibration.front_end.params import FrontEndParams
from drivers.curves import ChannelCurve
from protocols.errors import CalibrationError

KNOTS = 33
RAIL_CODES = 3.0
"""Closer to the ends of an ADC than this, a mean is taken as cut off."""


@dataclass(frozen=True, eq=False)
class Points:
    """What was measured at a channel.

    Attributes:
        codes: (n,) codes: given to a DAC, got from an ADC.
        effective: (n,) codes that an ideal channel would have had for the same.
        readings: (n,) means of the ADC that was asked, in codes.
        sd: standard deviation of `effective`, each point its own.
        common_sd: the same of what is common to all points: the curve that they were measured by.
        conversions: all together.
    """

    codes: FloatArray
    effective: FloatArray
    readings: FloatArray
    sd: float
    conversions: int
    common_sd: float = 0.0


@dataclass(frozen=True, eq=False)
class ChannelResult:
    """One channel, measured.

    Attributes:
        name: as in the protocol (`LoopSource`, `AdcInput`).
        curve: what the drivers apply; its `sd_codes` is the stated uncertainty.
        gain: slope of what the channel does, 1 is nominal; offset_codes: by how many codes its
            output (of a DAC) or its reading (of an ADC) is off at its zero, the middle of a
            bipolar one.
        gain_sd, offset_sd_codes: their standard deviations, the reference's tolerance apart.
        nonlinearity_codes: largest deviation of the curve from the line through its ends.
        residual_codes: root mean square of what the curve leaves.
        points: what was measured.
    """

    name: str
    curve: ChannelCurve
    gain: float
    gain_sd: float
    offset_codes: float
    offset_sd_codes: float
    nonlinearity_codes: float
    residual_codes: float
    points: Points

    def to_dict(self) -> dict[str, Any]:
        """Figures and points for JSON."""
        return {
            "gain": self.gain,
            "gain_sd": self.gain_sd,
            "offset_codes": self.offset_codes,
            "offset_sd_codes": self.offset_sd_codes,
            "nonlinearity_codes": self.nonlinearity_codes,
            "residual_codes": self.residual_codes,
            "sd_codes": self.curve.sd_codes,
            "conversions": self.points.conversions,
            "codes": self.points.codes.tolist(),
            "deviation_codes": (self.points.effective - self.points.codes).tolist(),
        }


@dataclass(frozen=True)
class Kind:
    """What a message calls a channel, and what a person can do about it.

    Attributes:
        what: "DAC channel", "ADC input".
        remedy: the end of the sentence.
        zero: the code whose deviation is the offset.
        reads: an ADC: its curve leads from readings to what is true, so its own gain is the
            inverse of the curve's slope.
    """

    what: str
    remedy: str
    zero: int
    reads: bool = False


def fit_channel(
    name: str, kind: Kind, points: Points, code_max: int, params: FrontEndParams
) -> ChannelResult:
    """A polynomial of the deviations over the code.

    Raises:
        CalibrationError: the channel is dead, railed, or farther off than `params` allow.
    """
    keep = _usable(name, kind, points, code_max, params)
    sign = -1.0 if kind.reads else 1.0
    codes, deviation = points.codes[keep], (points.effective - points.codes)[keep]
    basis = _basis(codes, code_max, params.order)
    solved, *_ = np.linalg.lstsq(basis, deviation, rcond=None)
    left = deviation - basis @ solved
    spread = float(np.sqrt(left @ left / max(len(codes) - params.order - 1, 1)))
    inverse = np.asarray(np.linalg.inv(basis.T @ basis), np.float64)
    covariance = inverse * max(spread, points.sd) ** 2
    knots = np.linspace(0.0, code_max, KNOTS)
    at = _basis(knots, code_max, params.order)
    inside = (knots >= codes.min()) & (knots <= codes.max())
    sd = np.sqrt(np.einsum("ij,jk,ik->i", at, covariance, at))
    worst_sd = float(np.hypot(sd[inside].max(), points.common_sd))
    curve = ChannelCurve(knots, at @ solved, worst_sd)
    slope_sd, offset_sd = _line_sd(covariance, code_max, kind.zero, params.order)
    slope = _gain(curve, inside)
    result = ChannelResult(
        name=name,
        curve=curve,
        gain=1.0 / slope if kind.reads else slope,
        gain_sd=slope_sd,
        offset_codes=sign * float(np.interp(kind.zero, knots, curve.deviation)),
        offset_sd_codes=float(np.hypot(offset_sd, points.common_sd)),
        nonlinearity_codes=_nonlinearity(curve, inside),
        residual_codes=spread,
        points=points,
    )
    _check(result, kind, float(np.abs(left).max()), params)
    return result


def _basis(codes: FloatArray, code_max: int, order: int) -> FloatArray:
    return np.asarray(legendre.legvander(2.0 * codes / code_max - 1.0, order))


def _line_sd(covariance: FloatArray, code_max: int, zero: int, order: int) -> tuple[float, float]:
    """Standard deviations of slope (end to end) and offset."""
    ends = _basis(np.array([0.0, code_max, zero]), code_max, order)
    across = (ends[1] - ends[0]) / code_max
    return float(np.sqrt(across @ covariance @ across)), float(
        np.sqrt(ends[2] @ covariance @ ends[2])
    )


def _gain(curve: ChannelCurve, inside: FloatArray) -> float:
    knots, deviation = curve.knots[inside], curve.deviation[inside]
    return 1.0 + float((deviation[-1] - deviation[0]) / (knots[-1] - knots[0]))


def _nonlinearity(curve: ChannelCurve, inside: FloatArray) -> float:
    knots, deviation = curve.knots[inside], curve.deviation[inside]
    line = np.interp(knots, knots[[0, -1]], deviation[[0, -1]])
    return float(np.abs(deviation - line).max())


def _usable(
    name: str, kind: Kind, points: Points, code_max: int, params: FrontEndParams
) -> FloatArray:
    """Which points are between the rails of ADC and DAC; refuses a channel that does not follow.

    A DAC that cannot go below ground stays at 0 for its first codes when its offset is negative.
    """
    readings, low, high = points.readings, RAIL_CODES, code_max - RAIL_CODES
    inside = (readings > low) & (readings < high)
    if not kind.reads:
        inside &= (points.effective > low) & (points.effective < high)
    asked = points.effective if kind.reads else points.codes
    if float(np.ptp(readings)) < 0.1 * float(np.ptp(asked)):
        level = float(np.median(readings))
        railed = level <= low or level >= high
        state = "at its rail" if railed else "dead"
        raise CalibrationError(
            f"{kind.what} {name} is {state}: the readings stay at code {level:.0f} (of {code_max})"
            f" over its whole range. {kind.remedy}"
        )
    if np.count_nonzero(inside) < params.order + 3:
        raise CalibrationError(
            f"{kind.what} {name} runs into a rail: only {np.count_nonzero(inside)} of"
            f" {len(readings)} points lie inside. {kind.remedy}"
        )
    return np.asarray(inside)


def _check(result: ChannelResult, kind: Kind, worst: float, params: FrontEndParams) -> None:
    allowed = max(params.largest_residual_codes, 6.0 * result.points.sd)
    for what, value, bound in (
        ("gain is off by", abs(result.gain - 1.0), params.largest_gain_error),
        ("offset, in codes, is", abs(result.offset_codes), params.largest_offset_codes),
        ("curve bends, in codes, by", result.nonlinearity_codes, params.largest_nonlinearity_codes),
        ("points leave the curve, in codes, by", worst, allowed),
    ):
        if value > bound:
            raise CalibrationError(
                f"{kind.what} {result.name}: its {what} {value:.3g}, more than the {bound:.3g} that"
                f" a working channel may have. {kind.remedy}"
            )
