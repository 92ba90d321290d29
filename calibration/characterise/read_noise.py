"""Read noise: how far readings of a settled cell deviate, and what averaging them gains.

Cells are brought to levels, left alone for a while, and then read many times in a row. The slow
movement (relaxation) is taken out as a straight line over the readings of each cell. What is left
is correlated from reading to reading, so that the mean of n readings is less certain than
1 / sqrt(n) says; the gain is measured on means of n neighbours, not assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from calibration.characterise.intervals import Interval, bootstrap, robust_sd
from calibration.characterise.levels import (
    LEVELS_SIEMENS,
    Levels,
    bring,
    joined,
    middle,
    name,
)
from drivers.rram.geometry import Cells

KIND = "read_noise"
AVERAGED = (1, 2, 4, 8, 16, 32)
"""Numbers of readings that are averaged for the gain."""
LAGS = 8
LOUD_CODES = 4.0
"""Correlation and averaging are those of cells whose readings deviate by more codes than this."""
THINNED = 4  # every such reading is used for the spread; those between are nearly the same


@dataclass(frozen=True)
class ReadNoiseParams(RoutineParams):
    """Levels, readings, and when they are enough.

    Attributes:
        levels_siemens: where the noise is wanted.
        group: cells of one round, shared out over the levels; most_cells: of all.
        readings: of each cell, one after the other.
        settle_s: wait between programming and the first reading.
        relative_half_width: of the interval of the robust deviation at every level.
    """

    levels_siemens: tuple[float, ...] = LEVELS_SIEMENS
    group: int = 48
    most_cells: int = 384
    readings: int = 128
    settle_s: float = 10.0
    relative_half_width: float = 0.2

    def cost(self, available: int) -> Cost:
        """At most; programming to a level ends earlier in most cells."""
        cells = min(self.most_cells, available)
        rounds = -(-cells // self.group)
        return Cost(
            cells,
            cells * PREPARING_PULSES,
            PREPARING_PULSES,
            cells * (self.readings + PREPARING_PULSES),
            rounds * self.settle_s,
        )


def run(rig: Rig, params: ReadNoiseParams) -> Characterisation:
    """Read noise against level and against the number of readings averaged."""
    need(rig.cells, 2 * len(params.levels_siemens), KIND)
    waiting = groups(rig.cells[: params.most_cells], params.group)
    parts: list[Levels] = []
    traces: list[FloatArray] = []

    def measure(cells: Cells) -> None:
        parts.append(bring(rig, cells, params.levels_siemens))
        rig.wait(params.settle_s)
        traces.append(rig.series(parts[-1].cells, params.readings))
        rig.tell(params.most_cells, f"read noise: {len(parts)} groups of cells")

    def tight() -> bool:
        found = _figures(parts, traces, params)
        return all(
            one.half_width <= params.relative_half_width * max(one.value, 1e-6)
            for one in found.values()
        )

    stop = by_groups(rig, params, waiting, measure, tight)
    level, code = joined(parts)[0], rig.code_siemens
    readings = np.concatenate(traces)
    return Characterisation(
        KIND,
        _figures(parts, traces, params, code),
        {"level": level, "readings_siemens": readings},
        rig.account(stop),
        params.asked(),
        (
            "Deviations are relative to the cell's own mean. The slow movement is taken out as a "
            "line, and what that takes of the noise is put back.",
            "The converter's own noise and rounding are part of a reading and of these figures.",
        ),
    )


def deviations(readings: FloatArray) -> FloatArray:
    """Relative deviations (cells, n) from each cell's own straight line over the readings."""
    count = readings.shape[1]
    x = np.linspace(-1.0, 1.0, count)
    basis = np.stack([np.ones(count), x])
    fit = np.linalg.lstsq(basis.T, readings.T, rcond=None)[0]
    line = fit.T @ basis
    return np.asarray((readings - line) / readings.mean(axis=1, keepdims=True))


def autocorrelation(deviation: FloatArray, lags: int = LAGS) -> FloatArray:
    """Correlation (lags + 1,) of readings 0, 1, ... apart, each cell weighted the same.

    A fitted line takes a little of the slow part with it; the usual first-order correction for a
    mean that was estimated is applied (M. G. Kendall, Biometrika 41, 403, 1954), twice for a line.
    """
    count = deviation.shape[1]
    scaled = deviation / np.maximum(deviation.std(axis=1, keepdims=True), 1e-12)
    pairs = [(scaled[:, : count - k] * scaled[:, k:]).mean() for k in range(lags + 1)]
    raw = np.asarray(pairs)
    return np.asarray(
        np.minimum(raw + 2.0 * (1.0 + 3.0 * raw) / count * (np.arange(lags + 1) > 0), 1.0)
    )


def taken_share(readings: int, correlation: float) -> float:
    """Share of a first-order noise's variance that the straight line takes with it.

    The mean of n readings keeps (1 + r) / (1 - r) / n of the variance, the slope as much again.
    """
    r = min(max(correlation, 0.0), 0.95)
    return min(2.0 * (1.0 + r) / (1.0 - r) / readings, 0.5)


def averaged(deviation: FloatArray, number: int, taken: float = 0.0) -> float:
    """Deviation of the mean of `number` neighbouring readings over that of one, typical cell."""
    count = deviation.shape[1] // number
    means = deviation[:, : count * number].reshape(len(deviation), count, number).mean(axis=2)
    shares = means.std(axis=1) / np.maximum(deviation.std(axis=1), 1e-12)
    return float(np.sqrt(np.median(shares) ** 2 * (1.0 - taken) + taken))


def _figures(
    parts: list[Levels],
    traces: list[FloatArray],
    params: ReadNoiseParams,
    code_siemens: float = 0.0,
) -> dict[str, Interval]:
    level, _ = joined(parts)
    deviation = deviations(np.concatenate(traces))
    lag_one = float(autocorrelation(deviation, 1)[1])
    taken = taken_share(params.readings, lag_one)
    whole = deviation / np.sqrt(1.0 - taken)
    figures: dict[str, Interval] = {}
    for k, siemens in enumerate(params.levels_siemens):
        mine = whole[level == k, ::THINNED]
        at = name(siemens)
        figures[f"robust_{at}"] = bootstrap(mine, _robust, "", params.confidence)
        if code_siemens:
            figures[f"sd_{at}"] = bootstrap(mine, _rms, "", params.confidence)
    if not code_siemens:
        return figures
    mean = np.concatenate(traces).mean(axis=1)
    figures |= middle(mean, level, params.levels_siemens, params.confidence)
    chosen = deviation[_loud(np.concatenate(traces), code_siemens)]
    figures["lag_one"] = bootstrap(
        chosen, lambda d: float(autocorrelation(d, 1)[1]), "", params.confidence, 200
    )
    for number in AVERAGED[1:]:
        if params.readings >= 4 * number:
            figures[f"mean_of_{number}"] = _gain(chosen, number, taken, params.confidence)
    return figures


def _loud(readings: FloatArray, code_siemens: float) -> BoolArray:
    """Cells whose own noise is well above the converter's, which is not correlated."""
    loud = readings.std(axis=1) >= LOUD_CODES * code_siemens
    return loud if np.count_nonzero(loud) >= 8 else np.ones(len(readings), np.bool_)


def _gain(deviation: FloatArray, number: int, taken: float, confidence: float) -> Interval:
    return bootstrap(deviation, lambda d: averaged(d, number, taken), "", confidence, 200)


def _robust(deviation: FloatArray) -> float:
    return robust_sd(deviation.ravel())


def _rms(deviation: FloatArray) -> float:
    return float(np.sqrt(np.mean(deviation**2)))
