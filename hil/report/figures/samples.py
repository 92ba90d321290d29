"""Figures of what was generated: the points, their radius and their angle."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.report.data import Array, ReportData
from hil.report.style import GREY, bare, colour, look, new_figure
from protocols.errors import RecordError

POINTS_SHOWN = 2000  # of each set, so that panels compare by eye
RADIUS_BINS, ANGLE_BINS = 60, 36


def _sets(data: ReportData) -> dict[str, Array]:
    if not data.samples:
        raise RecordError("this run has no samples, so this figure cannot be drawn.")
    ordered = [name for name in data.rows if name in data.samples]
    ordered += [name for name in data.samples if name not in ordered]
    return {name: data.samples[name] for name in ordered}


def samples(data: ReportData) -> Figure:
    """Every set of points beside the others, the data in grey behind each."""
    sets = _sets(data)
    columns = min(len(sets), 3 if len(sets) != 4 else 4)
    rows = math.ceil(len(sets) / columns)
    with look():
        height = 0.7 + rows * (9.6 / columns + 0.35)
        figure = new_figure("Samples", height, simulated=data.simulated)
        grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
        limit = _limit(sets)
        for position, (ax, (name, points)) in enumerate(zip(grid, sets.items(), strict=False)):
            if "data" in sets and name != "data":
                behind = sets["data"][:POINTS_SHOWN]
                ax.plot(*behind.T, ".", ms=2.0, color=GREY, alpha=0.25, mew=0)
            shown = points[:POINTS_SHOWN]
            ax.plot(*shown.T, ".", ms=3.0, color=colour(name, position), alpha=0.6, mew=0)
            ax.set_title(f"{data.row_title(name)}\n", fontsize=9.5)
            ax.text(0.5, 1.015, _caption(data, name, points), transform=ax.transAxes, ha="center",
                    va="bottom", fontsize=8, color="#55595F")  # fmt: skip
            ax.set(aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))
            bare(ax)
        for ax in grid[len(sets) :]:
            ax.set_visible(False)
        for ax in grid[max(len(sets) - columns, 0) : len(sets)]:
            ax.tick_params(labelbottom=True)
        figure.supxlabel("x₁ (model units)", fontsize=9.5)
        figure.supylabel("x₂ (model units)", fontsize=9.5)
    return figure


def _caption(data: ReportData, name: str, points: Array) -> str:
    row = data.rows.get(name, {})
    count, distance = row.get("samples") or len(points), row.get("sliced_w1")
    text = f"{min(len(points), POINTS_SHOWN):,} of {int(count):,} points"
    return text if distance is None else f"{text}, sliced W₁ {distance:.4f}"


def _limit(sets: dict[str, Array]) -> float:
    """Half the side of the panels: the data with room around it, and 99 % of every set."""
    reach = [
        np.percentile(np.abs(points[np.isfinite(points).all(1)]), 99) for points in sets.values()
    ]
    return float(min(max(reach) * 1.25, 4.0))


def radius_and_angle(data: ReportData) -> Figure:
    """Histograms of the distance from the origin and of the angle, as densities."""
    sets = _sets(data)
    with look():
        figure = new_figure("Radius and angle", 3.8, simulated=data.simulated)
        left, right = figure.subplots(1, 2)
        radius_bins = np.linspace(*_radius_range(sets), RADIUS_BINS + 1)
        angle_bins = np.linspace(-180.0, 180.0, ANGLE_BINS + 1)
        for position, (name, points) in enumerate(sets.items()):
            shade = "#D9DCE1" if name == "data" else colour(name, position)
            x, y = points.T
            title = data.row_title(name)
            _density(left, np.hypot(x, y), radius_bins, 1.0, shade, title, name == "data")
            degrees = np.degrees(np.arctan2(y, x))
            _density(right, degrees, angle_bins, 360.0, shade, None, name == "data")
        right.axhline(1.0, color="black", lw=0.9, ls=":", label="uniform")
        left.set(xlabel="radius (model units)", ylabel="density")
        right.set(xlabel="angle (degrees)", ylabel="density, 1 = uniform", xlim=(-180, 180))
        right.set_xticks(range(-180, 181, 60))
        right.set_ylim(0, max(right.get_ylim()[1], 1.6))
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _radius_range(sets: dict[str, Array]) -> tuple[float, float]:
    """Nearly all of every set with some room, never below zero, never without width."""
    ends = [np.percentile(np.hypot(*points.T), (0.5, 99.5)) for points in sets.values()]
    low, high = min(float(end[0]) for end in ends), max(float(end[1]) for end in ends)
    room = max(0.15 * (high - low), 0.05)
    return max(low - room, 0.0), min(high + room, 4.0)


def _density(
    ax: Axes,
    values: Array,
    bins: Array,
    scale: float,
    shade: str,
    label: str | None,
    filled: bool,
) -> None:
    density = np.histogram(values, bins)[0] / len(values) / np.diff(bins) * scale
    base = 0 if filled else None
    ax.stairs(density, bins, fill=filled, baseline=base, color=shade, lw=1.5, label=label)
