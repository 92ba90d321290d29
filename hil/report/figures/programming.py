"""Figures of the array: maps, programming errors, pulses, forming voltages."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from hil.report.data import ProgrammingData, ReportData
from hil.report.style import (
    AMBER,
    BLACK,
    BLUE,
    DIVERGING,
    ORANGE,
    SEQUENTIAL,
    bare,
    look,
    new_figure,
)
from hil.report.text import si
from protocols.errors import RecordError

MICRO = 1e6
UNUSED = "#ECEEF1"
Floats = NDArray[np.float64]


def section(data: ReportData) -> ProgrammingData:
    """The programming section; RecordError when there is none."""
    if data.programming is None:
        raise RecordError("this run has no programming data, so this figure cannot be drawn.")
    return data.programming


def region(cells: ProgrammingData, values: NDArray[Any]) -> tuple[Floats, tuple[float, ...]]:
    """The smallest rectangle that holds all cells, NaN where none is, and its extent for imshow."""
    top, left = int(cells.rows.min()), int(cells.columns.min())
    bottom, right = int(cells.rows.max()), int(cells.columns.max())
    block = np.full((bottom - top + 1, right - left + 1), np.nan)
    block[cells.rows - top, cells.columns - left] = values
    return block, (left - 0.5, right + 0.5, bottom + 0.5, top - 0.5)


def conductance_maps(data: ReportData) -> Figure:
    """Target, reached and error of every cell at its place in the array."""
    cells = section(data)
    shape = region(cells, cells.pulses)[0].shape
    with look():
        height = 1.75 + 3.0 * float(np.clip(shape[0] / shape[1], 0.35, 1.4))
        figure = new_figure("Conductance of the programmed block", height, simulated=data.simulated)
        axes = figure.subplots(1, 3, sharey=True)
        pair = [cells.target_siemens * MICRO, cells.reached_siemens * MICRO]
        low, high = np.nanpercentile(pair, (0.5, 99.5))
        for ax, title, values in zip(axes, ("Target", "Reached"), pair, strict=False):
            picture = _map(ax, cells, values, SEQUENTIAL, (low, high))
            ax.set_title(title)
            _bar(figure, ax, picture, "conductance (µS)", extend="both")
        error = cells.error_siemens * MICRO
        span = _span(error)
        picture = _map(axes[2], cells, error, DIVERGING, (-span, span))
        axes[2].set_title("Error")
        _bar(figure, axes[2], picture, "reached − target (µS)", extend="both")
        _mark_failed(axes[2], cells)
        axes[0].set_ylabel("row (bit line)")
    return figure


def errors(data: ReportData) -> Figure:
    """Histogram of the programming error, and the error against the target."""
    cells = section(data)
    error, inside = cells.error_siemens * MICRO, cells.in_tolerance
    with look():
        figure = new_figure("Programming error", 3.6, simulated=data.simulated)
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
        span = _span(error)
        shown = np.clip(error, -span, span)
        parts = [shown[inside], shown[~inside & np.isfinite(error)]]
        bins = np.linspace(-span, span, 41).tolist()
        left.hist(parts, bins, stacked=True, color=[BLUE, ORANGE], label=_count_labels(cells))
        left.set(xlabel="reached − target (µS); ends hold all beyond", ylabel="cells")
        rms = [_rms(error[inside]), _rms(error)]
        text = f"rms {rms[0]:.2f} µS of the cells in tolerance, {rms[1]:.2f} µS of all"
        left.set_title(text, fontweight="normal")
        left.legend(loc="upper right")
        _error_against_target(right, cells, shown, span)
    return figure


def _error_against_target(ax: Axes, cells: ProgrammingData, error: Floats, span: float) -> None:
    target, inside = cells.target_siemens * MICRO, cells.in_tolerance
    order = np.argsort(target)
    tolerance = np.broadcast_to(cells.tolerance_siemens, target.shape)[order] * MICRO
    ax.fill_between(
        target[order], -tolerance, tolerance, color=AMBER, alpha=0.25, lw=0, label="tolerance"
    )
    for chosen, colour, marker in ((inside, BLUE, "o"), (~inside, ORANGE, "X")):
        ax.scatter(
            target[chosen], error[chosen], s=12, color=colour, marker=marker, alpha=0.7, lw=0
        )
    ax.set_ylim(-1.05 * span, 1.05 * span)
    ax.set(xlabel="target (µS)", ylabel="reached − target (µS)")
    ax.set_title("by target; cells beyond the axis are drawn at its edge", fontweight="normal")
    ax.legend(loc="upper right")


def pulses(data: ReportData) -> Figure:
    """Histogram of pulses per cell, and where in the array they went."""
    cells = section(data)
    with look():
        figure = new_figure("Programming pulses per cell", 3.9, simulated=data.simulated)
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
        top = max(int(cells.pulses.max()), 1)
        width = max(1, -(-top // 50))
        parts = [cells.pulses[cells.in_tolerance], cells.pulses[~cells.in_tolerance]]
        bins = (np.arange(0, top + 2 * width, width) - 0.5).tolist()
        left.hist(parts, bins, stacked=True, color=[BLUE, ORANGE], label=_count_labels(cells))
        mean, p99 = float(np.mean(cells.pulses)), float(np.percentile(cells.pulses, 99))
        for value, style, text in ((mean, "-", "mean"), (p99, "--", "99 %")):
            left.axvline(value, color=BLACK, ls=style, lw=1.0, label=f"{text} {value:.1f}")
        left.set(xlabel="pulses", ylabel="cells")
        left.legend(loc="upper right")
        picture = _map(right, cells, cells.pulses.astype(float), SEQUENTIAL, (0, max(p99, 1.0)))
        right.set_ylabel("row (bit line)")
        _bar(figure, right, picture, "pulses", extend="max")
        right.set_title("Pulses")
        _mark_failed(right, cells)
    return figure


def forming(data: ReportData) -> Figure:
    """Histogram of the voltage at which each cell formed."""
    cells = section(data)
    if cells.forming_volts is None:
        raise RecordError("this run has no forming data, so this figure cannot be drawn.")
    volts = cells.forming_volts[np.isfinite(cells.forming_volts)]
    with look():
        figure = new_figure("Forming", 3.0, simulated=data.simulated)
        ax = figure.subplots()
        if len(volts):
            steps = np.unique(np.round(volts, 6))
            width = float(np.min(np.diff(steps))) if len(steps) > 1 else 0.05
            count = min(round((volts.max() - volts.min()) / width) + 2, 200)
            bins = (volts.min() + width * (np.arange(count + 1) - 0.5)).tolist()
            ax.hist(volts, bins, color=BLUE, ec="white", lw=0.4)
            middle = float(np.median(volts))
            ax.axvline(middle, color=BLACK, lw=1.0, label=f"median {si(middle, 'V')}")
            ax.legend()
        ax.set(xlabel="line voltage at which the cell formed (V)", ylabel="cells")
        missing = len(cells.forming_volts) - len(volts)
        note = f"; {missing} were not formed in this run" if missing else ""
        ax.set_title(f"{len(volts)} cells formed{note}", fontweight="normal")
    return figure


# --- shared pieces -------------------------------------------------------------------------------


def _map(
    ax: Axes,
    cells: ProgrammingData,
    values: NDArray[Any],
    colours: str,
    limits: tuple[float, float],
) -> AxesImage:
    block, extent = region(cells, values)
    picture = ax.imshow(
        block,
        cmap=_with_unused(colours),
        vmin=limits[0],
        vmax=limits[1],
        extent=extent,  # type: ignore[arg-type]
        interpolation="nearest",
        aspect="equal" if 0.2 < block.shape[0] / block.shape[1] < 2.0 else "auto",
    )
    bare(ax)
    ax.set_xlabel("column (source and word line)")
    return picture


def _with_unused(name: str) -> Colormap:
    return mpl.colormaps[name].with_extremes(bad=UNUSED)


def _bar(figure: Figure, ax: Axes, picture: AxesImage, label: str, extend: str = "neither") -> None:
    bar = figure.colorbar(
        picture, ax=ax, orientation="horizontal", shrink=0.85, aspect=32, extend=extend
    )
    bar.set_label(label)
    bar.outline.set_visible(False)


def _mark_failed(ax: Axes, cells: ProgrammingData) -> None:
    failed = ~cells.in_tolerance
    if failed.any():
        place = (cells.columns[failed], cells.rows[failed])
        ax.scatter(*place, marker="x", s=40, color="white", lw=3.2)
        ax.scatter(*place, marker="x", s=32, color=BLACK, lw=1.4)
        ax.set_title(f"{ax.get_title()} (× not in tolerance)")


def _count_labels(cells: ProgrammingData) -> list[str]:
    inside = int(cells.in_tolerance.sum())
    return [f"in tolerance ({inside})", f"not in tolerance ({len(cells.rows) - inside})"]


def _rms(error: Floats) -> float:
    finite = error[np.isfinite(error)]
    return float(np.sqrt(np.mean(finite**2))) if len(finite) else 0.0


def _span(error: Floats) -> float:
    """Half the width of an error axis: nearly all cells, never nothing."""
    finite = np.abs(error[np.isfinite(error)])
    return max(float(np.percentile(finite, 98)) * 1.3, 0.1) if len(finite) else 1.0
