"""What a trimmed drive shall reproduce, where it is probed, and how far the converters reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.drive import DriveParams
from calibration.loop import LoopCalibration
from calibration.repair_flow import Flow, Reach
from drivers.transfer import Transfer
from drivers.waveforms import NOISE_SIGMAS
from hil.diffusion.keyed import Stream, normal_pairs
from hil.diffusion.sampler import Solve, initial_conditions, solve, trajectories
from hil.diffusion.score_model import ScoreModel
from hil.waveforms import LoopTiming, Mode, held_noise, model_times

FloatArray = NDArray[np.float64]
TRIM_SEED = 20_250_101  # of the solutions along which a network is probed, never of samples
SOFTWARE_STEPS = 1000  # of the solutions that a trimmed drive reproduces
SPARE_WORD = 0.01  # of full scale, left between a trimmed word and its converter's end


@dataclass(frozen=True)
class ProbePoints:
    """Where the network is probed at one tick: x_volts (n, 2)."""

    tick: int
    x_volts: FloatArray


def software_flow(
    model: ScoreModel,
    timing: LoopTiming,
    mode: Mode,
    count: int,
    clip_units: float,
    label: int | None = None,
) -> Flow:
    """`count` solutions of the ideal network by the software, in volts.

    Those of the SDE are solved tick by tick with keyed noise, so that the same noise can be added
    to a twin's solutions.
    """
    tau, sde = model_times(model, timing), mode is Mode.SDE
    start = np.clip(initial_conditions(model, TRIM_SEED, 0, count), -clip_units, clip_units)
    how = Solve(
        steps=timing.ticks if sde else SOFTWARE_STEPS,
        sde=sde,
        heun=sde,
        seed=TRIM_SEED,
        label=label,
    )
    return Flow(
        start_volts=start * model.volts_per_unit,
        end_volts=solve(model, start, how) * model.volts_per_unit,
        beta=np.asarray(model.schedule.beta(tau)),
        tick=model.capture_time / timing.ticks,
        drift=0.5 * model.kf,
        score=mode.score_factor(model, tau) * model.kg,
        embedding_volts=model.injected(tau, label) * model.volts_per_unit,
        noise_volts=_noise(model, timing, count) if sde else None,
        unit_volts=model.volts_per_unit,
    )


def _noise(model: ScoreModel, timing: LoopTiming, count: int) -> FloatArray:
    """(ticks, n, 2) volts that the noise of the software's solutions adds in each tick."""
    step = model.capture_time / timing.ticks
    tau = model.tau(step * np.arange(timing.ticks))
    density = model.noise.density(model.schedule.beta(tau), model.kg, tau)
    size = density * np.sqrt(step) * model.volts_per_unit
    draws = [
        normal_pairs(TRIM_SEED, Stream.SDE_NOISE, 0, count, row=k) for k in range(timing.ticks)
    ]
    return np.asarray(size[:, None, None] * np.array(draws))


def probe_points(
    model: ScoreModel,
    timing: LoopTiming,
    mode: Mode,
    params: DriveParams,
    clip_units: float,
    label: int | None = None,
) -> list[ProbePoints]:
    """Where the software's solutions of the ideal network pass, tick by tick."""
    ticks = params.probed(timing.ticks)
    how = Solve(steps=timing.ticks, sde=mode is Mode.SDE, seed=TRIM_SEED, clamp=True, label=label)
    start = initial_conditions(model, TRIM_SEED, 0, params.points)
    paths = trajectories(model, start, how)[:, ticks].swapaxes(0, 1)
    x = np.clip(paths, -clip_units, clip_units) * model.volts_per_unit
    return [ProbePoints(int(tick), at) for tick, at in zip(ticks, x, strict=True)]


def converters_reach(
    model: ScoreModel,
    timing: LoopTiming,
    mode: Mode,
    calibration: LoopCalibration,
    embedding: Transfer,
    largest_change: float,
    label: int | None = None,
) -> Reach:
    """What the converters of a calibrated loop can give of one mode's drive."""
    tau = model_times(model, timing)
    beta = np.asarray(model.schedule.beta(tau)) * model.capture_time / timing.duration_s
    room, found = 1.0 - SPARE_WORD, calibration
    score_rate = model.kg * mode.score_factor(model, tau) * beta
    peak = np.array([0.5 * model.kf * beta.max(), score_rate.max()])
    rate = np.abs([found.kf_per_s, found.kg_per_s]) * (room - np.abs([found.f0, found.g0]))
    drift, score = np.minimum(1.0 + largest_change, rate / peak).tolist()
    kn, least = abs(found.kn_volts_per_s), 1.0 - largest_change
    noise = held_noise(model, timing, mode) / kn
    left = room - float(np.abs(found.rest_offset()).max()) - NOISE_SIGMAS * noise
    classes = (model.injected(0.0, label) - model.injected(0.0)) * model.volts_per_unit
    step = abs(embedding.gain)  # the embedding and its class offset are rounded apart
    return Reach(
        drift=(least, max(drift, least)),
        score=(least, max(score, least)),
        offset_volts=np.maximum(left, 0.0) * kn / beta,
        embedding_volts=(
            embedding.minimum + step + np.maximum(classes, 0.0),
            embedding.maximum - step + np.minimum(classes, 0.0),
        ),
    )
