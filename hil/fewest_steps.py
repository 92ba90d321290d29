"""The fewest steps of a solver that sample as well as a long solve: found, not assumed.

Good is a figure that falls with the steps (the 1-D KL of the samples, from the same initial
conditions). The search goes down a ladder from the top as long as the figure stays within the
tolerance of the long solve's, so that a lucky figure at few steps below a bad one does not count,
and halves the gap to the first rung that fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocols.errors import CalibrationError

LADDER_RATIO = 1.3
TOP = 1000


@dataclass(frozen=True)
class Fewest:
    """What a search found; `tried` holds every number of steps with its figure."""

    steps: int
    figure: float
    tried: dict[int, float]


def fewest_steps(figure_of: Callable[[int], float], limit: float, most: int) -> Fewest:
    """The fewest steps whose figure is at most `limit`; all rungs above them meet it as well.

    Raises CalibrationError when not even `most` steps do.
    """
    tried: dict[int, float] = {}

    def good(steps: int) -> bool:
        tried[steps] = figure_of(steps)
        return tried[steps] <= limit

    passed = min(TOP, most)
    while not good(passed):
        if passed >= most:
            raise CalibrationError(
                f"the solver's figure is {tried[passed]:.5g} with {passed} steps, more than"
                f" {limit:.5g}: it does not reach the long solve's quality"
            )
        passed = min(2 * passed, most)
    failed = 0
    while passed > 1:
        below = max(min(int(passed / LADDER_RATIO), passed - 1), 1)
        if not good(below):
            failed = below
            break
        passed = below
    while passed - failed > 1:
        middle = (passed + failed) // 2
        if good(middle):
            passed = middle
        else:
            failed = middle
    return Fewest(passed, tried[passed], dict(sorted(tried.items())))
