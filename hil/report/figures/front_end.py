"""Figures of a front-end calibration: converters, read paths, amplitudes; lines of the array."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.front_end import FrontEndCalibration
from calibration.front_end.channel import ChannelResult
from calibration.front_end.line_resistance import SEGMENTS, LineResult
from hil.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, look, new_figure

LINES = {"bit_line": BLUE, "source_line": ORANGE, "word_line": GREEN}
INPUTS = {"read": BLUE, "sample_1": ORANGE, "sample_2": GREEN, "probe": PURPLE}


def front_end(found: FrontEndCalibration, *, simulated: bool) -> Figure:
    """Deviations of every converter, read paths by column, amplitudes as tried out."""
    with look():
        figure = new_figure("Front-end calibration", 6.6, simulated=simulated)
        parts = figure.subplot_mosaic([["dac", "adc"], ["columns", "amplitudes"]])
        _channels(parts["dac"], found.dacs, LINES, "DAC channels", "converters of the loop")
        _channels(parts["adc"], found.adcs, INPUTS, "ADC inputs", "")
        _columns(parts["columns"], found)
        _amplitudes(parts["amplitudes"], found)
    return figure


def _channels(
    axes: Axes,
    found: Mapping[str, ChannelResult],
    named: Mapping[str, str],
    title: str,
    others: str,
) -> None:
    faint = [one for name, one in found.items() if name not in named]
    for k, one in enumerate(faint):
        label = others if k == 0 else None
        axes.plot(one.curve.knots, one.curve.deviation, color=GREY, lw=0.6, alpha=0.7, label=label)
    for name, colour in named.items():
        one = found[name]
        points, curve = one.points, one.curve
        axes.plot(points.codes, points.effective - points.codes, ".", color=colour, ms=4)
        along = np.linspace(points.codes.min(), points.codes.max(), curve.knots.size)
        label = f"{name.replace('_', ' ')}, ± {curve.sd_codes:.2f}"
        axes.plot(along, curve.at(along) - along, color=colour, label=label)
    axes.set(title=title, xlabel="code", ylabel="to be added (codes)")
    axes.legend(ncols=2)


def _columns(axes: Axes, found: FrontEndCalibration) -> None:
    columns = found.columns.columns
    place = np.arange(columns.gain.size)
    axes.plot(place, 100.0 * (columns.gain - 1.0), ".", color=BLUE, ms=4, label="gain (left)")
    axes.set(title="Read paths against resistors", xlabel="column", ylabel="gain error (%)")
    right = axes.twinx()
    right.plot(place, 1e9 * columns.offset_amperes, ".", color=ORANGE, ms=4, label="offset (right)")
    right.set_ylabel("offset (nA)")
    right.grid(visible=False)
    handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    axes.legend(handles=handles, ncols=2)
    for one in (axes, right):
        low, high = one.get_ylim()
        one.set_ylim(low, high + 0.25 * (high - low))


def _amplitudes(axes: Axes, found: FrontEndCalibration) -> None:
    for name, colour in LINES.items():
        check = found.pulse.lines[name]
        miss = (check.measured_volts - check.wanted_volts) / check.step_volts
        bar = check.uncertainty_volts / check.step_volts
        axes.errorbar(
            check.wanted_volts,
            miss,
            yerr=bar,
            fmt="o",
            ms=4,
            lw=0.9,
            color=colour,
            label=name.replace("_", " "),
        )
    for edge in (-0.5, 0.5):
        axes.axhline(edge, color=BLACK, lw=0.8, ls="--")
    axes.set(
        title="Amplitudes tried out (bars: stated uncertainty)",
        xlabel="wanted (V)",
        ylabel="missed by (steps)",
    )
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.75), max(high, 0.75) * 1.35)
    axes.legend(ncols=3, loc="upper center")


def lines(found: LineResult, *, simulated: bool) -> Figure:
    """Resistance read along the array, the other line's part taken off, and the fitted slopes."""
    with look():
        title = "Line resistance from readings"
        if not found.resolved:
            title += f": not resolved, at most {found.at_most_ohm:.2g} ohm per pitch"
        figure = new_figure(title, 3.6, simulated=simulated)
        parts = figure.subplots(1, 2, sharey=True)
        places = (found.cells.columns + 1.0, found.cells.rows + 1.0)
        names = ("columns along the bit line", "rows along the source line")
        for k, axes in enumerate(parts):
            rest = found.resistance_ohm - found.ohm[1 - k] * places[1 - k]
            axes.plot(places[k], rest * 1e-3, ".", color=GREY, ms=3, alpha=0.6)
            ends = np.array([places[k].min(), places[k].max()])
            centre = np.median(rest - found.ohm[k] * places[k])
            axes.plot(ends, (centre + found.ohm[k] * ends) * 1e-3, color=BLUE, lw=2)
            axes.set_title(
                f"{SEGMENTS[k].replace('_', ' ')}: {found.ohm[k]:.2f} ± {found.sd_ohm[k]:.2f} ohm"
                " per pitch"
            )
            axes.set_xlabel(f"pitches ({names[k]})")
        parts[0].set_ylabel("resistance (kohm)")
        low, high = np.quantile(found.resistance_ohm, [0.01, 0.99]) * 1e-3
        parts[0].set_ylim(low - 0.2 * (high - low), high + 0.2 * (high - low))
    return figure
