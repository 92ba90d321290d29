"""Figure of the circuit benchmark: x(t) of circuit and simulator, and the distance between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks._circuit_loops import Trace
from hil.report.style import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    look,
    new_figure,
    save_figure,
)

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)
MILLI = 1e3


def draw(
    path: Path,
    circuit: Mapping[str, Sequence[Trace]],
    simulator: Mapping[str, Sequence[Trace]],
    duration_s: float,
    full_scale: float,
) -> None:
    """One row per mode: x1(t), x2(t), and how far the simulator is from the circuit."""
    with look():
        title = "Analog loop: ngspice circuit and the project's simulator"
        figure = new_figure(title, 0.6 + 2.7 * len(circuit), simulated=True)
        rows = figure.subplots(len(circuit), 3, squeeze=False, sharex=True)
        for axes, mode in zip(rows, circuit, strict=True):
            _row(axes, mode, circuit[mode], simulator[mode], duration_s, full_scale)
        for ax in rows[-1]:
            ax.set_xlabel("time since the loop was closed (s)")
    save_figure(figure, path)


def _row(
    axes: Sequence[Axes],
    mode: str,
    circuit: Sequence[Trace],
    simulator: Sequence[Trace],
    duration_s: float,
    full_scale: float,
) -> None:
    time_s = np.linspace(0.0, duration_s, len(circuit[0].x))
    for number, (a, b) in enumerate(zip(circuit, simulator, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        for axis in (0, 1):
            axes[axis].plot(time_s, a.x[:, axis] * MILLI, color=colour, lw=2.6, alpha=0.45)
            axes[axis].plot(time_s, b.x[:, axis] * MILLI, color=BLACK, lw=0.8, ls=(0, (4, 3)))
        apart = np.abs(b.x - a.x).max(axis=1) / full_scale
        axes[2].semilogy(time_s, np.maximum(apart, 1e-6), color=colour)
    for axis in (0, 1):
        axes[axis].set_ylabel(f"$x_{axis + 1}$ (mV)")
        axes[axis].set_title(f"{mode}: $x_{axis + 1}(t)$", fontweight="normal")
    axes[0].plot([], [], color=COLOURS[0], lw=2.6, alpha=0.45, label="circuit (ngspice)")
    axes[0].plot([], [], color=BLACK, lw=0.8, ls=(0, (4, 3)), label="simulator")
    axes[0].legend(loc="best")
    axes[2].axhline(1e-2, color=BLACK, lw=0.8, ls=":")
    axes[2].set_ylabel("of full scale, larger axis")
    axes[2].set_title(f"{mode}: distance (dotted: bar)", fontweight="normal")
