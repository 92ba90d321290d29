"""When each cell got its last pulse: a recorder that listens beside a macro's own."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from calibration.arrays import FloatArray
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import Records

LONG_AGO_S = 86400.0  # taken as the age of a cell that had no pulse while the clock listened


class PulseClock:
    """A `PulseRecorder`; as a context manager it listens to a macro while the block runs."""

    def __init__(self, macro: Macro) -> None:
        """Listens to `macro` from `with` on."""
        self._macro, self._inner = macro, getattr(macro, "recorder", None)
        self._last_s = np.full(macro.geometry.cells, -np.inf)

    def intent(self, batch: PulseBatch, *, label: str) -> int:
        """Hands on."""
        return 0 if self._inner is None else self._inner.intent(batch, label=label)

    def outcome(self, token: int, start: int, records: Records) -> None:
        """Notes the board's time, and hands on."""
        flat = records["row"].astype(np.int64) * self._macro.geometry.columns + records["column"]
        self._last_s[flat] = records["time_us"] * 1e-6
        if self._inner is not None:
            self._inner.outcome(token, start, records)

    def ages(self, cells: Cells) -> FloatArray:
        """(n,) time since the last pulse that was heard of; a cell without one is as old as the
        clock can say: a day."""
        age_s = self._macro.time_s - self._last_s[cells.flat(self._macro.geometry)]
        return np.asarray(np.where(np.isfinite(age_s), age_s, LONG_AGO_S))

    def __enter__(self) -> Self:
        self._macro.recorder = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._macro.recorder = self._inner
