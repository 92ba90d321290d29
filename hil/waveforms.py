"""From a model's own file to the words that a board is driven with.

The loop of the board does dx/dt = kf·(f + f0)·x + kg·(g + g0)·s + kn·n + d, with rates kf, kg per
second at a word of full scale, zeros f0, g0 and drifts d as the calibration found them. The model
wants, per unit of its own time τ = 1 - t/T,

    growth  kf_model · ½·β(τ) · x    score  kg_model · c·β(τ) · s    noise  as the model's law says

with c = ½ for the probability-flow ODE; for the SDE c and the noise follow the model's own noise
law (`hil.diffusion.noise_law`). Words are held for a tick; each is taken at the middle of its tick,
which makes the held solution second order in the tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from calibration.loop import LoopCalibration
from calibration.repair_flow import Drive
from drivers.waveforms import Waveforms
from hil.diffusion.noise_law import ODE_COEFFICIENT
from hil.diffusion.score_model import ScoreModel
from protocols.errors import ConfigError
from protocols.hardware import BoardDescription

FloatArray = NDArray[np.float64]
MIN_WORD_CODES = 16
"""A largest word of fewer codes than this leaves the waveform to its quantisation."""


class Mode(Enum):
    """What the loop integrates."""

    ODE = "ode"
    SDE = "sde"

    def score_factor(self, model: ScoreModel, tau: FloatArray) -> FloatArray:
        """c in the module's equation, at each tau."""
        if self is Mode.ODE:
            return np.full(np.shape(tau), ODE_COEFFICIENT)
        return model.noise.score_coefficient(tau)


@dataclass(frozen=True)
class LoopTiming:
    """How the solve is laid out in time.

    Attributes:
        tick_s: length of a tick in seconds.
        ticks: ticks up to the capture, which is the model's whole time.
    """

    tick_s: float
    ticks: int

    @property
    def duration_s(self) -> float:
        """Length of a solve in seconds of the board."""
        return self.tick_s * self.ticks


def model_times(model: ScoreModel, timing: LoopTiming) -> FloatArray:
    """τ at the middle of each tick, shape (ticks,)."""
    return model.tau((np.arange(timing.ticks) + 0.5) / timing.ticks * model.capture_time)


def build_waveforms(
    model: ScoreModel,
    calibration: LoopCalibration,
    timing: LoopTiming,
    description: BoardDescription,
    mode: Mode,
    label: int | None = None,
    trim: Drive | None = None,
    channels: NDArray[np.int64] | None = None,
    draws: FloatArray | None = None,
) -> Waveforms:
    """The words of one solve.

    Args:
        model: the model's file.
        calibration: gains and zeros measured on this board.
        timing: tick and number of ticks.
        description: the kind of board, for its converters' steps.
        mode: ODE or SDE.
        label: class of a conditional model, None for none.
        trim: the drive that was fitted to the network on the chip; None drives the ideal network.
        channels: the model's channel at each channel of the board; None is the model's own order.
        draws: (ticks, 2) standard normal numbers that the offset words play instead of noise that
            the board makes: one trajectory's recorded noise.

    Raises:
        ConfigError: tick, RC and duration do not fit together.
        ModelError: the model has no such class.
    """
    tau = model_times(model, timing)
    beta = np.asarray(model.schedule.beta(tau)) * model.capture_time / timing.duration_s
    growth, pull = model.kf * 0.5 * beta, model.kg * mode.score_factor(model, tau) * beta
    still = np.zeros((timing.ticks, 2))
    if trim is not None:
        growth, pull = growth * trim.drift, pull * trim.score
        still = beta[:, None] * trim.offset_volts / calibration.kn_volts_per_s
    drift, score = calibration.drift_word(growth), calibration.score_word(pull)
    _check_words(drift, score, timing, description.code_zero)
    noise = held_noise(model, timing, mode) / calibration.kn_volts_per_s
    if draws is not None:
        still, noise = still + noise[:, None] * draws, np.zeros(timing.ticks)
    classes = (model.injected(0.0, label) - model.injected(0.0)) * model.volts_per_unit
    volts = model.embedding(tau) * model.volts_per_unit
    if trim is not None:
        volts = trim.embedding_volts - classes
    if channels is not None:
        volts, classes = volts[:, channels], classes[channels]
    return Waveforms(
        tick_s=timing.tick_s,
        drift=drift,
        score=score,
        noise=noise,
        offset=dithered(still + calibration.rest_offset(), 1.0 / description.code_zero),
        embedding_volts=volts,
        class_offset_volts=classes,
    )


def held_noise(model: ScoreModel, timing: LoopTiming, mode: Mode) -> FloatArray:
    """(ticks,) standard deviation, volts per second, of noise that is held for a tick."""
    if mode is Mode.ODE:
        return np.zeros(timing.ticks)
    tau, tick = model_times(model, timing), model.capture_time / timing.ticks
    density = model.noise.density(model.schedule.beta(tau), model.kg, tau)
    units_per_tick = density * np.sqrt(tick)
    return np.asarray(units_per_tick / timing.tick_s * model.volts_per_unit)


def dithered(wanted: FloatArray, step: float) -> FloatArray:
    """Multiples of `step` whose running sum along the ticks (first axis) follows that of `wanted`.

    A converter's step is coarse against the drift that has to be cancelled; a first-order
    error feedback makes the mean over the solve exact.
    """
    sums = np.cumsum(wanted / step, axis=0)
    return np.diff(np.round(sums), axis=0, prepend=np.zeros_like(sums[:1])) * step


def _check_words(drift: FloatArray, score: FloatArray, timing: LoopTiming, code_zero: int) -> None:
    for name, word in (("drift f", drift), ("score g2", score)):
        peak = float(np.max(np.abs(word)))
        if peak > 1.0:
            raise ConfigError(
                f"the {name} word would need {peak:.2f} of full scale: {timing.ticks} ticks of "
                f"{timing.tick_s:g} s ({timing.duration_s:g} s) are too short for this loop's "
                f"rates; lengthen the solve {peak:.2f} times (loop.tick_s, loop.ticks) or change RC"
            )
        if peak * code_zero < MIN_WORD_CODES:
            raise ConfigError(
                f"the {name} word would use {peak * code_zero:.1f} codes of {code_zero}: a solve "
                f"of {timing.duration_s:g} s is too long for this loop's rates; shorten it "
                f"(loop.tick_s, loop.ticks) or change the RC"
            )
