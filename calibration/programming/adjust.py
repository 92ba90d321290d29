"""Changes to a batch of pulses after a recipe has made it: the menu's grid, and stronger pulses."""

from __future__ import annotations

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.programming.menu import PulseMenu
from drivers.rram.pulses import PulseBatch


def snapped(menu: PulseMenu, batch: PulseBatch) -> PulseBatch:
    """The batch with each pulse replaced by the nearest one of the menu."""
    wished = (batch.operation, batch.gate_volts, batch.line_volts, batch.width_s)
    different, back = np.unique(np.stack(wished, axis=1), axis=0, return_inverse=True)
    entry = menu.snap(different[:, 0].astype(np.int64), *different[:, 1:].T)
    return menu.batch(batch.cells, entry[back.reshape(-1)])


def nearer(batch: PulseBatch, which: IntArray, top: PulseBatch, share: FloatArray) -> PulseBatch:
    """The batch with pulses `which` moved by a share of the way to those of `top`.

    A pulse of the other operation is replaced by one that has this share of the top's voltages.
    """
    same = batch.operation[which] == top.operation
    columns: dict[str, FloatArray] = {}
    for name in ("gate_volts", "line_volts"):
        goal, values = getattr(top, name), getattr(batch, name).copy()
        own = np.where(same, values[which], 0.0)
        values[which] = np.where(share < 1.0, own + share * (goal - own), goal)
        columns[name] = values
    columns["width_s"] = batch.width_s.copy()
    columns["width_s"][which] = top.width_s
    operation = batch.operation.copy()
    operation[which] = top.operation
    return PulseBatch(batch.cells, operation, **columns)
