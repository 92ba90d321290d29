"""Select transistors word line by word line: the current of each column while its gates sweep.

The bit lines stand at 0.1 V at most, the gates go up to what opens them for a read. A column of
cells that were never formed shows where its transistors begin to conduct, but not how well they do
once open, because the cells limit the current; the threshold is therefore the gate voltage at which
the current per cell passes a fixed small conductance, well below that of such a cell, and the
conductance of an open line is a lower bound. Formed cells change that threshold by some millivolts.

The published sources state neither threshold nor conductance of the macro's transistors: the limits
are this project's choice, for thick-oxide transistors of a 180 nm technology. A line is weak where
its threshold lies above that of the typical line of the same chip, whatever that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from calibration.bringup.line_currents import (
    amperes_of,
    bit_line_code,
    columns,
    gate_codes,
    line_codes,
)
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup.findings import Finding
from protocols.errors import InputError

NAME = "transistors"
MOST_NAMED = 8
_LOW = tuple(round(0.30 + 0.05 * k, 2) for k in range(17))  # around the threshold
_HIGH = (1.3, 1.5, 1.8, 2.1, 2.5, 3.0, 3.5)


@dataclass(frozen=True)
class TransistorParams:
    """Sweep and limits; every default is this project's choice.

    Attributes:
        volts: of the bit lines, at most 0.1.
        gate_volts: the sweep, rising; from closed to as open as for a read.
        samples: conversions of each point.
        threshold_siemens: per cell, at which a line counts as beginning to conduct: half of what a
            cell that was never formed has.
        lowest_threshold_volts, highest_threshold_volts: of the typical line.
        weak_volts: by how much a line's threshold may lie off the typical one.
        open_siemens: per cell, that a line with open gates shows at least.
    """

    volts: float = 0.1
    gate_volts: tuple[float, ...] = (*_LOW, *_HIGH)
    samples: int = 16
    threshold_siemens: float = 0.05e-6
    lowest_threshold_volts: float = 0.3
    highest_threshold_volts: float = 1.2
    weak_volts: float = 0.15
    open_siemens: float = 0.025e-6

    def __post_init__(self) -> None:
        if not 0.0 < self.volts <= 0.1:
            raise InputError(f"transistors: volts={self.volts}: above 0 and at most 0.1 V.")
        if not 1 <= self.samples <= 64:
            raise InputError(f"transistors: samples={self.samples}: 1 to 64 are allowed.")
        rising = list(self.gate_volts) == sorted(set(self.gate_volts))
        if len(self.gate_volts) < 4 or not rising or self.gate_volts[0] <= 0.0:
            raise InputError("transistors: gate_volts needs four or more rising voltages above 0.")
        for name in ("threshold_siemens", "weak_volts", "open_siemens", "lowest_threshold_volts"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise InputError(f"transistors: {name} must be a positive number.")
        if not self.highest_threshold_volts > self.lowest_threshold_volts:
            raise InputError("transistors: highest_threshold_volts must be above the lowest one.")


@dataclass(frozen=True, eq=False)
class Curves:
    """What the sweep gave.

    Attributes:
        gate_volts: (points,).
        siemens: (columns, points) conductance of all cells of a column, with their transistors.
        threshold_volts: (columns,); NaN where a line never conducts, or always does.
        cut: (columns,) whether the read path was at its end with the gates open.
    """

    gate_volts: FloatArray
    siemens: FloatArray
    threshold_volts: FloatArray
    cut: BoolArray


def measure(rig: Rig, params: TransistorParams) -> Curves:
    """Every word line's curve. Nothing above the read level reaches a cell."""
    macro = rig.macro
    code, gates = bit_line_code(macro, params.volts), gate_codes(macro, params.gate_volts)
    codes = line_codes(macro, columns(macro), code, gates, params.samples)
    volts = float(macro.curves.bit_line.to_si(code))
    amperes = amperes_of(macro, codes)
    siemens = (amperes - amperes_of(macro, np.zeros(1))) / volts
    gate_volts = macro.curves.word_line.to_si(gates)
    level = params.threshold_siemens * macro.geometry.rows
    threshold = np.array([_crossing(gate_volts, one, level) for one in siemens])
    cut = codes[:, -1] >= macro.curves.read_amperes.code_max - 1
    return Curves(gate_volts, siemens, threshold, cut)


def _crossing(gate_volts: FloatArray, siemens: FloatArray, level: float) -> float:
    """Gate voltage at which a line first passes a level; between points in its logarithm."""
    above = siemens >= level
    if above[0] or not above.any():
        return math.nan
    k = int(np.argmax(above))
    low, high = np.log(np.maximum(siemens[k - 1 : k + 1], 0.02 * level))
    share = (math.log(level) - low) / max(high - low, 1e-12)
    return float(gate_volts[k - 1] + share * (gate_volts[k] - gate_volts[k - 1]))


def run(rig: Rig, params: TransistorParams) -> StageResult:
    """The curves, and which word lines are open, weak, or never close."""
    rig.progress(0, 1, "gate sweep of every word line")
    found = measure(rig, params)
    rig.progress(1, 1, "gate sweep of every word line")
    opened = found.siemens[:, -1]
    least = params.open_siemens * rig.macro.geometry.rows
    dead = opened < least
    known = np.isfinite(found.threshold_volts)
    typical = float(np.median(found.threshold_volts[known])) if known.any() else math.nan
    off = np.where(known, found.threshold_volts - typical, 0.0)
    shut = found.siemens[:, 0] > params.threshold_siemens * rig.macro.geometry.rows
    findings = _findings(params, found, typical, dead, off, shut & ~dead)
    return StageResult(
        NAME,
        _figures(params, typical, off, opened, least),
        tuple(findings),
        data=_data(rig, found, typical),
    )


def _figures(
    params: TransistorParams, typical: float, off: FloatArray, opened: FloatArray, least: float
) -> tuple[Figure, ...]:
    low, high = params.lowest_threshold_volts, params.highest_threshold_volts
    gate = "Check the word-line driver's supply and the gate bias of reads"
    line = "Check that word line's bond and driver"
    return (
        Figure("threshold of the typical word line", typical, "V", low, high, gate),
        Figure(
            "largest deviation of a word line's threshold",
            float(np.abs(off).max()),
            "V",
            high=params.weak_volts,
            what=line,
        ),
        Figure(
            "lowest conductance of an open line", float(opened.min()), "S", low=least, what=line
        ),
    )


def _findings(
    params: TransistorParams,
    found: Curves,
    typical: float,
    dead: BoolArray,
    off: FloatArray,
    shut: BoolArray,
) -> list[Finding]:
    named = [
        Finding(
            "open_word_line",
            (n,),
            f"word line {n} is open: its column carries no current whatever the gate voltage",
            "Check its bond and its driver under a microscope",
        )
        for n in np.flatnonzero(dead).tolist()
    ]
    named += [
        Finding(
            "unclosed_word_line",
            (n,),
            f"word line {n} does not close: its column conducts at {found.gate_volts[0]:.2f} V",
            "Check that its driver reaches 0 V, and for a short to a supply",
        )
        for n in np.flatnonzero(shut).tolist()
    ]
    weak = np.flatnonzero((np.abs(off) > params.weak_volts) & ~dead & ~shut)
    named += [
        Finding(
            "weak_word_line",
            (n,),
            f"word line {n} is weak: its transistors open at {found.threshold_volts[n]:.2f} V,"
            f" those of the typical line at {typical:.2f} V",
            "Check the resistance of its bond and the level of its driver, or leave it out",
        )
        for n in weak.tolist()
    ]
    return named[:MOST_NAMED]


def _data(rig: Rig, found: Curves, typical: float) -> dict[str, Any]:
    thresholds = [None if math.isnan(v) else v for v in found.threshold_volts.tolist()]
    return {
        "gate_volts": found.gate_volts.tolist(),
        "siemens": np.round(found.siemens, 12).tolist(),
        "threshold_volts": thresholds,
        "typical_threshold_volts": typical,
        "cells_per_line": rig.macro.geometry.rows,
        "cut": np.flatnonzero(found.cut).tolist(),
    }


STAGE = Stage(
    name=NAME,
    title="transistor curves of every word line",
    needs=Needs(fixture="chip"),
    params=TransistorParams,
    run=run,
    plan="sweeps every word line up to the gate voltage of reads with the bit lines at 0.1 V at "
    "most; drives no pulse",
)
