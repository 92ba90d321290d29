"""An oscilloscope's probe at a node of the board, and what it sees while something is driven."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration.arrays import FloatArray
from calibration.bringup.stage import Rig
from calibration.front_end.dac import LINES
from protocols.errors import NotTriggered
from protocols.instruments import Waveform
from protocols.messages import AdcInput, ArrayLine, LoopSource

TOGGLES = 8
"""Conversions, at each of which a driven node stands at its level."""


def captured(
    rig: Rig,
    node: str,
    act: Callable[[], object],
    *,
    volts: float,
    duration_s: float,
    place: bool = True,
) -> Waveform | None:
    """What the scope's first channel sees at a node while `act` drives something.

    Args:
        rig: the bench.
        node: where the probe is put, unless `place` says that it is there already.
        act: drives.
        volts: expected there; half of it triggers.
        duration_s: that is to be seen on either side of the trigger.

    Returns:
        None where nothing has triggered.
    """
    scope = rig.scope
    channel = scope.channels[0]
    if place:
        rig.put_probe("scope", channel, node)
    scope.configure(
        channel, 4.0 * abs(volts), 2.0 * duration_s, channel, 0.5 * volts, rising=volts > 0.0
    )
    scope.arm()
    act()
    try:
        return scope.waveform(channel)
    except NotTriggered:
        return None


def level(seen: Waveform, volts: float) -> float:
    """The level of a waveform's high part: the median of what is above half of `volts`."""
    shown = np.asarray(seen.volts, np.float64)
    high = shown[shown > 0.5 * volts] if volts > 0.0 else shown[shown < 0.5 * volts]
    return float(np.median(high)) if high.size else 0.0


def moves(rig: Rig, source: LoopSource, node: str) -> bool:
    """Whether a node follows the codes of a DAC channel that is looped back."""
    line = source in LINES
    description = rig.description
    top = rig.board.identity.read_code_max if line else description.code_max
    low, high = (0, top) if line else (description.code_zero, top)
    adc = AdcInput.READ if line else AdcInput.PROBE
    full = _full_scale(rig, source)
    volts = full * (high / description.code_max if line else 1.0)
    codes = [low] * TOGGLES + [high] * TOGGLES
    seen = captured(
        rig,
        node,
        lambda: rig.board.loopback(source, adc, codes, 1),
        volts=volts,
        duration_s=TOGGLES * description.timing.read_s,
    )
    return seen is not None


def _full_scale(rig: Rig, source: LoopSource) -> float:
    """Volts of a channel's last code."""
    of = rig.description.converters
    if source in LINES:
        return of.pulse_full_scale_volts
    if source in (LoopSource.INITIAL_1, LoopSource.INITIAL_2):
        return of.initial_full_scale_volts
    if source >= LoopSource.EMBEDDING_1:
        return of.embedding_full_scale_volts
    return of.probe_full_scale_volts


def edges(seen: Waveform, volts: float) -> FloatArray:
    """Times at which a waveform crosses half of `volts`, by straight lines between its points."""
    t, v = np.asarray(seen.t_s, np.float64), np.asarray(seen.volts, np.float64)
    above = (v > 0.5 * volts) if volts > 0.0 else (v < 0.5 * volts)
    at = np.flatnonzero(above[1:] != above[:-1])
    share = (0.5 * volts - v[at]) / (v[at + 1] - v[at])
    return np.asarray(t[at] + share * (t[at + 1] - t[at]))


_LETTERS = {ArrayLine.BIT_LINE: "BL", ArrayLine.SOURCE_LINE: "SL", ArrayLine.WORD_LINE: "WL"}


def line_node(place: str, kind: ArrayLine, number: int) -> str:
    """The node of a line: `pad:BL3` is the pad of the array, `pin:BL3` the connector's pin."""
    return f"{place}:{_LETTERS[kind]}{number}"
