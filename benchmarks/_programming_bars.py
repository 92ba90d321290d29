"""What the programming benchmark holds its figures to."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan

Rows = Mapping[str, Mapping[str, float]]
Sections = Mapping[str, Rows]

MEASURED_PULSES = {"ispp": 24.5, "fppv": 17.0, "coarse_fine": 8.6}
"""Mean pulses of the measured algorithms on the windows below 10 kohm (data of A. Levy et al.)."""
MEASURED_IN = 0.98
"""Their cells in: 98.9 to 99.9 % (one run of a worn chip 95.7 %)."""
WITHIN = 0.2

BARS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "two_bit": {
        **{
            f"two_bit.{name}.pulses_mean": ((1 - WITHIN) * mean, (1 + WITHIN) * mean)
            for name, mean in MEASURED_PULSES.items()
        },
        **{f"two_bit.{name}.in_by_reading": (MEASURED_IN, 1.0) for name in MEASURED_PULSES},
        "two_bit.predictive.pulses_mean": (0.0, 5.0),
        "two_bit.predictive.in_by_reading": (0.999, 1.0),
    },
    "three_bit": {
        "three_bit.predictive.pulses_mean": (0.0, 18.0),
        "three_bit.predictive.in_by_reading_of_reachable": (0.995, 1.0),
    },
    "analog": {
        "analog.predictive.pulses_mean": (0.0, 8.0),
        "analog.predictive.in_truly_above_150": (0.999, 1.0),
        "analog.predictive.in_truly_below_150": (0.99, 1.0),
        "analog.ispp_over_predictive": (3.3, inf),
    },
    "network": {
        "network.ispp.in_by_reading": (0.95, 1.0),
        "network.ispp.in_truly": (0.80, 1.0),
        "network.ispp.pulses_mean": (0.0, 40.0),
        "network.ispp.pulses_p99": (0.0, 200.0),
        "network.ispp.round_trips": (0.0, 1500.0),
        "network.ispp.weight_error": (0.0, 0.045),
    },
    "unknown": {
        "unknown.pulses_over_fitted": (0.0, 1.3),
        "unknown.predictive.in_by_reading_of_reachable": (0.999, 1.0),
        "unknown.predictive.stuck_not_reported": (0.0, 0.0),
        "unknown.predictive.stuck_pulses_most": (0.0, 15.0),
    },
    "other": {
        "other.physics_over_fitted": (0.0, 1.5),
        "other.empirical_over_fitted": (0.0, 1.5),
    },
    "large": {
        "large.predictive.host_s": (0.0, 60.0),
        "large.predictive.planning_us": (0.0, 5.0),
    },
}

AIMS: Mapping[str, float] = {
    "three_bit.predictive.in_by_reading": 0.995,
    "unknown.predictive.in_by_reading": 0.999,
}
"""Shares of all cells that are wished for. Where cells cannot be brought into their window by any
pulse that the board allows, no algorithm gets there: the bar is then on the other cells, and the
whole share is printed beside what was wished."""


def bars_of(sections: Sections) -> dict[str, tuple[float, float]]:
    """The bars of the sections that were run."""
    return {key: bar for name in sections for key, bar in BARS[name].items()}


def figures_of(sections: Sections) -> dict[str, float]:
    """Every figure by `section.algorithm.figure`, and the ratios that bars ask for.

    A figure that a bar asks for and that was not measured is NaN, which misses the bar.
    """
    found = {
        f"{section}.{name}.{key}": value
        for section, rows in sections.items()
        for name, row in rows.items()
        for key, value in row.items()
    }

    def mean(where: str) -> float:
        return found.get(f"{where}.pulses_mean", nan)

    found["analog.ispp_over_predictive"] = mean("analog.ispp") / mean("analog.predictive")
    found["two_bit.predictive_over_coarse_fine"] = mean("two_bit.predictive") / mean(
        "two_bit.coarse_fine"
    )
    found["unknown.pulses_over_fitted"] = mean("unknown.predictive") / mean("unknown.fitted")
    for kind in ("physics", "empirical"):
        found[f"other.{kind}_over_fitted"] = mean(f"other.{kind}") / mean("other.fitted")
    return {**dict.fromkeys(bars_of(sections), nan), **found}
