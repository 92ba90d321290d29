"""The regression behind the loop calibration: measured trajectories in, rates and zeros out.

The loop's equation, integrated over a run of length T with held words f, g and offset words n,

    x(T) - x(0) = kf f X + kf f0 X + kg g S + kg g0 S + kn n T + d T   (per axis)
    X = int x dt,  S = int s(x) dt

is linear in the unknowns once X and S are known, and both are measured: x at points of the captured
trajectory, s by probing the network at these points. Two more terms take up the offsets of the
converters that measure x and s: - kf f o_x T and - kg g o_s T; a prior of a few converter steps
keeps them small where the runs do not show them.

What cannot be told apart is reported together: the leak of an integrator is part of f0
(f0 - 1 / (kf tau)), the zero of a noise channel part of d (d + kn n0). A run of the loop sees them
together as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from protocols.errors import CalibrationError

TERMS = ("kf", "kf_f0", "kg", "kg_g0", "kn", "d", "kf_ox", "kg_os")
_HUBER = 2.0  # residuals beyond this many deviations lose weight: heavy-tailed read noise
_ITERATIONS = 12
_WORST_CONDITION = 1e6


@dataclass(frozen=True)
class Observations:
    """One row per trajectory, of one axis.

    Attributes:
        group: experiment that the trajectory belongs to; each has a noise level of its own.
        drift, score, offset: held words, fractions of full scale.
        duration_s: length of the run.
        moved_volts: x(T) - x(0).
        x_integral, s_integral: X and S, volt seconds.
    """

    group: IntArray
    drift: FloatArray
    score: FloatArray
    offset: FloatArray
    duration_s: FloatArray
    moved_volts: FloatArray
    x_integral: FloatArray
    s_integral: FloatArray

    def design(self) -> FloatArray:
        """(rows, terms) matrix of the linear model, in the order of `TERMS`."""
        t = self.duration_s
        return np.stack(
            [
                self.drift * self.x_integral,
                self.x_integral,
                self.score * self.s_integral,
                self.s_integral,
                self.offset * t,
                t,
                -self.drift * t,
                -self.score * t,
            ],
            axis=1,
        )


@dataclass(frozen=True)
class AxisFit:
    """Unknowns of one axis in the order of `TERMS`, their covariance, and what is left over.

    `residual_volts` holds the standard deviation of each experiment's residuals.
    """

    values: FloatArray
    covariance: FloatArray
    residual_volts: FloatArray

    def ratio(self, over: str, under: str) -> tuple[float, float]:
        """Quotient of two terms and its standard deviation (first order)."""
        i, j = TERMS.index(over), TERMS.index(under)
        value = self.values[i] / self.values[j]
        slope = np.zeros(len(TERMS))
        slope[i], slope[j] = 1.0 / self.values[j], -value / self.values[j]
        return float(value), float(np.sqrt(slope @ self.covariance @ slope))

    def term(self, name: str) -> tuple[float, float]:
        """One term and its standard deviation."""
        i = TERMS.index(name)
        return float(self.values[i]), float(np.sqrt(self.covariance[i, i]))


def simpson_weights(points: int, duration_s: float) -> FloatArray:
    """(points,) weights of the composite Simpson rule over equal intervals; `points` is odd."""
    if points < 3 or points % 2 == 0:
        raise CalibrationError(
            f"Simpson's rule needs an odd number of points from 3, not {points}."
        )
    weights = np.full(points, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * duration_s / (3.0 * (points - 1))


def fit_axis(
    rows: Observations, offset_sd: tuple[float, float], *, partial: bool = False
) -> AxisFit:
    """Iteratively reweighted least squares: each experiment's noise level, Huber's loss.

    P. J. Huber, Robust estimation of a location parameter, Ann. Math. Stat. 35, 73 (1964).

    Args:
        rows: the observations.
        offset_sd: prior standard deviations of kf o_x and kg o_s, volts per second.
        partial: leave unknowns that no run excites at zero instead of refusing.

    Raises:
        CalibrationError: the experiments do not tell the unknowns apart.
    """
    design = rows.design()
    scale = np.sqrt(np.mean(design**2, axis=0))
    seen = np.flatnonzero(scale > 0.0)
    if seen.size < len(TERMS) and not partial:
        silent = ", ".join(name for name, size in zip(TERMS, scale, strict=True) if size == 0.0)
        raise CalibrationError(f"Nothing in the loop's runs shows {silent}; drive more of it.")
    scaled = design[:, seen] / scale[seen]
    _refuse_degenerate(scaled)
    prior = np.zeros((2, len(TERMS)))
    for row, (name, sd) in enumerate(zip(("kf_ox", "kg_os"), offset_sd, strict=True)):
        column = TERMS.index(name)
        prior[row, column] = 1.0 / (sd * scale[column]) if scale[column] > 0.0 else 0.0
    solution, spread, level = _reweighted(scaled, rows.moved_volts, rows.group, prior[:, seen])
    values, covariance = np.zeros(len(TERMS)), np.zeros((len(TERMS), len(TERMS)))
    values[seen] = solution / scale[seen]
    covariance[np.ix_(seen, seen)] = spread / np.outer(scale[seen], scale[seen])
    return AxisFit(values, covariance, level)


def _refuse_degenerate(scaled: FloatArray) -> None:
    condition = float(np.linalg.cond(scaled))
    if condition > _WORST_CONDITION:
        raise CalibrationError(
            f"The loop's runs do not tell its gains and zeros apart (condition {condition:.1e}); "
            "is the network's output the same everywhere?"
        )


def _reweighted(
    scaled: FloatArray, moved: FloatArray, group: IntArray, prior: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solution, its covariance and each experiment's noise level."""
    groups = np.unique(group)
    sigma, robust, level = np.full(moved.size, 1e-3), np.ones(moved.size), np.zeros(groups.size)
    solution = np.zeros(scaled.shape[1])
    for _ in range(_ITERATIONS):
        weight = np.sqrt(robust) / sigma
        stacked = np.concatenate([scaled * weight[:, None], prior])
        wanted = np.concatenate([moved * weight, np.zeros(len(prior))])
        solution = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
        residual = moved - scaled @ solution
        level = np.array([_deviation(residual[group == g]) for g in groups])
        sigma = level[np.searchsorted(groups, group)]
        robust = np.minimum(1.0, _HUBER * sigma / np.maximum(np.abs(residual), 1e-12))
    weight = np.sqrt(robust) / sigma
    weighted = np.concatenate([scaled * weight[:, None], prior])
    return solution, np.linalg.inv(weighted.T @ weighted), level


def _deviation(residual: FloatArray) -> float:
    """Standard deviation about zero by the median, never below a tenth of a millivolt's share.

    The floor, 50 uV, is a quarter of a step of a 12-bit converter over 0.8 V: without it a group
    that happens to fit exactly would outweigh all others.
    """
    return max(1.4826 * float(np.median(np.abs(residual))), 5e-5)
