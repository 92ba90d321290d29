"""The score network as plain numpy: what the macro, the rectifiers and the adders compute.

    h_1 = R(W_1 x + b_1 + e(tau)),  h_2 = R(W_2 h_1 + b_2 + e(tau)),  s = gain (W_3 h_2 + b_3)

with R the rectifier (optionally clamped from above, as the hardware's is) and
e(tau) = [sin(2 pi w_k tau), cos(2 pi w_k tau)] for k = 1..7: the same 14 voltages are added before
both rectifiers. Structure and output gain 5 follow the published unconditional network. A class
adds its 14 constants to e.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hil.diffusion.keyed import FloatArray

Layer = tuple[FloatArray, FloatArray]
"""Weights (out, in) and biases (out,) of one layer."""


def embedding(frequencies: FloatArray, tau: ArrayLike) -> FloatArray:
    """e(tau), shape tau.shape + (2 * len(frequencies),): all sines first, then all cosines."""
    phase = 2.0 * np.pi * np.asarray(tau, dtype=np.float64)[..., None] * frequencies
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)


def forward(
    layers: Sequence[Layer],
    gain: float,
    x: FloatArray,
    injected: FloatArray,
    clamp_units: float | None = None,
) -> tuple[FloatArray, ...]:
    """Outputs of every layer, (h_1, h_2, s), for x of shape (..., inputs).

    `injected` (..., hidden) is e(tau) plus the class offset; it must broadcast against h.
    `clamp_units` is the rectifiers' upper limit in model units, None for none. The last entry
    includes the output gain.
    """
    upper = np.inf if clamp_units is None else clamp_units
    outputs = []
    signal = np.asarray(x, dtype=np.float64)
    for weight, bias in layers[:-1]:
        signal = np.clip(signal @ weight.T + bias + injected, 0.0, upper)
        outputs.append(signal)
    weight, bias = layers[-1]
    outputs.append(gain * (signal @ weight.T + bias))
    return tuple(outputs)
