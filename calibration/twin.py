"""The network that is on the chip, as its conductances were read: a model in volts.

Its use is to choose what the host may choose freely, without a probe for every trial. The same
embedding voltages enter both hidden layers before their rectifiers, so a constant change of each
channel moves the kinks of the network: it makes up for a part of what programming missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray


@dataclass(frozen=True)
class Twin:
    """Three layers with clamped rectifiers after the first two.

    Attributes:
        weights: (out, in) per layer, volts per volt.
        bias_volts: (out,) per layer.
        output_gain: factor after the last layer.
        clamp_volts: where the rectifiers saturate.
    """

    weights: Sequence[FloatArray]
    bias_volts: Sequence[FloatArray]
    output_gain: float
    clamp_volts: float

    def outputs(self, x_volts: FloatArray, embedding_volts: FloatArray) -> FloatArray:
        """s in volts, (n, 2), at x (n, 2) under embeddings (n, channels)."""
        return self.sensitivity(x_volts, embedding_volts)[0]

    def sensitivity(
        self, x_volts: FloatArray, embedding_volts: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """s (n, 2) and its derivative by each embedding channel, (n, 2, channels)."""
        (w1, w2, w3), (b1, b2, b3) = self.weights, self.bias_volts
        u1 = x_volts @ w1.T + b1 + embedding_volts
        h1 = np.clip(u1, 0.0, self.clamp_volts)
        u2 = h1 @ w2.T + b2 + embedding_volts
        h2 = np.clip(u2, 0.0, self.clamp_volts)
        open1 = ((u1 > 0.0) & (u1 < self.clamp_volts)).astype(np.float64)
        open2 = ((u2 > 0.0) & (u2 < self.clamp_volts)).astype(np.float64)
        into2 = np.eye(w2.shape[0]) + w2[None] * open1[:, None, :]
        slope = self.output_gain * np.einsum("oj,nj,njk->nok", w3, open2, into2)
        return self.output_gain * (h2 @ w3.T + b3), slope
