"""Figures of characterisation: a kept result and its arrays in, a PNG out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from hil.report.characterise.over_time import disturb, endurance, relaxation, retention
from hil.report.characterise.readings import current_voltage, read_noise, telegraph
from hil.report.characterise.switching import forming_yield, response, sweep
from hil.report.characterise.view import View
from hil.report.style import look
from protocols.errors import RecordError

__all__ = ["FIGURES", "View", "draw"]

FIGURES: Mapping[str, Callable[[View], Figure]] = {
    "forming_yield": forming_yield,
    "set_response": sweep,
    "reset_response": sweep,
    "response": response,
    "read_noise": read_noise,
    "telegraph": telegraph,
    "current_voltage": current_voltage,
    "disturb": disturb,
    "relaxation": relaxation,
    "endurance": endurance,
    "retention": retention,
}


def draw(
    result: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, simulated: bool
) -> Figure:
    """The figure of a result (`Characterisation.to_dict`) and its arrays.

    Raises:
        RecordError: a kind that has no figure, or something that it draws is missing.
    """
    kind = str(result.get("kind"))
    if kind not in FIGURES:
        raise RecordError(f"{kind!r} is no characterisation that has a figure.")
    try:
        with look():
            return FIGURES[kind](View(result, arrays, simulated))
    except KeyError as error:
        raise RecordError(f"The result of {kind} lacks {error}; measure it again.") from error
