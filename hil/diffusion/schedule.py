"""The variance-preserving SDE with a linear beta, and its exact marginals.

dx = -1/2 beta(tau) x dtau + sqrt(beta(tau)) dw,  beta(tau) = b0 + tau (b1 - b0),  0 <= tau <= 1
(Song et al., ICLR 2021, eqs. 11 and 32). Then x(tau) given x(0) is normal with mean
x(0) exp(-B/2) and variance 1 - exp(-B), where B(tau) = b0 tau + (b1 - b0) tau^2 / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hil.diffusion.keyed import FloatArray
from protocols.errors import InputError


@dataclass(frozen=True)
class VpSchedule:
    """beta in 1 / model time at tau = 0 and tau = 1; `0 <= beta_min <= beta_max`."""

    beta_min: float
    beta_max: float

    def __post_init__(self) -> None:
        finite = math.isfinite(self.beta_min) and math.isfinite(self.beta_max)
        if not (finite and 0.0 <= self.beta_min <= self.beta_max and self.beta_max > 0.0):
            raise InputError(
                f"beta_min={self.beta_min} and beta_max={self.beta_max} are no schedule: "
                "0 <= beta_min <= beta_max and beta_max > 0 are needed."
            )

    def beta(self, tau: ArrayLike) -> FloatArray:
        """beta(tau), same shape as `tau`."""
        return self.beta_min + np.asarray(tau, dtype=np.float64) * (self.beta_max - self.beta_min)

    def integral(self, tau: ArrayLike) -> FloatArray:
        """B(tau), the integral of beta from 0 to tau."""
        t = np.asarray(tau, dtype=np.float64)
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t * t

    def mean(self, tau: ArrayLike) -> FloatArray:
        """Factor on x(0) of the mean of x(tau)."""
        return np.exp(-0.5 * self.integral(tau))

    def std(self, tau: ArrayLike) -> FloatArray:
        """Standard deviation of x(tau) given x(0), per coordinate."""
        return np.sqrt(-np.expm1(-self.integral(tau)))
