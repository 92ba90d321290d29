"""What a journal hears of every batch: the intent before a byte is sent, then each outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.rram.pulses import PulseBatch
from protocols.messages import Operation

PULSE_RECORD = np.dtype(
    [
        ("row", "<u2"),
        ("column", "<u2"),
        ("operation", "u1"),
        ("gate_code", "<u2"),
        ("line_code", "<u2"),
        ("width_ticks", "<u4"),
        ("reading_code", "<u2"),
        ("time_us", "<u8"),
        ("session", "<u2"),
        ("sequence", "<u4"),
    ]
)
Records = NDArray[Any]


class PulseRecorder(Protocol):
    """Keeps what was asked and what was acknowledged."""

    def intent(self, batch: PulseBatch, *, label: str) -> int:
        """A batch is about to be sent; the number returned names it in `outcome`."""

    def outcome(self, token: int, start: int, records: Records) -> None:
        """Pulses `start`, `start` + 1, ... of the batch were applied; `PULSE_RECORD` rows."""


@dataclass
class DryRun:
    """A recorder that only counts: what would be driven, for a macro that drives nothing."""

    pulses: int = 0
    batches: int = 0
    by_operation: dict[str, int] = field(default_factory=dict)
    gate_volts_max: float = 0.0
    line_volts_max: float = 0.0
    width_s_max: float = 0.0

    def intent(self, batch: PulseBatch, *, label: str) -> int:  # noqa: ARG002  (protocol)
        """Count a batch."""
        self.batches += 1
        self.pulses += len(batch)
        for operation in Operation:
            count = int(np.count_nonzero(batch.operation == operation))
            if count:
                name = operation.name
                self.by_operation[name] = self.by_operation.get(name, 0) + count
        if len(batch):
            self.gate_volts_max = max(self.gate_volts_max, float(batch.gate_volts.max()))
            self.line_volts_max = max(self.line_volts_max, float(batch.line_volts.max()))
            self.width_s_max = max(self.width_s_max, float(batch.width_s.max()))
        return self.batches

    def outcome(self, token: int, start: int, records: Records) -> None:
        """Nothing is driven in a dry run, so nothing comes out of it."""

    def __str__(self) -> str:
        if not self.pulses:
            return "dry run: no pulse would be driven"
        kinds = ", ".join(f"{count} {name}" for name, count in self.by_operation.items())
        return (
            f"dry run: {self.pulses} pulses ({kinds}) in {self.batches} batches would be driven, up"
            f" to {self.gate_volts_max:g} V gate, {self.line_volts_max:g} V line and"
            f" {self.width_s_max:g} s; nothing was driven"
        )
