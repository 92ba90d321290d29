"""The array's pads, driven by instruments instead of the board's front end.

Instruments hold pads at voltages (`hold`); a pad that nobody holds floats and carries no current,
unless `grounded` says that the fixture pulls it to ground. A bit line's current is that of its
cells whose source line is held, each behind its transistor at the voltage of its word line, plus
what a leaky row lets through; line resistance and read noise are those of a read by the board.
A pulse acts on the cells of the pulsed line whose gates are open and whose other end is held.
Word lines draw no current. A fixture has no transistors: its resistors conduct whatever the gates.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hil.sim.chip_faults import LEAK_SIEMENS
from hil.sim.read_law import REFERENCE_VOLTS
from hil.sim.transistors import Transistors
from hil.sim.watch import LETTERS, line_node
from protocols.messages import ArrayLine

if TYPE_CHECKING:
    from hil.sim.back_doors import BackDoors
    from hil.sim.machine import Machine

F64 = NDArray[np.float64]
Index = NDArray[np.int64]

_KINDS = {letters: kind for kind, letters in LETTERS.items()}
_PAD = re.compile(r"^(?:pin|pad):(BL|SL|WL)(\d+)$")
_LEAST_GATE_VOLTS = 0.05


class Pads:
    """The pads of one array and who holds them at which voltage.

    Attributes:
        held: volts by pad (`pad:BL3`), of those that are held.
        grounded: whether the pads that nobody holds are at ground instead of floating.
    """

    def __init__(self, simulated: BackDoors) -> None:
        self.held: dict[str, float] = {}
        self.grounded = False
        self._simulated = simulated
        machine = simulated.machine
        self._transistors = Transistors(machine.description, machine.settings)

    def hold(self, pad: str, volts: float | None) -> None:
        """Hold a pad at a voltage from now on; None lets go of it."""
        if volts is None:
            self.held.pop(pad, None)
        else:
            self.held[pad] = volts

    def current(self, pad: str, volts: float) -> float:
        """Amperes that a source of `volts` at a pad delivers, with the others as they are held."""
        kind, line = parts(pad)
        if kind is ArrayLine.WORD_LINE:
            return 0.0
        others, ends = self._other_ends(kind)
        if not others.size:
            return 0.0
        columns = others if kind is ArrayLine.BIT_LINE else np.full(others.size, line)
        index = self._cells(kind, line, others)
        machine = self._machine
        siemens = machine.array.read(index, np.full(index.size, machine.chip.now_s))
        across = volts - ends
        siemens = self._behind_gates(siemens, columns, across)
        return float(np.sum(siemens * across) + self._leak(kind, line, others, across))

    def pulse(self, pad: str, volts: float, width_s: float) -> None:
        """A pulse of `volts` at a pad, on every cell that it reaches."""
        kind, line = parts(pad)
        if kind is ArrayLine.WORD_LINE or volts <= 0.0:
            return
        others, ends = self._other_ends(kind)
        others = others[np.abs(ends) < _LEAST_GATE_VOLTS]
        columns = others if kind is ArrayLine.BIT_LINE else np.full(others.size, line)
        gates = np.array([self._at("WL", int(c)) or 0.0 for c in columns])
        reached = gates > _LEAST_GATE_VOLTS
        if not reached.any():
            return
        index = self._cells(kind, line, others[reached])
        machine = self._machine
        sense = 1 if kind is ArrayLine.BIT_LINE else -1
        polarity = np.full(index.size, sense)
        size, now = np.ones(index.size), np.full(index.size, machine.chip.now_s)
        machine.array.pulse(index, polarity, gates[reached], volts * size, width_s * size, now)

    @property
    def _machine(self) -> Machine:
        return self._simulated.machine

    def _other_ends(self, kind: ArrayLine) -> tuple[Index, F64]:
        """The lines that cross a line of a kind and are held, and at which voltage."""
        array, by_row = self._machine.array, kind is ArrayLine.BIT_LINE
        crossing, count = ("SL", array.columns) if by_row else ("BL", array.rows)
        at = dict.fromkeys(range(count), 0.0) if self.grounded else {}
        place = f"pad:{crossing}"
        held = ((pad, volts) for pad, volts in self.held.items() if pad.startswith(place))
        at |= {int(pad.removeprefix(place)): volts for pad, volts in held}
        return np.array(list(at), np.int64), np.array(list(at.values()), np.float64)

    def _at(self, letters: str, number: int) -> float | None:
        return self.held.get(f"pad:{letters}{number}", 0.0 if self.grounded else None)

    def _cells(self, kind: ArrayLine, line: int, others: Index) -> Index:
        """Flat indices by which the board would reach the cells of these pads."""
        array, to = self._machine.array, self._machine.front_end.watched.pad_of
        rows, columns = (np.full(others.size, line), others)
        if kind is not ArrayLine.BIT_LINE:
            rows, columns = columns, rows
        rows = np.array([to(ArrayLine.BIT_LINE, int(r)) for r in rows], np.int64)
        columns = np.array([to(ArrayLine.SOURCE_LINE, int(c)) for c in columns], np.int64)
        return array.flat(rows, columns)

    def _behind_gates(self, siemens: F64, columns: Index, across: F64) -> F64:
        machine = self._machine
        if not machine.chip.in_socket:
            return siemens
        law = machine.array.law
        pairs = zip(siemens.tolist(), np.abs(across).tolist(), strict=True)
        one = [float(law.over_voltage(np.array([g]), v, REFERENCE_VOLTS)[0]) for g, v in pairs]
        out = np.array(one)
        gates = np.array([self._at("WL", int(c)) or 0.0 for c in columns])
        for gate in np.unique(gates):
            part = gates == gate
            out[part] = self._transistors.behind(out[part], columns[part], float(gate))
        return out

    def _leak(self, kind: ArrayLine, line: int, others: Index, across: F64) -> float:
        machine = self._machine
        leaky = machine.settings.chip_faults.leaky_row
        if leaky is None or not machine.chip.in_socket:
            return 0.0
        each = LEAK_SIEMENS / machine.array.columns
        if kind is ArrayLine.BIT_LINE:
            return float(each * across.sum()) if line == leaky else 0.0
        return float(each * across[others == leaky].sum())


def parts(pad: str) -> tuple[ArrayLine, int]:
    """Kind and number of the line of a pad or pin; raises ValueError for another node."""
    found = _PAD.match(pad)
    if found is None:
        raise ValueError(f"{pad!r} is no pad of an array")
    return _KINDS[found[1]], int(found[2])


def pad_at(column: int, rows: int, columns: int) -> str:
    """The pad at a column of the switch matrix, counted from 1: bit, source, then word lines."""
    number = column - 1
    for kind, count in (
        (ArrayLine.BIT_LINE, rows),
        (ArrayLine.SOURCE_LINE, columns),
        (ArrayLine.WORD_LINE, columns),
    ):
        if number < count:
            return line_node("pad", kind, number)
        number -= count
    raise ValueError(f"column {column} is beyond the pads of {rows} x {columns} cells")
