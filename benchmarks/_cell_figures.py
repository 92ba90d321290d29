"""Figures of the cell model: measured points with their quantile bands, simulated over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from _cell_bars import MEDIAN_GROUPS, MINIMUM_CELLS, SPREAD_GROUPS, Bar
from numpy.typing import NDArray

from hil.sim.fit.figures import NOISE_BINS, Rows, median_curve, reread, reread_pairs, spread_at
from hil.sim.fit.match import Simulated
from hil.sim.fit.start import Tables

F64 = NDArray[np.float64]
MEASURED, SIMULATED = "#33415c", "#d1495b"
AXIS = {
    "set_gate": "word line VWL (V)",
    "set_line": "bit line VBL (V)",
    "reset_gate": "word line VWL (V)",
    "reset_line": "source line VSL (V)",
    "high_100ns": "word line VWL (V)",
    "high_1us": "word line VWL (V)",
    "high_10us": "word line VWL (V)",
}
RANGES = {
    "set_gate": (1.8, 2.7),
    "set_line": (0.3, 2.3),
    "reset_gate": (2.0, 3.95),
    "reset_line": (0.4, 3.55),
    "high_100ns": (2.0, 2.8),
    "high_1us": (1.4, 3.0),
    "high_10us": (1.2, 3.0),
}


def draw_figures(folder: Path, tables: Tables, simulated: Simulated, bars: list[Bar]) -> None:
    """Write cell_medians.png, cell_spreads.png and cell_noise.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.25})
    for name, figure in (
        ("cell_medians", _medians(tables, simulated)),
        ("cell_spreads", _spreads(tables, simulated)),
        ("cell_noise", _noise(tables, simulated, bars)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=130, bbox_inches="tight")
        plt.close(figure)


def _bands(rows: Rows, steps: F64) -> F64:
    """10, 50 and 90 % of the verify readings at each step, in microsiemens: shape (3, steps)."""
    volts = np.round(rows.volts, 4)
    out = np.full((3, steps.size), np.nan)
    for column, step in enumerate(steps):
        here = rows.after_siemens[np.abs(volts - step) < 1e-6]
        if here.size:
            out[:, column] = np.quantile(here, [0.1, 0.5, 0.9]) * 1e6
    return out


def _medians(tables: Tables, simulated: Simulated) -> Any:
    figure, axes = plt.subplots(2, 4, figsize=(16, 7.2), constrained_layout=True)
    for axis, (name, title) in zip(axes.ravel(), MEDIAN_GROUPS, strict=False):
        steps = median_curve(getattr(tables, name)).at_least(MINIMUM_CELLS).volts
        low, high = RANGES[name]
        steps = steps[(steps >= low) & (steps <= high)]
        if steps.size > 90:
            steps = steps[:: steps.size // 60]
        ours, theirs = (_bands(getattr(rows, name), steps) for rows in (tables, simulated))
        axis.fill_between(steps, ours[0], ours[2], color=MEASURED, alpha=0.18, lw=0)
        axis.plot(steps, ours[1], "o", ms=3.2, color=MEASURED, label="measured, 10-50-90 %")
        axis.plot(steps, theirs[1], "-", color=SIMULATED, lw=1.8, label="simulated median")
        for edge in (0, 2):
            label = "simulated 10 and 90 %" if edge == 0 else None
            axis.plot(steps, theirs[edge], "--", color=SIMULATED, lw=1.0, label=label)
        axis.set(title=title, xlabel=AXIS[name], ylabel="conductance (uS)")
        axis.title.set_fontsize(8.5)
    axes[0, 0].legend(fontsize=8)
    axes[1, 3].axis("off")
    axes[1, 3].text(
        0.0,
        0.9,
        "Measured: A. Levy et al., IEEE TED 2021,\ndoi 10.1109/TED.2021.3097975; steps with at\n"
        "least 20 cells. Simulated: the same protocol,\nwith its stopping rule, on simulated\n"
        "cells (a fitted model, no other silicon).",
        va="top",
        fontsize=9,
    )
    figure.suptitle("Conductance after a pulse: measured cells and simulated cells")
    return figure


def _spreads(tables: Tables, simulated: Simulated) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    ranges = {"set_gate": np.arange(2.05, 2.46, 0.05), "reset_gate": np.arange(2.3, 3.01, 0.05)}
    for axis, (name, title, _steps, logarithmic) in zip(axes, SPREAD_GROUPS, strict=True):
        scale = 1.0 if logarithmic else 1e6
        for rows, colour, style, who in (
            (tables, MEASURED, "o", "measured"),
            (simulated, SIMULATED, "-", "simulated"),
        ):
            spreads = [spread_at(getattr(rows, name), v, logarithmic) for v in ranges[name]]
            for kind, face in (("cycle_to_cycle", True), ("device_to_device", False)):
                values = [getattr(s, kind) * scale for s in spreads]
                line = {"-": "-" if face else "--", "o": "o"}[style]
                axis.plot(
                    ranges[name], values, line, color=colour, mfc=colour if face else "white",
                    label=f"{who}, {kind.replace('_', ' ')}",
                )  # fmt: skip
        unit = "ln G" if logarithmic else "uS"
        axis.set(title=title, xlabel=AXIS[name], ylabel=f"standard deviation ({unit})")
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    figure.suptitle("Spread from cycle to cycle and from cell to cell: measured and simulated")
    return figure


def _noise(tables: Tables, simulated: Simulated, bars: list[Bar]) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    names = [f"{low * 1e6:.0f}-{high * 1e6:.0f}" for low, high in NOISE_BINS]
    position = np.arange(len(names))
    for rows, colour, shift, who in (
        (tables, MEASURED, -0.12, "measured"),
        (simulated, SIMULATED, 0.12, "simulated"),
    ):
        found = reread(*reread_pairs(rows.reset_gate))
        for kind, marker in (("standard", "s"), ("robust", "D")):
            values = [100 * getattr(item, kind) for item in found]
            axes[0].plot(
                position + shift, values, marker, color=colour, label=f"{who}, {kind}", ms=6
            )
    axes[0].set_yscale("log")
    axes[0].set_xticks(position, names)
    axes[0].set(xlabel="conductance (uS)", ylabel="deviation of a reading (%)")
    axes[0].set_title("From one reading to the next, no pulse between")
    axes[0].legend(fontsize=8)
    strain = [min(bar.strain, 3.0) for bar in bars]
    axes[1].hist(strain, bins=np.linspace(0, 3, 31), color=SIMULATED)
    axes[1].axvline(1.0, color=MEASURED, lw=1.5)
    axes[1].set(
        xlabel="distance from the measured figure / allowed distance", ylabel="bars",
        title="All bars: right of the line is a miss",
    )  # fmt: skip
    figure.suptitle("Read noise, and how near all bars are: measured and simulated")
    return figure
