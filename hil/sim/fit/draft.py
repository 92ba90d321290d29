"""The profile that the fit starts from, as a plain dictionary, with every assumption in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hil.sim.fit.match import tail_of
from hil.sim.fit.start import (
    GATE_KNOTS,
    LEVELS,
    LINE_KNOTS,
    SOURCE,
    WIDTHS,
    Tables,
    depth_knots,
    forming_law,
    line_table,
    set_table,
    settled_noise,
)

REFERENCE_SIEMENS = 175e-6
# Knots of read noise and relaxation: the middles of the five noise bins, and the top of the range.
NOISE_KNOTS = [17e-6, 42e-6, 78e-6, 123e-6, 167e-6, 240e-6]
CORRELATION = 0.65


def first_draft(tables: Tables) -> dict[str, Any]:
    """What the tables say directly, and the assumptions, as the content of a profile."""
    return {
        "name": "rram_1t1r_180nm",
        "source": SOURCE,
        "bounds": {"lowest_siemens": 2e-7, "highest_siemens": 3.5e-4},
        "pristine": {"median_siemens": 1e-7, "sigma_ln": 0.3},
        "forming": forming_law(tables.forming),
        "set": _set_draft(tables),
        "reset": _reset_draft(tables),
        "drive": {
            "skew": 1.5,
            "limit": 14.0,
            "set_gain": 0.016,
            "reset_gate_volts": 0.088,
            "reset_line_volts": 0.1,
        },
        "read_noise": _noise_draft(tables),
        "relaxation": {
            "siemens": NOISE_KNOTS,
            "sigma": [0.2, 0.14, 0.08, 0.035, 0.006, 0.004],
            "tail": [0.8] * 6,
            "drift": _drift(tables),
            "onset_s": 1e-3,
        },
        "faults": {
            "stuck_low_fraction": 0.0,
            "stuck_high_fraction": 0.0,
            "stuck_high_siemens": 2e-4,
            "weak_fraction": 0.0,
            "weak_gain": 0.7,
        },
        "endurance": _endurance(tables),
    }


def _set_draft(tables: Tables) -> dict[str, Any]:
    levels, volts = line_table(tables)
    return {
        "levels_siemens": LEVELS.tolist(),
        "widths_s": WIDTHS.tolist(),
        "gate_volts": set_table(tables).tolist(),
        "line_levels_siemens": levels.tolist(),
        "line_volts": (volts + 1e-4 * np.arange(volts.size)).tolist(),
        "redraw_band_ln": 0.08,
        "against": 0.2,
        "device_gain": 0.025,
        "device_log_width": 0.02,
        "device_line_volts": 0.04,
        "cycle_gain": 0.015,
        "cycle_log_width": 0.02,
        "cycle_line_volts": 0.04,
        "cycle_correlation": 0.75,
    }


def _reset_draft(tables: Tables) -> dict[str, Any]:
    return {
        "reference_siemens": REFERENCE_SIEMENS,
        "gate_volts": GATE_KNOTS.tolist(),
        "gate_depth_ln": depth_knots(tables.reset_gate, GATE_KNOTS, REFERENCE_SIEMENS).tolist(),
        "line_volts": LINE_KNOTS.tolist(),
        "line_depth_ln": depth_knots(tables.reset_line, LINE_KNOTS, REFERENCE_SIEMENS).tolist(),
        "reference_width_s": 2e-7,
        "volts_per_decade": 0.15,
        "redraw_band_ln": 1.2,
        "device_depth_ln": 0.2,
        "cycle_depth_ln": 0.17,
        "cycle_gate_volts": 0.045,
        "cycle_line_volts": 0.06,
        "cycle_correlation": 0.6,
    }


def _noise_draft(tables: Tables) -> dict[str, Any]:
    standard, robust = settled_noise(tables, CORRELATION)
    tails = [tail_of(s, r) for s, r in zip(standard, robust, strict=True)]
    return {
        "siemens": NOISE_KNOTS,
        "sigma": [*standard.tolist(), float(0.5 * (standard[-1] + 0.005)), 0.005, 0.005],
        "tail": [*tails, 0.8, 0.7, 0.7],
        "correlation": CORRELATION,
    }


BAKE_DECADES = 11.5  # assumption: 30 min at 80 C move the mean as far as ten years do at rest


def _drift(tables: Tables) -> list[float]:
    """Mean change of ln G per decade at the knots, from the baked cells."""
    data = tables.relaxation
    level = np.round((data.window_siemens[:, 0] - 17.5e-6) / 7.5e-6).astype(int)
    before = np.array([np.median(data.before_siemens[level == k]) for k in range(32)])
    after = np.array([np.median(data.after_siemens[level == k]) for k in range(32)])
    order = np.argsort(before)
    moved = np.log(after[order] / before[order]) / BAKE_DECADES
    near = np.interp(np.log(NOISE_KNOTS), np.log(before[order]), moved)
    near[0] = near[1]  # the lowest levels sit in the high-resistance state and move both ways
    return [float(min(value, 0.0)) for value in near]


def _endurance(tables: Tables) -> dict[str, float]:
    """Loss of depth per decade of cycles, from the medians of the first and the last cycles."""
    high = tables.cycling.high_resistance_siemens
    first = float(np.log(REFERENCE_SIEMENS / np.median(high[:, :10])))
    last = float(np.log(REFERENCE_SIEMENS / np.median(high[:, -30:])))
    onset = 10.0
    decades = float(np.log10(1.0 + (high.shape[1] - 15) / onset))
    return {"depth_loss_per_decade": (1.0 - last / first) / decades, "onset_cycles": onset}
