"""I-V: whether the current of a read is proportional to the voltage of the read.

Cells at several levels are read at several read voltages, up to the read limit of the board, in
turn and several times, so that slow noise and movement fall on all voltages alike. Fitted is
I = A sinh(b V) / b + I0 (an offset I0 of the board's converter looks like a conductance that falls
with the voltage). Voltages at which a reading is at the end of the converter's scale are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from calibration.arrays import FloatArray
from calibration.characterise.common import (
    PREPARING_PULSES,
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    by_groups,
    groups,
    need,
)
from calibration.characterise.intervals import Interval, bootstrap
from calibration.characterise.levels import Levels, bring, joined, middle, name
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from protocols.errors import InputError

KIND = "current_voltage"
SQUARES = np.linspace(-4.0, 24.0, 225)
"""b squared (per volt squared) that is tried; below 0 the current saturates (sin for sinh)."""
REFERENCE_VOLTS = 0.2  # the levels are given at the voltage of the points nearest to it
FULL_SCALE_SHARE = 0.97  # readings above this share of the scale are left out


@dataclass(frozen=True)
class CurrentVoltageParams(RoutineParams):
    """Levels, read voltages, and when the cells are enough.

    Attributes:
        levels_siemens: where it is wanted.
        lowest_volts, points: read voltages, evenly from the lowest to the board's read limit.
        samples: conversions of one reading; sweeps: how often the voltages are gone through.
        group: cells of one round, shared out over the levels; most_cells: of all.
        ratio_half_width: of the interval of the conductance at the highest voltage over that at
            the lowest, at every level.
    """

    levels_siemens: tuple[float, ...] = (20e-6, 45e-6, 80e-6, 120e-6)
    lowest_volts: float = 0.1
    points: int = 8
    samples: int = 4
    sweeps: int = 4
    group: int = 48
    most_cells: int = 288
    settle_s: float = 10.0
    ratio_half_width: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 4:
            raise InputError(f"points={self.points}: four or more read voltages are needed.")

    def cost(self, available: int) -> Cost:
        """At most; programming to a level ends earlier in most cells."""
        cells = min(self.most_cells, available)
        reads = self.points * self.samples * self.sweeps + PREPARING_PULSES
        rounds = -(-cells // self.group)
        return Cost(
            cells,
            cells * PREPARING_PULSES,
            PREPARING_PULSES,
            cells * reads,
            rounds * self.settle_s,
        )


def run(rig: Rig, params: CurrentVoltageParams) -> Characterisation:
    """Non-linearity of the read, by level.

    Raises:
        LimitError: a read voltage is over the board's limit.
    """
    need(rig.cells, 4 * len(params.levels_siemens), KIND)
    highest = rig.macro.limits.bounds["read_volts"].value
    asked = np.linspace(params.lowest_volts, highest, params.points)
    readers = [_reader(rig.macro, float(volts)) for volts in asked]
    waiting = groups(rig.cells[: params.most_cells], params.group)
    parts: list[Levels] = []
    found: list[FloatArray] = []

    def measure(cells: Cells) -> None:
        parts.append(bring(rig, cells, params.levels_siemens))
        rig.wait(params.settle_s)
        found.append(_sweep(rig, parts[-1], readers, params))
        rig.tell(params.most_cells, f"current-voltage: {len(parts)} groups of cells")

    volts = np.array([reader.read_volts for reader in readers])

    def tight() -> bool:
        ratios = [v for k, v in _figures(parts, found, volts, params).items() if "ratio" in k]
        return all(one.half_width <= params.ratio_half_width for one in ratios)

    stop = by_groups(rig, params, waiting, measure, tight)
    return Characterisation(
        KIND,
        _figures(parts, found, volts, params),
        {
            "level": joined(parts)[0],
            "read_volts": volts,
            "siemens": np.concatenate(found),
        },
        rig.account(stop),
        params.asked(),
        ("Readings near the end of the converter's scale are left out.",),
    )


def _reader(macro: Macro, volts: float) -> Macro:
    """The same board, limits and journal at another read voltage; it is used for reading only."""
    return Macro(
        macro.board, macro.geometry, macro.curves, macro.limits, volts, dry_run=macro.dry_run
    )


def _sweep(
    rig: Rig, part: Levels, readers: list[Macro], params: CurrentVoltageParams
) -> FloatArray:
    """(cells, voltages) mean apparent conductance; NaN where the converter was at its end."""
    total = np.zeros((len(part.cells), len(readers)))
    for turn in range(params.sweeps):
        order = range(len(readers)) if turn % 2 == 0 else reversed(range(len(readers)))
        for k in order:
            reading = readers[k].read(part.cells, params.samples)
            over = reading > FULL_SCALE_SHARE * readers[k].full_scale_siemens
            total[:, k] += np.where(over, np.nan, reading)
            rig.reads += params.samples * len(part.cells)
    return total / params.sweeps


def _figures(
    parts: list[Levels], found: list[FloatArray], volts: FloatArray, params: CurrentVoltageParams
) -> dict[str, Interval]:
    level, siemens = joined(parts)[0], np.concatenate(found)
    nearest = int(np.argmin(np.abs(volts - REFERENCE_VOLTS)))
    figures = middle(siemens[:, nearest], level, params.levels_siemens, params.confidence)
    for k, at in enumerate(params.levels_siemens):
        mine = siemens[level == k]
        seen = np.isfinite(mine).all(axis=0) if len(mine) else np.zeros(volts.size, bool)
        if np.count_nonzero(seen) < 4:
            figures[f"ratio_{name(at)}"] = Interval.nothing("", params.confidence)
            continue
        used, data = volts[seen], mine[:, seen]
        for label, law, unit in (("ratio", _ratio, ""), ("b", _per_volt, "1/V")):
            one = bootstrap(data, partial(law, volts=used), unit, params.confidence, 200)
            figures[f"{label}_{name(at)}"] = one
    return figures


def square_of(data: FloatArray, volts: FloatArray) -> float:
    """b squared of the mean relative I-V of cells (cells, voltages) of apparent conductance.

    For each b tried, scale and offset follow by least squares; the best b is refined by a parabola.
    """
    relative = (data / data.mean(axis=1, keepdims=True)).mean(axis=0)
    rest = _rests(tuple(volts.tolist())) @ (relative * volts)
    misfit = np.sum(rest * rest, axis=1)
    k = int(np.clip(np.argmin(misfit), 1, SQUARES.size - 2))
    left, middle, right = misfit[k - 1 : k + 2]
    bend = left - 2.0 * middle + right
    step = 0.5 * (left - right) / bend if bend > 0.0 else 0.0
    return float(SQUARES[k] + np.clip(step, -1.0, 1.0) * (SQUARES[1] - SQUARES[0]))


@lru_cache(maxsize=32)
def _rests(volts: tuple[float, ...]) -> FloatArray:
    """(squares, voltages, voltages): what is left of a current after the best scale and offset."""
    at, made = np.asarray(volts), []
    for square in SQUARES:
        basis = np.stack([shape(at, float(square)), np.ones_like(at)], axis=1)
        made.append(np.eye(at.size) - basis @ np.linalg.pinv(basis))
    return np.stack(made)


def shape(volts: FloatArray, square: float) -> FloatArray:
    """sinh(b V) / b for b squared of either sign."""
    b = np.sqrt(abs(square))
    if b < 1e-6:
        return np.asarray(volts, np.float64)
    return np.asarray(np.sinh(b * volts) / b if square > 0 else np.sin(b * volts) / b)


def _ratio(data: FloatArray, volts: FloatArray) -> float:
    """Conductance at the highest of the voltages over that at the lowest."""
    curve = shape(volts, square_of(data, volts)) / volts
    return float(curve[-1] / curve[0])


def _per_volt(data: FloatArray, volts: FloatArray) -> float:
    return float(np.sqrt(max(square_of(data, volts), 0.0)))
