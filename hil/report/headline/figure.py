"""The figure of a task: three accounts of time side by side, and factors with their baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hil.report.headline.data import BATCH, SINGLE, TaskRow, factors
from hil.report.headline.tables import times, title
from hil.report.style import AMBER, BLUE, GREEN, GREY, ORANGE, SKY, look, new_figure
from hil.report.text import si

SHADES = {BATCH: BLUE, SINGLE: SKY}
_SHORT = {"published": "as published", "eager": "best eager torch", "compiled": "best compiled"}


def headline_figure(task: TaskRow, *, simulated: bool) -> Figure:
    """Host, bench and modelled time of a sample, each on an axis of its own, and the factors."""
    with look():
        figure = new_figure(f"Time of one sample: {title(task)}", 7.0, simulated=False)
        grid = figure.add_gridspec(2, 3, width_ratios=(2.4, 1.0, 1.0), height_ratios=(1.0, 1.25))
        host, bench, chip = (figure.add_subplot(grid[0, k]) for k in range(3))
        _host(host, task)
        name = "bench (simulated)" if simulated else "bench"
        _one(bench, None if task.bench is None else task.bench.seconds, name, AMBER)
        _one(chip, task.modelled.seconds, "modelled chip", GREEN)
        _factors(figure.add_subplot(grid[1, :]), task)
    return figure


def _names(task: TaskRow) -> list[str]:
    return [f"{_SHORT.get(row.key, row.name)}\n{row.steps:,} steps" for row in task.software]


def _host(ax: Axes, task: TaskRow) -> None:
    places = np.arange(len(task.software))[::-1].astype(float)
    for shift, how, values in (
        (0.19, BATCH, [row.batch_seconds for row in task.software]),
        (-0.19, SINGLE, [row.single_seconds for row in task.software]),
    ):
        ax.barh(places + shift, values, height=0.36, color=SHADES[how], label=how)
        _label(ax, places + shift, values)
    ax.set_yticks(places, _names(task))
    ax.set_xscale("log")
    _room(ax, [v for row in task.software for v in (row.batch_seconds, row.single_seconds)])
    _seconds_axis(ax)
    ax.grid(visible=False, axis="y")
    ax.set_title("software on this computer")
    ax.legend(loc="lower right")


def _one(ax: Axes, seconds: float | None, name: str, shade: str) -> None:
    ax.set_title(name)
    ax.set_yticks([])
    if seconds is None:
        ax.set_xticks([])
        ax.text(0.5, 0.5, "no figure", transform=ax.transAxes, ha="center", color=GREY)
        return
    ax.barh([0.0], [seconds], height=0.36, color=shade)
    ax.text(seconds / 2, 0.0, si(seconds, "s"), ha="center", va="center", color="white",
            fontweight="bold")  # fmt: skip
    ax.set(ylim=(-1.0, 1.0), xlim=(0.0, seconds * 1.15))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: si(x, "s", 2)))
    ax.locator_params(axis="x", nbins=3)
    ax.grid(visible=False, axis="y")


def _factors(ax: Axes, task: TaskRow) -> None:
    found = factors(task)
    places = np.arange(len(task.software))[::-1].astype(float)
    shown: list[float] = []
    for shift, how, part in ((0.14, BATCH, found[::2]), (-0.14, SINGLE, found[1::2])):
        values = [np.nan if f.speed is None else f.speed for f in part]
        shown += [v for v in values if np.isfinite(v)]
        ax.plot(values, places + shift, "o", ms=7, color=SHADES[how], label=f"against it {how}")
        for value, place in zip(values, places + shift, strict=True):
            if np.isfinite(value):
                ax.annotate(times(value), (value, place), (9, 0), va="center",
                            textcoords="offset points", fontsize=8.5)  # fmt: skip
    stated = [each for each in task.published if each.speed_up is not None]
    shades = (ORANGE, "#AA4499", "#55595F")
    for each, shade in zip(stated, shades, strict=False):
        speed_up = each.speed_up or 1.0
        label = f"stated {speed_up:g} ×: {each.source.split(',')[0].split(' (')[0]}"
        ax.axvline(speed_up, color=shade, lw=1.4, ls="--", label=label)
    ax.set_xscale("log")
    _room(ax, [*shown, *(each.speed_up or 1.0 for each in stated), 1.0])
    ax.axvspan(ax.get_xlim()[0], 1.0, color=GREY, alpha=0.13, lw=0)
    ax.text(0.94, 0.03, "chip slower", transform=ax.get_xaxis_transform(), ha="right",
            color="#55595F", fontsize=8.5)  # fmt: skip
    ax.set_yticks(places, _names(task))
    ax.set_ylim(-0.6, len(task.software) - 0.4)
    ax.grid(visible=False, axis="y")
    ax.set_title("by how much the modelled chip is faster than each baseline")
    ax.set_xlabel("host time ÷ modelled chip time")
    ax.xaxis.set_major_locator(LogLocator(numticks=9))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _label(ax: Axes, places: np.ndarray, values: Sequence[float]) -> None:
    for place, value in zip(places, values, strict=True):
        ax.annotate(si(value, "s"), (value, place), (4, 0), va="center",
                    textcoords="offset points", fontsize=8.5)  # fmt: skip


def _room(ax: Axes, values: Sequence[float]) -> None:
    """Limits of a logarithmic axis with room for labels at its end."""
    ax.set_xlim(min(values) / 3.0, max(values) * 12.0)


def _seconds_axis(ax: Axes) -> None:
    ax.xaxis.set_major_locator(LogLocator(numticks=6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: si(x, "s", 1)))
    ax.xaxis.set_minor_formatter(NullFormatter())
