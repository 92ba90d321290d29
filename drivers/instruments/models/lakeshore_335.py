"""Lake Shore 335 temperature controller, as a thermometer. Its heaters are never touched."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.thermometer import LineThermometer
from protocols.errors import InstrumentError

STATES = {  # bits of RDGST? (manual, 6.6)
    1: "invalid reading",
    16: "temperature below the sensor's range",
    32: "temperature above the sensor's range",
    64: "sensor at zero",
    128: "sensor over its range",
}


class LakeShore335(LineThermometer):
    """Inputs A and B; the sensor's curve is as its front panel was set up."""

    NAME = "lakeshore-335"
    MANUAL = "Lake Shore 335 User's Manual, revision 1.8, chapter 6"
    MAKER = r"LSCI"
    MODEL = r"MODEL ?335"
    ERRORS = ""  # it has no error queue
    BAUD = 57600
    SENSORS = ("A", "B")
    COMMANDS: ClassVar = {"celsius": "CRDG? {sensor}", "status": "RDGST? {sensor}"}

    def _check_sensor(self) -> None:
        status = int(self.number("status", sensor=self._sensor))
        found = [text for bit, text in STATES.items() if status & bit]
        if found:
            raise InstrumentError(f"{self.name}, input {self._sensor}: {', '.join(found)}")
