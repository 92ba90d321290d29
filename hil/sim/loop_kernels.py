"""The loop's equations, compiled: one trajectory after the other, all of its state in registers.

Within a segment (a tick, cut where the loop's electronic noise is redrawn) every word is held and
one step of Heun's method is taken (E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
Differential Equations I, II.1). A trajectory is solved alone, so its result cannot depend on which
others are solved with it. `loop_reference.py` holds the same equations in plain numpy; the tests
hold the two against each other.

The first line of each function's arguments is what it changes. Weights are flat: layer 0
(3 x H), layer 1 (H + 1 x H), layer 2 (H + 1 x 2), inputs outermost, bias row last in each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hil.sim.converters import STREAM_LOOP_NOISE, STREAM_WAVE_NOISE
from hil.sim.draws import normals4

F64 = NDArray[np.float64]

_LOOP_STREAM: Any = np.uint64(STREAM_LOOP_NOISE)
_WAVE_STREAM: Any = np.uint64(STREAM_WAVE_NOISE)


class Stages(NamedTuple):
    """Limits and gains of the stages, volts; what is off is infinite."""

    bias: float
    hidden_clamp: float
    tia_saturation: float
    output_gain: float
    output_clamp: float
    integrator_clamp: float
    noise: float  # standard deviation at each layer's output
    noise_seed: Any  # np.uint64


class Segments(NamedTuple):
    """When the held values change: one entry per step of the integration."""

    tick: NDArray[np.int64]
    noise_tick: NDArray[np.int64]
    length_s: F64
    ends_tick: NDArray[np.bool_]


@numba.njit(cache=True, inline="always")
def _limit(value: float, bound: float) -> float:  # pragma: no cover - compiled
    return min(max(value, -bound), bound)


@numba.njit(cache=True)
def weights_of(weights: F64, network: Any, deviation: Any) -> None:  # pragma: no cover - compiled
    """Weights of one trajectory: each cell with its own frozen relative deviation."""
    weights[:] = network.base
    for m in range(network.cells.size):
        weights[network.slot[m]] += network.gain[m] * (1.0 + np.float64(deviation[m]))


@numba.njit(cache=True)
def layers(
    h1: F64, h2: F64, s: F64, x0: float, x1: float, w: F64, e: Any, noise: F64, p: Stages
) -> None:  # pragma: no cover - compiled
    """Outputs of the three layers for integrator voltages x; `noise` is added before each stage."""
    width = h1.size
    for j in range(width):
        sum_j = x0 * w[j] + x1 * w[width + j] + p.bias * w[2 * width + j]
        h1[j] = min(max(_limit(sum_j + noise[j], p.tia_saturation) + e[j], 0.0), p.hidden_clamp)
    at = 3 * width
    for j in range(width):
        h2[j] = p.bias * w[at + width * width + j]
    for i in range(width):
        h = h1[i]
        for j in range(width):
            h2[j] += h * w[at + i * width + j]
    for j in range(width):
        v = _limit(h2[j] + noise[width + j], p.tia_saturation) + e[j]
        h2[j] = min(max(v, 0.0), p.hidden_clamp)
    at += (width + 1) * width
    s0, s1 = p.bias * w[at + 2 * width], p.bias * w[at + 2 * width + 1]
    for i in range(width):
        s0 += h2[i] * w[at + 2 * i]
        s1 += h2[i] * w[at + 2 * i + 1]
    s0 = _limit(s0 + noise[2 * width], p.tia_saturation)
    s1 = _limit(s1 + noise[2 * width + 1], p.tia_saturation)
    s[0] = _limit(p.output_gain * s0, p.output_clamp)
    s[1] = _limit(p.output_gain * s1, p.output_clamp)


@numba.njit(cache=True)
def draw_noise(
    noise: F64, trajectory: int, noise_tick: int, p: Stages
) -> None:  # pragma: no cover - compiled
    """The electronic noise of every output for one period of its own clock."""
    for block in range((noise.size + 3) // 4):
        lanes = normals4(p.noise_seed, trajectory, noise_tick, block, _LOOP_STREAM)
        for lane in range(min(4, noise.size - 4 * block)):
            noise[4 * block + lane] = p.noise * lanes[lane]


@numba.njit(cache=True)
def _fraction(code: float, axis: int, drive: Any) -> float:  # pragma: no cover - compiled
    """`Converters.bipolar` of a noise channel."""
    u = code / drive.code_max
    offset = drive.noise_offset[axis] + 4.0 * drive.noise_bow[axis] * u * (1.0 - u)
    centred = (code - drive.code_zero) * (1.0 + drive.noise_gain[axis])
    fraction: float = (centred + offset) / drive.code_zero
    return fraction


@numba.njit(cache=True)
def noise_words(
    fractions: F64, seed: int, trajectory: int, tick: int, noisy: bool, drive: Any
) -> int:  # pragma: no cover - compiled
    """The two noise channels of one tick, drawn, rounded to a code, converted; codes cut off."""
    saturated = 0
    gauss = (0.0, 0.0, 0.0, 0.0)
    if noisy and drive.noise_codes[tick] > 0.0:
        gauss = normals4(seed, trajectory, tick, 0, _WAVE_STREAM)
    for axis in range(2):
        code = np.rint(drive.offset_codes[tick, axis] + drive.noise_codes[tick] * gauss[axis])
        inside = min(max(code, 0.0), drive.code_max)
        saturated += inside != code
        fractions[axis] = _fraction(inside, axis, drive)
    return saturated


@numba.njit(cache=True)
def held_rates(
    held: F64, now: F64, seed: int, trajectory: int, tick: int, first: bool, noisy: bool, drive: Any
) -> int:  # pragma: no cover - compiled
    """What does not depend on x in one tick, volts per second (2,); `now` carries the noise words.

    `first` is the first tick of a call, whose words before are drawn again. Returns codes cut off.
    """
    if first and tick > 0:
        noise_words(now, seed, trajectory, tick - 1, noisy, drive)
    before0, before1 = now[0], now[1]
    saturated = noise_words(now, seed, trajectory, tick, noisy, drive)
    if tick == 0:  # preset, nothing is late
        before0, before1 = now[0], now[1]
    n0 = now[0] + drive.noise_lag[0] * (before0 - now[0])
    n1 = now[1] + drive.noise_lag[1] * (before1 - now[1])
    held[0] = drive.constant[0] + drive.noise_rate[0] * n0
    held[1] = drive.constant[1] + drive.noise_rate[1] * n1
    return saturated


@numba.njit(cache=True)
def heun_step(
    h1: F64,
    h2: F64,
    s: F64,
    x0: float,
    x1: float,
    w: F64,
    noise: F64,
    held: F64,
    tick: int,
    length: float,
    drive: Any,
    p: Stages,
) -> tuple[float, float]:  # pragma: no cover - compiled
    """x after one step of `length` seconds with everything held."""
    e, a, b = drive.embedding[tick], drive.rate[tick], drive.score[tick]
    layers(h1, h2, s, x0, x1, w, e, noise, p)
    k0, k1 = a[0] * x0 + b[0] * s[0] + held[0], a[1] * x1 + b[1] * s[1] + held[1]
    y0 = _limit(x0 + length * k0, p.integrator_clamp)
    y1 = _limit(x1 + length * k1, p.integrator_clamp)
    layers(h1, h2, s, y0, y1, w, e, noise, p)
    k0 += a[0] * y0 + b[0] * s[0] + held[0]
    k1 += a[1] * y1 + b[1] * s[1] + held[1]
    x0 = _limit(x0 + 0.5 * length * k0, p.integrator_clamp)
    x1 = _limit(x1 + 0.5 * length * k1, p.integrator_clamp)
    return x0, x1


@numba.njit(cache=True, nogil=True)
def solve(
    x: F64,
    traces: F64,
    trajectories: Any,
    trace_every: int,
    first_segment: int,
    last_segment: int,
    seed: int,
    noisy: bool,
    segments: Segments,
    drive: Any,
    network: Any,
    deviations: Any,
    p: Stages,
) -> int:  # pragma: no cover - compiled
    """Integrate x (n, 2), volts, over the segments; fills traces (count, points, 2).

    Returns how many noise words were cut off at an end of their converter.
    """
    width = drive.embedding.shape[1]
    w, noise = np.empty(network.base.size), np.zeros(2 * width + 2)
    h1, h2, s = np.empty(width), np.empty(width), np.empty(2)
    now, held = np.empty(2), np.empty(2)
    saturated = 0
    for n in range(x.shape[0]):
        weights_of(w, network, deviations[n])
        x0, x1, number = x[n, 0], x[n, 1], trajectories[n]
        tick_now, noise_now = -1, -1
        for k in range(first_segment, last_segment):
            tick = segments.tick[k]
            if tick != tick_now:
                first = tick_now < 0
                saturated += held_rates(held, now, seed, number, tick, first, noisy, drive)
                tick_now = tick
            if p.noise > 0.0 and segments.noise_tick[k] != noise_now:
                noise_now = segments.noise_tick[k]
                draw_noise(noise, number, noise_now, p)
            x0, x1 = heun_step(
                h1, h2, s, x0, x1, w, noise, held, tick, segments.length_s[k], drive, p
            )
            ended = tick + 1
            if n < traces.shape[0] and segments.ends_tick[k] and ended % trace_every == 0:
                traces[n, ended // trace_every, 0] = x0
                traces[n, ended // trace_every, 1] = x1
        x[n, 0], x[n, 1] = x0, x1
    return saturated
