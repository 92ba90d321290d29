"""Many solves of an analog loop from plain weights and held words: for studies and benchmarks.

    dx_i/dt = rate_i x_i + pull_i s_i(x) + constant_i + noise_i z_i
    h_1 = relu(W_1 x + b_1 + e),  h_k = relu(W_k h_k-1 + b_k + e),  s = gain (W h + b)

with rate, pull, e and the standard deviation `noise` held for a tick, z standard normal and redrawn
each tick. Any units will do, as long as they are the same throughout; any depth, widths and
dimension. Integration is one step of Heun's method per segment, a segment being a tick, cut where
the read noise is redrawn. Of converters, offsets and errors there is nothing here: those are the
board's, `AnalogLoop`.

Every draw is keyed by (seed, trajectory, tick), so that no result depends on threads, on the size
of a batch, or on which trajectories are solved together. Memory does not depend on the number of
ticks, but for the words themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.sim.loop_call import Call
from hil.sim.loop_segments import segments_of
from protocols.errors import InputError

F64 = NDArray[np.float64]
Layer = tuple[ArrayLike, ArrayLike]
"""Weights (outputs, inputs) and biases (outputs,)."""

# Streams of the keyed draws, as those of boards in `converters.py`, whose numbers these are not.
STREAM_HELD_NOISE = 221  # (trajectory, tick, block of four dimensions)
STREAM_READ_NOISE = 222  # (trajectory, noise tick, block of four sums)

_PARTS_OF_TICK = 1_000_000
"""Resolution of a noise clock that does not tick with the words."""


@dataclass(frozen=True)
class HeldWords:
    """What drives the loop, tick by tick.

    Attributes:
        tick_s: length of a tick; the words are per this unit of time.
        rate: (ticks,) or (ticks, d), factor of x in dx/dt.
        pull: (ticks,) or (ticks, d), factor of the network's output.
        embedding: (ticks, H), added before every rectifier; class offset included.
        noise: (ticks,) standard deviation of a rate that is held for a tick; None is none.
        constant: (d,), always added to dx/dt; None is none.
    """

    tick_s: float
    rate: ArrayLike
    pull: ArrayLike
    embedding: ArrayLike
    noise: ArrayLike | None = None
    constant: ArrayLike | None = None


@dataclass(frozen=True)
class Limits:
    """Where the stages end; infinite is nowhere. As in the board: `hil/sim/loop.py`."""

    sums: float = np.inf  # of a sum, before the embedding is added
    hidden: float = np.inf  # of a rectifier's output
    output: float = np.inf  # of s
    state: float = np.inf  # of x


@dataclass(frozen=True)
class ReadNoise:
    """Fresh noise of the weights, one normal number per sum and period of the noise's clock.

    With independent normal noise of standard deviation sigma_ij on every weight, fresh in each
    period, a sum over inputs x_j is normal with variance sum_j (sigma_ij x_j)^2: so one number per
    sum has exactly the law of one per weight. The variance is that of the inputs when the period
    begins; the noise is held through it. This holds for fresh noise alone: telegraph noise and
    frozen errors stay with their cells, which is what the weights of `generate` are for.

    Attributes:
        layers: standard deviations shaped as the weights and biases; None: no weight is noisy.
        volts: standard deviation of every sum besides, in the sums' unit (electronic noise).
        period_ticks: of the noise's clock, in ticks; need not be whole.
    """

    layers: Sequence[Layer] | None = None
    volts: float = 0.0
    period_ticks: float = 1.0


NO_LIMITS = Limits()


def generate(
    layers: Sequence[Layer],
    words: HeldWords,
    x0: ArrayLike,
    *,
    output_gain: float = 1.0,
    limits: Limits = NO_LIMITS,
    read_noise: ReadNoise | None = None,
    seed: int = 0,
    trajectories: int | ArrayLike = 0,
    double: bool = False,
    threads: int | None = None,
) -> F64:
    """End points (n, d) of the trajectories that start at x0 (n, d).

    Args:
        layers: the network, hidden layers first; each (weights (out, in), biases (out,)).
        words: what drives the loop.
        x0: where the trajectories start.
        output_gain: factor of the last layer's sums.
        limits: of the stages.
        read_noise: of the weights and sums; None is none.
        seed: of every draw.
        trajectories: numbers (n,) that key the draws, or the first of consecutive ones.
        double: double precision, at half the speed; single differs from it by some 1e-6.
        threads: None takes every processor that the process may use (at most OMP_NUM_THREADS).

    Raises:
        InputError: shapes that do not fit each other, or values that are not finite.
        KernelError: the kernel cannot be built on this computer.
    """
    start = np.array(x0, np.float64, order="C")
    if start.ndim != 2:
        raise InputError(f"initial conditions have shape {start.shape}; (n, d) is needed.")
    call = Call(_widths(layers, start.shape[1]), single=not double)
    ticks = _put_words(call, words)
    period = 0 if read_noise is None else round(read_noise.period_ticks * _PARTS_OF_TICK)
    if read_noise is not None and period < 1:
        raise InputError(f"a noise period of {read_noise.period_ticks} ticks is too short.")
    segments = segments_of(_PARTS_OF_TICK, ticks, period, _PARTS_OF_TICK / words.tick_s)
    call.put_segments(*segments)
    call.put("weights", _flat("weights", layers, call), call.real, (call.weights,))
    _put_stages(call, output_gain, limits)
    if read_noise is not None:
        _put_read_noise(call, read_noise, seed)
    call.set(wave_seed=_seed(seed), wave_stream=STREAM_HELD_NOISE)
    _finite("x0", start)
    call.put_trajectories(start, _numbers(trajectories, len(start)))
    call.solve(0, len(segments.tick), threads)
    return start


def _widths(layers: Sequence[Layer], dimensions: int) -> list[int]:
    if len(layers) < 2:
        raise InputError(f"a network of {len(layers)} layers has no hidden layer.")
    widths = [dimensions]
    for number, (weights, biases) in enumerate(layers):
        shape, outputs = np.shape(weights), np.shape(biases)
        if len(shape) != 2 or shape[1] != widths[-1] or outputs != shape[:1]:
            raise InputError(
                f"layer {number} has weights {shape} and biases {outputs}; "
                f"(outputs, {widths[-1]}) and (outputs,) are needed."
            )
        widths.append(shape[0])
    return widths


def _flat(what: str, layers: Sequence[Layer], call: Call) -> F64:
    """Inputs outermost, bias row last, layer after layer. Shapes as those of the network."""
    parts = []
    sizes = list(pairwise(call.widths))
    if len(layers) != len(sizes):
        raise InputError(f"{what}: {len(layers)} layers; {len(sizes)} are needed.")
    for (inputs, outputs), (weights, biases) in zip(sizes, layers, strict=True):
        w, b = np.asarray(weights, np.float64), np.asarray(biases, np.float64)
        if w.shape != (outputs, inputs) or b.shape != (outputs,):
            raise InputError(f"{what}: {w.shape} where {(outputs, inputs)} is needed.")
        parts += [w.T.ravel(), b]
    return _finite(what, np.concatenate(parts))


def _put_words(call: Call, words: HeldWords) -> int:
    """Words into the call; the number of ticks."""
    embedding = np.asarray(words.embedding, np.float64)
    hidden, dimensions = set(call.widths[1:-1]), call.widths[0]
    if embedding.ndim != 2 or hidden != {embedding.shape[1]}:
        raise InputError(
            f"the embedding has shape {embedding.shape}; every hidden layer, of width "
            f"{sorted(hidden)}, needs one number per tick and unit."
        )
    if not (np.isfinite(words.tick_s) and words.tick_s > 0.0):
        raise InputError(f"a tick of {words.tick_s} is no length.")
    ticks, width = int(embedding.shape[0]), int(embedding.shape[1])
    call.set(embedding_width=width, noisy=int(words.noise is not None))
    call.put("embedding", _finite("embedding", embedding), call.real, (ticks, width))
    for name, word in (("rate", words.rate), ("pull", words.pull)):
        held = np.asarray(word, np.float64)
        by_axis = np.repeat(held[:, None], dimensions, axis=1) if held.ndim == 1 else held
        call.put(name, _finite(name, by_axis), call.real, (ticks, dimensions))
    noise = np.zeros(ticks) if words.noise is None else np.asarray(words.noise, np.float64)
    if noise.size and noise.min() < 0.0:
        raise InputError("a standard deviation of the held noise is negative.")
    call.put("noise_sd", _finite("noise", noise), call.real, (ticks,))
    constant = np.zeros(dimensions) if words.constant is None else words.constant
    call.put("constant", _finite("constant", np.asarray(constant)), call.real, (dimensions,))
    return ticks


def _put_stages(call: Call, output_gain: float, limits: Limits) -> None:
    largest = float(np.finfo(np.float32).max)  # the kernel is compiled for finite numbers
    for name in ("sums", "hidden", "output", "state"):
        if not getattr(limits, name) > 0.0:
            raise InputError(f"limits.{name} is {getattr(limits, name)}; it must be above 0.")
    call.set(
        output_gain=float(_finite("output_gain", np.asarray(output_gain, np.float64))),
        saturation=min(limits.sums, largest),
        saturates=int(np.isfinite(limits.sums)),
        ceiling=min(limits.hidden, largest),
        has_ceiling=int(np.isfinite(limits.hidden)),
        output_clamp=min(limits.output, largest),
        state_clamp=min(limits.state, largest),
    )


def _put_read_noise(call: Call, noise: ReadNoise, seed: int) -> None:
    if not (np.isfinite(noise.volts) and noise.volts >= 0.0):
        raise InputError(f"read noise of {noise.volts} is no standard deviation.")
    call.set(noise=noise.volts, noise_seed=_seed(seed), noise_stream=STREAM_READ_NOISE)
    if noise.layers is not None:
        variance = _flat("read noise", noise.layers, call) ** 2
        call.put("variance", variance, call.real, (call.weights,))


def _numbers(trajectories: int | ArrayLike, count: int) -> NDArray[np.int64]:
    numbers = np.asarray(trajectories, np.int64)
    return np.arange(count) + numbers if numbers.ndim == 0 else numbers


def _seed(seed: int) -> int:
    if not 0 <= int(seed) < 1 << 64:
        raise InputError(f"A seed must lie in 0 to 2**64 - 1, got {seed}.")
    return int(seed)


def _finite(what: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise InputError(f"{what}: {int((~np.isfinite(values)).sum())} values are not finite.")
    return values
