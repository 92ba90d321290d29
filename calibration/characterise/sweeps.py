"""What SET and RESET response share: one pulse from a prepared state, over gate, line and width.

Each point of a sweep is two pulses on a cell: a strong one of the other kind that puts it on the
far side, then the one that is asked for. So every point starts from the same kind of state, as
write-verify mostly does, and the order of the points does not matter. The row of each pulse (cell,
conductance before, pulse, conductance after) is kept: the cell model is fitted to such rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import FloatArray
from calibration.characterise.common import (
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    by_groups,
    groups,
    need,
)
from calibration.characterise.intervals import Interval, bootstrap, quantile_interval
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError
from protocols.messages import Operation

ROW = np.dtype(
    [
        ("row", "<u2"),
        ("column", "<u2"),
        ("before_siemens", "<f8"),
        ("before_s", "<f8"),
        ("operation", "u1"),
        ("gate_volts", "<f8"),
        ("line_volts", "<f8"),
        ("width_s", "<f8"),
        ("after_siemens", "<f8"),
        ("time_s", "<f8"),
        ("sweep", "u1"),
    ]
)
GATE, LINE, WIDTH, REPEAT, PREPARE = range(5)
"""What a row belongs to: one of the sweeps, or the pulse that prepared the cell."""

Direction = Literal["set", "reset"]


@dataclass(frozen=True)
class Pulse:
    """Volts at gate and line, and a width."""

    gate_volts: float
    line_volts: float
    width_s: float


@dataclass(frozen=True)
class SweepParams(RoutineParams):
    """The points, and when the cells are enough.

    Attributes:
        gate_volts, line_volts, widths_s: the sweeps; what is not swept is that of `middle`, and
            where `gate_sweep` or `line_sweep` says so, of those.
        middle: the pulse of the repeats and of the width sweep.
        gate_sweep, line_sweep: the fixed line of the gate sweep, the fixed gate of the line sweep.
        prepare: the pulse of the other kind before each point.
        repeats: how often the middle pulse is repeated, for the spread from cycle to cycle.
        threshold_siemens: the voltage at which the median crosses it is the threshold.
        group: cells of one round; least_cells, most_cells: of all.
        threshold_half_width: volts; of the interval of the gate threshold.
    """

    gate_volts: tuple[float, ...] = ()
    line_volts: tuple[float, ...] = ()
    widths_s: tuple[float, ...] = ()
    middle: Pulse = field(default_factory=lambda: Pulse(2.0, 2.0, 200e-9))
    gate_sweep_line_volts: float = 2.0
    line_sweep_gate_volts: float = 3.0
    prepare: Pulse = field(default_factory=lambda: Pulse(3.5, 2.8, 200e-9))
    repeats: int = 4
    threshold_siemens: float = 100e-6
    group: int = 16
    least_cells: int = 32
    most_cells: int = 160
    threshold_half_width: float = 0.01

    def points(self) -> list[tuple[int, Pulse]]:
        """Every point with the sweep that it belongs to, in the order in which it is driven."""
        middle = self.middle
        gates = [Pulse(v, self.gate_sweep_line_volts, middle.width_s) for v in self.gate_volts]
        lines = [Pulse(self.line_sweep_gate_volts, v, middle.width_s) for v in self.line_volts]
        widths = [Pulse(middle.gate_volts, middle.line_volts, w) for w in self.widths_s]
        sweeps = ((GATE, gates), (LINE, lines), (WIDTH, widths), (REPEAT, [middle] * self.repeats))
        return [(kind, pulse) for kind, pulses in sweeps for pulse in pulses]

    def cost(self, available: int) -> Cost:
        """Two pulses per point and cell."""
        cells, each = min(self.most_cells, available), 2 * len(self.points())
        return Cost(cells, cells * each, each, cells * each)

    def check(self) -> None:
        """Refuse what cannot be measured. Raises InputError."""
        each = 2 * len(self.points())
        if each > self.pulses_per_cell:
            raise InputError(
                f"The sweeps need {each} pulses per cell, {self.pulses_per_cell} are allowed."
            )
        if len(self.gate_volts) < 3 or list(self.gate_volts) != sorted(set(self.gate_volts)):
            raise InputError("gate_volts needs three or more rising voltages.")


def sweep(rig: Rig, direction: Direction, kind: str, params: SweepParams) -> Characterisation:
    """Drive the sweeps on group after group until the threshold is known well enough.

    Raises:
        LimitError: a point is over a limit; refused before the first pulse.
    """
    params.check()
    need(rig.cells, 8, kind)
    _check_limits(rig, direction, params)
    parts = groups(rig.cells[: params.most_cells], params.group)
    waiting = (cells for cells in parts if len(cells) >= 2)
    rows: list[NDArray[Any]] = []

    def measure(cells: Cells) -> None:
        rows.append(_measure(rig, cells, direction, params))
        rig.tell(params.most_cells, f"{kind}: {len(rows)} groups of cells")

    def tight() -> bool:
        values, found = table(np.concatenate(rows), GATE, "gate_volts")
        if len(found) < params.least_cells:
            return False
        threshold = _threshold(values, found, params)
        return threshold.half_width <= params.threshold_half_width

    stop = by_groups(rig, params, waiting, measure, tight)
    return Characterisation(
        kind,
        _figures(rows, direction, params),
        {"rows": np.concatenate(rows)},
        rig.account(stop),
        params.asked(),
        ("Every point starts from the state that the preparing pulse of the other kind left.",),
    )


def _operations(direction: Direction) -> tuple[Operation, Operation]:
    if direction == "set":
        return Operation.RESET, Operation.SET
    return Operation.SET, Operation.RESET


def _batch(cells: Cells, operation: Operation, pulse: Pulse) -> PulseBatch:
    return PulseBatch(
        cells,
        np.array(int(operation)),
        np.array(pulse.gate_volts),
        np.array(pulse.line_volts),
        np.array(pulse.width_s),
    )


def _check_limits(rig: Rig, direction: Direction, params: SweepParams) -> None:
    before, asked = _operations(direction)
    one = rig.cells[:1]
    rig.macro.limits.check(_batch(one, before, params.prepare))
    for _, pulse in params.points():
        rig.macro.limits.check(_batch(one, asked, pulse))


def _measure(rig: Rig, cells: Cells, direction: Direction, params: SweepParams) -> NDArray[Any]:
    """Every point on each of these cells; (2 * points * cells,) rows of dtype `ROW`."""
    before, asked = _operations(direction)
    state, rows, read_s = rig.read(cells), [], rig.macro.time_s
    with rig.armed():
        for number, (kind, pulse) in enumerate(params.points()):
            for operation, one, owner in (
                (before, params.prepare, PREPARE),
                (asked, pulse, kind),
            ):
                after = rig.pulse(_batch(cells, operation, one), f"{direction} response {number}")
                rows.append(_rows(rig, cells, (state, read_s), (operation, one, owner), after))
                state, read_s = after, rig.macro.time_s
    return np.concatenate(rows)


def _rows(
    rig: Rig,
    cells: Cells,
    before: tuple[FloatArray, float],
    driven: tuple[Operation, Pulse, int],
    after: FloatArray,
) -> NDArray[Any]:
    operation, pulse, owner = driven
    rows = np.zeros(len(cells), ROW)
    rows["row"], rows["column"] = cells.rows, cells.columns
    rows["before_siemens"], rows["before_s"] = before
    rows["after_siemens"] = after
    rows["operation"], rows["sweep"] = int(operation), owner
    rows["gate_volts"], rows["line_volts"] = pulse.gate_volts, pulse.line_volts
    rows["width_s"], rows["time_s"] = pulse.width_s, rig.macro.time_s
    return rows


def table(rows: NDArray[Any], owner: int, column: str) -> tuple[FloatArray, FloatArray]:
    """One sweep as a table: its values (points,) and conductances (cells, points)."""
    mine = rows[rows["sweep"] == owner]
    values = np.unique(mine[column])
    cells = np.unique(mine["row"].astype(np.int64) << 16 | mine["column"])
    found = np.full((cells.size, values.size), np.nan)
    at = np.searchsorted(cells, mine["row"].astype(np.int64) << 16 | mine["column"])
    found[at, np.searchsorted(values, mine[column])] = mine["after_siemens"]
    return values, found


def crossing(values: FloatArray, median: FloatArray, level: float) -> float:
    """Where a curve first crosses a level, linear between points; NaN where it does not."""
    above = median >= level
    change = np.flatnonzero(above[1:] != above[:-1])
    if not change.size:
        return float("nan")
    k = int(change[0])
    share = (level - median[k]) / (median[k + 1] - median[k])
    return float(values[k] + share * (values[k + 1] - values[k]))


def _figures(
    rows: list[NDArray[Any]], direction: Direction, params: SweepParams
) -> dict[str, Interval]:
    together, level = np.concatenate(rows), params.confidence
    figures = {}
    for owner, column, name in ((GATE, "gate_volts", "gate"), (LINE, "line_volts", "line")):
        values, found = table(together, owner, column)
        if values.size > 1:
            figures[f"{name}_threshold_volts"] = _threshold(values, found, params)
    values, found = table(together, GATE, "gate_volts")
    figures["end_siemens"] = quantile_interval(found[:, -1], 0.5, "S", level)
    return figures | _spreads(together, direction, level)


def _threshold(values: FloatArray, found: FloatArray, params: SweepParams) -> Interval:
    def middle(cells: FloatArray) -> float:
        return crossing(values, np.median(cells, axis=0), params.threshold_siemens)

    return bootstrap(found, middle, "V", params.confidence)


def _spreads(rows: NDArray[Any], direction: Direction, level: float) -> dict[str, Interval]:
    """Spread between cells and from cycle to cycle at the middle pulse: SET in S, RESET in ln G."""
    mine = rows[rows["sweep"] == REPEAT]
    if not mine.size:
        return {}
    key = mine["row"].astype(np.int64) << 16 | mine["column"]
    order = np.argsort(key, kind="stable")
    cells = np.unique(key).size
    found = mine["after_siemens"][order].reshape(cells, -1)
    data = found if direction == "set" else np.log(np.maximum(found, 1e-9))
    unit, ending = ("S", "siemens") if direction == "set" else ("", "ln")
    repeats = data.shape[1]

    def within(part: FloatArray) -> float:
        return float(np.sqrt(part.var(axis=1, ddof=1).mean()))

    def between(part: FloatArray) -> float:
        noise = part.var(axis=1, ddof=1).mean() / repeats
        return float(np.sqrt(max(part.mean(axis=1).var(ddof=1) - noise, 0.0)))

    return {
        "middle_siemens": quantile_interval(np.median(found, axis=1), 0.5, "S", level),
        f"cycle_to_cycle_{ending}": bootstrap(data, within, unit, level),
        f"device_to_device_{ending}": bootstrap(data, between, unit, level),
    }
