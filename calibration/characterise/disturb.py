"""Half-select disturb: what pulses on one cell do to the other cells of its column.

The gate of a column is open for all its rows, so whatever the unselected bit lines and the source
line let through works on cells that nobody asked for. In each of some columns half of the formed
cells (aggressors) get pulses; the other half (victims) and cells of untouched columns (controls)
are only read. What the typical victim moved beyond the typical control is the disturb; controls
relax and are read just as often, so neither counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calibration.arrays import FloatArray
from calibration.characterise.common import (
    PREPARING_PULSES,
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    by_groups,
)
from calibration.characterise.intervals import SEED, Interval
from calibration.characterise.sweeps import Pulse
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError
from protocols.messages import Operation

KIND = "disturb"
RESAMPLES = 400


@dataclass(frozen=True)
class DisturbParams(RoutineParams):
    """Which pulses, how many, and when the columns are enough.

    Attributes:
        set, reset: the pulses that aggressors get.
        set_victims_siemens, reset_victims_siemens: where victims and controls are brought before;
            a SET can only raise and a RESET only lower, so they start low and high.
        pulses: given to the aggressors of a column together, read after each of `looks` counts.
        looks: rising numbers of pulses per column after which victims are read.
        columns: of one round; most_columns: of all. As many columns again are controls.
        most_cells: cells that take part, over all columns.
        samples: conversions of a reading.
        shift_half_width: of the interval of the change of ln G after all pulses.
    """

    set: Pulse = field(default_factory=lambda: Pulse(2.5, 2.0, 200e-9))
    reset: Pulse = field(default_factory=lambda: Pulse(3.5, 2.8, 200e-9))
    set_victims_siemens: float = 60e-6
    reset_victims_siemens: float = 180e-6
    looks: tuple[int, ...] = (1, 3, 10, 30, 100, 300)
    columns: int = 6
    most_columns: int = 24
    most_cells: int = 512
    samples: int = 4
    shift_half_width: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.looks) != sorted(set(self.looks)):
            raise InputError(f"looks={self.looks} must rise.")

    def cost(self, available: int) -> Cost:
        """At most; `available` cells shared out over the columns."""
        columns = self.most_columns
        cells = min(self.most_cells, available)
        pulses = 2 * (columns * self.looks[-1] + cells * PREPARING_PULSES)
        each = 2 * (self.looks[-1] + PREPARING_PULSES)
        reads = 2 * cells * (self.samples * (len(self.looks) + 1) + PREPARING_PULSES)
        return Cost(cells, pulses, each, reads)


@dataclass(frozen=True)
class _Group:
    """Cells of one round."""

    aggressors: Cells
    victims: Cells
    controls: Cells


def run(rig: Rig, params: DisturbParams) -> Characterisation:
    """Change of ln G of victims beyond that of controls, after SET and after RESET pulses.

    Raises:
        InputError: fewer than two columns have two formed cells or more.
    """
    waiting = _groups(rig.cells[: params.most_cells], params)
    found: dict[str, list[tuple[FloatArray, FloatArray]]] = {"reset": [], "set": []}

    def measure(group: _Group) -> None:
        for kind in found:
            found[kind].append(_phase(rig, group, kind, params))
        rig.tell(params.most_cells, f"disturb: {len(found['set'])} groups of columns")

    def tight() -> bool:
        shifts = [v for k, v in _figures(found, params).items() if k.startswith("shift_")]
        return all(one.half_width <= params.shift_half_width for one in shifts)

    stop = by_groups(rig, params, waiting, measure, tight)
    arrays = {"pulses": np.array((0, *params.looks))}
    for kind, parts in found.items():
        arrays[f"{kind}_victims_ln"] = np.concatenate([victims for victims, _ in parts])
        arrays[f"{kind}_controls_ln"] = np.concatenate([controls for _, controls in parts])
    return Characterisation(
        KIND,
        _figures(found, params),
        arrays,
        rig.account(stop),
        params.asked(),
        ("Shifts are changes of ln G of victims less those of controls, after all pulses.",),
    )


def _groups(cells: Cells, params: DisturbParams) -> list[_Group]:
    columns, counts = np.unique(cells.columns, return_counts=True)
    busy = columns[np.argsort(-counts, kind="stable")]
    busy = busy[np.sort(-counts) <= -2][: 2 * params.most_columns]
    if busy.size < 2:
        raise InputError(
            "Half-select disturb needs two columns with at least two formed cells each; form more "
            "cells with hil characterise forming"
        )
    made = []
    for start in range(0, busy.size - 1, 2 * params.columns):
        part = busy[start : start + 2 * params.columns]
        driven, still = part[0::2], part[1::2]
        if not still.size:
            continue
        inside = np.flatnonzero(np.isin(cells.columns, driven))
        order = inside[np.lexsort((cells.rows[inside], cells.columns[inside]))]
        rank = _rank(cells.columns[order])
        controls = np.flatnonzero(np.isin(cells.columns, still))
        driven_cells, victims = order[rank % 2 == 0], order[rank % 2 == 1]
        made.append(_Group(cells[driven_cells], cells[victims], cells[controls]))
    return made


def _rank(columns: np.ndarray) -> np.ndarray:
    """Position of each cell within its own column."""
    starts = np.flatnonzero(np.r_[True, columns[1:] != columns[:-1]])
    sizes = np.diff(np.r_[starts, columns.size])
    return np.arange(columns.size) - np.repeat(starts, sizes)


def _phase(
    rig: Rig, group: _Group, kind: str, params: DisturbParams
) -> tuple[FloatArray, FloatArray]:
    """ln G of victims and controls at every look, (cells, looks + 1)."""
    is_set = kind == "set"
    level = params.set_victims_siemens if is_set else params.reset_victims_siemens
    watched = Cells(
        np.concatenate([group.victims.rows, group.controls.rows]),
        np.concatenate([group.victims.columns, group.controls.columns]),
    )
    # Near to one another in time, so that both relax alike; aggressors are left as they are.
    rig.program(watched, np.full(len(watched), level))
    looks, done = [rig.read(watched, params.samples)], 0
    for count in params.looks:
        with rig.armed():
            rig.pulse(_pulses(group.aggressors, done, count, kind, params), f"disturb by {kind}")
        done = count
        looks.append(rig.read(watched, params.samples))
    ln = np.log(np.maximum(np.stack(looks, axis=1), 1e-9))
    return ln[: len(group.victims)], ln[len(group.victims) :]


def _pulses(
    aggressors: Cells, first: int, last: int, kind: str, params: DisturbParams
) -> PulseBatch:
    """Pulses `first` to `last` of every column, its aggressors taking turns."""
    pulse = params.set if kind == "set" else params.reset
    operation = Operation.SET if kind == "set" else Operation.RESET
    chosen = []
    for column in np.unique(aggressors.columns):
        mine = np.flatnonzero(aggressors.columns == column)
        chosen.append(mine[np.arange(first, last) % mine.size])
    at = np.stack(chosen, axis=1).ravel()
    return PulseBatch(
        aggressors[at],
        np.array(int(operation)),
        np.array(pulse.gate_volts),
        np.array(pulse.line_volts),
        np.array(pulse.width_s),
    )


def _figures(
    found: dict[str, list[tuple[FloatArray, FloatArray]]], params: DisturbParams
) -> dict[str, Interval]:
    figures = {}
    for kind, parts in found.items():
        victims = np.concatenate([v for v, _ in parts])
        controls = np.concatenate([c for _, c in parts])
        change = (victims[:, -1] - victims[:, 0], controls[:, -1] - controls[:, 0])
        figures[f"shift_{kind}"] = _difference(*change, params.confidence)
    return figures


def _difference(victims: FloatArray, controls: FloatArray, confidence: float) -> Interval:
    """Difference of the medians, bootstrapped over both sets of cells.

    Medians, because a few cells relax by far more than a disturb would move them.
    """
    if victims.size < 4 or controls.size < 4:
        return Interval.nothing("", confidence)
    rng = np.random.default_rng(SEED)
    drawn = np.median(rng.choice(victims, (RESAMPLES, victims.size)), axis=1)
    drawn = drawn - np.median(rng.choice(controls, (RESAMPLES, controls.size)), axis=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(drawn, (tail, 100.0 - tail))
    value = float(np.median(victims) - np.median(controls))
    return Interval(value, float(low), float(high), "", confidence)
