"""Figures of read noise, telegraph noise and I-V."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.characterise.current_voltage import shape
from calibration.characterise.read_noise import AVERAGED, deviations
from hil.report.characterise.view import View, plain_ticks
from hil.report.style import AMBER, BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY

_CYCLE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)


def read_noise(view: View) -> Figure:
    """Deviation against the level, and what averaging gains."""
    figure = view.figure("Read noise")
    left, right = figure.subplots(1, 2)
    names = view.level_names()
    x = view.level_values()
    for label, key, colour in (("standard", "sd", ORANGE), ("robust", "robust", BLUE)):
        rows = [f"{key}_{name}" for name in names]
        view.bars(left, x, rows, 100, fmt="o-", color=colour, ms=4, label=label)
    left.set(xlabel="conductance (µS)", ylabel="deviation of one reading (%)", yscale="log")
    left.set_title("by level", fontweight="normal")
    plain_ticks(left.yaxis, (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20))
    left.legend()
    measured = [n for n in AVERAGED[1:] if f"mean_of_{n}" in view.result["figures"]]
    number = np.array(measured, float)
    rows = [f"mean_of_{n}" for n in measured]
    view.bars(right, number, rows, 1, fmt="o-", color=BLUE, ms=4, label="measured")
    right.plot(number, number**-0.5, "--", color=GREY, label="independent readings, 1/√n")
    right.set(xscale="log", yscale="log", xlabel="readings averaged, n")
    right.set_ylabel("deviation of their mean over that of one")
    plain_ticks(right.xaxis, number.tolist())
    plain_ticks(right.yaxis, (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1))
    right.set_title(f"lag-one correlation {view.text('lag_one')}", fontweight="normal")
    right.legend()
    return figure


def telegraph(view: View) -> Figure:
    """Traces of the clearest two-level cells, and how separation tells them from the rest."""
    figure = view.figure("Telegraph noise", 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1.0))
    two = view.arrays["two_levels"].astype(bool)
    deviation = 100 * deviations(view.arrays["readings_siemens"])
    separation = view.arrays["step"] / view.arrays["width"]
    order = np.argsort(-np.where(two, separation, 0.0))[:4]
    _traces(left, deviation, [int(k) for k in order if two[k]])
    for chosen, colour, label in ((~two, GREY, "one level"), (two, ORANGE, "two levels")):
        right.scatter(
            100 * view.arrays["step"][chosen],
            separation[chosen],
            s=12,
            color=colour,
            lw=0,
            label=f"{label} ({int(chosen.sum())})",
        )
    right.set(xscale="log", xlabel="distance of the two fitted levels (%)")
    right.set_ylabel("over the width of each")
    right.set_title(f"share {view.text('share', 100, '%', 2)}", fontweight="normal")
    right.legend(loc="upper left")
    return figure


def _traces(ax: Axes, deviation: np.ndarray, chosen: list[int]) -> None:
    ax.set(xlabel="reading", ylabel="deviation (%), shifted")
    if not chosen:
        ax.text(0.5, 0.5, "no two-level cell was found", transform=ax.transAxes, ha="center")
        ax.set_title("Traces", fontweight="normal")
        return
    apart = 1.3 * float(np.ptp(deviation[chosen], axis=1).max())
    for place, k in enumerate(chosen):
        ax.plot(deviation[k] + place * apart, lw=0.7, color=_CYCLE[place])
    ax.set_title("the clearest two-level cells", fontweight="normal")


def current_voltage(view: View) -> Figure:
    """Conductance over the read voltage, relative to the lowest, by level."""
    figure = view.figure("I-V of the read")
    left, right = figure.subplots(1, 2)
    volts, siemens = view.arrays["read_volts"], view.arrays["siemens"]
    for k, name in enumerate(view.level_names()):
        mine = siemens[view.arrays["level"] == k]
        seen = np.isfinite(mine).all(axis=0)
        if not seen.any():
            continue
        relative = (mine[:, seen] / mine[:, seen].mean(axis=1, keepdims=True)).mean(axis=0)
        b = view.interval(f"b_{name}")[0]
        law = shape(volts[seen], b * b) / volts[seen]
        scale = law[0] * float(np.sum(relative * law) / np.sum(law * law))
        colour = _CYCLE[k % len(_CYCLE)]
        left.plot(volts[seen], relative / scale, "o", color=colour, ms=4, label=f"{name[:-2]} µS")
        left.plot(volts[seen], law / law[0], color=colour, lw=1.0)
    left.axhline(1.0, color=BLACK, lw=0.7, ls=":")
    left.set(xlabel="read voltage (V)", ylabel="I/V over that at the lowest voltage")
    left.set_title("mean of cells with the offset; lines: sinh(bV)/(bV)", fontweight="normal")
    left.legend(title="level")
    found = [f"b_{name}" in view.result["figures"] for name in view.level_names()]
    rows = [f"b_{name}" for name, has in zip(view.level_names(), found, strict=True) if has]
    view.bars(right, view.level_values()[found], rows, 1, fmt="o-", color=BLUE, ms=4)
    right.set(xlabel="conductance (µS)", ylabel="b (1/V)", ylim=(0, None))
    right.set_title("non-linearity, 0 is ohmic", fontweight="normal")
    return figure
