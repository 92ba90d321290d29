"""DAC channels through the loop-back, by an ADC input that was calibrated before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from calibration.arrays import IntArray
from calibration.front_end.adc import span_codes
from calibration.front_end.averaging import averaged
from calibration.front_end.channel import ChannelResult, Kind, Points, fit_channel
from calibration.front_end.params import FrontEndParams
from drivers.board import Board
from drivers.curves import ChannelCurve
from drivers.identity import Identity
from protocols.hardware import BoardDescription
from protocols.messages import AdcInput, LoopSource, Operation

LINES = (LoopSource.BIT_LINE, LoopSource.SOURCE_LINE, LoopSource.WORD_LINE)
REMEDY = (
    "Check its chip select and supply, and that its output reaches the calibration line; then"
    " calibrate again."
)


def loop_channels(description: BoardDescription) -> list[LoopSource]:
    """The channels of the loop: initial conditions, words and as many embeddings as it is wide."""
    others = [s for s in LoopSource if s not in (LoopSource.REFERENCE, *LINES)]
    return [s for s in others if s < LoopSource.EMBEDDING_1 + description.loop.hidden_width]


def largest_code(source: LoopSource, identity: Identity, description: BoardDescription) -> int:
    """What the board's own limits allow at most on a line of the array; else the last code."""
    of = identity.limits
    lines = {
        LoopSource.BIT_LINE: max(of[Operation.SET].line_code_max, of[Operation.FORM].line_code_max),
        LoopSource.SOURCE_LINE: of[Operation.RESET].line_code_max,
        LoopSource.WORD_LINE: max(one.gate_code_max for one in of.values()),
    }
    return min(lines.get(source, description.code_max), description.code_max)


def run(
    board: Board,
    description: BoardDescription,
    adcs: Mapping[str, ChannelCurve],
    sources: Iterable[LoopSource],
    params: FrontEndParams | None = None,
) -> dict[str, ChannelResult]:
    """Some DAC channels, each at codes spread over what it may be given.

    Lines of the array go above the read level, with the array cut off: the board has to be armed
    for them.

    Raises:
        CalibrationError: a channel is dead, railed or too far off.
        SafetyError: the board is not armed.
    """
    p = params or FrontEndParams()
    return {s.name.lower(): _one(board, description, adcs, s, p) for s in sources}


def _one(
    board: Board,
    description: BoardDescription,
    adcs: Mapping[str, ChannelCurve],
    source: LoopSource,
    params: FrontEndParams,
) -> ChannelResult:
    line = source in LINES
    adc = AdcInput.READ if line else AdcInput.PROBE
    last = largest_code(source, board.identity, description)
    codes = np.unique(np.rint(np.linspace(0, last, params.dac_points)).astype(np.int64))
    points = measure(board, description, adcs[adc.name.lower()], (source, adc), codes, params)
    kind = Kind("DAC channel", REMEDY, 0 if line else description.code_zero)
    return fit_channel(source.name.lower(), kind, points, description.code_max, params)


def measure(
    board: Board,
    description: BoardDescription,
    by: ChannelCurve,
    path: tuple[LoopSource, AdcInput],
    codes: IntArray,
    params: FrontEndParams,
) -> Points:
    """What a channel gives at some codes, by an input whose curve is known."""
    source, adc = path
    means = averaged(lambda n: board.loopback(source, adc, codes.tolist(), n).codes, params)
    position = by.at(means.codes) / span_codes(adc, description)
    span = description.code_max if source in LINES else 2 * description.code_zero
    return Points(
        codes=codes.astype(np.float64),
        effective=position * span,
        readings=means.codes,
        sd=means.sd,
        conversions=means.conversions * codes.size,
        common_sd=by.sd_codes,
    )
