"""The network that is on the chip, as it was measured: a model in volts.

Its use is to choose what may be chosen freely without a probe for every trial: the words and the
embedding of a solve, which cost no pulse, and the last layer. The same embedding voltages enter
both hidden layers before their rectifiers, so a change of a channel moves the kinks of the network:
it makes up for a part of what programming missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import FloatArray


@dataclass(frozen=True)
class Response:
    """What a twin gives at n points, and how that changes.

    Attributes:
        s_volts: (n, 2) the output.
        by_x: (n, 2, 2) its derivative by x.
        by_embedding: (n, 2, channels) by each embedding channel.
        hidden_volts: (n, width) what enters the last layer.
    """

    s_volts: FloatArray
    by_x: FloatArray
    by_embedding: FloatArray
    hidden_volts: FloatArray


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
        """s in volts, (n, 2), at x (n, 2) under embeddings (n, channels) or (channels,)."""
        return self.layers(x_volts, embedding_volts)[-1]

    def layers(
        self, x_volts: FloatArray, embedding_volts: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Outputs of the three layers in volts."""
        (w1, w2, w3), (b1, b2, b3) = self.weights, self.bias_volts
        h1 = np.clip(x_volts @ w1.T + b1 + embedding_volts, 0.0, self.clamp_volts)
        h2 = np.clip(h1 @ w2.T + b2 + embedding_volts, 0.0, self.clamp_volts)
        return h1, h2, self.output_gain * (h2 @ w3.T + b3)

    def response(self, x_volts: FloatArray, embedding_volts: FloatArray) -> Response:
        """The output with its derivatives; arguments as for `outputs`."""
        w1, w2, w3 = self.weights
        h1, h2, s = self.layers(x_volts, embedding_volts)
        open1 = (h1 > 0.0) & (h1 < self.clamp_volts)
        open2 = (h2 > 0.0) & (h2 < self.clamp_volts)
        by_u2 = self.output_gain * w3[None] * open2[:, None, :]
        by_u1 = (by_u2 @ w2) * open1[:, None, :]
        return Response(s, by_u1 @ w1, by_u1 + by_u2, h2)

    def with_last(self, weights: FloatArray, bias_volts: FloatArray) -> Twin:
        """The same network with another last layer."""
        return replace(
            self,
            weights=[*self.weights[:-1], weights],
            bias_volts=[*self.bias_volts[:-1], bias_volts],
        )
