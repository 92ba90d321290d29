"""Which windows lie beyond what the strongest pulse that a board allows does to a cell."""

from __future__ import annotations

import numpy as np
from _chips import ChipShop, FormedChip
from _programming_tasks import Outcome, Task
from numpy.typing import NDArray

from drivers.rram.pulses import PulseBatch
from protocols.messages import Operation

WIDTH_S = 200e-9  # the longest of the published comparisons
TRIES = 12
ARMED_S = 600.0


def out_of_reach(shop: ChipShop, chip: FormedChip, task: Task) -> NDArray[np.bool_]:
    """(n,) cells that `TRIES` SETs at both limits of the board leave short of their window every
    time, by reading; on a copy of the chip."""
    short = np.ones(len(chip.cells), np.bool_)
    with shop.copy(chip) as copy:
        limits = copy.macro.limits
        gate, line = (
            limits.bound(Operation.SET, name).value for name in ("gate_volts", "line_volts")
        )
        batch = PulseBatch.set(chip.cells, gate_volts=gate, line_volts=line, width_s=WIDTH_S)
        with copy.macro.armed(ARMED_S, renewing=True):
            for _ in range(TRIES):
                reading = copy.macro.pulse_read(batch, label="reach")
                short &= reading < task.target - task.tolerance
    return short


def reach_figures(outcomes: list[Outcome], short: list[NDArray[np.bool_]]) -> dict[str, float]:
    """How many cells are out of reach, and the share that is in among the others; without cells
    that no pulse moves."""
    alive = ~np.concatenate([outcome.stuck for outcome in outcomes])
    beyond = np.concatenate(short)[alive]
    inside = np.concatenate([outcome.result.in_tolerance for outcome in outcomes])[alive]
    return {
        "out_of_reach": float(beyond.sum()),
        "out_of_reach_but_in": float((beyond & inside).sum()),
        "in_by_reading_of_reachable": float(inside[~beyond].mean()),
    }
