"""A simulated thermometer at the chip."""

from __future__ import annotations

from typing import ClassVar

from hil.sim.instruments.base import SimulatedInstrument


class SimulatedThermometer(SimulatedInstrument):
    """Says the temperature at the chip, with its noise."""

    model: ClassVar[str] = "thermometer"
    number: ClassVar[int] = 5

    def celsius(self) -> float:
        """The temperature now, in degrees Celsius."""
        self._there()
        noise = self.nodes.settings.thermometer_sd_celsius * self.nodes.normals(self.number)[0]
        return float(self.nodes.celsius + noise)
