"""Cells at several conductance levels: what noise, relaxation and I-V are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.characterise.common import Rig
from calibration.characterise.intervals import Interval, quantile_interval
from drivers.rram.geometry import Cells

LEVELS_SIEMENS = (20e-6, 45e-6, 80e-6, 120e-6, 165e-6, 205e-6)
"""One level in each band of the measured re-read spreads, and one near the top."""


@dataclass(frozen=True)
class Levels:
    """Cells that were brought near levels; arrays in the order of `cells`."""

    cells: Cells
    level: IntArray
    reading_siemens: FloatArray


def bring(rig: Rig, cells: Cells, levels: tuple[float, ...]) -> Levels:
    """Cells to the levels in turn; those that end nearer to no level than 25 % are left out.

    A level is a name for the cells about it: figures are given at the median of their readings.
    """
    wanted = np.arange(len(cells)) % len(levels)
    targets = np.asarray(levels)[wanted]
    reading = rig.program(cells, targets)
    near = np.flatnonzero(np.abs(np.log(np.maximum(reading, 1e-9) / targets)) < 0.25)
    return Levels(cells[near], wanted[near], reading[near])


def middle(
    siemens: FloatArray, level: IntArray, levels: tuple[float, ...], confidence: float
) -> dict[str, Interval]:
    """What the cells of each level really read, (cells,) siemens: `at_120uS` and so on."""
    return {
        f"at_{name(one)}": quantile_interval(siemens[level == k], 0.5, "S", confidence)
        for k, one in enumerate(levels)
    }


def joined(parts: list[Levels]) -> tuple[IntArray, FloatArray]:
    """Level and first reading of the cells of several groups."""
    return (
        np.concatenate([part.level for part in parts]),
        np.concatenate([part.reading_siemens for part in parts]),
    )


def name(siemens: float) -> str:
    """A level in the name of a figure: 120 uS is `120uS`."""
    return f"{siemens * 1e6:g}uS"
