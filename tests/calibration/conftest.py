"""A macro with simple cells, for tests of the routines' logic without a board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from protocols.errors import SafetyError
from protocols.hardware import load_board
from protocols.messages import Operation


class ToyMacro:
    """Speaks like `drivers.rram.macro.Macro`.

    A SET lifts a cell to 250 uS/V above 1.1 V of gate, a RESET drops it by 60 uS/V above 0.5 V of
    source line, each with a scatter; a pristine cell reads 0.1 uS and forms at its own voltage.
    """

    def __init__(self, geometry: Geometry, *, seed: int = 0, scatter: float = 1e-6) -> None:
        self.geometry, self.limits = geometry, Limits.of(load_board("reference").limits)
        self.rng, self.scatter = np.random.default_rng(seed), scatter
        shape = (geometry.rows, geometry.columns)
        self.siemens = np.full(shape, 0.1e-6)
        self.form_volts = self.rng.normal(3.1, 0.2, shape)
        self.stuck = np.zeros(shape, bool)
        self.drop_once = np.zeros(shape)  # what a cell loses at the first averaged read
        self.time_s, self.calls, self.batches, self.dry_run, self._armed = 0.0, 0, [], False, False

    @contextmanager
    def armed(self, duration_s: float = 60.0, *, renewing: bool = False) -> Iterator[None]:
        self.limits.check_arm(duration_s)
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def read(self, cells: Cells, samples: int = 1) -> np.ndarray:
        self.calls += 1
        self.time_s += 1e-4 * len(cells) * samples
        at = (cells.rows, cells.columns)
        if samples > 1 and self.batches:
            self.siemens[at] -= self.drop_once[at]
            self.drop_once[at] = 0.0
        return self.siemens[at].copy()

    def pulse_read(self, batch: PulseBatch, *, label: str = "") -> np.ndarray:
        if not self._armed:
            raise SafetyError("not armed")
        self.limits.check(batch)
        self.calls += 1
        self.batches.append((batch, label))
        self.doubtful = np.zeros(len(batch), np.bool_)
        if self.dry_run:
            return np.full(len(batch), np.nan)
        self.time_s += 1e-4 * len(batch)
        noise = self.scatter * self.rng.standard_normal(len(batch))
        for k, (row, column) in enumerate(batch.cells):
            self._pulse(row, column, batch, k, noise[k])
        return self.siemens[batch.cells.rows, batch.cells.columns].copy()

    def _pulse(self, row: int, column: int, batch: PulseBatch, k: int, noise: float) -> None:
        now, line = self.siemens[row, column], batch.line_volts[k]
        if self.stuck[row, column]:
            return
        if batch.operation[k] == Operation.RESET:
            new = now - max(0.0, 60e-6 * (line - 0.5)) + noise
        elif now < 1e-6:
            new = 120e-6 if line >= self.form_volts[row, column] else now
        else:
            new = max(now, 250e-6 * (batch.gate_volts[k] - 1.1) + noise)
        self.siemens[row, column] = max(new, 0.1e-6)


@pytest.fixture
def toy() -> ToyMacro:
    return ToyMacro(Geometry(16, 16))
