"""What the analog loop of one board deviates by.

    dx_i/dt = kf_i (f + f0_i) x_i + kg_i (g + g0_i) s_i + kn_i (n_i + n0_i) + d_i - x_i / tau

kf, kg, kn are the nominal rates times a factor of the path (RC and multiplier scale, both axes
alike) and of the axis; f0, g0, n0 are zeros in fractions of a word's full scale; d is the offset
current of the integrators. `stage_gain` belongs to the trans-impedance stage of each output. An
analog multiplier's data sheet states its error as exactly these: scale factor, input offsets and
output offset (for instance Analog Devices AD633, rev. K); the sizes are this project's choice.
Op-amp bandwidth is left out: it is some 1e4 times the rate of the ticks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.sim.config import SimSettings
from hil.sim.converters import STREAM_LOOP_ERRORS, cut_normals
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class LoopErrors:
    """The true figures of one board's loop; index 0 and 1 are the two axes."""

    drift_rate_per_s: F64
    score_rate_per_s: F64
    noise_rate_volts_per_s: F64
    drift_zero: F64
    score_zero: F64
    noise_zero: F64
    offset_volts_per_s: F64
    leak_per_s: float
    stage_gain: F64  # factor of each output: layer 0, layer 1, layer 2

    @classmethod
    def of(cls, description: BoardDescription, settings: SimSettings) -> LoopErrors:
        """Drawn from `board_seed`, ideal where effects are off; planted values always hold."""
        effects, loop = settings.switched(), description.loop
        scale = float(effects.multiplier_error)
        draw = _Draws(settings.board_seed)
        offset = settings.integrator_offset_volts_per_s
        drawn = settings.integrator_offset_sd_volts_per_s * draw.axes(4)
        outputs = 2 * loop.hidden_width + 2
        stage = cut_normals(settings.board_seed, STREAM_LOOP_ERRORS, outputs, 15)
        return cls(
            drift_rate_per_s=loop.drift_rate_per_s
            * _gain(settings, scale, settings.loop_gain_drift, draw, 0),
            score_rate_per_s=loop.score_rate_per_s
            * _gain(settings, scale, settings.loop_gain_score, draw, 1),
            noise_rate_volts_per_s=loop.noise_rate_volts_per_s
            * _gain(settings, scale, settings.loop_gain_noise, draw, 2),
            drift_zero=_zero(settings, scale, settings.zero_drift, draw, 5),
            score_zero=_zero(settings, scale, settings.zero_score, draw, 6),
            noise_zero=scale * settings.noise_zero_sd * draw.axes(3),
            offset_volts_per_s=float(effects.integrator_error) * drawn
            if offset is None
            else np.array(offset),
            leak_per_s=1.0 / settings.leak_time_s if effects.integrator_error else 0.0,
            stage_gain=1.0 + scale * settings.stage_gain_sd * stage,
        )


class _Draws:
    """Cut normals of the loop's errors; `block` says of which."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def axes(self, block: int) -> F64:
        """One per axis."""
        return cut_normals(self._seed, STREAM_LOOP_ERRORS, 2, block)

    def common(self, block: int) -> float:
        """One for both axes."""
        return float(cut_normals(self._seed, STREAM_LOOP_ERRORS, 3, block)[2])


def _gain(
    settings: SimSettings, scale: float, planted: float | None, draw: _Draws, block: int
) -> F64:
    path = 1.0 + scale * settings.loop_gain_sd * draw.common(block) if planted is None else planted
    return path * (1.0 + scale * settings.axis_gain_sd * draw.axes(block))


def _zero(
    settings: SimSettings, scale: float, planted: float | None, draw: _Draws, block: int
) -> F64:
    path = scale * settings.zero_sd * draw.common(block) if planted is None else planted
    return path + scale * settings.axis_zero_sd * draw.axes(block)
