"""Keysight InfiniiVision oscilloscopes of the 2000, 3000 and 4000 X series."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.scope import ScpiScope

RUNNING = 1 << 3  # bit Run of the operation status condition register


class KeysightInfiniiVision(ScpiScope):
    """Four inputs (two on some), 10 divisions of time, 1000 points."""

    NAME = "keysight-infiniivision"
    MANUAL = "Keysight InfiniiVision 3000 X-Series Programmer's Guide 75019-97081"
    MAKER = r"(KEYSIGHT|AGILENT) TECHNOLOGIES.*"
    MODEL = r"[DM]SO-?X ?[234]\d\d[24][AGT].*"
    CHANNELS = 4
    SAFE = (":STOP",)
    VERTICAL = (
        ":CHAN{n}:DISP 1",
        ":CHAN{n}:COUP DC",
        ":CHAN{n}:BWL 0",
        ":CHAN{n}:PROB {probe:g}",
        ":CHAN{n}:RANG {full_volts:.6g}",
        ":CHAN{n}:OFFS 0",
    )
    TIMEBASE = (":TIM:MODE MAIN", ":TIM:REF CENT", ":TIM:RANG {full_s:.6g}", ":TIM:POS 0")
    TRIGGER = (
        ":TRIG:MODE EDGE",
        ":TRIG:SWE NORM",
        ":TRIG:EDGE:SOUR CHAN{source}",
        ":TRIG:EDGE:SLOP {slope}",
        ":TRIG:EDGE:LEV {level_volts:.6g}",
        ":WAV:FORM ASC",
        ":WAV:POIN:MODE NORM",
        ":WAV:POIN 1000",
    )
    COMMANDS: ClassVar = {
        "arm": ":SING",
        "armed": ":AER?",
        "condition": ":OPER:COND?",
        "source": ":WAV:SOUR CHAN{n}",
        "preamble": ":WAV:PRE?",
        "data": ":WAV:DATA?",
    }

    def _armed(self) -> bool:
        return self.number("armed") == 1.0

    def _captured(self) -> bool:
        return not int(self.number("condition")) & RUNNING
