"""Figures of disturb, relaxation, endurance and retention."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.characterise.endurance import binned, depth
from hil.report.characterise.view import MICRO, View
from hil.report.style import AMBER, BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY

_CYCLE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)


def disturb(view: View) -> Figure:
    """Victims and controls over the pulses on their column."""
    figure = view.figure("Half-select disturb: cells of a column that was pulsed")
    pulses = view.arrays["pulses"].astype(float)
    place = np.arange(pulses.size)
    for ax, kind in zip(figure.subplots(1, 2, sharey=True), ("reset", "set"), strict=True):
        for who, colour in (("victims", ORANGE), ("controls", BLUE)):
            ln = view.arrays[f"{kind}_{who}_ln"]
            low, middle, high = np.quantile(ln - ln[:, :1], (0.25, 0.5, 0.75), axis=0) * 100
            ax.fill_between(place, low, high, color=colour, alpha=0.18, lw=0)
            ax.plot(place, middle, "o-", color=colour, ms=4, label=f"{who} ({len(ln)})")
        ax.set_xticks(place, [f"{n:g}" for n in pulses])
        ax.set_xlabel(f"{kind.upper()} pulses on the column")
        shift = view.text(f"shift_{kind}", 100, "%", 3)
        ax.set_title(f"{kind.upper()}: shift of the median {shift}", fontweight="normal")
        ax.legend(loc="best")
        ax.set_ylabel("change of ln G (%), median and quartiles")
    return figure


def relaxation(view: View) -> Figure:
    """How cells of each level spread over time, and drift and spread per decade by level."""
    figure = view.figure("Relaxation after programming", 4.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1.0, 1.0))
    _courses(left, view)
    names = view.level_names()
    x = view.level_values()
    drift = [f"drift_{name}" for name in names]
    view.bars(middle, x, drift, 100, fmt="o-", color=BLUE, ms=4)
    middle.axhline(0.0, color=BLACK, lw=0.7, ls=":")
    middle.set(xlabel="conductance (µS)", ylabel="mean change of ln G per decade (%)")
    middle.set_title("drift", fontweight="normal")
    for label, key, colour in (("standard", "sd", ORANGE), ("robust", "robust", BLUE)):
        rows = [f"{key}_{name}" for name in names]
        view.bars(right, x, rows, 100, fmt="o-", color=colour, ms=4, label=label)
    right.set(xlabel="conductance (µS)", ylabel="spread of ln G per √decade (%)", ylim=(0, None))
    right.set_title("spread, read noise taken out", fontweight="normal")
    right.legend()
    return figure


def _courses(ax: Axes, view: View) -> None:
    times, siemens = view.arrays["times_s"], view.arrays["siemens"] * MICRO
    for k, name in enumerate(view.level_names()):
        mine = siemens[view.arrays["level"] == k]
        if not len(mine):
            continue
        low, middle, high = np.quantile(mine, (0.1, 0.5, 0.9), axis=0)
        colour = _CYCLE[k % len(_CYCLE)]
        ax.fill_between(times, low, high, color=colour, alpha=0.18, lw=0)
        ax.plot(times, middle, "o-", color=colour, ms=3, label=f"{name[:-2]} µS")
    ax.set(xscale="log", xlabel="time since programming (s)", ylabel="conductance (µS)")
    ax.set_title("median, 10 to 90 % of cells", fontweight="normal")


def endurance(view: View) -> Figure:
    """Both states over cycles, and the depth between them with its slope."""
    figure = view.figure("Endurance")
    left, right = figure.subplots(1, 2)
    high, low = (view.arrays[f"{kind}_resistance_siemens"] for kind in ("high", "low"))
    cycle = np.arange(1, high.shape[1] + 1)
    edges = np.unique(np.geomspace(1, cycle.size + 1, 25).astype(int))
    for values, colour, label in ((low, BLUE, "after SET"), (high, ORANGE, "after RESET")):
        _binned(left, cycle, edges, values * MICRO, colour, label)
    left.set(xscale="log", yscale="log", xlabel="cycle", ylabel="conductance (µS)")
    left.set_title(f"{len(high)} cells: median, 10 to 90 %", fontweight="normal")
    left.legend(loc="upper left", bbox_to_anchor=(0.0, 0.9))
    depths = depth(np.stack([high, low], axis=2))
    _binned(right, cycle, edges, depths, BLUE, "median, 10 to 90 % of cells")
    first = int(view.param("from_cycle"))
    loss = view.interval("loss_per_decade_ln")[0]
    x, parts = binned(depths, min(first, cycle.size))
    y = np.median(parts, axis=0)
    right.plot(10**x, y.mean() - loss * (x - x.mean()), color=BLACK, lw=1.2, label="fitted slope")
    right.set(xscale="log", xlabel="cycle", ylabel="window, ln(G after SET / G after RESET)")
    loss_text = view.text("loss_per_decade_ln", 1, "", 2)
    right.set_title(f"loss per decade of cycles {loss_text}", fontweight="normal")
    right.legend(loc="lower left")
    return figure


def _binned(
    ax: Axes, cycle: np.ndarray, edges: np.ndarray, values: np.ndarray, colour: str, label: str
) -> None:
    bins = [(a, b) for a, b in pairwise(edges) if a < b]
    x = [float(np.exp(np.log(cycle[a - 1 : b - 1]).mean())) for a, b in bins]
    spans = [np.quantile(values[:, a - 1 : b - 1], (0.1, 0.5, 0.9)) for a, b in bins]
    low, middle, high = np.array(spans).T
    ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
    ax.plot(x, middle, "o-", color=colour, ms=3, label=label)


def retention(view: View) -> Figure:
    """Share of cells within tolerance over time, and what is extrapolated."""
    figure = view.figure("Retention")
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1.0))
    times, siemens, names = view.arrays["times_s"], view.arrays["siemens"], view.level_names()
    for k, name in enumerate(names):
        mine = siemens[view.arrays["level"] == k]
        tolerance = view.arrays["tolerance_siemens"][k]
        kept = np.abs(mine - mine[:, :1]) <= tolerance
        label = f"{name[:-2]} ± {tolerance * MICRO:.1f} µS"
        left.plot(times, 100 * kept.mean(axis=0), "o-", ms=3, color=_CYCLE[k], label=label)
        value, low, high = (100 * x for x in view.interval(f"left_{name}"))
        bar = np.array([[value - low], [high - value]])
        left.errorbar(times[-1:] * 1.15**k, [value], bar, color=_CYCLE[k], capsize=3)
    left.set(xscale="log", xlabel="time since programming (s)", ylim=(0, 103))
    left.set_ylabel("cells within tolerance of the first reading (%)")
    left.legend(loc="lower left")
    left.set_title("measured", fontweight="normal")
    x = view.level_values()
    for key, colour, label in (("left", BLUE, "at the last time"), ("ten_years", GREY, "10 years")):
        rows = [f"{key}_{name}" for name in names]
        view.bars(right, x, rows, 100, fmt="o", color=colour, ms=5, label=label)
    right.set(xlabel="conductance (µS)", ylabel="cells within tolerance (%)", ylim=(0, 103))
    right.set_title("10 years: extrapolated in log time, an assumption", fontweight="normal")
    right.legend(loc="lower right")
    return figure
