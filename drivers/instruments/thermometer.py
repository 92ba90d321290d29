"""What every thermometer does alike."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import Thermometer
from protocols.errors import InstrumentError

COLDEST_C, HOTTEST_C = -273.15, 500.0


class LineThermometer(Driver, Thermometer):
    """A thermometer that answers one query with degrees Celsius.

    `COMMANDS` has celsius, of a `{sensor}`; `SENSORS` are those allowed, the first one is taken
    where the bench file names none.
    """

    ROLE = "thermometer"
    SENSORS: ClassVar[tuple[str, ...]]
    _sensor: str

    def _prepare(self) -> None:
        self._sensor = self.settings.sensor or self.SENSORS[0]
        if self._sensor not in self.SENSORS:
            raise InstrumentError(
                f"{self.name}: no sensor {self._sensor!r}; allowed are {', '.join(self.SENSORS)}"
            )

    def celsius(self) -> float:
        """The temperature now; see `Thermometer`."""
        self._check_sensor()
        found = self.number("celsius", sensor=self._sensor)
        if not COLDEST_C <= found <= HOTTEST_C:
            raise InstrumentError(
                f"{self.name}: {found:g} degrees Celsius; is the sensor {self._sensor} connected?"
            )
        return found

    def _check_sensor(self) -> None:
        """Whether the sensor works, where the model can say so."""
