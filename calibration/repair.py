"""Repair: choose the last layer anew for the network as it was measured, and say which cells move.

The last layer is a few dozen cells of which every weight counts directly, so what the hidden layers
got wrong is made up for there as far as words and embedding do not do it already. The fit
(`calibration.repair_flow`) says by how much each weight should change from what was measured; here
that becomes targets. A weight is moved by one arm of its pair where that is enough, the other arm
keeps its age: of the two ways the one that ends at the higher conductance is taken, where cells are
quieter. Cells that cannot be programmed stay, and their partners do the work.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.placement import Placement
from calibration.twin import Twin
from protocols.errors import InputError

LOWEST_SIEMENS = 2e-6  # of a target, as `ProgramParams.lowest_siemens`


@dataclass(frozen=True)
class RepairParams:
    """When repairing is worth it. This project's choice.

    Attributes:
        rounds: re-program the last layer so often, at most.
        last_sd: how far a weight of the last layer is expected to move, over its largest.
        least_gain: a round must be expected to take this fraction off the end-point error.
        least_siemens: a weight that is to move by less stays.
        samples: conversions per cell of the read-back.
        good_enough: no repair below this end-point error, over the size of the ends.
    """

    rounds: int = 2
    last_sd: float = 0.1
    least_gain: float = 0.1
    least_siemens: float = 1.5e-6
    samples: int = 64
    good_enough: float = 0.01

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.samples < 1:
            raise InputError(f"Repair: rounds={self.rounds}, samples={self.samples}; at least 1.")
        for name in ("last_sd", "least_gain", "least_siemens", "good_enough"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"Repair: {name}={value}; a positive number is needed.")


@dataclass(frozen=True)
class Cure:
    """The cells to re-program, (m,) indices into the placement, and their new targets."""

    index: IntArray
    target_siemens: FloatArray

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class RepairRound:
    """One round: what was expected of it and what it gave.

    Attributes:
        error_before: end-point error as measured before it, with the best drive.
        error_expected: with the last layer as planned.
        error_after: as measured after it, with the best drive.
        cells, pulses: how many were re-programmed with how many pulses together.
        in_tolerance: how many of them reached their target.
        bench_s: time on the board's clock.
    """

    error_before: float
    error_expected: float
    error_after: float
    cells: int
    pulses: int
    in_tolerance: int
    bench_s: float


@dataclass(frozen=True)
class RepairResult:
    """What repairing did.

    Attributes:
        error_ideal_drive: end-point error of the network as programmed with the ideal drive.
        error_before, error_after: with the drive trimmed, before the first and after the last
            round; fractions of the ends' size, as predicted by the measured twin.
        rounds: one entry each.
        reason: why it stopped.
        placement: with the new targets.
    """

    error_ideal_drive: float
    error_before: float
    error_after: float
    rounds: tuple[RepairRound, ...]
    reason: str
    placement: Placement

    @property
    def pulses(self) -> int:
        """Extra pulses of all cells together."""
        return sum(one.pulses for one in self.rounds)

    @property
    def bench_s(self) -> float:
        """Extra time on the board's clock."""
        return sum(one.bench_s for one in self.rounds)

    def summary(self) -> dict[str, object]:
        """Figures for a table."""
        return {
            "error_ideal_drive": self.error_ideal_drive,
            "error_before": self.error_before,
            "error_after": self.error_after,
            "rounds": len(self.rounds),
            "cells": sum(one.cells for one in self.rounds),
            "pulses": self.pulses,
            "bench_s": self.bench_s,
            "reason": self.reason,
        }

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {**self.summary(), "per_round": [asdict(one) for one in self.rounds]}


def last_range(
    placement: Placement, twin: Twin, reading_siemens: FloatArray, unit_volts: float
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest (2, width + 1) that the last layer's weights can be brought to.

    Counted from the twin's weights, so that its stages' errors are in both; the last column is the
    bias as the weight of one unit of voltage. A weight that stands outside may stay where it is.
    """
    now = _weights_of(twin, unit_volts)
    low, high = _cell_range(placement, reading_siemens)
    lowest, highest = now.copy(), now.copy()
    block = placement.blocks[-1]
    for k in np.flatnonzero(placement.layer == len(placement.blocks) - 1):
        where = placement.output[k], placement.input[k]
        down, up = low[k] - reading_siemens[k], high[k] - reading_siemens[k]
        if placement.sign[k] < 0:
            down, up = -up, -down
        lowest[where] += block.feedback_ohm * min(down, 0.0)
        highest[where] += block.feedback_ohm * max(up, 0.0)
    return lowest, highest


def plan_cure(
    placement: Placement,
    measured: Twin,
    wanted: Twin,
    reading_siemens: FloatArray,
    params: RepairParams,
    unit_volts: float,
) -> Cure:
    """The cells that bring the last layer from `measured` to `wanted`.

    Args:
        placement: what is on the chip; its fixed cells are left alone.
        measured, wanted: twins that differ in the last layer.
        reading_siemens: (n,) every cell of the placement as read.
        params: the least change that is worth pulses.
        unit_volts: as for `last_range`.

    Raises:
        InputError: not one reading per cell.
    """
    if reading_siemens.shape != placement.target_siemens.shape:
        raise InputError(f"{reading_siemens.shape} readings of {len(placement)} cells.")
    change = _weights_of(wanted, unit_volts) - _weights_of(measured, unit_volts)
    change = change / placement.blocks[-1].feedback_ohm
    low, high = _cell_range(placement, reading_siemens)
    partner, new = placement.partner(), {}
    for k in np.flatnonzero(placement.layer == len(placement.blocks) - 1):
        other = int(partner[k])
        move = float(placement.sign[k] * change[placement.output[k], placement.input[k]])
        if abs(move) < params.least_siemens or (other >= 0 and placement.sign[k] < 0):
            continue  # a pair is moved once, counted from its positive arm
        new.update(_moved(int(k), other, move, reading_siemens, low, high))
    index = np.array(sorted(new), dtype=np.int64)
    return Cure(index, np.array([new[int(k)] for k in index]))


def _moved(
    k: int, other: int, move: float, now: FloatArray, low: FloatArray, high: FloatArray
) -> dict[int, float]:
    """New targets that raise G_k - G_other by `move`, by one arm if one is enough."""
    ways = {k: float(now[k] + move)}
    if other >= 0:
        ways[other] = float(now[other] - move)
    fits = {at: to for at, to in ways.items() if low[at] < high[at] and low[at] <= to <= high[at]}
    if fits:
        best = max(fits, key=lambda at: fits[at])
        return {best: fits[best]}
    if other < 0:
        return _held({k: ways[k]}, low, high)
    first = float(np.clip(now[k] + move, low[k], high[k]))  # the rest is the other arm's
    rest = move - (first - float(now[k]))
    return _held({k: first, other: float(now[other]) - rest}, low, high)


def _held(ways: dict[int, float], low: FloatArray, high: FloatArray) -> dict[int, float]:
    free = {at: to for at, to in ways.items() if low[at] < high[at]}
    return {at: float(np.clip(to, low[at], high[at])) for at, to in free.items()}


def _cell_range(placement: Placement, reading: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n,) where each cell can be brought: the window, or where a fixed cell stands.

    The partner of a fixed cell may go lower, down to what programming routines take at all.
    """
    fixed, partner = _fixed(placement), placement.partner()
    low, high = placement.window_siemens
    alone = (partner >= 0) & fixed[partner]
    lowest = np.where(alone, min(low, LOWEST_SIEMENS), low)
    lowest = np.minimum(lowest, placement.target_siemens)
    highest = np.maximum(high, placement.target_siemens)
    return np.where(fixed, reading, lowest), np.where(fixed, reading, highest)


def _fixed(placement: Placement) -> BoolArray:
    none = np.zeros(len(placement), dtype=np.bool_)
    return none if placement.fixed is None else placement.fixed


def _weights_of(twin: Twin, unit_volts: float) -> FloatArray:
    return np.column_stack([twin.weights[-1], twin.bias_volts[-1] / unit_volts])
