"""The figures of a study: a column over an axis, or the share of chips that are good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from hil.report.style import AMBER, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, look, new_figure, png
from hil.study.axes import AXES, Value
from hil.study.columns import FIGURES
from hil.study.config import CurveSection, StudyConfig, YieldSection
from hil.study.folder import StudyFolder
from hil.study.summary import Line, Summary, shown, summaries
from hil.study.work import Row

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)
HEIGHT_INCH = 5.0
SPREAD = 0.006
"""Of the width: half of what the dots of one value of x are spread over."""


def draw_figures(study: StudyConfig, rows: Mapping[int, Row], folder: StudyFolder) -> list[Path]:
    """Every figure of a study as a PNG in its folder. Raises RecordError."""
    files = []
    for number, summary in enumerate(summaries(study, rows), start=1):
        name = f"figures/{number}-{summary.figure.y}-{summary.figure.x}.png"
        files.append(folder.write(name, png(figure_of(study, summary))))
    return files


def figure_of(study: StudyConfig, summary: Summary) -> Canvas:
    """One figure; nothing is opened."""
    with look():
        canvas = new_figure(f"{study.name}: {summary.title}", HEIGHT_INCH, simulated=True)
        axes = canvas.add_subplot()
        values = _x_values([line.x for line in summary.lines])
        _lay_out_x(axes, summary.figure, values)
        for number, (by, lines) in enumerate(_by(summary.lines).items()):
            _draw(axes, summary.figure, lines, values, COLOURS[number % len(COLOURS)], by)
        _references(axes, summary)
        _label(axes, study, summary)
    return canvas


def _by(lines: Sequence[Line]) -> dict[Value, list[Line]]:
    groups: dict[Value, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.by, []).append(line)
    return groups


def _x_values(found: Sequence[Value]) -> dict[Value, float]:
    """Where each value of x stands: numbers where they are, anything else side by side."""
    distinct = list(dict.fromkeys(found))
    numbers = [value for value in distinct if isinstance(value, int | float)]
    if len(numbers) == len(distinct):
        return {value: float(value) for value in numbers}
    return {value: float(k) for k, value in enumerate(distinct)}


def _is_numeric(values: Mapping[Value, float]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _lay_out_x(
    axes: Axes, figure: CurveSection | YieldSection, values: Mapping[Value, float]
) -> None:
    places = sorted(values.values())
    if not _is_numeric(values):
        axes.set_xticks(list(values.values()), [shown(figure.x, value) for value in values])
    elif figure.log_x and places[-1] > 0:
        least = min(place for place in places if place > 0)
        if places[0] <= 0:  # zero stands at the left end
            axes.set_xscale("symlog", linthresh=least)
        else:
            axes.set_xscale("log")
    if _is_numeric(values) and len(places) <= 12:
        axes.set_xticks(places, [shown(figure.x, value) for value in sorted(values, key=_number)])
        axes.minorticks_off()


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _draw(
    axes: Axes,
    figure: CurveSection | YieldSection,
    lines: Sequence[Line],
    values: Mapping[Value, float],
    colour: str,
    by: Value,
) -> None:
    x = np.array([values[line.x] for line in lines])
    middle = np.array([line.middle for line in lines])
    low, high = (np.array([getattr(line, end) for line in lines]) for end in ("low", "high"))
    label = "median over chips" if isinstance(figure, CurveSection) else "yield"
    label = label if by is None or figure.by is None else shown(figure.by, by)
    axes.plot(x, middle, "o-", color=colour, label=label, markersize=5, zorder=3)
    if isinstance(figure, YieldSection):
        axes.errorbar(
            x, middle, [middle - low, high - middle], color=colour, capsize=3, ls="", zorder=3
        )
        return
    axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0, label="quartiles")
    for line in (one for one in lines if one.values):
        places = _spread(axes, values[line.x], len(line.values))
        axes.plot(places, line.values, ".", color=colour, alpha=0.35, markersize=3, zorder=2)


def _spread(axes: Axes, x: float, count: int) -> NDArray[np.float64]:
    """Places of the dots of one value of x: side by side on the axis as it is scaled."""
    to_axes = axes.transScale
    centre = to_axes.transform([(x, 1.0)])[0, 0]
    ends = to_axes.transform([(end, 1.0) for end in axes.get_xlim()])[:, 0]
    width = SPREAD * (ends[1] - ends[0])
    offsets = centre + np.linspace(-width, width, count) if count > 1 else np.array([centre])
    back = to_axes.inverted().transform(np.column_stack([offsets, np.ones(count)]))
    return np.asarray(back[:, 0])


def _references(axes: Axes, summary: Summary) -> None:
    """What the software gives: one line, or one per line of the figure where they differ."""
    if isinstance(summary.figure, YieldSection):
        axes.set_ylim(-0.03, 1.03)
        return
    levels = {
        by: float(np.median(beside))
        for by, lines in _by(summary.lines).items()
        if (beside := [line.software for line in lines if line.software is not None])
    }
    same = len(set(levels.values())) == 1
    for number, level in enumerate(list(levels.values())[: 1 if same else None]):
        colour = GREY if same else COLOURS[number % len(COLOURS)]
        axes.axhline(level, color=colour, ls="--", lw=1.1, label="software, same starts", zorder=1)


def _label(axes: Axes, study: StudyConfig, summary: Summary) -> None:
    figure = summary.figure
    axes.set_xlabel(f"{figure.x}: {AXES[figure.x].about}")
    if isinstance(figure, YieldSection):
        axes.set_ylabel(f"share of chips with {figure.y} at most {figure.most:g}")
    else:
        axes.set_ylabel(f"{figure.y}: {FIGURES[figure.y]}", fontsize=8.5)
        if figure.log_y:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0.0)
    points = sum(line.chips for line in summary.lines)
    bad = sum(line.failed for line in summary.lines)
    failures = f", {bad} failed" if bad else ""
    title = f"{points} points at the depth '{study.depth}'{failures}"
    axes.set_title(title, loc="left", fontsize=9, fontweight="normal")
    handles, labels = axes.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    axes.legend(kept.values(), kept.keys(), title=figure.by)
