"""Response: how cells answer the pulses of a menu, and the cell model fitted to it.

Unlike SET and RESET response, whose sweeps are made for looking at, this one drives what
programming will drive; predictive programming plans with the model that is fitted to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.cell_model import CellModel, MeasureParams, ResponseData, measure_response
from calibration.characterise.common import (
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    by_groups,
    groups,
    need,
)
from calibration.characterise.intervals import Interval, mean_interval
from calibration.programming.menu import PulseMenu
from drivers.rram.geometry import Cells
from protocols.messages import Operation

KIND = "response"


@dataclass(frozen=True)
class ResponseParams(RoutineParams):
    """What it may cost, and when the cells are enough.

    Attributes:
        menu: the pulses; those within the limits are driven. None takes the default menu.
        start: the belief that is adapted to the chip; None fits nothing.
        group: cells of one round; most_cells: of all (5 % of 128 x 128 cells is 819).
        ln_half_width: of the intervals of the typical ln G after SET and after RESET pulses.
        seed: of the choice of pulses.
    """

    menu: PulseMenu | None = None
    start: CellModel | None = None
    group: int = 64
    most_cells: int = 512
    pulses_per_cell: int = 50
    ln_half_width: float = 0.05
    seed: int = 1

    def cost(self, available: int) -> Cost:
        """The whole budget."""
        cells = min(self.most_cells, available)
        pulses = cells * self.pulses_per_cell
        return Cost(cells, pulses, self.pulses_per_cell, pulses)


def run(rig: Rig, params: ResponseParams) -> Characterisation:
    """Rows of the chip's own response, and the model fitted to them.

    Raises:
        InputError: no pulse of the menu is within the limits; nothing was driven.
        CalibrationError: the rows are too few or too strange for a fit.
    """
    need(rig.cells, 16, KIND)
    menu = (params.menu or PulseMenu.default()).within(rig.macro.limits)
    waiting = groups(rig.cells[: params.most_cells], params.group)
    parts: list[ResponseData] = []

    def measure(cells: Cells) -> None:
        parts.append(_measure(rig, cells, menu, params, params.seed + len(parts)))
        rig.tell(params.most_cells, f"response: {len(parts)} groups of cells")

    def tight() -> bool:
        found = _figures(ResponseData.join(parts), params)
        return all(one.half_width <= params.ln_half_width for one in found.values())

    stop = by_groups(rig, params, waiting, measure, tight)
    records = ResponseData.join(parts)
    model = None if params.start is None else CellModel.fit(records, params.start)
    return Characterisation(
        KIND,
        _figures(records, params),
        records.to_arrays(),
        rig.account(stop),
        params.asked() | {"menu_entries": len(menu)},
        () if model is None else ("The model fitted to these rows is kept beside them.",),
        model,
    )


def _measure(
    rig: Rig, cells: Cells, menu: PulseMenu, params: ResponseParams, seed: int
) -> ResponseData:
    asked = MeasureParams(
        menu, pulses_per_cell=params.pulses_per_cell, share_of_cells=1.0, seed=seed
    )
    found = measure_response(rig.macro, cells, asked, rig.wait)
    flat = np.unique(found.cell)
    columns = rig.macro.geometry.columns
    rig.count(Cells(flat // columns, flat % columns), found.pulses_per_cell)
    rig.reads += len(found)
    return found


def _figures(records: ResponseData, params: ResponseParams) -> dict[str, Interval]:
    """Typical ln G after each kind of pulse: the mean over cells of their own means."""
    figures = {}
    for operation, name in ((Operation.SET, "set"), (Operation.RESET, "reset")):
        mine = records.operation == int(operation)
        each = _means(records.cell[mine], np.log(np.maximum(records.siemens_after[mine], 1e-9)))
        figures[f"ln_after_{name}"] = mean_interval(each, "", params.confidence)
    return figures


def _means(cell: np.ndarray, values: FloatArray) -> FloatArray:
    _, which = np.unique(cell, return_inverse=True)
    return np.asarray(np.bincount(which, weights=values) / np.maximum(np.bincount(which), 1))
