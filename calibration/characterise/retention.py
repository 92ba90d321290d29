"""Retention: which share of programmed cells still reads within tolerance, over long times.

The share at the longest time is measured. What becomes of it in ten years is extrapolated with the
drift and spread per decade that were found, taken as normal and as going on in logarithmic time:
an assumption, and labelled so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import ndtr

from calibration.arrays import FloatArray
from calibration.characterise.common import Characterisation, Rig
from calibration.characterise.intervals import Interval, bootstrap, mean_interval, wilson
from calibration.characterise.levels import middle, name
from calibration.characterise.log_time import (
    Course,
    CourseParams,
    Movement,
    follow_groups,
    movement,
    sd_per_decade,
)
from calibration.programming import default_tolerance

KIND = "retention"
TEN_YEARS_S = 10.0 * 365.25 * 86400.0


@dataclass(frozen=True)
class RetentionParams(CourseParams):
    """Levels and times (`CourseParams`), and when the cells are enough.

    Attributes:
        share_half_width: of the interval of the share that is left at `last_s`, at every level.
    """

    levels_siemens: tuple[float, ...] = (80e-6, 120e-6, 165e-6, 205e-6)
    first_s: float = 10.0
    last_s: float = 86400.0
    most_cells: int = 384
    share_half_width: float = 0.1


def run(rig: Rig, params: RetentionParams) -> Characterisation:
    """Share of cells within tolerance of their first reading, over time and by level."""

    def tight(courses: list[Course]) -> bool:
        left = [v for k, v in _figures(courses, params).items() if k.startswith("left_")]
        return all(one.half_width <= params.share_half_width for one in left)

    courses, stop = follow_groups(rig, params, KIND, tight)
    moved = movement(courses)
    arrays = {
        "level": moved.level,
        "times_s": courses[0].times_s,
        "siemens": np.concatenate([course.siemens for course in courses]),
        "tolerance_siemens": _tolerances(params),
    }
    return Characterisation(
        KIND,
        _figures(courses, params),
        arrays,
        rig.account(stop),
        params.asked(),
        (
            "Within tolerance means: of the first reading, by the tolerance that programming uses.",
            "The share left after ten years assumes that movement goes on in logarithmic time.",
        ),
    )


def _tolerances(params: RetentionParams) -> FloatArray:
    return default_tolerance(np.asarray(params.levels_siemens))


def _figures(courses: list[Course], params: RetentionParams) -> dict[str, Interval]:
    moved = movement(courses)
    siemens = np.concatenate([course.siemens for course in courses])
    found = middle(siemens[:, 0], moved.level, params.levels_siemens, params.confidence)
    for k, level in enumerate(params.levels_siemens):
        mine, at = moved.level == k, name(level)
        off = np.abs(siemens[mine, -1] - siemens[mine, 0])
        kept = off <= _tolerances(params)[k]
        found[f"left_{at}"] = wilson(int(kept.sum()), kept.size, params.confidence)
        change = moved.at(k)[:, 0] / float(moved.decades[-1])
        found[f"drift_{at}"] = mean_interval(change, "1/decade", params.confidence)
        found[f"ten_years_{at}"] = _ten_years(moved, k, params)
    return found


def _ten_years(moved: Movement, k: int, params: RetentionParams) -> Interval:
    decades = float(moved.decades[-1])
    ahead = float(np.log10(TEN_YEARS_S / params.first_s))
    level = params.levels_siemens[k]
    reach = float(_tolerances(params)[k]) / level
    law = partial(_share_left, decades=decades, ahead=ahead, reach=reach)
    return bootstrap(moved.at(k), law, "", params.confidence)


def _share_left(data: FloatArray, decades: float, ahead: float, reach: float) -> float:
    """Share of cells whose ln G stays within `reach` over `ahead` decades."""
    middle = float(data[:, 0].mean()) / decades * ahead
    spread = max(sd_per_decade(data, decades) * ahead**0.5, 1e-9)
    ends = np.log1p([reach, -min(reach, 0.99)])
    above, below = ndtr((ends - middle) / spread)
    return float(above - below)
