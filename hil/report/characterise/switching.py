"""Figures of forming, SET and RESET."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.characterise.sweeps import GATE, LINE, REPEAT, WIDTH, table
from hil.report.characterise.view import MICRO, View
from hil.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY
from protocols.messages import Operation


def forming_yield(view: View) -> Figure:
    """Forming voltages as a distribution, and what the cells read afterwards."""
    figure = view.figure("Forming of virgin cells")
    left, right = figure.subplots(1, 2)
    volts = view.arrays["volts"]
    tried = view.arrays["pulses"] > 0
    formed = np.sort(volts[np.isfinite(volts)])
    share = np.arange(1, formed.size + 1) / max(int(tried.sum()), 1)
    left.step(formed, 100 * share, where="post", color=BLUE)
    value, low, high = view.interval("forming_volts_median")
    left.axvspan(low, high, color=SKY, alpha=0.4, lw=0)
    left.axvline(value, color=BLACK, lw=0.9, label=f"median {value:.3f} V")
    left.set(xlabel="bit-line voltage of the ramp (V)", ylabel="cells formed (%)", ylim=(0, 102))
    left.set_title(f"yield {view.text('yield', 100, '%')}", fontweight="normal")
    left.legend(loc="lower right")
    siemens = view.arrays["conductance_siemens"][tried & view.arrays["formed"]] * MICRO
    right.hist(siemens, 30, color=BLUE, ec="white", lw=0.4)
    right.set(xlabel="conductance after forming (µS)", ylabel="cells")
    median = view.text("formed_siemens_median", MICRO, "µS")
    right.set_title(f"median {median}", fontweight="normal")
    return figure


def sweep(view: View) -> Figure:
    """Conductance after one pulse over word line, line and width, and its repeats."""
    is_set = view.kind == "set_response"
    name, line = ("SET", "bit-line") if is_set else ("RESET", "source-line")
    start = "high" if is_set else "low"
    figure = view.figure(f"{name} response, one pulse from the {start}-resistance side", 6.2)
    axes = figure.subplots(2, 2).ravel()
    rows = view.arrays["rows"]
    parts = (
        (GATE, "gate_volts", "word-line voltage (V)", "gate_threshold_volts"),
        (LINE, "line_volts", f"{line} voltage (V)", "line_threshold_volts"),
        (WIDTH, "width_s", "pulse width (µs)", ""),
    )
    for ax, (owner, column, label, threshold) in zip(axes, parts, strict=False):
        _sweep(ax, view, rows, owner, column, is_set)
        ax.set_xlabel(label)
        if threshold:
            ax.set_title(f"threshold {view.text(threshold, 1, 'V', 4)}", fontweight="normal")
    axes[0].legend(loc="upper left" if is_set else "upper right")
    _repeats(axes[3], view, rows, is_set)
    for ax in axes[:3]:
        ax.set_ylabel("after the pulse (µS)")
    return figure


def _sweep(ax: Axes, view: View, rows: NDArray[Any], owner: int, column: str, is_set: bool) -> None:
    values, found = table(rows, owner, column)
    x = values * (MICRO if column == "width_s" else 1.0)
    low, middle, high = np.nanquantile(found, (0.1, 0.5, 0.9), axis=0) * MICRO
    colour = BLUE if is_set else ORANGE
    ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0, label="10 to 90 % of cells")
    ax.plot(x, middle, "o-", color=colour, ms=4, label="median")
    if column == "width_s":
        ax.set_xscale("log")
        ax.set_title("over the width, middle pulse", fontweight="normal")
        return
    level = view.param("threshold_siemens") * MICRO
    ax.axhline(level, color=GREY, lw=0.8, ls=":", label=f"threshold level {level:g} µS")
    found_at = view.interval("gate_threshold_volts" if owner == GATE else "line_threshold_volts")
    if np.isfinite(found_at).all():
        ax.axvspan(found_at[1], found_at[2], color=BLACK, alpha=0.15, lw=0)


def _repeats(ax: Axes, view: View, rows: NDArray[Any], is_set: bool) -> None:
    mine = rows[rows["sweep"] == REPEAT]
    key = mine["row"].astype(np.int64) << 16 | mine["column"]
    order = np.argsort(key, kind="stable")
    found = mine["after_siemens"][order].reshape(np.unique(key).size, -1) * MICRO
    found = found[np.argsort(np.median(found, axis=1))]
    place = np.arange(len(found))
    for k in range(found.shape[1]):
        ax.plot(place, found[:, k], ".", color=BLUE if is_set else ORANGE, ms=3.5)
    ax.plot(place, np.median(found, axis=1), color=BLACK, lw=1.0)
    ending, scale, unit = ("siemens", MICRO, "µS") if is_set else ("ln", 1.0, "in ln G")
    cycle = view.text(f"cycle_to_cycle_{ending}", scale, unit, 2)
    device = view.text(f"device_to_device_{ending}", scale, unit, 2)
    ax.set_title(f"cycle to cycle {cycle}\ncell to cell {device}", fontweight="normal", fontsize=9)
    ax.set(xlabel="cells, sorted", ylabel="middle pulse, repeated (µS)")
    if not is_set:
        ax.set_yscale("log")


def response(view: View) -> Figure:
    """Every row of the response: conductance before and after, SET and RESET."""
    figure = view.figure("Response to the pulses of the menu", 4.4)
    kinds = ((Operation.SET, "SET", "bit line"), (Operation.RESET, "RESET", "source line"))
    a = view.arrays
    for ax, (operation, name, line) in zip(figure.subplots(1, 2), kinds, strict=True):
        mine = a["operation"] == int(operation)
        before, after = a["siemens_before"][mine] * MICRO, a["siemens_after"][mine] * MICRO
        picture = ax.scatter(before, after, c=a["gate_volts"][mine], s=6, lw=0, cmap="viridis")
        top = 1.03 * float(max(before.max(initial=1.0), after.max(initial=1.0)))
        ax.plot((0, top), (0, top), color=GREEN, lw=0.9, ls="--")
        ax.set(xlabel=f"before the {name} pulse (µS)", ylabel="after it (µS)")
        ax.set_title(f"{name}: {int(mine.sum()):,} pulses, {line} as the menu says")
        bar = figure.colorbar(picture, ax=ax, aspect=32)
        bar.set_label("word line (V)")
        bar.outline.set_visible(False)
    return figure
