"""Rigol DP832 power supply."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.limits import InstrumentLimits
from drivers.instruments.supply import ScpiSupply

_RATED = "the channel's rating"


class RigolDp832(ScpiSupply):
    """Two outputs of 30 V, 3 A and one of 5 V, 3 A."""

    NAME = "rigol-dp832"
    MANUAL = "Rigol DP800 Programming Guide PGH03108-1110, chapter 2"
    MAKER = r"RIGOL TECHNOLOGIES.*"
    MODEL = r"DP832A?"
    RATINGS = (
        InstrumentLimits(30.0, 3.0, _RATED),
        InstrumentLimits(30.0, 3.0, _RATED),
        InstrumentLimits(5.0, 3.0, _RATED),
    )
    COMMANDS: ClassVar = {
        "amperes": ":SOUR{n}:CURR {amperes:.4f}",
        "volts": ":SOUR{n}:VOLT {volts:.4f}",
        "on": ":OUTP CH{n},ON",
        "off": ":OUTP CH{n},OFF",
        "measure_volts": ":MEAS:VOLT? CH{n}",
        "measure_amperes": ":MEAS:CURR? CH{n}",
    }
