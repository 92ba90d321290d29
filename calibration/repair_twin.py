"""A twin from the responses of its layers: what a read-back of single cells does not show.

Cells that are read one by one give a network up to their read noise, which averages out slowly
because it is correlated in time. The layers as they are wired give more: their outputs are probed
at many points, and where the twin says that a rectifier is open its input is linear in the layer's
weights. So each output's weights and bias are a regression on the measured outputs of the layer
before, with the read-back as the prior mean. Errors of the stages (gain, offset, embedding DACs)
end up in the weights and biases, where they belong for a prediction. This project's own procedure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from calibration.twin import Twin

SAFE_FRACTION = 0.05
"""A rectifier is taken as open where the twin puts it this far, as a fraction of the clamp, from
both of its kinks (this project's choice)."""
LEAST_NOISE_VOLTS = 1e-5  # below the step of any converter here; keeps a noise-free fit solvable


@dataclass(frozen=True)
class Probes:
    """Outputs of the layers at m points, channels and outputs in the model's order.

    Attributes:
        x_volts: (m, 2) where.
        embedding_volts: (m, channels) what was added before both rectifiers.
        outputs_volts: (m, out) per layer, after the rectifier and the output gain.
    """

    x_volts: FloatArray
    embedding_volts: FloatArray
    outputs_volts: tuple[FloatArray, FloatArray, FloatArray]

    def __len__(self) -> int:
        return len(self.x_volts)


def refine_twin(twin: Twin, probes: Probes, weight_sd: float, unit_volts: float) -> Twin:
    """The twin whose layers respond as the probed ones do.

    Args:
        twin: as read back; the mean of the prior.
        probes: what the layers gave.
        weight_sd: how far a weight is expected to be off, as a fraction of its layer's largest.
        unit_volts: the voltage whose weight a bias is.
    """
    inputs = (probes.x_volts, probes.outputs_volts[0], probes.outputs_volts[1])
    rectified = (True, True, False)
    weights, biases = [], []
    for k, (layer_in, outputs) in enumerate(zip(inputs, probes.outputs_volts, strict=True)):
        weight, bias = twin.weights[k], twin.bias_volts[k]
        features = np.column_stack([layer_in, np.full(len(probes), unit_volts)])
        mean = np.column_stack([weight, bias / unit_volts])
        if rectified[k]:
            driven = features @ mean.T + probes.embedding_volts
            measured, use = outputs - probes.embedding_volts, _open(driven, twin.clamp_volts)
        else:
            measured, use = outputs / twin.output_gain, np.ones_like(outputs, dtype=np.bool_)
        found = _regress(features, measured, use, mean, weight_sd * float(np.abs(mean).max()))
        weights.append(found[:, :-1])
        biases.append(found[:, -1] * unit_volts)
    return replace(twin, weights=weights, bias_volts=biases)


def prediction_error(twin: Twin, probes: Probes) -> float:
    """Root mean square of the twin's output against the probed one, over that of the output."""
    wanted = probes.outputs_volts[-1]
    off = twin.outputs(probes.x_volts, probes.embedding_volts) - wanted
    size = float(np.mean(wanted**2))
    return float(np.sqrt(np.mean(off**2) / size)) if size > 0.0 else float("inf")


def _open(driven_volts: FloatArray, clamp_volts: float) -> BoolArray:
    margin = SAFE_FRACTION * clamp_volts
    return np.asarray((driven_volts > margin) & (driven_volts < clamp_volts - margin))


def _regress(
    features: FloatArray, measured: FloatArray, use: BoolArray, mean: FloatArray, sd: float
) -> FloatArray:
    """(out, features) weights: least squares per output around `mean`, noise from the residual."""
    found = mean.copy()
    for output in range(len(mean)):
        rows = use[:, output]
        a, b = features[rows], measured[rows, output] - features[rows] @ mean[output]
        if len(a) < 2 or sd == 0.0:
            continue  # closed wherever samples pass, so that its weights do not matter, or dead
        unknowns, noise = a.shape[1], LEAST_NOISE_VOLTS
        if len(a) <= unknowns:
            noise = max(float(np.std(b)), noise)  # too few to tell noise from a wrong read-back
        for _ in range(2):  # the noise is what a free fit leaves
            ridge = (noise / sd) ** 2
            step = np.linalg.solve(a.T @ a + ridge * np.eye(unknowns), a.T @ b)
            if len(a) > unknowns:
                left = float(np.sum((b - a @ step) ** 2)) / (len(a) - unknowns)
                noise = max(float(np.sqrt(left)), LEAST_NOISE_VOLTS)
        found[output] += step
    return found
