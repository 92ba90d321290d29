"""A simulated switch matrix between four instruments and the array's pads."""

from __future__ import annotations

from typing import ClassVar

from hil.sim.instruments.base import SimulatedInstrument
from hil.sim.nodes import BoardNodes
from hil.sim.pads import pad_at
from protocols.errors import InputError

SMU, GROUND, GATE, PULSER = 1, 2, 3, 4
ROWS = 4
"""Rows: source-measure unit, ground, gate supply, pulse generator."""


class SimulatedMatrix(SimulatedInstrument):
    """Cross-points; columns are the bit lines, the source lines, then the word lines."""

    model: ClassVar[str] = "switch matrix"
    number: ClassVar[int] = 6

    def __init__(self, nodes: BoardNodes) -> None:
        super().__init__(nodes)
        self._shape = nodes.shape
        self._closed_paths: set[tuple[int, int]] = set()
        self._held: set[str] = set()
        self.gate_volts = 0.0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return ROWS

    @property
    def columns(self) -> int:
        """How many columns there are."""
        rows, columns = self._shape
        return rows + 2 * columns

    def close_path(self, row: int, column: int) -> None:
        """Close one cross-point, keeping those that are closed; both count from 1."""
        self._there()
        if not (1 <= row <= self.rows and 1 <= column <= self.columns):
            raise InputError(
                f"cross-point ({row}, {column}): the matrix has {self.rows} rows and"
                f" {self.columns} columns, counted from 1"
            )
        self._closed_paths.add((row, column))
        self.nodes.pass_time(self.nodes.settings.matrix_settle_s)
        self.apply()

    def open_all(self) -> None:
        """Open every cross-point."""
        self._there()
        self.nodes.pass_time(self.nodes.settings.matrix_settle_s)
        self.safe()

    def safe(self) -> None:
        """Every cross-point open."""
        self._closed_paths.clear()
        self.apply()

    def pads(self, row: int) -> list[str]:
        """The pads that a row is connected to."""
        return [pad_at(c, *self._shape) for r, c in sorted(self._closed_paths) if r == row]

    def apply(self) -> None:
        """Hold the pads of the ground and gate rows at their voltages; let go of the others."""
        pads = self.nodes.pads
        wanted = dict.fromkeys(self.pads(GATE), self.gate_volts)
        wanted |= dict.fromkeys(self.pads(GROUND), 0.0)
        for pad in self._held - set(wanted):
            pads.hold(pad, None)
        for pad, volts in wanted.items():
            pads.hold(pad, volts)
        self._held = set(wanted)
