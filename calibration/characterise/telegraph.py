"""Telegraph noise: cells whose readings step between two levels.

The readings of a cell with one dominant trap have two levels; those of all others have one, however
noisy and however correlated. Two normals of one width are fitted to each cell's readings (EM; A. P.
Dempster et al., J. R. Stat. Soc. B 39, 1, 1977) and compared with a single one by the gain in
likelihood. What gain a cell without a trap shows by chance is found by doing the same to artificial
readings that have the correlation of this chip's: so the share of false alarms is set, not hoped
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from calibration.characterise.common import (
    PREPARING_PULSES,
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    by_groups,
    groups,
    need,
)
from calibration.characterise.intervals import SEED, Interval, quantile_interval, wilson
from calibration.characterise.read_noise import deviations
from drivers.rram.geometry import Cells

KIND = "telegraph"
EM_ROUNDS = 25
NULL_CELLS = 600
LEAST_SEPARATION = 2.0
"""Two levels closer than this many of their own widths are not told from one (this project's
choice)."""


@dataclass(frozen=True)
class TelegraphParams(RoutineParams):
    """Readings, and when they are enough.

    Attributes:
        level_siemens: the cells are brought to it.
        readings: of each cell, one after the other; `pause_s` between blocks of `block`.
        group: cells of one round; most_cells: of all.
        false_alarms: share of one-level cells that may be called two-level.
        share_half_width: of the interval of the share of two-level cells.
    """

    level_siemens: float = 165e-6
    readings: int = 512
    block: int = 64
    pause_s: float = 1.0
    group: int = 64
    most_cells: int = 384
    settle_s: float = 10.0
    false_alarms: float = 0.005
    share_half_width: float = 0.04

    def cost(self, available: int) -> Cost:
        """At most."""
        cells = min(self.most_cells, available)
        rounds = -(-cells // self.group)
        pauses = (self.readings // self.block) * self.pause_s + self.settle_s
        return Cost(
            cells,
            cells * PREPARING_PULSES,
            PREPARING_PULSES,
            cells * (self.readings + PREPARING_PULSES),
            rounds * pauses,
        )


@dataclass(frozen=True)
class TwoLevels:
    """The fit of two levels to each cell, arrays (cells,); deviations are relative.

    Attributes:
        gain: logarithm of the likelihood ratio of two levels against one, per reading.
        step: distance of the levels.
        width: of each level.
        upper: share of the readings at the upper level.
    """

    gain: FloatArray
    step: FloatArray
    width: FloatArray
    upper: FloatArray


def fit_two_levels(deviation: FloatArray) -> TwoLevels:
    """EM for a mixture of two normals of one width, every row by itself."""
    x = deviation
    one = np.maximum(x.std(axis=1), 1e-12)
    low, high = np.quantile(x, 0.15, axis=1), np.quantile(x, 0.85, axis=1)
    width, share = 0.6 * one, np.full(len(x), 0.5)
    likelihood = np.zeros(len(x))
    for _ in range(EM_ROUNDS):
        a = share[:, None] * _normal(x, high, width)
        b = (1.0 - share)[:, None] * _normal(x, low, width)
        total = np.maximum(a + b, 1e-300)
        likelihood = np.log(total).mean(axis=1)
        r = a / total
        count = np.clip(r.sum(axis=1), 1e-9, x.shape[1] - 1e-9)
        share = count / x.shape[1]
        high = (r * x).sum(axis=1) / count
        low = ((1.0 - r) * x).sum(axis=1) / (x.shape[1] - count)
        spread = r * (x - high[:, None]) ** 2 + (1.0 - r) * (x - low[:, None]) ** 2
        width = np.maximum(np.sqrt(spread.mean(axis=1)), 0.02 * one)
    alone = np.log(_normal(x, x.mean(axis=1), one)).mean(axis=1)
    return TwoLevels(likelihood - alone, np.abs(high - low), width, share)


def _normal(x: FloatArray, middle: FloatArray, width: FloatArray) -> FloatArray:
    z = (x - middle[:, None]) / width[:, None]
    return np.asarray(np.maximum(np.exp(-0.5 * z * z), 1e-280) / (width[:, None] * 2.5066282746))


@lru_cache(maxsize=64)
def chance_gain(readings: int, correlation: float, false_alarms: float) -> float:
    """The gain that only a share `false_alarms` of artificial one-level cells exceeds."""
    rng = np.random.default_rng(SEED)
    rho = float(np.clip(correlation, 0.0, 0.99))
    x = np.empty((NULL_CELLS, readings))
    x[:, 0] = rng.standard_normal(NULL_CELLS)
    step = np.sqrt(1.0 - rho * rho)
    for k in range(1, readings):
        x[:, k] = rho * x[:, k - 1] + step * rng.standard_normal(NULL_CELLS)
    return float(np.quantile(fit_two_levels(deviations(1.0 + 1e-3 * x)).gain, 1.0 - false_alarms))


def detect(readings: FloatArray, false_alarms: float) -> tuple[BoolArray, TwoLevels]:
    """Which cells (rows) step between two levels."""
    deviation = deviations(readings)
    fit = fit_two_levels(deviation)
    correlation = round(_typical_correlation(deviation) + 0.025, 1)  # to the cautious side
    threshold = chance_gain(readings.shape[1], correlation, false_alarms)
    apart = fit.step >= LEAST_SEPARATION * fit.width
    return np.asarray((fit.gain > threshold) & apart), fit


def _typical_correlation(deviation: FloatArray) -> float:
    """Lag-one correlation of the median cell."""
    scale = np.maximum(np.mean(deviation**2, axis=1), 1e-24)
    each = np.mean(deviation[:, 1:] * deviation[:, :-1], axis=1) / scale
    return float(np.median(each))


def run(rig: Rig, params: TelegraphParams) -> Characterisation:
    """Share, step and dwell time of two-level cells."""
    need(rig.cells, 16, KIND)
    waiting = groups(rig.cells[: params.most_cells], params.group)
    traces: list[FloatArray] = []

    def measure(cells: Cells) -> None:
        rig.program(cells, np.full(len(cells), params.level_siemens))
        rig.wait(params.settle_s)
        blocks = []
        for _ in range(params.readings // params.block):
            blocks.append(rig.series(cells, params.block))
            rig.wait(params.pause_s)
        traces.append(np.concatenate(blocks, axis=1))
        rig.tell(params.most_cells, f"telegraph noise: {len(traces)} groups of cells")

    def tight() -> bool:
        found, _ = detect(np.concatenate(traces), params.false_alarms)
        share = wilson(int(found.sum()), found.size, params.confidence)
        return share.half_width <= params.share_half_width

    stop = by_groups(rig, params, waiting, measure, tight)
    readings = np.concatenate(traces)
    found, fit = detect(readings, params.false_alarms)
    return Characterisation(
        KIND,
        _figures(readings, found, fit, params),
        {
            "readings_siemens": readings,
            "two_levels": found,
            "gain": fit.gain,
            "step": fit.step,
            "width": fit.width,
            "upper": fit.upper,
        },
        rig.account(stop),
        params.asked(),
        (
            f"A cell counts when its levels lie at least {LEAST_SEPARATION:g} of their own widths "
            f"apart; {params.false_alarms:.1%} of one-level cells are called two-level by chance.",
            "Steps faster than a reading or slower than the whole trace are not seen.",
        ),
    )


def _figures(
    readings: FloatArray, found: BoolArray, fit: TwoLevels, params: TelegraphParams
) -> dict[str, Interval]:
    level = params.confidence
    steps = np.array([_switches(row, fit, k) for k, row in enumerate(deviations(readings))])
    seen = found & (steps > 0)
    dwell = readings.shape[1] / np.maximum(steps, 1)
    return {
        "share": wilson(int(found.sum()), found.size, level),
        "step_median": quantile_interval(fit.step[found], 0.5, "", level),
        "upper_share_median": quantile_interval(fit.upper[found], 0.5, "", level),
        "dwell_readings_median": quantile_interval(dwell[seen], 0.5, "", level),
    }


def _switches(row: FloatArray, fit: TwoLevels, k: int) -> int:
    """How often a cell changes its level, by the middle between its two levels."""
    middle = np.quantile(row, 1.0 - fit.upper[k])
    return int(np.count_nonzero(np.diff(row > middle)))
