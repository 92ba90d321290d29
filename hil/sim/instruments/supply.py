"""A simulated supply: one output for each rail of the board, and one for gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hil.sim.instruments.base import SimulatedInstrument
from hil.sim.instruments.matrix import SimulatedMatrix
from hil.sim.nodes import BoardNodes
from protocols.errors import ComplianceError, InputError, LimitError

GATE_CHANNEL = "gate"
MOST_VOLTS, MOST_AMPERES = 32.0, 3.0
"""Of each output (this project's choice)."""


@dataclass
class _Output:
    volts: float = 0.0
    limit_amperes: float | None = None
    on: bool = False


class SimulatedSupply(SimulatedInstrument):
    """Feeds the board's rails; the sense wires are at the board, so a read-back is the rail's.

    A rail whose output was never switched is fed by somebody else, at its nominal voltage.
    """

    model: ClassVar[str] = "power supply"
    number: ClassVar[int] = 1

    def __init__(self, nodes: BoardNodes, matrix: SimulatedMatrix) -> None:
        super().__init__(nodes)
        self._matrix = matrix
        self._fed: set[str] = set()
        self._outputs = {name: _Output() for name in (*nodes.rails, GATE_CHANNEL)}

    @property
    def channels(self) -> tuple[str, ...]:
        """The rails in the order of switching on, then the gates' channel."""
        return tuple(self._outputs)

    def set(self, channel: str, volts: float, current_limit_amperes: float) -> None:
        """Current limit first, then volts; a rail below ground has its leads swapped."""
        self._there()
        output = self._output(channel)
        if volts < 0.0:
            raise InputError(
                f"{self.identity}, channel {channel}: {volts:g} V; a supply has none below zero,"
                " swap its leads"
            )
        if not (abs(volts) <= MOST_VOLTS and 0.0 < current_limit_amperes <= MOST_AMPERES):
            raise LimitError(
                f"{self.identity}, channel {channel}: {volts:g} V with {current_limit_amperes:g} A"
                f" is over its range of {MOST_VOLTS:g} V and {MOST_AMPERES:g} A; nothing was sent"
            )
        output.volts, output.limit_amperes = volts, current_limit_amperes
        self._apply(channel)

    def output(self, channel: str, on: bool) -> None:
        """Switch one output."""
        self._there()
        output = self._output(channel)
        if on and output.limit_amperes is None:
            raise ComplianceError(
                f"{self.identity}, channel {channel}: set volts and current limit before switching"
                " it on"
            )
        output.on = on
        self._apply(channel, switched=True)

    def measure(self, channel: str) -> tuple[float, float]:
        """Volts and amperes at the terminals."""
        self._there()
        output, of = self._output(channel), self.nodes.settings
        if channel == GATE_CHANNEL:
            volts, amperes = (output.volts if output.on else 0.0), 0.0
        else:
            volts, amperes = self.nodes.rail(channel)
        z = self.nodes.normals(self.number, 4)
        volts = volts * (1.0 + of.supply_sd * z[0]) + of.supply_sd_volts * z[1]
        amperes = amperes * (1.0 + of.supply_sd * z[2]) + of.supply_sd_amperes * z[3]
        return float(volts), float(amperes)

    def safe(self) -> None:
        """Every output at zero and off, the last rail first."""
        for channel in reversed(self.channels):
            output = self._outputs[channel]
            was_used = output.limit_amperes is not None
            output.volts, output.limit_amperes, output.on = 0.0, None, False
            self._apply(channel, switched=was_used)

    def close(self) -> None:
        """`safe()`, for good; the bench's own supply feeds the board again."""
        super().close()
        for name in self._fed:
            self.nodes.unfeed(name)
        self._fed.clear()

    def _apply(self, channel: str, *, switched: bool = False) -> None:
        output = self._outputs[channel]
        if channel == GATE_CHANNEL:
            self._matrix.gate_volts = output.volts if output.on else 0.0
            self._matrix.apply()
        elif output.on or switched:
            limit = output.limit_amperes or MOST_AMPERES
            self.nodes.feed(channel, output.volts, limit, output.on)
            self._fed.add(channel)

    def _output(self, channel: str) -> _Output:
        if channel not in self._outputs:
            raise InputError(
                f"{self.identity} has no channel {channel!r}, only {', '.join(self.channels)}"
            )
        return self._outputs[channel]
