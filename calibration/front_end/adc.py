"""ADC inputs against the ladder below the voltage reference: gain, offset, linearity of each."""

from __future__ import annotations

import numpy as np

from calibration.front_end.averaging import averaged
from calibration.front_end.channel import ChannelResult, Kind, Points, fit_channel
from calibration.front_end.params import FrontEndParams
from drivers.board import Board
from protocols.errors import CalibrationError
from protocols.hardware import LADDER_STEPS, BoardDescription
from protocols.messages import AdcInput, LoopSource

REMEDY = (
    "Check the supply of its amplifier and the wiring from the calibration line to the input; then"
    " calibrate again."
)
LADDER_REMEDY = "No ADC input follows the ladder: check the voltage reference and the calibration"


def run(
    board: Board, description: BoardDescription, params: FrontEndParams | None = None
) -> dict[str, ChannelResult]:
    """Every ADC input at the taps of the ladder, its two ends left out: they may be cut off.

    Raises:
        CalibrationError: an input is dead, railed or too far off; all of them: the reference is.
    """
    found: dict[str, ChannelResult] = {}
    broken: list[CalibrationError] = []
    for adc in AdcInput:
        try:
            found[adc.name.lower()] = _one(board, description, adc, params or FrontEndParams())
        except CalibrationError as error:
            broken.append(error)
    if len(broken) == len(AdcInput):
        raise CalibrationError(f"{LADDER_REMEDY} line first. The first input: {broken[0]}")
    if broken:
        raise broken[0]
    return found


def _one(
    board: Board, description: BoardDescription, adc: AdcInput, params: FrontEndParams
) -> ChannelResult:
    taps = np.arange(1, LADDER_STEPS)
    means = averaged(
        lambda samples: board.loopback(LoopSource.REFERENCE, adc, taps.tolist(), samples).codes,
        params,
    )
    span = span_codes(adc, description)
    points = Points(
        codes=means.codes,
        effective=taps / LADDER_STEPS * span,
        readings=means.codes,
        sd=means.sd,
        conversions=means.conversions * taps.size,
    )
    zero = 0 if adc is AdcInput.READ else description.code_zero
    kind = Kind("ADC input", REMEDY, zero, reads=True)
    return fit_channel(adc.name.lower(), kind, points, description.code_max, params)


def span_codes(adc: AdcInput, description: BoardDescription) -> int:
    """Codes from the bottom to the top of an input's span: a bipolar one's zero is in the middle of
    2**bits."""
    return description.code_max if adc is AdcInput.READ else 2 * description.code_zero
