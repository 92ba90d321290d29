"""Parts of a report that more than one job makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from calibration.loop import LoopCalibration
from drivers.identity import Identity
from drivers.waveforms import Waveforms
from hil.config import BenchConfig
from hil.diffusion.sampler import Solve, trajectories
from hil.diffusion.score_model import ScoreModel
from hil.jobs.layers import LayerOutputs
from hil.report.data import LayerData, LoopRow, Text, TrajectoryData, WaveformData
from hil.runloop import Samples
from protocols.hardware import Loop

SHOWN_POINTS = 5000
SOFTWARE_PATH_STEPS = 1000


def config_facts(config: BenchConfig) -> dict[str, Text]:
    """What the bench file chose, for the front page."""
    return {
        "model": config.model,
        "mapping": config.mapping.scheme,
        "tick": f"{config.loop.tick_s * 1e3:g} ms x {config.loop.ticks}",
        "read voltage": f"{config.read_volts:g} V",
    }


def board_facts(identity: Identity) -> dict[str, Text]:
    """Who answered, for the front page."""
    return {
        "port": identity.port.name.lower(),
        "build": identity.build,
        "serial": f"{identity.serial:x}",
        "array": f"{identity.rows} x {identity.columns}",
    }


def trajectory_data(
    model: ScoreModel, samples: Samples, label: int | None = None
) -> TrajectoryData | None:
    """The chip's captured trajectories and the software's from the same initial conditions."""
    if samples.traces is None:
        return None
    start = samples.initial[: len(samples.traces)]
    every = SOFTWARE_PATH_STEPS // 100
    paths = trajectories(model, start, Solve(steps=SOFTWARE_PATH_STEPS, label=label), every)
    return TrajectoryData(
        time=samples.trace_times,
        chip=samples.traces,
        software_time=np.linspace(0.0, model.capture_time, paths.shape[1]),
        software=paths,
    )


def layer_data(layers: Sequence[LayerOutputs]) -> tuple[LayerData, ...]:
    """Measured against ideal outputs, layer by layer."""
    return tuple(LayerData(**asdict(layer)) for layer in layers)


def waveform_data(waveforms: Waveforms, mode: str) -> WaveformData:
    """The 18 channels of a run."""
    return WaveformData(
        tick_s=waveforms.tick_s,
        drift=waveforms.drift,
        score=waveforms.score,
        embedding_volts=waveforms.embedding_volts + waveforms.class_offset_volts,
        offset=waveforms.offset,
        noise=waveforms.noise,
        mode=mode,
    )


def loop_rows(found: LoopCalibration, nominal: Loop) -> tuple[LoopRow, ...]:
    """The calibrated figures beside the nominal ones."""
    sd: Mapping[str, float] = found.sd
    first, second = found.d_volts_per_s
    return (
        LoopRow("drift gain kf", found.kf_per_s, "1/s", nominal.drift_rate_per_s, sd.get("kf")),
        LoopRow("score gain kg", found.kg_per_s, "1/s", nominal.score_rate_per_s, sd.get("kg")),
        LoopRow(
            "noise path kn",
            found.kn_volts_per_s,
            "V/s",
            nominal.noise_rate_volts_per_s,
            sd.get("kn"),
        ),
        LoopRow("zero of f", found.f0, "of full scale", 0.0, sd.get("f0")),
        LoopRow("zero of g2", found.g0, "of full scale", 0.0, sd.get("g0")),
        LoopRow("drift of integrator 1", first, "V/s", 0.0, sd.get("d_1")),
        LoopRow("drift of integrator 2", second, "V/s", 0.0, sd.get("d_2")),
    )
