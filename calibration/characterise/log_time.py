"""Cells read again and again at times that rise by equal factors: relaxation and retention.

Time counts from the middle of programming, which should be short against the first time. A reading
is the mean of several conversions; how far such a mean deviates by read noise alone is measured at
the first of the times, on means far enough apart that their noise is not the same any more, and is
taken out of the spreads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.characterise.common import (
    PREPARING_PULSES,
    Cost,
    Rig,
    RoutineParams,
    Stop,
    by_groups,
    groups,
    need,
)
from calibration.characterise.levels import LEVELS_SIEMENS, bring
from drivers.rram.geometry import Cells
from protocols.errors import InputError

BLOCKS = 8
APART = 4  # blocks between two means that are compared for the read noise


@dataclass(frozen=True)
class CourseParams(RoutineParams):
    """Levels, times and cells of what is followed over time.

    Attributes:
        levels_siemens: where it is wanted.
        first_s, last_s, per_decade: when the cells are read, since programming.
        samples: conversions of a reading.
        group: cells of one round, shared out over the levels; most_cells: of all. Every round
            takes `last_s`, real on a bench.
    """

    levels_siemens: tuple[float, ...] = LEVELS_SIEMENS
    first_s: float = 3.0
    last_s: float = 3600.0
    per_decade: int = 2
    samples: int = 4
    group: int = 192
    most_cells: int = 576

    def cost(self, available: int) -> Cost:
        """At most; programming to a level ends earlier in most cells."""
        cells = min(self.most_cells, available)
        times = len(log_times(self.first_s, self.last_s, self.per_decade))
        reads = self.samples * (times + BLOCKS) + PREPARING_PULSES
        rounds = -(-cells // self.group)
        return Cost(
            cells, cells * PREPARING_PULSES, PREPARING_PULSES, cells * reads, rounds * self.last_s
        )


@dataclass(frozen=True)
class Course:
    """What cells did over time.

    Attributes:
        cells: which; level: (cells,) index of the level of each.
        times_s: (times,) since programming, when the cells were read.
        siemens: (cells, times).
        noise: (cells,) variance of ln G of a reading by read noise.
    """

    cells: Cells
    level: IntArray
    times_s: FloatArray
    siemens: FloatArray
    noise: FloatArray


@dataclass(frozen=True)
class Movement:
    """Courses joined: level (cells,), decades since the first reading (times,), change of ln G
    since then (cells, times), and noise (cells,), the variance of a reading's ln G."""

    level: IntArray
    decades: FloatArray
    change: FloatArray
    noise: FloatArray

    def at(self, level: int) -> FloatArray:
        """What the figures of a level are made of: (cells, 2), the last change and the noise."""
        mine = self.level == level
        return np.stack([self.change[mine, -1], self.noise[mine]], axis=1)


def log_times(first_s: float, last_s: float, per_decade: int) -> FloatArray:
    """Times from first to last. Raises InputError unless 0 < first < last."""
    if not 0.0 < first_s < last_s:
        raise InputError(f"Times from {first_s} s to {last_s} s do not rise.")
    count = max(round(per_decade * np.log10(last_s / first_s)), 1) + 1
    return np.geomspace(first_s, last_s, count)


def follow(
    rig: Rig, cells: Cells, levels: tuple[float, ...], times_s: FloatArray, samples: int
) -> Course:
    """Bring cells to levels and read them at times since then."""
    begun_s = rig.macro.time_s
    kept = bring(rig, cells, levels)
    start_s = 0.5 * (begun_s + rig.macro.time_s)  # cells are ready at different moments of it
    readings, at, noise = [], [], np.zeros(len(kept.cells))
    for number, time_s in enumerate(times_s):
        passed_s = rig.macro.time_s - start_s
        rig.wait(float(time_s) - passed_s)
        if number == 0:  # before the first reading: its noise is then not that of the last verify
            noise = _noise(rig.series(kept.cells, BLOCKS * samples), samples)
            passed_s = rig.macro.time_s - start_s
        readings.append(rig.read(kept.cells, samples))
        at.append(0.5 * (max(passed_s, float(time_s)) + rig.macro.time_s - start_s))
    return Course(kept.cells, kept.level, np.array(at), np.stack(readings, axis=1), noise)


def follow_groups(
    rig: Rig, params: CourseParams, kind: str, tight: Callable[[list[Course]], bool]
) -> tuple[list[Course], Stop]:
    """Follow one group of cells after the other until `tight` says that the courses are enough.

    Returns the courses and why it ended.

    Raises:
        InputError: fewer than four cells a level, or times that do not rise.
    """
    need(rig.cells, 4 * len(params.levels_siemens), kind)
    times = log_times(params.first_s, params.last_s, params.per_decade)
    courses: list[Course] = []

    def measure(cells: Cells) -> None:
        courses.append(follow(rig, cells, params.levels_siemens, times, params.samples))
        rig.tell(params.most_cells, f"{kind}: {len(courses)} groups of cells")

    waiting = groups(rig.cells[: params.most_cells], params.group)
    return courses, by_groups(rig, params, waiting, measure, lambda: tight(courses))


def _noise(readings: FloatArray, samples: int) -> FloatArray:
    """(cells,) variance of ln G of means of `samples` readings."""
    means = readings.reshape(len(readings), BLOCKS, samples).mean(axis=2)
    ln = np.log(np.maximum(means, 1e-9))
    return np.asarray(0.5 * np.mean((ln[:, APART:] - ln[:, :-APART]) ** 2, axis=1))


def movement(courses: list[Course]) -> Movement:
    """The courses of several groups; their times are the same but for the time of reading."""
    ln = np.log(np.maximum(np.concatenate([course.siemens for course in courses]), 1e-9))
    times = np.mean([course.times_s for course in courses], axis=0)
    return Movement(
        np.concatenate([course.level for course in courses]),
        np.log10(times / times[0]),
        ln - ln[:, :1],
        np.concatenate([course.noise for course in courses]),
    )


def drift_per_decade(data: FloatArray, decades: float) -> float:
    """Mean change of ln G per decade, of `Movement.at`."""
    return float(data[:, 0].mean() / decades)


def sd_per_decade(data: FloatArray, decades: float) -> float:
    """Standard deviation of the change per decade, read noise taken out."""
    return float(np.sqrt(max(data[:, 0].var() - 2.0 * data[:, 1].mean(), 0.0) / decades))


def robust_per_decade(data: FloatArray, decades: float) -> float:
    """The same by the median absolute deviation, which few restless cells do not decide."""
    middle = np.median(data[:, 0])
    sd = 1.4826 * float(np.median(np.abs(data[:, 0] - middle)))
    return float(np.sqrt(max(sd * sd - 2.0 * float(np.median(data[:, 1])), 0.0) / decades))
