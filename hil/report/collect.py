"""Report data from the results of calibration routines."""

from __future__ import annotations

import numpy as np

from calibration.forming import FormResult
from calibration.placement import Placement
from calibration.programming import CellStatus, ProgramResult
from drivers.rram.geometry import Cells, Geometry
from hil.report.data import Array, ProgrammingData
from protocols.errors import RecordError


def programming_data(
    result: ProgramResult,
    geometry: Geometry,
    *,
    forming: FormResult | None = None,
    placement: Placement | None = None,
) -> ProgrammingData:
    """The programming section of a report.

    Args:
        result: what programming did.
        geometry: size of the whole array.
        forming: adds the voltage at which each programmed cell formed.
        placement: adds the layer of each cell; its cells must be those of `result`, in order.

    Raises:
        RecordError: no cells, or a placement of other cells.
    """
    if placement is not None and not _same(placement.cells, result.cells):
        raise RecordError("the placement is not that of the cells that were programmed.")
    return ProgrammingData(
        rows=result.cells.rows,
        columns=result.cells.columns,
        array_rows=geometry.rows,
        array_columns=geometry.columns,
        target_siemens=result.target_siemens,
        reached_siemens=result.reached_siemens,
        pulses=result.pulses,
        status=np.array([CellStatus(int(code)).name.lower() for code in result.status]),
        tolerance_siemens=np.atleast_1d(result.tolerance_siemens),
        round_trips=result.round_trips,
        forming_volts=None if forming is None else _forming_volts(result.cells, geometry, forming),
        group=None if placement is None else placement.layer,
    )


def _same(one: Cells, other: Cells) -> bool:
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.columns, other.columns)


def _forming_volts(cells: Cells, geometry: Geometry, forming: FormResult) -> Array:
    volts = np.full(geometry.cells, np.nan)
    volts[forming.cells.flat(geometry)] = forming.volts
    picked: Array = volts[cells.flat(geometry)]
    return picked
