"""Figures of the analog loop: what was driven, how layers and solves came out, what costs most."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.report.data import Array, BudgetRow, ReportData, TrajectoryData, WaveformData
from hil.report.style import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    bare,
    look,
    new_figure,
)
from protocols.errors import RecordError

TRAJECTORIES_SHOWN = 10
_CYCLE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)
METRIC_TITLES = {
    "kl_1d": "1-D KL divergence (nats)",
    "kl_2d": "2-D KL divergence (nats)",
    "sliced_w1": "sliced Wasserstein-1 distance (model units)",
    "radius_mean": "mean radius (model units)",
    "radius_sd": "spread of the radius (model units)",
    "angle_kuiper": "Kuiper distance of the angle",
}


def trajectories(data: ReportData) -> Figure:
    """Whole solves in the plane and against model time, the software's laid over."""
    if data.trajectories is None:
        raise RecordError("this run has no trajectories, so this figure cannot be drawn.")
    paths = data.trajectories
    with look():
        figure = new_figure("Trajectories", 4.8, simulated=data.simulated)
        parts = figure.subplot_mosaic([["plane", "x1"], ["plane", "x2"]], width_ratios=(1.15, 1.0))
        for k in range(min(len(paths.chip), TRAJECTORIES_SHOWN)):
            _one_path(parts, paths, k)
        plane = parts["plane"]
        bare(plane)
        plane.set(aspect="equal", xlabel="x₁ (model units)", ylabel="x₂ (model units)")
        plane.plot([], [], color=GREY, lw=1.8, label="chip")
        if paths.software is not None:
            plane.plot([], [], color=BLACK, lw=1.0, ls="--", label="software")
        plane.plot([], [], "o", mfc="white", mec=BLACK, ms=5, ls="", label="start")
        plane.plot([], [], "o", color=BLACK, ms=5, ls="", label="end")
        plane.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=4)
        for name, label in (("x1", "x₁"), ("x2", "x₂")):
            parts[name].set_ylabel(f"{label} (model units)")
        parts["x1"].tick_params(labelbottom=False)
        parts["x2"].set_xlabel("model time")
    return figure


def _one_path(parts: dict[str, Axes], paths: TrajectoryData, k: int) -> None:
    chip, shade = paths.chip[k], _CYCLE[k % len(_CYCLE)]
    parts["plane"].plot(*chip.T, color=shade, lw=1.8, alpha=0.8)
    parts["plane"].plot(*chip[0], "o", mfc="white", mec=shade, ms=5, zorder=4)
    parts["plane"].plot(*chip[-1], "o", color=shade, ms=5, zorder=4)
    for axis, name in enumerate(("x1", "x2")):
        parts[name].plot(paths.time, chip[:, axis], color=shade, lw=1.8, alpha=0.8)
    if paths.software is None or k >= len(paths.software):
        return
    times = paths.time if paths.software_time is None else paths.software_time
    parts["plane"].plot(*paths.software[k].T, color=BLACK, lw=0.9, ls="--", zorder=3)
    for axis, name in enumerate(("x1", "x2")):
        parts[name].plot(times, paths.software[k][:, axis], color=BLACK, lw=0.9, ls="--")


def waveforms(data: ReportData) -> Figure:
    """The 18 channels as they were driven, held for each tick."""
    if data.waveforms is None:
        raise RecordError("this run has no waveforms, so this figure cannot be drawn.")
    waves = data.waveforms
    edges = np.arange(len(waves.drift) + 1) * waves.tick_s
    with look():
        title = f"The 18 waveforms as driven, {waves.mode}"
        figure = new_figure(title, 8.4, simulated=data.simulated)
        grid = figure.subplots(5, 4, sharex=True)
        _held(grid[0, 0], edges, waves.drift, "drift word f", BLUE)
        _held(grid[0, 1], edges, waves.score, "score word g²", GREEN)
        for channel in range(2):
            _noise(grid[0, 2 + channel], edges, waves, channel)
        reach = 1.08 * max(float(np.abs(waves.embedding_volts).max()), 1e-3) * 1e3
        for k in range(waves.embedding_volts.shape[1]):
            ax = grid[1 + k // 4, k % 4]
            _held(ax, edges, waves.embedding_volts[:, k] * 1e3, f"embedding {k + 1}", PURPLE)
            ax.set_ylim(-reach, reach)
        for ax in grid.flat[18:]:
            ax.set_visible(False)
        grid[0, 0].set_ylabel("fraction of\nfull scale")
        for row in grid[1:, 0]:
            row.set_ylabel("mV")
        for ax in grid[3, 2:]:
            ax.tick_params(labelbottom=True)
        figure.supxlabel("time of the solve (s)", fontsize=9.5)
    return figure


def _held(ax: Axes, edges: Array, values: Array, title: str, shade: str) -> None:
    ax.stairs(values, edges, baseline=None, color=shade, lw=1.3)
    ax.axhline(0.0, color=GREY, lw=0.6)
    ax.set_title(title, fontsize=9, fontweight="normal")
    ax.set_xlim(edges[0], edges[-1])


def _noise(ax: Axes, edges: Array, waves: WaveformData, channel: int) -> None:
    offset = waves.offset[:, channel]
    if waves.noise_drawn is not None:
        ax.stairs(waves.noise_drawn[:, channel], edges, baseline=None, color=AMBER, lw=0.7)
    if np.any(waves.noise > 0):
        low, high = offset - waves.noise, offset + waves.noise
        ax.stairs(high, edges, baseline=low, fill=True, color=SKY, alpha=0.35, label="±1 σ")
        ax.legend(loc="upper right", fontsize=7.5)
    _held(ax, edges, offset, f"noise/offset {channel + 1}", ORANGE)


def layers(data: ReportData) -> Figure:
    """Measured against ideal output voltage of each layer."""
    if not data.layers:
        raise RecordError("this run has no layer outputs, so this figure cannot be drawn.")
    with look():
        title = "Layer outputs, measured against ideal"
        figure = new_figure(title, 3.9, simulated=data.simulated)
        axes = np.atleast_1d(figure.subplots(1, len(data.layers)))
        for ax, layer, shade in zip(axes, data.layers, _CYCLE, strict=False):
            ideal, measured = layer.ideal_volts * 1e3, layer.measured_volts * 1e3
            low = min(float(np.nanmin(ideal)), float(np.nanmin(measured)))
            high = max(float(np.nanmax(ideal)), float(np.nanmax(measured)))
            room = 0.05 * max(high - low, 1e-3)
            ends = (low - room, high + room)
            ax.plot(ends, ends, color=BLACK, lw=0.8, ls="--")
            ax.plot(ideal, measured, ".", ms=3.5, alpha=0.5, color=shade, mew=0)
            rms = float(np.sqrt(np.nanmean((measured - ideal) ** 2)))
            ax.set_title(layer.name)
            note = f"rms error {rms:.2f} mV\n{len(ideal):,} points"
            ax.text(0.04, 0.96, note, transform=ax.transAxes, va="top", fontsize=8.5)
            ax.set(aspect="equal", xlim=ends, ylim=ends, xlabel="ideal (mV)")
        axes[0].set_ylabel("measured (mV)")
    return figure


def budget_rows(data: ReportData) -> list[tuple[BudgetRow, float]]:
    """The one-off rows that have the budget's metric, the largest improvement first."""
    found = [(row, row.figures.get(data.budget_metric)) for row in data.budget]
    rows = [(row, float(v)) for row, v in found if v is not None and row.kind == "one_off"]
    return sorted(rows, key=lambda pair: pair[1])


def error_budget(data: ReportData) -> Figure:
    """The metric with each non-ideality switched off in turn, and the reference lines."""
    rows = budget_rows(data)
    if not rows:
        raise RecordError("this run has no error budget, so this figure cannot be drawn.")
    with look():
        title = "Error budget: one effect off at a time"
        figure = new_figure(title, 1.7 + 0.32 * len(rows), simulated=data.simulated)
        ax = figure.subplots()
        values, names = [value for _, value in rows], [row.name for row, _ in rows]
        bars = ax.barh(names, values, color=BLUE, height=0.62)
        over = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
        texts = [f"{value:.4g}" for value in values]
        ax.bar_label(bars, texts, padding=5, fontsize=8.5, bbox=over, zorder=5)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        references = _references(data)
        for text, value, style in references:
            ax.axvline(value, label=f"{text} ({value:.4g})", **style)
        ax.set_xlabel(METRIC_TITLES.get(data.budget_metric, data.budget_metric))
        ax.set_xlim(0, max(*values, *(value for _, value, _ in references), 1e-9) * 1.12)
        if references:
            figure.legend(loc="outside lower center", ncols=3)
    return figure


def _references(data: ReportData) -> list[tuple[str, float, dict[str, Any]]]:
    styles: dict[str, dict[str, Any]] = {
        "all_on": {"color": ORANGE, "ls": "-", "lw": 1.4},
        "all_off": {"color": GREEN, "ls": "-", "lw": 1.4},
        "data": {"color": GREY, "ls": ":", "lw": 1.6},
    }
    lines = [*data.budget, *_floor(data)]
    found = [(row, row.figures.get(data.budget_metric)) for row in lines if row.kind in styles]
    return [(row.name, float(v), styles[row.kind]) for row, v in found if v is not None]


def _floor(data: ReportData) -> list[BudgetRow]:
    """Data against data, where it was taken with as many samples: fewer samples read higher."""
    floor = data.rows.get("data", {})
    counts = {row.figures.get("samples") for row in data.budget}
    if any(row.kind == "data" for row in data.budget) or counts != {floor.get("samples")}:
        return []
    return [BudgetRow("data against data", floor, "data")]
