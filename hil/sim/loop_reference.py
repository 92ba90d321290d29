"""The loop's equations in plain numpy, over all trajectories at once: what the tests compare with.

The same quantities in the same order as `loop_kernels.py`, with none of its code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.converters import STREAM_LOOP_NOISE, STREAM_WAVE_NOISE
from hil.sim.loop_drive import Drive
from hil.sim.loop_kernels import Segments, Stages
from hil.sim.loop_network import Network, layer_sizes

F64 = NDArray[np.float64]
Weights = list[F64]
"""One array (n, inputs, outputs) per layer, the bias row last."""


def weights(network: Network, deviations: F64, width: int) -> Weights:
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


def loop_noise(trajectories: NDArray[np.int64], noise_tick: int, outputs: int, p: Stages) -> F64:
    """Electronic noise (n, outputs) of one period of its clock."""
    blocks = np.arange((outputs + 3) // 4)
    lanes = draws.normal_lanes_reference(
        int(p.noise_seed), STREAM_LOOP_NOISE, trajectories[:, None], noise_tick, blocks
    )
    return p.noise * lanes.reshape(trajectories.size, -1)[:, :outputs]


def noise_fractions(
    seed: int, trajectories: NDArray[np.int64], tick: int, noisy: bool, drive: Drive
) -> F64:
    """What the two noise channels (n, 2) give at one tick."""
    gauss = np.zeros((trajectories.size, 2))
    if noisy:
        gauss = draws.normal_lanes_reference(seed, STREAM_WAVE_NOISE, trajectories, tick)[:, :2]
    code = np.rint(drive.offset_codes[tick] + drive.noise_codes[tick] * gauss)
    code = np.clip(code, 0.0, drive.code_max)
    u = code / drive.code_max
    offset = drive.noise_offset + 4.0 * drive.noise_bow * u * (1.0 - u)
    fraction: F64 = ((code - drive.code_zero) * (1.0 + drive.noise_gain) + offset) / drive.code_zero
    return fraction


def solve(
    x: F64,
    trajectories: NDArray[np.int64],
    seed: int,
    noisy: bool,
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: F64,
    p: Stages,
) -> F64:
    """x (n, 2) after all segments."""
    width = drive.embedding.shape[1]
    w, bound = weights(network, deviations, width), p.integrator_clamp
    noise = np.zeros((trajectories.size, 2 * width + 2))
    for k, tick in enumerate(segments.tick.tolist()):
        now = noise_fractions(seed, trajectories, tick, noisy, drive)
        before = noise_fractions(seed, trajectories, max(tick - 1, 0), noisy, drive)
        held = drive.constant + drive.noise_rate * (now + drive.noise_lag * (before - now))
        if p.noise > 0.0:
            noise = loop_noise(trajectories, int(segments.noise_tick[k]), 2 * width + 2, p)
        e, a, b = drive.embedding[tick], drive.rate[tick], drive.score[tick]
        length = float(segments.length_s[k])
        first = a * x + b * layers(x, w, e, noise, p)[2] + held
        ahead = np.clip(x + length * first, -bound, bound)
        second = a * ahead + b * layers(ahead, w, e, noise, p)[2] + held
        x = np.clip(x + 0.5 * length * (first + second), -bound, bound)
    return x
