"""A point at the depth "twin": samples of a chip that was not brought up pulse by pulse.

    chip       cells inside their tolerance, relaxed and read as on the board (`hil.study.chip`)
    drive      words and embedding fitted to the cells as read, where the bench file trims them
    loop       the simulator's own analog loop with those cells, solved at once

The loop is taken as perfectly calibrated: gains and zeros of its multipliers and integrators and
the errors of the converters, which the calibration of a board measures and takes out, are off.
What no calibration takes out is as the bench file says: read noise, line resistance, electronic
noise, settling and skew of the waveforms, clamps, and the steps of the converters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.loop import LoopCalibration
from calibration.placement import Placement
from calibration.repair_flow import Drive, Flow, fit_flow
from calibration.twin import Twin
from drivers.transfer import Curves
from drivers.waveforms import Waveforms
from hil.config import BenchConfig
from hil.diffusion.sampler import initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.sim.converters import Converters
from hil.sim.loop import AnalogLoop
from hil.sim.loop_drive import Waves
from hil.sim.loop_network import LayerBlock
from hil.software_flow import converters_reach, software_flow
from hil.study.axes import Point
from hil.study.chip import READ_BACK_SAMPLES, Programmed, programmed_chip
from hil.study.settings import board_of, ideal_model, model_of
from hil.waveforms import LoopTiming, Mode, build_waveforms, dithered
from protocols.hardware import BoardDescription

FloatArray = NDArray[np.float64]

CALIBRATED_AWAY = (
    "multiplier_error",
    "integrator_error",
    "dac_error",
    "adc_error",
    "front_end_noise",
)
"""Effects that a calibrated board has next to nothing left of."""


@dataclass(frozen=True)
class Solved:
    """Samples (n, 2) of one chip in model units, and figures of the chip by their columns."""

    samples: FloatArray
    figures: dict[str, float]


@dataclass(frozen=True)
class _Trial:
    """What all steps of one point need.

    Attributes:
        config: the bench, with what a calibration takes out switched off.
        board: the bench's board.
        waves: the same with the converters that play the point's waveforms.
        model: as it was trained.
    """

    config: BenchConfig
    board: BoardDescription
    waves: BoardDescription
    model: ScoreModel
    point: Point

    @classmethod
    def of(cls, config: BenchConfig, point: Point) -> _Trial:
        effects = {**config.sim.effects, **dict.fromkeys(CALIBRATED_AWAY, False)}
        calibrated = config.with_changes(sim=config.sim.model_copy(update={"effects": effects}))
        board, waves = config.load_description(), board_of(config, point)
        return cls(calibrated, board, waves, ideal_model(config.model), point)

    @property
    def mode(self) -> Mode:
        return Mode(self.point.mode)

    @property
    def timing(self) -> LoopTiming:
        return LoopTiming(self.config.loop.tick_s, self.config.loop.ticks)

    @property
    def clip_units(self) -> float:
        """Where initial conditions are clipped, as `RunLoop` does it."""
        reach = Curves.nominal(self.board).initial.maximum
        return min(self.config.loop.initial_clip_volts, reach) / self.model.volts_per_unit


def solve_twin(config: BenchConfig, point: Point) -> Solved:
    """The samples of one chip.

    Raises:
        HilError: the network does not fit, the model or a file is not there, or the drive's range
            is left.
    """
    trial = _Trial.of(config, point)
    chip = programmed_chip(trial.config, trial.board, model_of(config, point))
    now_s = chip.now_s + point.age_s
    drive, flow_error = None, float("nan")
    if config.loop.trim_drive:
        drive, flow_error = _trimmed(trial, chip, now_s)
    samples = _solved(trial, chip, _waves(trial, drive, chip.placement), now_s)
    figures = {
        "weight_rms": weight_rms(chip.placement, chip.siemens(now_s), trial.model),
        "in_tolerance": float(chip.in_tolerance.mean()),
        "bad_cells": float(chip.bad_cells),
        "flow_error": flow_error,
    }
    return Solved(samples, figures)


def weight_rms(placement: Placement, siemens: FloatArray, model: ScoreModel) -> float:
    """Rms over the layers of their rms weight error over their largest weight, biases included."""
    held = zip(*placement.weights_from(siemens), strict=True)
    shares = []
    for layer, wanted in zip(held, model.layers, strict=True):
        right = np.column_stack(wanted)
        shares.append(np.mean((np.column_stack(layer) - right) ** 2) / np.max(np.abs(right)) ** 2)
    return float(np.sqrt(np.mean(shares)))


# --- the drive -----------------------------------------------------------------------------------


def _trimmed(trial: _Trial, chip: Programmed, now_s: float) -> tuple[Drive, float]:
    """The drive fitted to the cells as they read; how far solutions then end from the software's.

    A board refines what its cells read with probes of its layers; here the readings are all.
    """
    model, params, label = trial.model, trial.config.drive_trim, trial.point.label
    weights, biases = chip.placement.weights_from(chip.read(now_s, READ_BACK_SAMPLES))
    twin = Twin(
        weights=weights,
        bias_volts=[bias * model.volts_per_unit for bias in biases],
        output_gain=model.output_gain,
        clamp_volts=trial.board.loop.hidden_clamp_volts,
    )
    count, clip = params.trajectories, trial.clip_units
    flow = _flow(trial.config.model, trial.timing, trial.mode, count, clip, label)
    reach = converters_reach(
        model,
        trial.timing,
        trial.mode,
        LoopCalibration.nominal(trial.board.loop),
        Curves.nominal(trial.waves).embedding,
        params.largest_change,
        label,
    )
    fit = fit_flow(twin, flow, reach, params.fit())
    return fit.drive, fit.error_after


@lru_cache(maxsize=32)
def _flow(
    model: str, timing: LoopTiming, mode: Mode, count: int, clip_units: float, label: int | None
) -> Flow:
    return software_flow(ideal_model(model), timing, mode, count, clip_units, label)


def _waves(trial: _Trial, drive: Drive | None, placement: Placement) -> Waves:
    """The codes of a solve, as the driver would load them into a board without any error."""
    waveforms = build_waveforms(
        trial.model,
        LoopCalibration.nominal(trial.board.loop),
        trial.timing,
        trial.board,
        trial.mode,
        trial.point.label,
        drive,
        placement.channels,
    )
    if trial.waves.code_zero != trial.board.code_zero:  # coarse steps: right in the mean
        offset = dithered(waveforms.offset, 1.0 / trial.waves.code_zero)
        waveforms = replace(waveforms, offset=offset)
    return encoded(waveforms, Curves.nominal(trial.waves))


def encoded(waveforms: Waveforms, curves: Curves) -> Waves:
    """Waveforms as the simulated loop takes them. Raises LimitError beyond a converter's range."""
    codes = waveforms.encode(curves)
    columns = {
        name: np.array([getattr(entry, name) for entry in codes.entries], np.int64)
        for name in ("drift", "score", "noise", "offset", "embedding")
    }
    columns["embedding"] = columns["embedding"] + np.array(codes.class_offset, np.int64)
    return Waves(waveforms.tick_s, **columns)


# --- the solve -----------------------------------------------------------------------------------


def _solved(trial: _Trial, chip: Programmed, waves: Waves, now_s: float) -> FloatArray:
    """End points (n, 2) in model units; x goes in and comes out by the bench's own converters."""
    sim, config, model = trial.config.sim, trial.config, trial.model
    count, ticks = trial.point.samples, config.loop.ticks
    loop = AnalogLoop(chip.array, Converters.of(trial.waves, sim), trial.waves, sim)
    blocks = [_block(block) for block in chip.placement.blocks]
    noisy = trial.mode is Mode.SDE
    plan = loop.plan(blocks, waves, ticks, now_s=now_s, noisy=noisy, seed=config.seed)
    curves, clip = Curves.nominal(trial.board), trial.clip_units
    wanted = initial_conditions(model, config.seed, 0, count)
    start = np.clip(wanted, -clip, clip) * model.volts_per_unit
    x_volts = curves.initial.to_si(curves.initial.to_code(start, "initial condition"))
    end = loop.advance(plan, x_volts, np.arange(count), 0, ticks)
    seen = np.clip(end, curves.sample.minimum, curves.sample.maximum)  # as a converter saturates
    return np.asarray(curves.sample.to_si(curves.sample.to_code(seen)) / model.volts_per_unit)


def _block(block: object) -> LayerBlock:
    """A block as the simulator knows it."""
    names = LayerBlock.__dataclass_fields__
    return LayerBlock(**{name: getattr(block, name) for name in names})
