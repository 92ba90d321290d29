"""What the figures of characterisation share: a result's pieces, error bars, a line below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from hil.report.style import GREY, new_figure

Floats = NDArray[np.float64]
MICRO = 1e6


@dataclass(frozen=True)
class View:
    """A result, its arrays, and whether they come from a simulator."""

    result: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    simulated: bool

    @property
    def kind(self) -> str:
        """Of measurement."""
        return str(self.result["kind"])

    def param(self, name: str) -> Any:
        """What the routine was asked."""
        return self.result["params"][name]

    def level_names(self) -> list[str]:
        """Levels as the names of figures have them, `120uS`."""
        return [f"{siemens * MICRO:g}uS" for siemens in self.param("levels_siemens")]

    def level_values(self) -> Floats:
        """What the cells of each level really read, in uS."""
        return np.array([self.interval(f"at_{name}")[0] for name in self.level_names()]) * MICRO

    def interval(self, name: str) -> tuple[float, float, float]:
        """Value and ends of a figure; NaN where there is none."""
        one = self.result["figures"][name]
        return tuple(math.nan if one[k] is None else one[k] for k in ("value", "low", "high"))  # type: ignore[return-value]

    def text(self, name: str, scale: float = 1.0, unit: str = "", digits: int = 3) -> str:
        """A figure as a reader wants it: value and interval."""
        value, low, high = (scale * x for x in self.interval(name))
        if math.isnan(value):
            return "–"
        ends = [f"{x:.{digits}g}" if math.isfinite(x) else "?" for x in (low, high)]
        return f"{value:.{digits}g} ({ends[0]} to {ends[1]}) {unit}".rstrip()

    def figure(self, title: str, height_inch: float = 3.9) -> Figure:
        """An empty figure with a line below that says what the result rests on."""
        figure = new_figure(title, height_inch, simulated=self.simulated)
        account = self.result["account"]
        where = "simulated board, no silicon" if self.simulated else "measured on the bench"
        confidence = 100 * self.param("confidence")
        line = (
            f"{where}; {account['cells']} cells, {account['pulses']:,} pulses, "
            f"{account['reads']:,} readings; intervals {confidence:g} %; stopped because "
            f"{account['reason']}"
        )
        figure.supxlabel(line, x=0.01, ha="left", fontsize=8, color=GREY)
        return figure

    def bars(self, axes: Axes, x: Floats, names: list[str], scale: float, **style: Any) -> None:
        """Figures with their intervals as error bars over `x`."""
        rows = np.array([self.interval(name) for name in names]) * scale
        known = np.isfinite(rows).all(axis=1)
        value, low, high = rows[known].T
        error = np.maximum([value - low, high - value], 0.0)
        axes.errorbar(np.asarray(x)[known], value, error, capsize=3, **style)


def plain_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Labels at these values on a logarithmic axis, as plain numbers."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
