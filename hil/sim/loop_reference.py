"""The loop's equations in plain numpy, over all trajectories at once.

The same quantities as the compiled kernel, with none of its code: what the tests hold it against,
and what `sim: {kernel: numpy}` runs where there is no C compiler.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.converters import STREAM_LOOP_NOISE, STREAM_WAVE_NOISE
from hil.sim.loop_drive import Drive
from hil.sim.loop_kernels import AXES, Stages
from hil.sim.loop_network import Network, layer_sizes
from hil.sim.loop_segments import Segments

F64 = NDArray[np.float64]
Index = NDArray[np.int64]
Weights = list[F64]
"""One array (n, inputs, outputs) per layer, the bias row last."""


def weights(network: Network, deviations: F64 | NDArray[np.float32], width: int) -> Weights:
    """The weights of each trajectory; `deviations` is (n, cells)."""
    flat = np.tile(network.base, (deviations.shape[0], 1))
    for m, slot in enumerate(network.slot):
        flat[:, slot] += network.gain[m] * (1.0 + deviations[:, m].astype(np.float64))
    out, at = [], 0
    for inputs, outputs in layer_sizes(width):
        out.append(flat[:, at : at + inputs * outputs].reshape(-1, inputs, outputs))
        at += inputs * outputs
    return out


def layers(x: F64, w: Weights, e: F64, noise: F64, p: Stages) -> tuple[F64, F64, F64]:
    """Outputs (n, outputs) of the three layers for x (n, 2); noise is (n, all outputs)."""
    width = e.size
    parts = (noise[:, :width], noise[:, width : 2 * width], noise[:, 2 * width :])
    signal, outputs = x, []
    for layer in range(3):
        bias = np.full((x.shape[0], 1), p.bias)
        v = np.einsum("ni,nio->no", np.hstack([signal, bias]), w[layer]) + parts[layer]
        v = np.clip(v, -p.tia_saturation, p.tia_saturation)
        if layer < 2:
            signal = np.clip(v + e, 0.0, p.hidden_clamp)
        else:
            signal = np.clip(p.output_gain * v, -p.output_clamp, p.output_clamp)
        outputs.append(signal)
    return outputs[0], outputs[1], outputs[2]


def loop_noise(trajectories: Index, noise_tick: int, outputs: int, p: Stages) -> F64:
    """Electronic noise (n, outputs) of one period of its clock."""
    blocks = np.arange((outputs + 3) // 4)
    lanes = draws.normal_lanes_reference(
        int(p.noise_seed), STREAM_LOOP_NOISE, trajectories[:, None], noise_tick, blocks
    )
    return p.noise * lanes.reshape(trajectories.size, -1)[:, :outputs]


def noise_fractions(
    seed: int, trajectories: Index, tick: int, noisy: bool, drive: Drive
) -> tuple[F64, int]:
    """What the two noise channels (n, 2) give at one tick; codes cut off."""
    gauss = np.zeros((trajectories.size, 2))
    if noisy and drive.noise_codes[tick] > 0.0:
        gauss = draws.normal_lanes_reference(seed, STREAM_WAVE_NOISE, trajectories, tick)[:, :2]
    wanted = np.rint(drive.offset_codes[tick] + drive.noise_codes[tick] * gauss)
    code = np.clip(wanted, 0.0, drive.code_max)
    u = code / drive.code_max
    offset = drive.noise_offset + 4.0 * drive.noise_bow * u * (1.0 - u)
    fraction: F64 = ((code - drive.code_zero) * (1.0 + drive.noise_gain) + offset) / drive.code_zero
    return fraction, int(np.count_nonzero(code != wanted))


def solve(
    x: F64,
    trajectories: Index,
    seed: int,
    noisy: bool,
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: F64 | NDArray[np.float32],
    p: Stages,
) -> F64:
    """x (n, 2) after all segments."""
    x, none = np.array(x, np.float64), np.empty((0, 1, AXES))
    last = len(segments.tick)
    advance(x, none, trajectories, 1, 0, last, seed, noisy, segments, drive, network, deviations, p)
    return x


def advance(
    x: F64,
    traces: F64,
    trajectories: Index,
    trace_every: int,
    first_segment: int,
    last_segment: int,
    seed: int,
    noisy: bool,
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: F64 | NDArray[np.float32],
    p: Stages,
) -> int:
    """As `loop_kernels.solve`: x (n, 2) in place over the segments; noise words cut off."""
    width = drive.embedding.shape[1]
    w, saturated = weights(network, deviations, width), 0
    noise = np.zeros((trajectories.size, 2 * width + 2))
    tick_now = -1
    for k in range(first_segment, last_segment):
        tick = int(segments.tick[k])
        if tick != tick_now:
            held, cut_off = held_rates(seed, trajectories, tick, noisy, drive)
            saturated, tick_now = saturated + cut_off, tick
        if p.noise > 0.0:
            noise = loop_noise(trajectories, int(segments.noise_tick[k]), 2 * width + 2, p)
        x[:] = heun_step(x, w, noise, held, tick, float(segments.length_s[k]), drive, p)
        if segments.ends_tick[k] and (tick + 1) % trace_every == 0 and len(traces):
            traces[:, (tick + 1) // trace_every] = x[: len(traces)]
    return saturated


def held_rates(
    seed: int, trajectories: Index, tick: int, noisy: bool, drive: Drive
) -> tuple[F64, int]:
    """What does not depend on x in one tick, volts per second (n, 2); noise words cut off."""
    now, cut_off = noise_fractions(seed, trajectories, tick, noisy, drive)
    before = noise_fractions(seed, trajectories, max(tick - 1, 0), noisy, drive)[0]
    held: F64 = drive.constant + drive.noise_rate * (now + drive.noise_lag * (before - now))
    return held, cut_off


def heun_step(
    x: F64, w: Weights, noise: F64, held: F64, tick: int, length: float, drive: Drive, p: Stages
) -> F64:
    """x (n, 2) after one step with everything held."""
    e, a, b = drive.embedding[tick], drive.rate[tick], drive.score[tick]
    bound = p.integrator_clamp
    first = a * x + b * layers(x, w, e, noise, p)[2] + held
    ahead = np.clip(x + length * first, -bound, bound)
    second = a * ahead + b * layers(ahead, w, e, noise, p)[2] + held
    end: F64 = np.clip(x + 0.5 * length * (first + second), -bound, bound)
    return end


def outputs(
    x: F64,
    trajectories: Index,
    noise: F64,
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: F64 | NDArray[np.float32],
    p: Stages,
) -> F64:
    """As `loop_kernels.layers`: outputs (n, 2 H + 2) of the three layers in the first tick."""
    del trajectories
    w = weights(network, deviations, drive.embedding.shape[1])
    return np.hstack(layers(x, w, drive.embedding[int(segments.tick[0])], noise, p))
