"""Layer outputs measured on the board against those of the ideal network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.bench import Bench
from hil.diffusion.sampler import initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.waveforms import LoopTiming, model_times

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
POINTS = 40
NAMES = ("hidden layer 1", "hidden layer 2", "output layer")


@dataclass(frozen=True)
class LayerOutputs:
    """One layer: ideal and measured outputs in volts, each (points × outputs,)."""

    name: str
    ideal_volts: FloatArray
    measured_volts: FloatArray


def measure_layers(
    bench: Bench, model: ScoreModel, seed: int, channels: IntArray | None = None
) -> list[LayerOutputs]:
    """Probes every layer at points spread over space and time.

    Untrimmed waveforms have to be loaded: a probe holds one tick's embedding. `channels` is the
    order of the hidden units on the macro (`Placement.channels`), None the model's own.
    """
    loop = bench.config.loop
    tau = model_times(model, LoopTiming(loop.tick_s, loop.ticks))
    ticks = np.linspace(0, loop.ticks - 1, POINTS).astype(int)
    volt = model.volts_per_unit
    x = np.clip(initial_conditions(model, seed, 0, POINTS), -3.0, 3.0)
    measured: list[list[FloatArray]] = [[], [], []]
    ideal: list[list[FloatArray]] = [[], [], []]
    for tick, point in zip(ticks, x, strict=True):
        outputs = bench.integrator.probe(int(tick), point * volt, samples=4)
        wanted = model.layer_outputs(point, tau[tick], clamp=True)
        for k in range(len(NAMES)):
            measured[k].append(outputs[k])
            hidden = channels is not None and k < len(NAMES) - 1
            ideal[k].append((wanted[k][channels] if hidden else wanted[k]) * volt)
    return [
        LayerOutputs(name, np.concatenate(ideal[k]), np.concatenate(measured[k]))
        for k, name in enumerate(NAMES)
    ]
