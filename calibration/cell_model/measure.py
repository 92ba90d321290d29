"""Drive a few cells of a chip with pulses of the menu and write down how they respond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.cell_model.data import READ_ONLY, ResponseData
from calibration.cell_model.design import Design
from calibration.programming.menu import PulseMenu
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError, NotFormedError


@dataclass(frozen=True)
class MeasureParams:
    """What a response measurement may cost.

    Attributes:
        menu: the pulses that may be used.
        pulses_per_cell: at most this many for each cell.
        share_of_cells: at most this share of the cells handed over is driven.
        seed: of the choice of cells and pulses.
        unformed_siemens: a cell that reads below it is left alone.
        armed_s: time for which the board is armed.
        re_reads: pairs of readings without a pulse between, at the end.
        settle_s: wait before them.
        even_share: of the pulses, drawn evenly over the menu; the others are drawn where pulses
            lead to conductances that are programmed.
    """

    menu: PulseMenu
    pulses_per_cell: int = 50
    share_of_cells: float = 0.05
    seed: int = 0
    unformed_siemens: float = 0.5e-6
    armed_s: float = 600.0
    re_reads: int = 4
    settle_s: float = 1.0
    even_share: float = 0.35

    def __post_init__(self) -> None:
        if self.pulses_per_cell < 1:
            raise InputError(f"pulses_per_cell={self.pulses_per_cell} must be at least 1.")
        if not 0.0 < self.share_of_cells <= 1.0:
            raise InputError(f"share_of_cells={self.share_of_cells} must lie in (0, 1].")
        if not 0.0 < self.even_share <= 1.0:
            raise InputError(f"even_share={self.even_share} must lie in (0, 1].")


def measure_response(
    macro: Macro,
    cells: Cells,
    params: MeasureParams,
    wait: Callable[[float], None] | None = None,
    progress: Progress = silent,
) -> ResponseData:
    """Drive at most `share_of_cells` of `cells`; one row per pulse.

    `wait` lets seconds of bench time pass before the re-reads; None does not wait.

    Raises:
        InputError: no cells, or a menu without one of the operations.
        LimitError: a pulse of the menu is over a limit of the board; nothing was driven.
        NotFormedError: none of the chosen cells is formed.
    """
    params.menu.check(macro.limits)
    chosen = _chosen(macro, cells, params)
    rng = np.random.Generator(np.random.Philox(params.seed))
    flat, menu = chosen.flat(macro.geometry), params.menu
    reading, at_s = macro.read(chosen), macro.time_s
    rows, design = list[ResponseData](), Design(menu, params.even_share)
    with macro.armed(params.armed_s, renewing=True):
        for number in range(params.pulses_per_cell):
            entry = design.draw(number, len(chosen), rng)
            batch = menu.batch(chosen, entry)
            after = macro.pulse_read(batch, label=f"response {number + 1}")
            rows.append(_rows(flat, reading, batch, after, at_s, macro.time_s))
            design.heard(entry, reading, after)
            reading, at_s = after, macro.time_s
            progress(number + 1, params.pulses_per_cell, "response", reading)
    if wait is not None and not macro.dry_run:
        wait(params.settle_s)
    rows += _read_again(macro, chosen, flat, params.re_reads)
    return ResponseData.join([_readable(part) for part in rows])


def _chosen(macro: Macro, cells: Cells, params: MeasureParams) -> Cells:
    """The formed ones of a random choice of the cells."""
    if not len(cells):
        raise InputError("No cells to measure: the list of cells is empty.")
    count = max(int(params.share_of_cells * len(cells)), 1)
    order = np.random.Generator(np.random.Philox(params.seed)).permutation(len(cells))
    tried = cells[np.sort(order[:count])]
    formed = macro.read(tried) >= params.unformed_siemens
    if not formed.any():
        raise NotFormedError(
            f"None of the {count} cells chosen for the response measurement is formed (all read "
            f"below {params.unformed_siemens:.3g} S); form them first. Nothing was driven."
        )
    return tried[np.flatnonzero(formed)]


def _rows(
    flat: IntArray,
    before: FloatArray,
    batch: PulseBatch,
    after: FloatArray,
    before_s: float,
    after_s: float,
) -> ResponseData:
    n = flat.size
    return ResponseData(
        flat,
        np.nan_to_num(before),
        batch.operation,
        batch.gate_volts,
        batch.line_volts,
        batch.width_s,
        np.nan_to_num(after),
        np.full(n, before_s),
        np.full(n, after_s),
    )


def _read_again(macro: Macro, cells: Cells, flat: IntArray, times: int) -> list[ResponseData]:
    """Readings one after the other without a pulse between: what read noise does."""
    zero, kind = np.zeros(flat.size), np.full(flat.size, READ_ONLY)
    before, before_s = macro.read(cells), macro.time_s
    rows = []
    for _ in range(times):
        after, after_s = macro.read(cells), macro.time_s
        start, end = np.full(flat.size, before_s), np.full(flat.size, after_s)
        rows.append(ResponseData(flat, before, kind, zero, zero, zero, after, start, end))
        before, before_s = after, after_s
    return rows


def _readable(rows: ResponseData) -> ResponseData:
    """Rows with two readings above nothing; a dry run has none."""
    return rows[np.flatnonzero((rows.siemens_before > 0.0) & (rows.siemens_after > 0.0))]
