"""A finite set of pulses: those that were measured, which are all that some simulated cells know.

A point of the grid is (polarity, gate voltage, line voltage, width). A pulse that is not on the
grid is refused before anything is driven; nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import InputError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

GRID_VOLTS = 5.0e-3
"""How far from a grid point a voltage may be: half of the finest measured step of 0.01 V."""
GRID_WIDTH = 0.01
"""The same for the width, as a fraction of it."""
NOT_ON_GRID = -1
_FEW, _MEMORY = 256, 1 << 16


@dataclass(frozen=True, order=True)
class GridPulse:
    """One pulse: polarity +1 is the SET direction (forming too), -1 the RESET direction."""

    polarity: int
    gate_volts: float
    line_volts: float
    width_s: float

    def __str__(self) -> str:
        name = "SET" if self.polarity > 0 else "RESET"
        return (
            f"{name} gate {self.gate_volts:g} V, line {self.line_volts:g} V, "
            f"width {self.width_s * 1e9:g} ns"
        )


class PulseGrid:
    """The pulses `points`, without doubles, in order. Raises InputError for an empty list."""

    def __init__(self, points: list[GridPulse]) -> None:
        if not points:
            raise InputError("A grid of pulses needs at least one pulse.")
        self.points = tuple(sorted(set(points)))
        self._polarity = np.array([p.polarity for p in self.points], np.int64)
        self._gate = np.array([p.gate_volts for p in self.points])
        self._line = np.array([p.line_volts for p in self.points])
        self._width = np.array([p.width_s for p in self.points])
        self._memory: dict[tuple[float, ...], int] = {}

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[GridPulse]:
        return iter(self.points)

    def find(self, polarity: I64, gate: F64, line: F64, width_s: F64) -> I64:
        """Number of the point of each pulse; NOT_ON_GRID where there is none. Same shape."""
        table = np.column_stack([polarity, gate, line, width_s])
        if len(table) <= _FEW:
            return np.array([self._remembered(tuple(row)) for row in table.tolist()], np.int64)
        rows, back = np.unique(table, axis=0, return_inverse=True)
        near = np.array([self._remembered(tuple(row)) for row in rows.tolist()], np.int64)
        return np.asarray(near[back.ravel()])

    def _remembered(self, pulse: tuple[float, ...]) -> int:
        """Boards ask for few pulses many times."""
        found = self._memory.get(pulse)
        if found is None:
            if len(self._memory) >= _MEMORY:
                self._memory.clear()
            found = self._memory[pulse] = self._find_one(*pulse)
        return found

    def _find_one(self, polarity: float, gate: float, line: float, width_s: float) -> int:
        gate_off, line_off = np.abs(self._gate - gate), np.abs(self._line - line)
        inside = (
            (self._polarity == polarity)
            & (gate_off <= GRID_VOLTS)
            & (line_off <= GRID_VOLTS)
            & (np.abs(self._width - width_s) <= GRID_WIDTH * self._width)
        )
        if not inside.any():
            return NOT_ON_GRID
        return int(np.argmin(np.where(inside, gate_off + line_off, np.inf)))

    def nearest(self, polarity: int, gate: float, line: float, width_s: float) -> GridPulse:
        """The point that is nearest to a pulse: same polarity, then width, then voltages.

        Raises InputError where no point has that polarity.
        """
        same = np.flatnonzero(self._polarity == polarity)
        if not same.size:
            raise InputError(f"No pulse of polarity {polarity:+d} was measured.")
        factor = np.abs(np.log(self._width[same] / width_s))
        same = same[factor <= factor.min() + GRID_WIDTH]
        distance = np.hypot(self._gate[same] - gate, self._line[same] - line)
        return self.points[int(same[np.argmin(distance)])]

    def volts(self, point: I64) -> tuple[F64, F64]:
        """Gate and line voltage of points by their number."""
        return self._gate[point], self._line[point]
