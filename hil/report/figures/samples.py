"""Figures of what was generated: points, radius and angle, classes, pictures."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.report.data import Array, ReportData
from hil.report.style import GREY, OUTLINE, bare, class_colour, colour, look, new_figure
from protocols.errors import RecordError

POINTS_SHOWN = 2000  # of each set, so that panels compare by eye
RADIUS_BINS, ANGLE_BINS = 60, 36
GAP = 2  # pixels between pictures


def _sets(data: ReportData) -> dict[str, Array]:
    sets = data.plane
    if not sets:
        raise RecordError("this run has no points of the plane, so this figure cannot be drawn.")
    ordered = [name for name in data.rows if name in sets]
    ordered += [name for name in sets if name not in ordered]
    return {name: sets[name] for name in ordered}


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
            if "data" in sets and name != "data" and data.classes is None:
                behind = sets["data"][:POINTS_SHOWN]
                ax.plot(*behind.T, ".", ms=2.0, color=GREY, alpha=0.25, mew=0)
            _points(ax, data, name, points, position)
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


def _points(ax: Axes, data: ReportData, name: str, points: Array, position: int) -> None:
    """One set, in the colour of its row or, with classes, in one colour per class."""
    places = None if data.classes is None else data.classes.labels.get(name)
    step = max(-(-len(points) // POINTS_SHOWN), 1)
    if places is None or data.classes is None:
        shown = points[:POINTS_SHOWN]
        ax.plot(*shown.T, ".", ms=3.0, color=colour(name, position), alpha=0.6, mew=0)
        return
    shown, places = points[::step], places[::step]
    for place, title in enumerate(data.classes.names):
        own = shown[places == place]
        shade = class_colour(place, len(data.classes.names))
        ax.plot(*own.T, ".", ms=3.0, color=shade, alpha=0.6, mew=0)
        if len(own):
            ax.annotate(title, np.median(own, axis=0), ha="center", va="center", fontsize=8,
                        weight="bold", path_effects=OUTLINE)  # fmt: skip


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


def class_distances(data: ReportData) -> Figure:
    """Sliced Wasserstein-1 distance of every class, one bar for each row."""
    classes = data.classes
    if classes is None or not classes.names:
        raise RecordError("this run has no classes, so this figure cannot be drawn.")
    with look():
        figure = new_figure("Distance of each class", 3.6, simulated=data.simulated)
        ax = figure.subplots()
        count, centre = len(classes.sliced_w1), np.arange(len(classes.names))
        for position, (name, values) in enumerate(classes.sliced_w1.items()):
            offset = (position - 0.5 * (count - 1)) * 0.8 / count
            ax.bar(centre + offset, values, 0.8 / count, color=colour(name, position),
                   label=data.row_title(name))  # fmt: skip
        ax.set_xticks(centre, classes.names)
        ax.set(xlabel="class", ylabel="sliced W₁ (model units)")
        ax.grid(visible=False, axis="x")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def pictures(data: ReportData) -> Figure:
    """Decoded samples: a column of pictures per row of metrics, a line per class."""
    if data.classes is None or not data.classes.pictures:
        raise RecordError("this run has no pictures, so this figure cannot be drawn.")
    sets = data.classes.pictures
    lines = max(len(images) for images in sets.values())
    with look():
        height = 0.9 + 3.2 * lines / next(iter(sets.values())).shape[1]
        figure = new_figure("Pictures", height, simulated=data.simulated)
        panels = np.atleast_1d(figure.subplots(1, len(sets)))
        for ax, (name, images) in zip(panels, sets.items(), strict=True):
            ax.imshow(_sheet(images), cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
            ax.set_title(data.row_title(name), fontsize=9.5)
            bare(ax)
            cell = images.shape[2] + GAP
            middles = GAP + 0.5 * images.shape[2] + cell * np.arange(len(images)) - 0.5
            ax.set_xticks([])
            ax.set_yticks(middles if data.classes.names else [], data.classes.names or [])
            ax.tick_params(length=0)
    return figure


def _sheet(images: Array) -> Array:
    """Pictures (lines, k, h, w) side by side on one white sheet."""
    lines, count, h, w = images.shape
    sheet = np.zeros((GAP + lines * (h + GAP), GAP + count * (w + GAP)))
    for line in range(lines):
        for place in range(count):
            top, left = GAP + line * (h + GAP), GAP + place * (w + GAP)
            sheet[top : top + h, left : left + w] = images[line, place]
    return sheet
