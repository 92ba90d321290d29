"""Rigol DS1054Z oscilloscope and its relatives of the DS1000Z and MSO1000Z series."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.scope import ScpiScope


class RigolDs1054z(ScpiScope):
    """Four inputs, 12 divisions of time, the 1200 points of the screen."""

    NAME = "rigol-ds1054z"
    MANUAL = "Rigol MSO1000Z/DS1000Z Programming Guide PGA19108-1110, chapter 2"
    MAKER = r"RIGOL TECHNOLOGIES.*"
    MODEL = r"(DS|MSO)1\d\d4Z.*"
    CHANNELS = 4
    TIME_DIVISIONS = 12
    SAFE = (":STOP",)
    VERTICAL = (
        ":CHAN{n}:DISP ON",
        ":CHAN{n}:COUP DC",
        ":CHAN{n}:BWL OFF",
        ":CHAN{n}:PROB {probe:g}",
        ":CHAN{n}:SCAL {division_volts:.6g}",
        ":CHAN{n}:OFFS 0",
    )
    TIMEBASE = (":TIM:MODE MAIN", ":TIM:SCAL {division_s:.6g}", ":TIM:OFFS 0")
    TRIGGER = (
        ":TRIG:MODE EDGE",
        ":TRIG:EDG:SOUR CHAN{source}",
        ":TRIG:EDG:SLOP {slope}",
        ":TRIG:EDG:LEV {level_volts:.6g}",
        ":WAV:MODE NORM",
        ":WAV:FORM ASC",
    )
    COMMANDS: ClassVar = {
        "arm": ":SING",
        "status": ":TRIG:STAT?",
        "source": ":WAV:SOUR CHAN{n}",
        "preamble": ":WAV:PRE?",
        "data": ":WAV:DATA?",
    }

    def _armed(self) -> bool:
        return self.ask("status") in ("WAIT", "TD", "RUN")

    def _captured(self) -> bool:
        return self.ask("status") == "STOP"
