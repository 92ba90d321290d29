"""A simulated pulse generator, at the pads that the switch matrix takes it to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hil.sim.instruments.base import SimulatedInstrument
from hil.sim.instruments.matrix import PULSER, SimulatedMatrix
from hil.sim.nodes import BoardNodes
from protocols.errors import ComplianceError, InputError, LimitError

MOST_VOLTS = 10.0
SHORTEST_S, LONGEST_S = 10e-9, 10.0
"""Of its range (this project's choice)."""


@dataclass(frozen=True)
class _Shape:
    low_volts: float
    high_volts: float
    width_s: float
    edge_s: float


class SimulatedPulser(SimulatedInstrument):
    """Rectangular pulses on demand."""

    model: ClassVar[str] = "pulse generator"
    number: ClassVar[int] = 4

    def __init__(self, nodes: BoardNodes, matrix: SimulatedMatrix) -> None:
        super().__init__(nodes)
        self._matrix = matrix
        self._shape: _Shape | None = None
        self._on = False

    def configure(
        self,
        *,
        low_volts: float,
        high_volts: float,
        width_s: float,
        edge_s: float,
        load_ohms: float,
    ) -> None:
        """The pulse as it is at a load of `load_ohms`; width at half height, edges 10 to 90 %."""
        self._there()
        if not (abs(low_volts) <= MOST_VOLTS and abs(high_volts) <= MOST_VOLTS):
            raise LimitError(
                f"{self.identity}: {low_volts:g} to {high_volts:g} V is over its range of"
                f" {MOST_VOLTS:g} V; nothing was sent"
            )
        if not (SHORTEST_S <= width_s <= LONGEST_S and 0.0 <= edge_s <= width_s and load_ohms > 0):
            raise LimitError(
                f"{self.identity}: a width of {width_s:g} s with edges of {edge_s:g} s into"
                f" {load_ohms:g} ohm is outside its range of {SHORTEST_S:g} to {LONGEST_S:g} s;"
                " nothing was sent"
            )
        self._shape = _Shape(low_volts, high_volts, width_s, edge_s)

    def burst(self, count: int = 1) -> None:
        """`count` pulses now, returns when the last one has ended."""
        self._there()
        if count < 1:
            raise InputError(f"{self.identity}: a burst of {count} pulses; at least 1 is needed")
        if self._shape is None or not self._on:
            raise ComplianceError(f"{self.identity}: configure it and switch its output on first")
        for _ in range(count):
            self._pulse(self._shape)

    def output(self, on: bool) -> None:
        """Switch the output; between pulses it is at the low level."""
        self._there()
        if on and self._shape is None:
            raise ComplianceError(f"{self.identity}: configure it before switching its output on")
        self._on = on

    def safe(self) -> None:
        """Output at zero and off."""
        self._shape, self._on = None, False

    def _pulse(self, shape: _Shape) -> None:
        of, z = self.nodes.settings, self.nodes.normals(self.number, 3)
        volts = shape.high_volts * (1.0 + of.pulser_sd * z[0]) + of.pulser_sd_volts * z[1]
        width_s = max(shape.width_s + of.pulser_width_sd_s * z[2], SHORTEST_S)
        start = self.nodes.now_ns
        end = start + round(width_s * 1e9)
        self.nodes.pass_time(2.0 * width_s + shape.edge_s)
        for pad in self._matrix.pads(PULSER):
            self.nodes.watch.drive(pad, start, end, float(volts), shape.edge_s / 2.2)
            self.nodes.pads.pulse(pad, float(volts), float(width_s))
