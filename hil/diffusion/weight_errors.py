"""Static weight errors of a whole network: one draw is one imagined chip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hil.diffusion.keyed import FloatArray, Stream, normal_pairs, uniforms
from hil.diffusion.score_model import ScoreModel

MULTIPLICATIVE_LIMIT = 2.0  # sigmas, as published: beyond it the error is redrawn uniformly


def additive(model: ScoreModel, fraction: float, seed: int, chip: int) -> ScoreModel:
    """Weights and biases plus N(0, fraction x the layer's largest |weight|), keyed by (seed, chip).

    Biases are weights of a bias row and err by as much. This is how errors of conductance act: the
    same in siemens for every cell of a layer.
    """

    def err(weight: FloatArray, bias: FloatArray, layer: int) -> tuple[FloatArray, FloatArray]:
        sigma = fraction * float(np.abs(weight).max())
        normal = _normals(seed, chip, layer, weight.size + bias.size)
        return (
            weight + sigma * normal[: weight.size].reshape(weight.shape),
            bias + sigma * normal[weight.size :],
        )

    return _apply(model, err)


def multiplicative(model: ScoreModel, sigma: float, seed: int, chip: int) -> ScoreModel:
    """Weights and biases times 1 + eps, eps ~ N(0, sigma), |eps| > 2 sigma redrawn uniformly.

    The published `add_noise` with its ratio of limit to sigma (0.2 to 0.1), frozen per chip.
    """

    def err(weight: FloatArray, bias: FloatArray, layer: int) -> tuple[FloatArray, FloatArray]:
        count = weight.size + bias.size
        eps = _normals(seed, chip, layer, count)
        flat = uniforms(seed, Stream.WEIGHT_ERROR, 0, count, 2, row=_row(chip, layer, 1))[:, 0]
        redrawn = MULTIPLICATIVE_LIMIT * (2.0 * flat - 1.0)
        eps = sigma * np.where(np.abs(eps) > MULTIPLICATIVE_LIMIT, redrawn, eps)
        factor = 1.0 + eps
        return weight * factor[: weight.size].reshape(weight.shape), bias * factor[weight.size :]

    return _apply(model, err)


def _apply(
    model: ScoreModel,
    err: Callable[[FloatArray, FloatArray, int], tuple[FloatArray, FloatArray]],
) -> ScoreModel:
    return model.with_layers([err(w, b, k) for k, (w, b) in enumerate(model.layers)])


def _row(chip: int, layer: int, kind: int) -> int:
    return (chip * 16 + layer) * 2 + kind


def _normals(seed: int, chip: int, layer: int, count: int) -> FloatArray:
    return normal_pairs(seed, Stream.WEIGHT_ERROR, 0, count, row=_row(chip, layer, 0))[:, 0]
