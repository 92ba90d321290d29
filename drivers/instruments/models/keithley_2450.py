"""Keithley 2450 source-measure unit, with its own SCPI command set."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.limits import InstrumentLimits
from drivers.instruments.smu import ScpiSourceMeasureUnit
from protocols.errors import InstrumentError
from protocols.instruments import Reading


class Keithley2450(ScpiSourceMeasureUnit):
    """Sources up to 210 V, measures amperes, reads the sourced volts back."""

    NAME = "keithley-2450"
    MANUAL = "Keithley 2450-901-01, Model 2450 Reference Manual, section 6"
    MAKER = r"KEITHLEY INSTRUMENTS.*"
    MODEL = r"(MODEL )?2450"
    RATING = InstrumentLimits(210.0, 1.05, "the model's rating")
    SETUP = (
        "*RST",
        ":SOUR:FUNC VOLT",
        ":SOUR:VOLT:READ:BACK ON",
        ':SENS:FUNC "CURR"',
        ":SENS:CURR:RANG:AUTO ON",
        ":SENS:CURR:NPLC 1",
    )
    SAFE = (":SOUR:VOLT 0", ":OUTP OFF")
    COMMANDS: ClassVar = {
        "compliance": ":SOUR:VOLT:ILIM {amperes:.6g}",
        "volts": ":SOUR:VOLT {volts:.6g}",
        "on": ":OUTP ON",
        "point": ':READ? "defbuffer1", SOUR, READ',
        "limited": ":SOUR:VOLT:ILIM:TRIP?",
        "language": "*LANG?",
    }
    VOLTMETER = (":SOUR:FUNC CURR", ":SOUR:CURR 0", ":SOUR:CURR:VLIM 21", ':SENS:FUNC "VOLT"')
    SOURCE = (":SOUR:FUNC VOLT", ':SENS:FUNC "CURR"')
    OPEN = ":READ?"

    def start(self) -> None:
        """Its own SCPI command set is asked for first: it has two others."""
        language = self.ask("language")
        if language != "SCPI":
            raise InstrumentError(
                f"{self.name} is set to the commands of {language!r}; choose SCPI in its menu"
                " System, Settings, Command Set"
            )
        super().start()

    def _point(self) -> Reading:
        found = self.numbers("point")
        if len(found) != 2:
            raise InstrumentError(f"{self.name}: a reading of {len(found)} numbers, not 2")
        return Reading(found[0], found[1], self.number("limited") == 1.0)
