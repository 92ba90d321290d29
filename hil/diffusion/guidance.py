"""Classifier-free guidance as one network: the conditional and the unconditional copy side by side.

    s = (1 + w) s(x, tau, class) - w s(x, tau)                 (Ho and Salimans, arXiv:2207.12598)

Both copies have the same weights; they differ in what is added before their rectifiers, embedding
with and without the class. So the guided score is that of one network of twice the width: first
layer [W1; W1], hidden layers block-diagonal, last layer [(1 + w) W3, -w W3]. The embedding of the
doubled network is twice that of the model (frequencies repeated), the class offsets belong to one
half of its channels. It is a score model like any other and runs wherever it fits.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.score_model import ScoreModel
from protocols.errors import InputError, ModelError

LARGEST_WEIGHT = 20.0


def guided(model: ScoreModel, weight: float) -> ScoreModel:
    """The network of twice the width whose score is guided with `weight`; 0 is no guidance.

    With a label its score is the guided one; without a label it is the model's unconditional one.

    Raises:
        ModelError: the model is unconditional.
        InputError: the weight is negative, not finite or too large.
    """
    if model.n_classes == 0:
        raise ModelError(
            f"model {model.name!r} is unconditional; guidance needs a conditional model, trained "
            "with some labels masked. Leave guidance out, or name such a model (digits3)."
        )
    if not (math.isfinite(weight) and 0.0 <= weight <= LARGEST_WEIGHT):
        raise InputError(f"guidance {weight!r}: a number from 0 to {LARGEST_WEIGHT:g} is needed.")
    with_class, without = _halves(model)
    first, *hidden, last = model.weights
    width = 2 * model.channels
    doubled = [np.empty((width, first.shape[1]))]
    doubled[0][with_class], doubled[0][without] = first, first
    for each in hidden:
        both = np.zeros((width, width))
        both[np.ix_(with_class, with_class)] = each
        both[np.ix_(without, without)] = each
        doubled.append(both)
    end = np.empty((last.shape[0], width))
    end[:, with_class], end[:, without] = (1.0 + weight) * last, -weight * last
    return dataclasses.replace(
        model,
        name=f"{model.name}, guided {weight:g}",
        weights=(*doubled, end),
        biases=(*(_doubled(bias, with_class, without) for bias in model.biases[:-1]),
                model.biases[-1]),
        frequencies=np.tile(model.frequencies, 2),
        class_offsets=_offsets(model, with_class),
    )  # fmt: skip


def _halves(model: ScoreModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Units of the two copies: the embedding has all sines first, so each copy has every other
    quarter."""
    quarter = len(model.frequencies)
    number = np.arange(quarter)
    with_class = np.concatenate([number, 2 * quarter + number])
    return with_class, with_class + quarter


def _doubled(
    bias: FloatArray, with_class: NDArray[np.int64], without: NDArray[np.int64]
) -> FloatArray:
    both = np.empty(2 * bias.size)
    both[with_class], both[without] = bias, bias
    return both


def _offsets(model: ScoreModel, with_class: NDArray[np.int64]) -> FloatArray:
    both = np.zeros((model.n_classes, 2 * model.channels))
    both[:, with_class] = model.class_offsets
    return both
