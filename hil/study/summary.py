"""What a figure says, in numbers: one line per value of its x axis and per line of the figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hil.study.axes import AXES, Value
from hil.study.columns import DONE
from hil.study.config import CurveSection, StudyConfig, YieldSection
from hil.study.work import Row

Figure = CurveSection | YieldSection
SOFTWARE = {"kl_1d": "software_kl_1d", "sliced_w1": "software_sliced_w1"}
"""Column -> that of the software beside it."""
WILSON_Z = 1.0
"""Of the interval of a yield: one standard deviation, two thirds."""


@dataclass(frozen=True)
class Line:
    """One value of x.

    Attributes:
        by: value of the axis that makes the lines of the figure; None without one.
        x: value of the x axis.
        chips, failed: points with and without figures.
        middle, low, high: median and quartiles over chips, or yield and its interval.
        software: median of the software's figure beside it, None where there is none.
        values: of every chip.
    """

    by: Value
    x: Value
    chips: int
    failed: int
    middle: float
    low: float
    high: float
    software: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """The lines of one figure, by `by` and x."""

    figure: Figure
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """What is drawn."""
        what = self.figure.y
        if isinstance(self.figure, YieldSection):
            what = f"yield ({self.figure.y} at most {self.figure.most:g})"
        by = f", by {self.figure.by}" if self.figure.by else ""
        return f"{what} against {self.figure.x}{by}"


def summaries(study: StudyConfig, rows: Mapping[int, Row]) -> list[Summary]:
    """The numbers of every figure of a study."""
    return [Summary(figure, _lines(figure, rows)) for figure in study.figures]


def _lines(figure: Figure, rows: Mapping[int, Row]) -> tuple[Line, ...]:
    groups: dict[tuple[Value, Value], list[Row]] = {}
    for point in sorted(rows):
        row = rows[point]
        groups.setdefault((row[figure.by] if figure.by else None, row[figure.x]), []).append(row)
    keys = sorted(groups, key=lambda key: tuple(_order(value) for value in key))
    return tuple(_line(figure, key, groups[key]) for key in keys)


def _order(value: Value) -> tuple[int, float, str]:
    """Nothing first, then numbers, then texts."""
    if value is None:
        return 0, 0.0, ""
    return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")


def _line(figure: Figure, key: tuple[Value, Value], rows: list[Row]) -> Line:
    done = [row for row in rows if row["status"] == DONE]
    values = np.array([row[figure.y] for row in done if row[figure.y] is not None], np.float64)
    beside = SOFTWARE.get(figure.y)
    software = [row[beside] for row in done if beside and row[beside] is not None]
    if isinstance(figure, YieldSection):  # a chip without figures is no good one
        middle, low, high = wilson(int(np.sum(values <= figure.most)), len(rows))
    elif values.size:
        low, middle, high = (float(q) for q in np.percentile(values, (25, 50, 75)))
    else:
        low = middle = high = math.nan
    return Line(
        by=key[0],
        x=key[1],
        chips=len(done),
        failed=len(rows) - len(done),
        middle=middle,
        low=low,
        high=high,
        software=float(np.median(software)) if software else None,
        values=tuple(values.tolist()),
    )


def wilson(good: int, count: int, z: float = WILSON_Z) -> tuple[float, float, float]:
    """Share of good ones with its score interval (E. B. Wilson, JASA 22, 209, 1927)."""
    share, z2 = good / count, z * z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def shown(name: str, value: Value) -> str:
    """A value of an axis for a reader."""
    if value is None:
        return "bench's" if AXES[name].optional else "-"
    if isinstance(value, str):
        return value
    return f"{value * 1e6:g} uS" if name.endswith("_siemens") else f"{value:g}"
