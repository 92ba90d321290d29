"""The drift of a programmed chip: how far cells moved by level, and where it leads."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.drift import DriftReport
from hil.report.style import AMBER, BLACK, BLUE, ORANGE, look, new_figure
from hil.report.text import duration

MICRO = 1e6


def drift_figure(drift: DriftReport, *, simulated: bool) -> Figure:
    """Moves by target with the law's band, and the weight error then, now and as expected."""
    with look():
        title = f"Drift within {duration(drift.elapsed_s)}"
        figure = new_figure(title, 3.8, simulated=simulated)
        left, right = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
        _moves(left, drift)
        _weights(right, drift)
    return figure


def _moves(ax: Axes, drift: DriftReport) -> None:
    target, move = drift.target_siemens * MICRO, drift.move_siemens * MICRO
    span = max(float(np.percentile(np.abs(move), 98)) * 1.3, 0.1) if move.size else 1.0
    shown = np.clip(move, -span, span)
    for chosen, colour, text in (
        (~drift.moved, BLUE, "in tolerance"),
        (drift.moved, ORANGE, "out of tolerance"),
    ):
        label = f"{text} ({int(chosen.sum())})"
        ax.scatter(target[chosen], shown[chosen], s=9, color=colour, alpha=0.6, lw=0, label=label)
    renew = drift.renew
    ax.scatter(
        target[renew],
        shown[renew],
        s=34,
        facecolor="none",
        edgecolor=BLACK,
        lw=0.8,
        label=f"to be re-trimmed ({renew.size})",
    )
    ax.set_ylim(-1.05 * span, 1.05 * span)
    ax.set(xlabel="target (µS)", ylabel="now − then (µS); ends hold all beyond")
    ax.set_title("moves by level", fontweight="normal")
    ax.legend(loc="best")


def _weights(ax: Axes, drift: DriftReport) -> None:
    names = list(drift.weight_error)
    values = [drift.weight_error[name] * MICRO for name in names]
    colours = [BLUE, BLUE, *(AMBER,) * (len(names) - 2)]
    ax.bar(range(len(names)), values, color=colours, width=0.6)
    ax.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set_ylabel("rms error of a weight (µS)")
    note = "assumed law" if drift.assumed else "measured law"
    ax.set_title(f"expected by the log-time law ({note})", fontweight="normal")
