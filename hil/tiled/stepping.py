"""A stepped solve: analog products, everything else in code, a whole batch of samples at once.

Per held tick, at the tau in its middle as on the analog loop, Heun's method on

    dx/dt = kf 1/2 beta x + kg c beta s(x, tau) + n

(`hil.diffusion.score_model`): two evaluations of the network, each one product per layer. Between
the products this computer adds biases and embedding, rectifies, and multiplies by the output gain.
The rectifiers have no upper limit: there is no amplifier that would clamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from hil.diffusion.noise_source import NoiseSource
from hil.diffusion.score_model import ScoreModel
from hil.waveforms import LoopTiming, Mode, model_times
from protocols.errors import InputError

LayerProduct = Callable[[int, FloatArray], FloatArray]
"""(layer, inputs (n, in) in model units) -> weights times inputs, (n, out)."""
AfterTick = Callable[[int, FloatArray], None]


@dataclass(frozen=True)
class Stepped:
    """What a stepped solve is asked for.

    Attributes:
        mode: ODE or SDE.
        ticks: held ticks of the whole solve.
        labels: (n,) class of each sample of a conditional model; None is no class.
        noise: where the SDE's noise comes from; unused in ODE mode.
        first: number of the first trajectory, for its noise.
    """

    mode: Mode
    ticks: int
    labels: IntArray | None = None
    noise: NoiseSource | None = None
    first: int = 0

    def __post_init__(self) -> None:
        if self.ticks < 1:
            raise InputError(f"ticks={self.ticks}: a solve needs at least one.")
        if self.mode is Mode.SDE and self.noise is None:
            raise InputError("an SDE solve needs a noise source")


def layer_outputs(
    model: ScoreModel, product: LayerProduct, x: FloatArray, injected: FloatArray
) -> list[FloatArray]:
    """Outputs of every layer for x (n, d); `injected` (channels,) or (n, channels) is what is added
    before the rectifiers at this tau."""
    signal, found = x, []
    for layer, bias in enumerate(model.biases[:-1]):
        signal = np.maximum(product(layer, signal) + bias + injected, 0.0)
        found.append(signal)
    last = len(model.biases) - 1
    return [*found, model.output_gain * (product(last, signal) + model.biases[last])]


def solve_stepped(
    model: ScoreModel,
    product: LayerProduct,
    start: FloatArray,
    how: Stepped,
    after_tick: AfterTick | None = None,
) -> FloatArray:
    """End points (n, d) of the trajectories from `start` (n, d), model units.

    `after_tick(done, x)` is called with the state after each tick.

    Raises:
        InputError: a wrong shape, or a noise source that has too little.
        ModelError: the model has no such class.
    """
    x = np.array(start, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != model.dimensions:
        raise InputError(
            f"initial conditions have shape {x.shape}; (n, {model.dimensions}) is needed."
        )
    dt = model.capture_time / how.ticks
    tau = model_times(model, LoopTiming(dt, how.ticks))
    beta = np.asarray(model.schedule.beta(tau), dtype=np.float64)
    growth, pull = model.kf * 0.5 * beta, model.kg * how.mode.score_factor(model, tau) * beta
    embedding, classes = model.embedding(tau), class_offsets(model, how.labels, len(x))
    for tick in range(how.ticks):

        def rate(state: FloatArray, tick: int = tick) -> FloatArray:
            score = layer_outputs(model, product, state, embedding[tick] + classes)[-1]
            return np.asarray(growth[tick] * state + pull[tick] * score)

        noise = _noise(model, how, tick, x.shape, tau, beta)
        first = rate(x) + noise
        second = rate(x + dt * first) + noise
        x = x + 0.5 * dt * (first + second)
        if after_tick is not None:
            after_tick(tick + 1, x)
    return x


def class_offsets(model: ScoreModel, labels: IntArray | None, count: int) -> FloatArray:
    """(count, channels) that the classes add to the embedding; zeros without classes.

    Raises:
        ModelError: the model has no such class.
        InputError: not one class per sample.
    """
    if labels is None:
        return np.zeros((count, model.channels))
    if np.shape(labels) != (count,):
        raise InputError(f"classes of shape {np.shape(labels)} for {count} samples.")
    for label in np.unique(labels):
        model.check_label(int(label))
    return np.asarray(model.class_offsets[labels])


def _noise(
    model: ScoreModel,
    how: Stepped,
    tick: int,
    shape: tuple[int, ...],
    tau: FloatArray,
    beta: FloatArray,
) -> FloatArray | float:
    """Held noise of one tick as a rate, units per model time."""
    if how.mode is Mode.ODE or how.noise is None:
        return 0.0
    density = float(model.noise.density(beta[tick], model.kg, tau[tick]))
    height = density / np.sqrt(model.capture_time / how.ticks)
    return np.asarray(height * how.noise.draws(how.first, shape[0], shape[1], tick, how.ticks))
