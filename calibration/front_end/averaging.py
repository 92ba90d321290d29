"""Means of conversions that are as exact as they were asked for.

What a mean of quantised readings is uncertain by has two parts: the noise, which falls with the
number of conversions, and the quantisation that too little noise leaves. Noise of standard
deviation s (in steps) in front of a quantiser leaves an error of the mean that depends on where the
input stands between two codes; its first harmonic has the amplitude exp(-2 pi^2 s^2) / pi
(B. Widrow, I. Kollar, Quantization Noise, Cambridge University Press, 2008, chapter on dither).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.front_end.params import FrontEndParams

Ask = Callable[[int], IntArray]
"""Given how many conversions per point, their sums, shape (points,)."""

_QUANTISED = 1.0 / 12.0  # variance that a quantiser adds to well-spread noise


@dataclass(frozen=True, eq=False)
class Means:
    """Means of some points.

    Attributes:
        codes: (points,) means.
        sd: standard deviation of such a mean, all points together.
        noise_codes: standard deviation of one conversion, the quantiser's part taken off.
        conversions: per point.
    """

    codes: FloatArray
    sd: float
    noise_codes: float
    conversions: int


def averaged(ask: Ask, params: FrontEndParams) -> Means:
    """Asks in rounds until the standard error is as small as wanted, or no more can be gained."""
    rounds: list[FloatArray] = []
    while True:
        rounds.append(ask(params.samples).astype(np.float64) / params.samples)
        if len(rounds) < params.rounds_min:
            continue
        means = _means(np.stack(rounds), params.samples)
        left = _quantisation(means.noise_codes)
        exact = means.sd <= params.target_codes or means.sd <= 1.1 * left
        if exact or len(rounds) >= params.rounds_max:
            return means


def _means(rounds: FloatArray, samples: int) -> Means:
    """Pooled over the points; a railed point has no noise and pulls the figure down a little."""
    variance = float(rounds.var(axis=0, ddof=1).mean())
    noise = math.sqrt(max(variance * samples - _QUANTISED, 0.0))
    random = math.sqrt(variance / len(rounds))
    return Means(
        rounds.mean(axis=0), math.hypot(random, _quantisation(noise)), noise, samples * len(rounds)
    )


def _quantisation(noise_codes: float) -> float:
    """Root mean square error of a mean that so much noise leaves; 0.29 without any."""
    first = math.exp(-2.0 * (math.pi * noise_codes) ** 2) / (math.pi * math.sqrt(2.0))
    return math.sqrt(_QUANTISED) if noise_codes < 0.05 else first
