"""Analog sides for the emulated published board, all simulated.

A word w = (code - 2048) / 2048 is a fraction of the half range. The integrators follow

    dx/dt = -drift_rate w_f x + score_rate w_g2 s(x, e) + noise_rate w_noise

with x in units of the network, held words, and s the network's output. Which gains the published
bench has is not stated; 4 for both turns the published words into the probability flow that the
published notebooks sample (beta x 2, with coef 0.5). Words change one after the other within a
tick; here they change together at the tick, as 1 ms out of a second hardly matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.sim.legacy_run import MIDDLE, RunRecord
from protocols.errors import InputError

F64 = NDArray[np.float64]

_SECONDS_PER_NS = 1e-9
_LAYERS = ((2, 14), (14, 14), (14, 2))


@dataclass(frozen=True)
class Layer:
    """Weights (inputs, outputs) and bias (outputs,) of one layer."""

    weight: F64
    bias: F64


@dataclass(frozen=True)
class AnalogLoop:
    """Two integrators around a network of 2-14-14-2 rectifiers; without layers s is zero.

    Attributes:
        layers: the three layers, or none.
        drift_rate, score_rate, noise_rate: per second, at a word of full scale.
        units_per_fraction: embedding in the network's units at a word of full scale; 1 over the
            firmware's scale, so 2 at v_bias 0.1.
        output_gain: factor of the network's output (5 in the published networks).
        volts_per_unit: of x and y (this project's choice).
        seed: of the initial states, which are keyed by seed and run.
        substeps: Euler steps per tick.

    Raises:
        InputError: layers of another shape.
    """

    layers: Sequence[Layer] = ()
    drift_rate: float = 4.0
    score_rate: float = 4.0
    noise_rate: float = 0.0
    units_per_fraction: float = 2.0
    output_gain: float = 5.0
    volts_per_unit: float = 0.1
    seed: int = 1
    substeps: int = 2

    def __post_init__(self) -> None:
        shapes = tuple(layer.weight.shape for layer in self.layers)
        if self.layers and shapes != _LAYERS:
            raise InputError(f"the layers have shapes {shapes}, not {_LAYERS}")

    def initial(self, run: int) -> F64:
        """(2,) state at the start of a run, standard normal: the published source sets none."""
        draw = np.random.Philox(key=self.seed, counter=[0, 0, run, 1])
        return np.random.Generator(draw).standard_normal(2)

    def __call__(self, run: RunRecord, at_ns: int) -> tuple[float, float]:
        """x and y in volts at a time during a run."""
        x = self.initial(run.index)
        words = (run.codes.astype(np.float64) - MIDDLE) / MIDDLE
        ends = [*run.ticks_ns[1:], at_ns]
        for start_ns, end_ns, row in zip(run.ticks_ns, ends, words, strict=True):
            length_s = (min(end_ns, at_ns) - start_ns) * _SECONDS_PER_NS / self.substeps
            if length_s <= 0:
                break
            for _ in range(self.substeps):
                x = x + length_s * self._slope(x, row)
        volts = self.volts_per_unit * x
        return float(volts[0]), float(volts[1])

    def _slope(self, x: F64, row: F64) -> F64:
        slope: F64 = -self.drift_rate * row[1] * x + self.noise_rate * row[16:]
        if self.layers:
            slope = slope + self.score_rate * row[0] * self._network(x, row[2:16])
        return slope

    def _network(self, x: F64, embedding: F64) -> F64:
        added = embedding * self.units_per_fraction
        first, second, third = self.layers
        hidden = np.maximum(x @ first.weight + first.bias + added, 0.0)
        hidden = np.maximum(hidden @ second.weight + second.bias + added, 0.0)
        output: F64 = self.output_gain * (hidden @ third.weight + third.bias)
        return output
