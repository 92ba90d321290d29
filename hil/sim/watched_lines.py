"""Which nodes move while a front end works: pulses, reads, line checks and loop-backs.

One DAC stands behind all drivers of a kind of line, so `dac:bit_line` moves with whichever bit
line is driven; the connector's pin of a line is that of its driver, the array's pad the one that
this pin is wired to (another one where two pads have changed places). The gate of a pulse opens
with its set-up and closes with the pulse; during a read the gate stands at the SET limit's voltage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.sim.config import SimSettings
from hil.sim.watch import Watch, line_node
from protocols.hardware import BoardDescription
from protocols.messages import ArrayLine, Operation

F64 = NDArray[np.float64]
Codes = NDArray[np.int64]

_NANOSECONDS = 1_000_000_000
_BY_NAME = {line.name.lower(): line for line in ArrayLine}


@dataclass(frozen=True)
class Pulses:
    """Pulses as they are driven, one of each array (n,) per pulse; volts without their edges."""

    index: Codes
    operation: Codes
    gate_volts: F64
    line_volts: F64
    width_s: F64
    nominal_end_ns: Codes  # where the board has a pulse end that is as long as it should be
    nominal_width_ns: Codes


class WatchedLines:
    """Says what the lines of one board do."""

    def __init__(self, watch: Watch, description: BoardDescription, settings: SimSettings) -> None:
        self.watch = watch
        self._columns = description.columns
        effects = settings.switched()
        self._edge_s = settings.pulse_settling_s if effects.settling else 0.0
        self._slow_s = settings.wave_settling_s if effects.settling else 0.0
        self._open_gate_volts = description.limits.set.gate_volts
        self._read_ns = round(description.timing.read_s * _NANOSECONDS)
        self._setup_ns = round(description.timing.pulse_overhead_s * _NANOSECONDS)
        swapped = settings.board_faults.pads_swapped
        self._swapped: dict[ArrayLine, dict[int, int]] = {}
        if swapped is not None:
            kind, a, b = swapped
            self._swapped[_BY_NAME[kind]] = {a: b, b: a}

    def pulses(self, shown: Pulses) -> None:
        """Pulses, the gate of each with it."""
        for k, cell in enumerate(shown.index.tolist()):
            row, column = divmod(cell, self._columns)
            start = int(shown.nominal_end_ns[k] - shown.nominal_width_ns[k])
            end = start + round(float(shown.width_s[k]) * _NANOSECONDS)
            gate = float(shown.gate_volts[k])
            self._line(ArrayLine.WORD_LINE, column, (start - self._setup_ns, end), gate)
            reset = shown.operation[k] == Operation.RESET
            kind, line = (ArrayLine.SOURCE_LINE, column) if reset else (ArrayLine.BIT_LINE, row)
            self._line(kind, line, (start, end), float(shown.line_volts[k]))

    def reads(self, index: Codes, ends_ns: Codes, volts: float) -> None:
        """Conversions of cells, one each, that end at these times."""
        for cell, end in zip(index.tolist(), ends_ns.tolist(), strict=True):
            row, column = divmod(cell, self._columns)
            span = (end - self._read_ns, end)
            self._line(ArrayLine.BIT_LINE, row, span, volts)
            self._line(ArrayLine.WORD_LINE, column, span, self._open_gate_volts)

    def line(self, kind: ArrayLine, line: int, span_ns: tuple[int, int], volts: float) -> None:
        """A line is driven for a time."""
        self._line(kind, line, span_ns, volts)

    def channel(self, name: str, starts_ns: Codes, lasting_ns: int, volts: F64) -> None:
        """A DAC channel steps through voltages (n,), each for the same time."""
        node = f"dac:{name}"
        if not self.watch.wants(node):
            return
        for start, value in zip(starts_ns.tolist(), volts.tolist(), strict=True):
            self.watch.drive(node, start, start + lasting_ns, value, self._slow_s)

    def pad_of(self, kind: ArrayLine, line: int) -> int:
        """The pad that the connector's pin of a line is wired to."""
        return self._swapped.get(kind, {}).get(line, line)

    def _line(self, kind: ArrayLine, line: int, span_ns: tuple[int, int], volts: float) -> None:
        for node in (
            f"dac:{kind.name.lower()}",
            line_node("pin", kind, line),
            line_node("pad", kind, self.pad_of(kind, line)),
        ):
            self.watch.drive(node, *span_ns, volts, self._edge_s)
