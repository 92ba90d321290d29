"""The pictures of the acceptance sheet, each from one stage's data; here those of chip and loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from calibration.arrays import FloatArray
from hil.report.acceptance_board import BOARD_PICTURES
from hil.report.acceptance_picture import MICRO, MILLI, NANO, Data, Picture
from hil.report.style import AMBER, BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, look, new_figure

# --- lines ----------------------------------------------------------------------------------------


def leaks(data: Data, simulated: bool) -> Figure:
    """Leak of every line with closed gates."""
    with look():
        figure = new_figure("Leakage with closed gates", 2.9, simulated=simulated)
        parts = figure.subplots(1, 2, sharey=True)
        for axes, key, name, colour in (
            (parts[0], "bit_line_leak_siemens", "bit line", BLUE),
            (parts[1], "column_leak_siemens", "source line", ORANGE),
        ):
            values = MICRO * np.asarray(data[key], np.float64)
            axes.plot(np.arange(values.size), values, ".", color=colour, ms=4)
            axes.set(title=f"{name}s", xlabel=name)
        parts[0].set_ylabel("leak (µS)")
    return figure


def transistors(data: Data, simulated: bool) -> Figure:
    """Conductance of every column over its gate voltage, and the thresholds."""
    with look():
        figure = new_figure("Transistor curves", 3.9, simulated=simulated)
        curves, thresholds = figure.subplots(1, 2, width_ratios=(3, 2))
        volts = np.asarray(data["gate_volts"])
        siemens = NANO * np.asarray(data["siemens"]) / data["cells_per_line"]
        shown = np.maximum(siemens, 1e-2)
        curves.plot(volts, shown.T, color=GREY, lw=0.5, alpha=0.5)
        curves.plot(volts, np.median(shown, axis=0), color=BLUE, lw=2.0, label="median")
        found = _numbers(data["threshold_volts"])
        typical = data["typical_threshold_volts"]
        far = np.abs(found - typical) > 0.1
        for k in np.flatnonzero(far | np.isnan(found))[:4]:
            curves.plot(volts, shown[k], color=ORANGE, lw=1.4, label=f"word line {k}")
        curves.axvline(typical, color=BLACK, lw=0.8, ls="--", label=f"threshold {typical:.2f} V")
        curves.set(yscale="log", title="every word line", xlabel="gate voltage (V)")
        curves.set_ylabel("conductance per cell (nS)")
        curves.legend(loc="lower right")
        thresholds.plot(np.arange(found.size), found, ".", color=BLUE, ms=4)
        thresholds.axhline(typical, color=BLACK, lw=0.8, ls="--")
        thresholds.set(title="thresholds", xlabel="word line", ylabel="threshold (V)")
    return figure


# --- noise ----------------------------------------------------------------------------------------


def read_noise(data: Data, simulated: bool) -> Figure:
    """Scatter of means over the integration time, and what is left in a verify."""
    with look():
        figure = new_figure("Read noise", 3.6, simulated=simulated)
        path, verify = figure.subplots(1, 2)
        seconds = MILLI * np.asarray(data["integration_s"])
        scatter = NANO * data["code_siemens"] * np.asarray(data["scatter_codes"])
        white = scatter[0] * np.sqrt(seconds[0] / seconds)
        path.loglog(seconds, scatter, "o-", color=BLUE, ms=4, label="reference resistor")
        path.loglog(seconds, white, "--", color=GREY, label="white noise")
        hum = NANO * data["code_siemens"] * data["hum_codes"]
        path.axhline(hum, color=ORANGE, lw=1.0, ls=":", label=f"{data['hum_hertz']:.0f} Hz pick-up")
        path.set(title="read path", xlabel="integration time (ms)", ylabel="scatter (nS)")
        for axis in (path.xaxis, path.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        path.legend()
        _verify(verify, data["verify_reads"])
    return figure


def _verify(axes: Axes, reads: Data) -> None:
    shares = 100.0 * np.asarray(reads["shares_of_tolerance"])
    axes.plot(reads["averaged"], shares, "o-", color=BLUE, ms=4, label=reads["measured_on"])
    label = f"recommended: {reads['reads']}"
    axes.axvline(reads["reads"], color=GREEN, lw=1.2, ls="--", label=label)
    axes.set(xscale="log", title="noise left in a verify", xlabel="readings averaged")
    axes.set_xticks(reads["averaged"], [str(n) for n in reads["averaged"]])
    axes.minorticks_off()
    axes.set_ylabel("share of the tolerance (%)")
    axes.set_ylim(0.0, 1.15 * float(shares.max()))
    axes.legend()


# --- pilot block ----------------------------------------------------------------------------------


def pilot(data: Data, simulated: bool) -> Figure:
    """How the pilot cells answered: forming, RESET and SET ramps, read noise."""
    with look():
        figure = new_figure("Pilot block", 6.4, simulated=simulated)
        parts = figure.subplot_mosaic([["form", "reset"], ["set", "noise"]])
        titles = {"form": "first forming", "reset": "RESET", "set": "SET"}
        swept = {"form": "bit line (V)", "reset": "source line (V)", "set": "word line (V)"}
        for kind, title in titles.items():
            mine = [one for one in data["responses"] if one["kind"] == kind]
            _ramps(parts[kind], mine)
            parts[kind].set(title=title, xlabel=swept[kind], ylabel="conductance (µS)")
        if "verify_reads" in data:
            _verify(parts["noise"], data["verify_reads"])
        else:
            parts["noise"].set_axis_off()
    return figure


def _ramps(axes: Axes, responses: Sequence[Data]) -> None:
    """Each cell's readings over the ramp; the first ramps in blue, later ones in grey."""
    axes.set_yscale("log")
    first = True
    for number, one in enumerate(responses):
        volts = np.asarray(one["volts"])
        siemens = MICRO * np.asarray(one["siemens"]).reshape(volts.size, -1)
        if not volts.size:
            continue
        whole = len(one["cells"]) > 4
        colour = (BLUE if first and whole else GREY) if number else SKY
        axes.plot(volts, np.maximum(siemens, 0.05), color=colour, lw=0.6, alpha=0.6)
        if whole:
            label = "median of the first ramp" if first else None
            axes.plot(
                volts, np.median(siemens, axis=1), color=BLACK if first else AMBER, label=label
            )
            first = False
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


# --- the loop -------------------------------------------------------------------------------------


def loop(data: Data, simulated: bool) -> Figure:
    """Stages, rectifiers and held integrators."""
    with look():
        figure = new_figure("Analog loop", 6.4, simulated=simulated)
        parts = figure.subplot_mosaic([["gain", "left"], ["units", "held"]])
        _gains(parts["gain"], data["layers"])
        _residuals(parts["left"], data["layers"])
        _units(parts["units"], data["rectifiers"])
        if "held_volts" in data:
            _held(parts["held"], data)
        else:
            parts["held"].set_axis_off()
    return figure


_LAYERS = (("first hidden layer", BLUE), ("second hidden layer", ORANGE), ("output layer", GREEN))


def _gains(axes: Axes, layers: Sequence[Data]) -> None:
    start = 0
    for (name, colour), one in zip(_LAYERS, layers, strict=True):
        gain = 100.0 * (np.asarray(one["gain"]) - 1.0)
        axes.plot(start + np.arange(gain.size), gain, "o", color=colour, ms=4, label=name)
        start += gain.size
    axes.axhline(0.0, color=BLACK, lw=0.8)
    axes.set(title="trans-impedance stages", xlabel="stage", ylabel="gain error (%)")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.45 * (high - low))
    axes.legend()


def _residuals(axes: Axes, layers: Sequence[Data]) -> None:
    for (name, colour), one in zip(_LAYERS, layers, strict=True):
        x, moved = np.asarray(one["expected_volts"]), np.asarray(one["moved_volts"])
        left = moved - x[:, None] * np.asarray(one["gain"])
        span = float(np.abs(x).max())
        axes.plot(100.0 * x / span, 100.0 * left / span, ".", color=colour, ms=4)
        axes.plot([], [], ".", color=colour, label=name)
    axes.axhline(0.0, color=BLACK, lw=0.8)
    axes.set(title="residuals of their lines", xlabel="expected output (% of the sweep)")
    axes.set_ylabel("residual (% of the sweep)")


def _units(axes: Axes, rectifiers: Sequence[Data]) -> None:
    for (name, colour), one, line in zip(_LAYERS[:2], rectifiers, ("-", "--"), strict=True):
        volts = MILLI * np.asarray(one["input_volts"])
        output = MILLI * np.asarray(one["output_volts"])
        axes.plot(volts, output, line, color=colour, lw=0.9, alpha=0.7)
        axes.plot([], [], line, color=colour, label=name)
    axes.set(title="rectifiers and clamps", xlabel="input (mV)", ylabel="output (mV)")
    axes.legend()


def _held(axes: Axes, data: Data) -> None:
    times = MILLI * np.asarray(data["held_s"])
    x = np.asarray(data["held_volts"])
    moved = MILLI * (x - x[:, :1])
    axes.plot(times, moved[:, :, 0].T, color=BLUE, lw=1.0)
    axes.plot(times, moved[:, :, 1].T, color=PURPLE, lw=1.0)
    axes.plot([], [], color=BLUE, label="axis 1")
    axes.plot([], [], color=PURPLE, label="axis 2")
    axes.set(title="x held by the zeros found", xlabel="time (ms)", ylabel="movement (mV)")
    axes.legend()


def _numbers(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], np.float64)


PICTURES = (
    *BOARD_PICTURES,
    Picture(
        "leakage",
        "leakage",
        "Leakage with closed gates",
        "Conductance of every line with its gates closed, by the currents at two small voltages.",
        ("bit_line_leak_siemens", "column_leak_siemens"),
        leaks,
    ),
    Picture(
        "transistors",
        "transistors",
        "Transistor curves",
        "Current of each column over the voltage of its word line, per cell. Cells that were never "
        "formed limit it from above. A line far from the typical one is shown in orange.",
        ("gate_volts", "siemens", "threshold_volts"),
        transistors,
    ),
    Picture(
        "read_noise",
        "read_noise",
        "Read noise",
        "Left, the scatter of means of 1 to 64 conversions of a reference resistor. Right, the "
        "noise of averaged readings against the tolerance of programming.",
        ("scatter_codes", "verify_reads"),
        read_noise,
    ),
    Picture(
        "pilot",
        "pilot",
        "Pilot block",
        "Readings of each sacrificed cell after each pulse of a ramp; a cell leaves a ramp when it "
        "got there. The first cell in light blue, the first ramp of the block in blue, later ones "
        "in grey, their medians in amber.",
        ("responses",),
        pilot,
    ),
    Picture(
        "loop",
        "loop",
        "Analog loop",
        "Gain of every trans-impedance stage and what its straight line leaves, rectifiers and "
        "clamps of the hidden units, and how far x moves while every word stands at its zero.",
        ("layers", "rectifiers"),
        loop,
    ),
)
