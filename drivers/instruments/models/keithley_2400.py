"""Keithley 2400 source-measure unit, in its SCPI mode."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.limits import InstrumentLimits
from drivers.instruments.smu import ScpiSourceMeasureUnit
from protocols.errors import InstrumentError
from protocols.instruments import Reading

COMPLIANCE = 1 << 3  # bits of the status element of a reading (manual, FORMat subsystem)
RANGE_COMPLIANCE = 1 << 16


class Keithley2400(ScpiSourceMeasureUnit):
    """Sources up to 210 V, measures amperes and volts at once; one power-line cycle a point."""

    NAME = "keithley-2400"
    MANUAL = "Keithley 2400S-900-01, Series 2400 SourceMeter User's Manual, section 18"
    MAKER = r"KEITHLEY INSTRUMENTS.*"
    MODEL = r"(MODEL )?240[01].*"
    RATING = InstrumentLimits(210.0, 1.05, "the model's rating")
    BAUD = 9600
    SETUP = (
        "*RST",
        ":SYST:BEEP:STAT OFF",
        ":SOUR:CLE:AUTO OFF",
        ":SENS:FUNC:CONC ON",
        ":FORM:ELEM VOLT,CURR,STAT",
        ":SOUR:FUNC VOLT",
        ":SOUR:VOLT:MODE FIX",
        ":SENS:FUNC 'VOLT','CURR'",
        ":SENS:CURR:RANG:AUTO ON",
        ":SENS:CURR:NPLC 1",
    )
    SAFE = (":SOUR:VOLT:LEV 0", ":OUTP OFF")
    COMMANDS: ClassVar = {
        "compliance": ":SENS:CURR:PROT {amperes:.6g}",
        "volts": ":SOUR:VOLT:LEV {volts:.6g}",
        "on": ":OUTP ON",
        "point": ":READ?",
    }
    VOLTMETER = (":SOUR:FUNC CURR", ":SOUR:CURR:MODE FIX", ":SOUR:CURR:LEV 0", ":SENS:VOLT:PROT 21")
    SOURCE = (":SOUR:FUNC VOLT",)
    OPEN = ":READ?"

    def _point(self) -> Reading:
        found = self.numbers("point")
        if len(found) != 3:
            raise InstrumentError(f"{self.name}: a reading of {len(found)} numbers, not 3")
        status = int(found[2])
        return Reading(found[0], found[1], bool(status & (COMPLIANCE | RANGE_COMPLIANCE)))
