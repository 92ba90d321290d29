"""The cells as an array: which lines meet where, and what the lines do to the voltages.

Row r is bit line r, column c is source line c and word line c, so a column's gate and a row's bit
line select one cell. Flat index = row * columns + column.

Line resistance, first order: a cell sees the resistance of its own way through the array,
(row + 1) pitches of source line and (column + 1) of bit line, in series; currents of other cells
on the same lines are not added up. A read therefore finds G / (1 + G R), and a pulse reaches the
cell with V / (1 + G R) of its conductance G before the pulse. The way of solving the whole mesh is
described by A. Chen, IEEE TED 60, 1318 (2013); at the default of 0.5 ohm per pitch the correction
is below 1 % for a block in the corner, so the first order is enough.

Half-select, first order: cells on the column of a pulse have their gate open; those of other rows
see `half_select_fraction` of the line voltage in the same direction. Drivers that hold unselected
lines at an inhibit voltage leave nothing of it, which is the default (fraction 0).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hil.sim.chip import Chip
from hil.sim.chip_faults import Wiring
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.sim.read_law import ReadLaw
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]
Index = NDArray[np.int64]


class Array:
    """The cells of a chip behind their lines."""

    def __init__(self, chip: Chip, description: BoardDescription, settings: SimSettings) -> None:
        effects: Effects = settings.switched()
        self.chip = chip
        self.rows = description.rows
        self.columns = description.columns
        self._chip_pitch_ohm = settings.line_resistance_ohm if effects.line_resistance else 0.0
        self._laws = {True: ReadLaw(settings), False: ReadLaw(SimSettings.ideal())}
        bonds, socket = settings.wired(), settings.wired(bonds=False)
        self._wirings = {
            True: Wiring.of(bonds, description),
            False: Wiring.of(socket, description),
        }
        self._half = settings.half_select_fraction if effects.half_select else 0.0

    @property
    def law(self) -> ReadLaw:
        """What readings add to the conductance of what is in the socket."""
        return self._laws[self.chip.in_socket]

    @property
    def wiring(self) -> Wiring | None:
        """The way from the drivers to what is in the socket; a chip's bonds are part of it."""
        return self._wirings[self.chip.in_socket]

    @property
    def _pitch_ohm(self) -> float:
        return self._chip_pitch_ohm if self.chip.in_socket else 0.0

    @property
    def pulses_stay_apart(self) -> bool:
        """Whether a pulse leaves every other cell alone, so that pulses may be given at once."""
        return self._half == 0.0

    def flat(self, rows: Index, columns: Index) -> Index:
        """Flat indices of cells."""
        return rows * self.columns + columns

    def path_ohm(self, index: Index) -> F64:
        """Resistance of the lines in series with each cell."""
        pitches = index // self.columns + index % self.columns + 2
        return self._pitch_ohm * pitches.astype(np.float64)

    def pulse(
        self, index: Index, polarity: Index, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        """One pulse on each of distinct cells; volts at the array's edge."""
        if self.wiring is None:
            self._pulse(index, polarity, gate, line, width_s, now_s)
            return
        to = self.wiring.cells(index)
        polarity = -polarity if to.reversed else polarity
        for where, reached in ((to.index, to.alive), (to.partner, to.alive & (to.partner >= 0))):
            if reached.any():
                volts, at_s = (gate[reached], line[reached]), (width_s[reached], now_s[reached])
                self._pulse(where[reached], polarity[reached], *volts, *at_s)

    def _pulse(
        self, index: Index, polarity: Index, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        cells = self.chip.cells
        if self._pitch_ohm > 0.0 and cells.grid is None:  # measured rows have their lines in them
            line = line / (1.0 + cells.conductance(index, now_s) * self.path_ohm(index))
        cells.pulse(index, polarity, gate, line, width_s, now_s)
        if self._half > 0.0:
            self._disturb(index, polarity, gate, line, width_s, now_s)

    def read(self, index: Index, now_s: F64) -> F64:
        """One noisy reading of each cell in siemens, lines included."""
        return self._reached(index, now_s, self._read)

    def conductance(self, index: Index, now_s: float) -> F64:
        """True mean conductance as the loop sees it, lines included."""
        return self._reached(index, now_s, self._mean)

    def standing(self, index: Index, now_s: float) -> F64:
        """Conductance without the noise of reads, as `conductance`, with the state of each trap."""
        return self._reached(index, now_s, self._stand)

    def _read(self, index: Index, now_s: F64 | float) -> F64:
        siemens = self.law.telegraph(index, self.chip.cells.read(index, now_s), np.asarray(now_s))
        return self._behind_lines(index, siemens)

    def _mean(self, index: Index, now_s: F64 | float) -> F64:
        return self._behind_lines(index, self.chip.cells.conductance(index, now_s))

    def _stand(self, index: Index, now_s: F64 | float) -> F64:
        mean = self.chip.cells.conductance(index, now_s)
        return self._behind_lines(index, self.law.telegraph(index, mean, np.asarray(now_s)))

    def _reached(self, index: Index, now_s: F64 | float, of: Callable[..., F64]) -> F64:
        """Conductance of the cells that the wiring leads to."""
        if self.wiring is None:
            return of(index, now_s)
        to = self.wiring.cells(index)
        siemens = np.where(to.alive, of(to.index, now_s), 0.0)
        joined = to.alive & (to.partner >= 0)
        if joined.any():
            times = np.broadcast_to(np.asarray(now_s), index.shape)
            siemens[joined] += of(to.partner[joined], times[joined])
        return siemens

    def _behind_lines(self, index: Index, siemens: F64) -> F64:
        if self._pitch_ohm == 0.0:
            return siemens
        return siemens / (1.0 + siemens * self.path_ohm(index))

    def _disturb(
        self, index: Index, polarity: Index, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        """What the open gates of a column let through to its other rows, pulse by pulse."""
        for k, cell in enumerate(index):
            rows = np.delete(np.arange(self.rows), cell // self.columns)
            others = rows * self.columns + cell % self.columns
            self.chip.cells.pulse(
                others, polarity[k], gate[k], self._half * line[k], width_s[k], now_s[k]
            )
