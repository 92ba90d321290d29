"""The pictures of the acceptance sheet that are of the board: converters, read paths, pulses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.report.acceptance_picture import MICRO, Data, Picture
from hil.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, look, new_figure

_LINES = {"bit_line": BLUE, "source_line": ORANGE, "word_line": GREEN}
_INPUTS = {"read": BLUE, "sample_1": ORANGE, "sample_2": GREEN, "probe": PURPLE}
_KINDS = {"set": BLUE, "reset": ORANGE, "form": GREEN}


def converters(data: Data, simulated: bool) -> Figure:
    """Deviations of every converter over its codes."""
    with look():
        figure = new_figure("Converters by loop-back", 3.4, simulated=simulated)
        parts = figure.subplots(1, 2)
        _channels(parts[0], data["dacs"], _LINES, "DAC channels", "converters of the loop")
        _channels(parts[1], data["adcs"], _INPUTS, "ADC inputs", "")
    return figure


def _channels(
    axes: Axes, found: Mapping[str, Any], named: Mapping[str, str], title: str, others: str
) -> None:
    label: str | None = others
    for name, one in found.items():
        if name in named:
            continue
        axes.plot(one["codes"], one["deviation_codes"], color=GREY, lw=0.6, alpha=0.7, label=label)
        label = None
    for name, colour in named.items():
        if name in found:
            one = found[name]
            words = name.replace("_", " ")
            axes.plot(one["codes"], one["deviation_codes"], ".-", color=colour, ms=4, label=words)
    axes.set(title=title, xlabel="code", ylabel="deviation (codes)")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))
    axes.legend(ncols=2)


def columns(data: Data, simulated: bool) -> Figure:
    """Gain and offset of every column's read path."""
    with look():
        figure = new_figure("Read paths by the resistor board", 2.9, simulated=simulated)
        parts = figure.subplots(1, 2)
        found = data["curves"]["columns"]
        gain = 100.0 * (np.asarray(found["gain"]) - 1.0)
        offset = 1e9 * np.asarray(found["offset_amperes"])
        for axes, values, label in (
            (parts[0], gain, "gain error (%)"),
            (parts[1], offset, "offset (nA)"),
        ):
            axes.plot(np.arange(values.size), values, ".", color=BLUE, ms=4)
            axes.axhline(0.0, color=BLACK, lw=0.8)
            axes.set(xlabel="column", ylabel=label)
    return figure


def pulses(data: Data, simulated: bool) -> Figure:
    """Width and amplitude of pulses at the array's pad."""
    with look():
        figure = new_figure("Pulses at the array's pad", 2.9, simulated=simulated)
        width, volts = figure.subplots(1, 2)
        for kind, colour in _KINDS.items():
            mine = [one for one in data["pulses"] if one["kind"] == kind]
            asked = MICRO * np.array([one["asked_s"] for one in mine])
            off = 1e9 * np.array([_number(one["width_s"]) - one["asked_s"] for one in mine])
            seen = np.array([_number(one["volts"]) for one in mine])
            width.plot(asked, off, "o-", color=colour, ms=4, label=kind.upper())
            volts.plot(asked, seen, "o-", color=colour, ms=4, label=kind.upper())
        volts.axhline(data["line_volts"], color=BLACK, lw=0.8, ls="--", label="asked for")
        for axes, label in ((width, "width seen less width asked (ns)"), (volts, "amplitude (V)")):
            axes.set(xscale="log", xlabel="width asked (µs)", ylabel=label)
            axes.legend()
    return figure


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


BOARD_PICTURES = (
    Picture(
        "converters",
        "converters",
        "Converters by loop-back",
        "What each channel's codes are off by, against the voltage reference of the board. The "
        "lines of the array and the inputs in colour, the converters of the loop in grey.",
        ("adcs", "dacs"),
        converters,
    ),
    Picture(
        "resistor_board",
        "resistor_board",
        "Read paths by the resistor board",
        "Gain and offset of every column's read path, by known resistors in place of cells.",
        ("curves",),
        columns,
    ),
    Picture(
        "pulses",
        "pulses",
        "Pulses at the array's pad",
        "Width and amplitude of pulses as the oscilloscope saw them at the pad.",
        ("pulses", "line_volts"),
        pulses,
    ),
)
