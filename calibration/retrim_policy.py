"""Which cells are worth another pulse: the decision of one round of a re-trim.

Everything is an expected squared error at the horizon, in siemens squared. Increments of ln G in
different stretches of logarithmic time are taken as independent (`calibration.relaxation`), so the
value of a fresh pulse with r rounds left follows from that with r - 1 left:

    V_0 = p^2 + s^2 D(fresh, horizon)
    V_r = mean over z of min(p^2 + s^2 D(fresh, w) z^2 + s^2 D(w, rest), V_(r-1))

with p the programming error, s the spread per root decade, D the decades that pass, w the next
wait, and z the measured moves in units of their spread: a cell that moves far will be pulsed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.relaxation import RelaxationLaw, decades

LEVELS = 48
QUANTILES = 64


@dataclass(frozen=True)
class Choice:
    """What a round does: `touch` (k,) indices of cells to pulse, `aim_siemens` and
    `settled_siemens` (k,) what to program them to and what that shall be at the horizon."""

    touch: IntArray
    aim_siemens: FloatArray
    settled_siemens: FloatArray


@dataclass(frozen=True)
class State:
    """What is known of the cells in a round; arrays (n,).

    `rest_siemens` is the spread that the time until the horizon adds to `expected_siemens`.
    """

    target_siemens: FloatArray
    expected_siemens: FloatArray
    rest_siemens: FloatArray
    partner: IntArray
    barred: BoolArray

    def weight_error(self) -> FloatArray:
        """(n,) forecast error of the weight that a cell belongs to, signed as this cell's own."""
        return pair_error(self.expected_siemens - self.target_siemens, self.partner)


def pair_error(error: FloatArray, partner: IntArray) -> FloatArray:
    """(n,) each cell's error less that of its partner, where it has one."""
    return np.asarray(error - np.where(partner >= 0, error[partner], 0.0))


def rms_of_weights(error: FloatArray, partner: IntArray) -> float:
    """Root mean square over weights: pairs count once, as their difference."""
    whole = pair_error(error, partner)
    once = (partner < 0) | (np.arange(partner.size) < partner)
    return float(np.sqrt(np.mean(whole[once] ** 2))) if once.any() else 0.0


def fresh_values(
    law: RelaxationLaw,
    siemens: FloatArray,
    waits_s: Sequence[float],
    horizon_s: float,
    programming_siemens: float,
    fresh_s: float,
) -> FloatArray:
    """Expected squared error at the horizon of cells pulsed now to levels (m,), siemens^2 (m,).

    `waits_s` are the rounds that are left; `fresh_s` is the age at which a programmer has last
    looked at a cell.
    """
    square = programming_siemens**2
    s2 = (siemens * law.spread_at(siemens)) ** 2
    moved = np.quantile(law.moves**2, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    moved *= 1.0 / max(float(moved.mean()), 1e-9)  # quantiles cut the tail: keep the variance
    value = square + s2 * decades(fresh_s, horizon_s)
    left_s = horizon_s
    for wait_s in reversed(waits_s):
        kept = square + s2[:, None] * (
            decades(fresh_s, wait_s) * moved + decades(fresh_s + wait_s, left_s)
        )
        value = np.minimum(kept, value[:, None]).mean(axis=1)
        left_s += wait_s
    return np.asarray(value)


def choose(
    state: State,
    law: RelaxationLaw,
    waits_s: Sequence[float],
    horizon_s: float,
    *,
    window_siemens: tuple[float, float],
    programming_siemens: float,
    fresh_s: float,
    least_gain: float,
    least_siemens: float,
) -> Choice:
    """The cells whose renewal is worth its pulses; of each pair at most one."""
    n, partner = state.partner.size, state.partner
    paired = partner >= 0
    own = state.expected_siemens - state.target_siemens
    settled = state.target_siemens + np.where(paired, own[partner], 0.0)
    left_s = sum(waits_s) + horizon_s
    aim = settled * np.exp(-law.drift_at(settled) * decades(fresh_s, left_s))
    low, high = window_siemens
    possible = (aim >= low) & (aim <= high) & ~state.barred
    grid = np.linspace(low, high, LEVELS)
    values = fresh_values(law, grid, waits_s, horizon_s, programming_siemens, fresh_s)
    fresh = np.interp(settled, grid, values)
    rest = state.rest_siemens**2
    others = np.where(paired, rest[partner], 0.0)
    kept = state.weight_error() ** 2 + rest + others
    gain = np.where(possible, kept - least_gain * (fresh + others), -np.inf)
    rival = np.where(paired, gain[partner], -np.inf)
    first = (gain > rival) | ((gain == rival) & (np.arange(n) < partner))
    touch = np.flatnonzero((gain > least_siemens**2) & first)
    return Choice(touch, aim[touch], settled[touch])
