"""Keithley 2000 multimeter with a thermocouple, as a thermometer."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.thermometer import LineThermometer


class Keithley2000(LineThermometer):
    """A thermocouple of type K, J or T at the front terminals.

    The cold junction is taken to be at 23 degrees Celsius (this project's choice): the front
    terminals do not measure it. Where that matters, use a sensor with its own reference.
    """

    NAME = "keithley-2000"
    MANUAL = "Keithley 2000-900-01, Model 2000 Multimeter User's Manual, section 5"
    MAKER = r"KEITHLEY INSTRUMENTS.*"
    MODEL = r"(MODEL )?2000"
    BAUD = 9600
    SENSORS = ("K", "J", "T")
    SETUP = (
        "*RST",
        ":INIT:CONT OFF",
        ":FORM:ELEM READ",
        ":SENS:FUNC 'TEMP'",
        ":UNIT:TEMP C",
        ":SENS:TEMP:TC:RJUN1:RSEL SIM",
        ":SENS:TEMP:TC:RJUN1:SIM 23",
    )
    COMMANDS: ClassVar = {
        "sensor": ":SENS:TEMP:TC:TYPE {sensor}",
        "celsius": ":READ?",
    }

    def start(self) -> None:
        """The kind of thermocouple as well."""
        super().start()
        self.send("sensor", sensor=self._sensor)
