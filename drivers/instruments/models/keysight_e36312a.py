"""Keysight E36312A power supply."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.limits import InstrumentLimits
from drivers.instruments.supply import ScpiSupply

_RATED = "the channel's rating"


class KeysightE36312A(ScpiSupply):
    """One output of 6 V, 5 A and two of 25 V, 1 A."""

    NAME = "keysight-e36312a"
    MANUAL = "Keysight E36311-90008, E36300 Series Programming Guide"
    MAKER = r"(KEYSIGHT|AGILENT) TECHNOLOGIES.*"
    MODEL = r"E36312A"
    ERRORS = "SYST:ERR?"
    RATINGS = (
        InstrumentLimits(6.0, 5.0, _RATED),
        InstrumentLimits(25.0, 1.0, _RATED),
        InstrumentLimits(25.0, 1.0, _RATED),
    )
    COMMANDS: ClassVar = {
        "amperes": "CURR {amperes:.4f},(@{n})",
        "volts": "VOLT {volts:.4f},(@{n})",
        "on": "OUTP ON,(@{n})",
        "off": "OUTP OFF,(@{n})",
        "measure_volts": "MEAS:VOLT? (@{n})",
        "measure_amperes": "MEAS:CURR? (@{n})",
    }
