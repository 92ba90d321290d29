"""The layers of the loop on their own: trans-impedance stages, rectifiers and clamps by probing.

No network is needed. A single-ended layer takes each column's current less that of a reference
conductance, so that a swept reference alone moves the output of every stage by a known amount,

    d out = - R_fb d G_ref sum(v),     v: the layer's inputs, the bias row included

whatever the cells are; on a chip that was never formed they add next to nothing. The two hidden
layers are rectified and clamped with the embedding voltage added before; with the smallest feedback
a sweep of that voltage shows the rectifier and the clamp of every unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from drivers.integrator import Integrator, LayerBlock
from drivers.waveforms import Waveforms
from protocols.hardware import BoardDescription

LAYERS = 3
SAMPLES = 64
FEEDBACK_OHM = (2.0e3, 200.0, 2.0e3)
"""Of the three layers while their own stage is looked at: the middle one has 14 inputs that add up
(this project's choice)."""
REFERENCE_SIEMENS = (100e-6, 100e-6, 100e-6)
STEPS = 4


@dataclass(frozen=True, eq=False)
class LayerResponse:
    """One layer's stages.

    Attributes:
        expected_volts: (points,) what the swept reference should move each output by.
        moved_volts: (points, outputs) what it moved them by.
        gain: (outputs,) slope of the second over the first.
        residual_volts: largest distance of a point from its output's line.
    """

    expected_volts: FloatArray
    moved_volts: FloatArray
    gain: FloatArray
    residual_volts: float


@dataclass(frozen=True, eq=False)
class Rectifier:
    """The units of a hidden layer.

    Attributes:
        input_volts: (points,) embedding voltage of every unit.
        output_volts: (points, units), each unit's own offset taken off.
        slope: (units,) between rectifier and clamp.
        below_volts: largest output below zero input.
        clamp_volts: (units,) output far above the clamp.
    """

    input_volts: FloatArray
    output_volts: FloatArray
    slope: FloatArray
    below_volts: float
    clamp_volts: FloatArray


class LayerBench:
    """Blocks of the array as layers, and probes of them."""

    def __init__(self, integrator: Integrator, description: BoardDescription) -> None:
        self.integrator, self.description = integrator, description
        self.width = description.loop.hidden_width

    def connect(self, feedback_ohm: Sequence[float], reference: Sequence[float]) -> None:
        """Three single-ended layers along the diagonal, no line shared."""
        sizes = ((3, self.width), (self.width + 1, self.width), (self.width + 1, 2))
        row = column = 0
        blocks = []
        for (inputs, outputs), ohm, siemens in zip(sizes, feedback_ohm, reference, strict=True):
            blocks.append(LayerBlock(row, column, inputs, outputs, False, ohm, siemens))
            row, column = row + inputs, column + outputs
        self.integrator.connect(blocks)

    def load(self, embedding_volts: FloatArray) -> None:
        """One tick for each embedding (ticks, width), words at zero."""
        ticks = len(embedding_volts)
        self.integrator.load(
            Waveforms(
                tick_s=self.description.loop.tick_s,
                drift=np.zeros(ticks),
                score=np.zeros(ticks),
                noise=np.zeros(ticks),
                offset=np.zeros((ticks, 2)),
                embedding_volts=embedding_volts,
            )
        )

    def probe(self, x_volts: FloatArray, tick: int = 0) -> list[FloatArray]:
        """Each layer's outputs at held x (2,) and the embedding of a tick."""
        return self.integrator.probe(tick, x_volts, samples=SAMPLES)

    @property
    def least_ohm(self) -> float:
        """The smallest feedback that a stage can have."""
        return self.description.converters.feedback_ohm_per_code

    # --- stages ------------------------------------------------------------------------------

    def response(self, layer: int) -> LayerResponse:
        """The stages of one layer while its reference is swept and nothing else changes."""
        bias = self.description.loop.bias_volts
        embedding = 0.0 if layer == 0 else 0.8 * self.description.loop.hidden_clamp_volts
        x = np.full(2, -1.5 * bias) if layer == 0 else np.zeros(2)
        self.load(np.full((2, self.width), embedding))
        outputs, sums = [], []
        for step in range(STEPS + 1):
            feedback = [self.least_ohm] * LAYERS
            feedback[layer] = FEEDBACK_OHM[layer]
            reference = [0.0] * LAYERS
            reference[layer] = REFERENCE_SIEMENS[layer] * step / STEPS
            self.connect(feedback, reference)
            found = self.probe(x)
            outputs.append(found[layer])
            into = x if layer == 0 else found[layer - 1]
            sums.append(reference[layer] * (float(into.sum()) + bias))
        gain = self.description.loop.output_gain if layer == LAYERS - 1 else 1.0
        expected = -gain * FEEDBACK_OHM[layer] * np.array(sums)
        return _line(expected, np.array(outputs))

    def rectifier(self, layer: int, points: int = 24) -> Rectifier:
        """The units of a hidden layer over the embedding voltage."""
        converter = self.integrator.curves.embedding
        top = 0.95 * min(-converter.minimum, converter.maximum)
        volts = np.linspace(-top, top, points)
        self.load(np.repeat(volts[:, None], self.width, axis=1))
        self.connect([self.least_ohm] * LAYERS, [0.0] * LAYERS)
        found = np.array([self.probe(np.zeros(2), tick)[layer] for tick in range(points)])
        clamp = self.description.loop.hidden_clamp_volts
        return _rectifier(volts, found, clamp)


def _line(expected: FloatArray, outputs: FloatArray) -> LayerResponse:
    moved = outputs - outputs[0]
    x = expected - expected[0]
    centred = x - x.mean()
    gain = centred @ (moved - moved.mean(axis=0)) / float(centred @ centred)
    left = moved - moved.mean(axis=0) - centred[:, None] * gain
    return LayerResponse(x, moved, np.asarray(gain), float(np.abs(left).max()))


def _rectifier(volts: FloatArray, found: FloatArray, clamp: float) -> Rectifier:
    dark = volts < -0.1 * clamp
    output = found - found[dark].mean(axis=0)
    middle = (volts > 0.15 * clamp) & (volts < 0.85 * clamp)
    slope = np.polyfit(volts[middle], output[middle], 1)[0]
    high = volts > 1.08 * clamp
    return Rectifier(
        volts,
        output,
        np.asarray(slope),
        float(np.abs(output[dark]).max()),
        np.asarray(output[high].mean(axis=0)),
    )
