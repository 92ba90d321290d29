"""Relaxation: how programmed conductances move over logarithmic time, by level.

Given is, for every level, the mean change of ln G per decade of time (drift) and its spread per
square root of a decade, which is what independent increments in logarithmic time have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from calibration.characterise.common import Characterisation, Rig
from calibration.characterise.intervals import Interval, bootstrap, mean_interval
from calibration.characterise.levels import middle, name
from calibration.characterise.log_time import (
    Course,
    CourseParams,
    follow_groups,
    movement,
    robust_per_decade,
    sd_per_decade,
)

KIND = "relaxation"


@dataclass(frozen=True)
class RelaxationParams(CourseParams):
    """Levels and times (`CourseParams`), and when the cells are enough.

    Attributes:
        relative_half_width: of the interval of the robust spread at every level; spreads below
            `least_spread` need not be known better than to that.
    """

    relative_half_width: float = 0.3
    least_spread: float = 0.003


def run(rig: Rig, params: RelaxationParams) -> Characterisation:
    """Drift and spread per decade of time, by level."""
    courses, stop = follow_groups(
        rig, params, KIND, lambda courses: _tight(figures(courses, params), params)
    )
    moved = movement(courses)
    arrays = {
        "level": moved.level,
        "times_s": courses[0].times_s,
        "siemens": np.concatenate([course.siemens for course in courses]),
        "noise": moved.noise,
    }
    return Characterisation(
        KIND,
        figures(courses, params),
        arrays,
        rig.account(stop),
        params.asked(),
        ("Read noise is taken out of the spreads, not of the curves of single cells.",),
    )


def _tight(found: dict[str, Interval], params: RelaxationParams) -> bool:
    spreads = [one for key, one in found.items() if key.startswith("robust_")]
    return all(
        one.half_width <= max(params.relative_half_width * one.value, params.least_spread)
        for one in spreads
    )


def figures(courses: list[Course], params: RelaxationParams) -> dict[str, Interval]:
    """Drift, standard and robust spread per decade at every level."""
    moved = movement(courses)
    first = np.concatenate([course.siemens[:, 0] for course in courses])
    found = middle(first, moved.level, params.levels_siemens, params.confidence)
    decades = float(moved.decades[-1])
    for k, siemens in enumerate(params.levels_siemens):
        data, at = moved.at(k), name(siemens)
        drift = mean_interval(data[:, 0] / decades, "1/decade", params.confidence)
        found[f"drift_{at}"] = drift
        for label, law in (("sd", sd_per_decade), ("robust", robust_per_decade)):
            found[f"{label}_{at}"] = bootstrap(
                data, partial(law, decades=decades), "1/decade", params.confidence
            )
    return found
