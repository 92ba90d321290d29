"""Resistance of bit and source lines per cell pitch, from readings of cells along them.

A reading sees 1/G of the cell plus its way through the array: in the first-order picture of the
lines (row + 1) pitches of source line and (column + 1) of bit line. Cells differ far more than
that, so the two slopes come out of a robust regression of 1/G over the places of many cells, and
say how uncertain they are. The cells have to stand where a SET or forming of equal pulses left
them: programming to targets hides the lines, because its verifying reads see them too. A far cell
also gets a little less of its pulse, which the regression counts as line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import CalibrationError, InputError
from protocols.messages import Operation

SEGMENTS = ("bit_line", "source_line")
_STRONGEST = {"gate_volts": 3.5, "line_volts": 3.5, "width_s": 1e-6}  # within the limits
_ARM_S = 60.0


@dataclass(frozen=True)
class LineParams:
    """Effort and bounds; every default is this project's choice.

    Attributes:
        samples: conversions per cell and round, 1 to 64.
        rounds_max: rounds at most; they end when a cell's own reading is known to `reading_share`
            of what cells differ by.
        least_siemens: cells below are left out: their spread in ohms is too large.
        least_cells: fewer tell nothing.
        huber: residuals beyond so many standard deviations count less.
    """

    samples: int = 16
    rounds_max: int = 8
    reading_share: float = 0.2
    least_siemens: float = 50e-6
    least_cells: int = 30
    huber: float = 1.5

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 64 or self.rounds_max < 2 or self.least_cells < 8:
            raise InputError(
                "line resistance: 1 to 64 samples, at least 2 rounds and 8 cells are needed"
            )


@dataclass(frozen=True, eq=False)
class LineResult:
    """Line resistance of one chip.

    Attributes:
        ohm: (2,) per pitch of bit line and of source line.
        sd_ohm: (2,) their standard deviations.
        common_ohm, common_sd_ohm: of both lines taken as alike.
        cell_ohm: of the median cell, the lines taken off; spread_ohm: what cells differ by.
        cells, resistance_ohm, fitted_ohm: (n,) what was used, read and fitted.
        samples: conversions per cell.
    """

    ohm: FloatArray
    sd_ohm: FloatArray
    common_ohm: float
    common_sd_ohm: float
    cell_ohm: float
    spread_ohm: float
    cells: Cells
    resistance_ohm: FloatArray
    fitted_ohm: FloatArray
    samples: int

    @property
    def resolved(self) -> bool:
        """Whether the lines stand out of the spread of the cells."""
        return self.common_ohm > 2.0 * self.common_sd_ohm

    @property
    def at_most_ohm(self) -> float:
        """What a pitch has at most, with 95 % confidence."""
        return max(self.common_ohm, 0.0) + 1.645 * self.common_sd_ohm

    def to_dict(self) -> dict[str, Any]:
        """Figures for JSON."""
        segments = {
            name: {"ohm_per_pitch": float(ohm), "sd_ohm": float(sd)}
            for name, ohm, sd in zip(SEGMENTS, self.ohm, self.sd_ohm, strict=True)
        }
        return {
            **segments,
            "common": {"ohm_per_pitch": self.common_ohm, "sd_ohm": self.common_sd_ohm},
            "resolved": self.resolved,
            "at_most_ohm": self.at_most_ohm,
            "cell_ohm": self.cell_ohm,
            "spread_ohm": self.spread_ohm,
            "cells": len(self.cells),
            "samples": self.samples,
        }


def far_and_near(cells: Cells, share: float) -> Cells:
    """The `share` of the cells that tells most of the lines: half with the shortest ways through
    the array, half with the longest.

    Raises:
        InputError: `share` is not in (0, 1].
    """
    if not 0.0 < share <= 1.0:
        raise InputError(f"line resistance: a share of {share} of the cells; (0, 1] is allowed")
    half = max(int(0.5 * share * len(cells)), 1)
    order = np.argsort(cells.rows + cells.columns, kind="stable")
    return cells[np.union1d(order[:half], order[-half:])]


def set_alike(macro: Macro, cells: Cells, pulses: int = 1) -> None:
    """Brings cells to where the strongest SET that the limits allow leaves them, `pulses` each.

    What such a SET ends at depends little on the line voltage, so that the lines hardly show in
    it, and the cells differ least there.

    Raises:
        InputError: no pulses.
        SafetyError: the board is in a safe state.
    """
    if pulses < 1:
        raise InputError(f"line resistance: {pulses} pulses; 1 or more are needed")
    top = {name: macro.limits.bound(Operation.SET, name).value for name in _STRONGEST}
    n = len(cells)
    batch = PulseBatch(
        cells,
        np.full(n, int(Operation.SET)),
        *(np.full(n, min(most, top[name])) for name, most in _STRONGEST.items()),
    )
    with macro.armed(_ARM_S, renewing=True):
        for number in range(pulses):
            macro.pulse_read(batch, label=f"lines {number + 1}")


def run(macro: Macro, cells: Cells, params: LineParams | None = None) -> LineResult:
    """Reads cells and fits the lines; nothing is driven.

    Raises:
        CalibrationError: too few cells conduct, or they stand in one row or one column.
    """
    p = params or LineParams()
    siemens, samples = _read(macro, cells, p)
    use = np.isfinite(siemens) & (siemens >= p.least_siemens)
    used, ohm = cells[use], 1.0 / siemens[use]
    if len(used) < p.least_cells:
        raise CalibrationError(
            f"Line resistance: {len(used)} of {len(cells)} cells conduct more than"
            f" {p.least_siemens * 1e6:g} uS, {p.least_cells} are needed. Form a block and SET it,"
            " far and near, then calibrate again."
        )
    pitches = np.stack([used.columns + 1.0, used.rows + 1.0], axis=1)
    if np.ptp(pitches, axis=0).min() < 1:
        raise CalibrationError(
            "Line resistance: the cells stand in one row or one column; cells spread over both are"
            " needed."
        )
    both, covariance, fitted = _regress(pitches, ohm, p.huber)
    one, one_covariance, _ = _regress(pitches.sum(axis=1, keepdims=True), ohm, p.huber)
    return LineResult(
        ohm=both[1:],
        sd_ohm=np.sqrt(np.diag(covariance))[1:],
        common_ohm=float(one[1]),
        common_sd_ohm=float(np.sqrt(one_covariance[1, 1])),
        cell_ohm=float(np.median(ohm - pitches @ both[1:])),
        spread_ohm=float(1.4826 * np.median(np.abs(ohm - fitted - np.median(ohm - fitted)))),
        cells=used,
        resistance_ohm=ohm,
        fitted_ohm=fitted,
        samples=samples,
    )


def _read(macro: Macro, cells: Cells, params: LineParams) -> tuple[FloatArray, int]:
    """Mean readings, in rounds until the reading's own noise does not matter any more."""
    rounds: list[FloatArray] = []
    while True:
        rounds.append(macro.read(cells, params.samples))
        stack = np.stack(rounds)
        mean = stack.mean(axis=0)
        if len(rounds) < 2:
            continue
        conducting = mean >= params.least_siemens
        noise = float(np.median(stack.std(axis=0, ddof=1)[conducting])) if conducting.any() else 0.0
        spread = float(mean[conducting].std()) if conducting.any() else 0.0
        known = noise / np.sqrt(len(rounds)) <= params.reading_share * spread
        if known or len(rounds) >= params.rounds_max:
            return mean, params.samples * len(rounds)


def _regress(
    pitches: FloatArray, ohm: FloatArray, huber: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Huber's estimate of intercept and slopes, by reweighting; coefficients, covariance, fit.

    The spread of cells grows with their resistance, so residuals count relative to the fit
    (P. J. Huber, Ann. Math. Stat. 35, 73, 1964; the covariance is the usual robust one).
    """
    basis = np.column_stack([np.ones(len(ohm)), pitches])
    found = np.array([np.median(ohm), *np.zeros(pitches.shape[1])])
    for _ in range(50):
        fitted = np.maximum(basis @ found, 0.1 * float(np.median(ohm)))
        left = (ohm - fitted) / fitted
        scale = max(1.4826 * float(np.median(np.abs(left - np.median(left)))), 1e-12)
        z = np.abs(left) / (huber * scale)
        weight = np.where(z <= 1.0, 1.0, 1.0 / np.maximum(z, 1.0))
        rows = basis / fitted[:, None]
        normal = rows.T @ (weight[:, None] * rows)
        step = np.linalg.solve(normal, rows.T @ (weight * left))
        found = found + step
        if np.abs(step[0]) < 1e-9 * abs(found[0]):
            break
    inverse = np.linalg.inv(normal)
    score = rows * (weight * left)[:, None]
    degrees = len(ohm) / max(len(ohm) - basis.shape[1], 1)
    covariance = degrees * inverse @ (score.T @ score) @ inverse
    return found, covariance, basis @ found
