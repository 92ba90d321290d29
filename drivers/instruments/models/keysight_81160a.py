"""Keysight 81150A and 81160A pulse generators."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.limits import InstrumentLimits
from drivers.instruments.pulser import ScpiPulseGenerator


class Keysight81160A(ScpiPulseGenerator):
    """Output 1: up to 10 V into an open output, 5 V into 50 ohms; pulses of 4.1 ns and more.

    A burst has at least two cycles there, so pulses are triggered one by one.
    """

    NAME = "keysight-81160a"
    MANUAL = "Keysight 81150-91020, 81150A and 81160A User's Guide, chapter 4"
    MAKER = r"(KEYSIGHT|AGILENT) TECHNOLOGIES.*"
    MODEL = r"811[56]0A"
    RATING = InstrumentLimits(10.0, 0.2, "the model's rating")
    SHORTEST_S = 4.1e-9
    SETUP = ("*RST", ":FUNC1 PULS", ":ARM:SOUR1 MAN", ":ARM:SENS1 EDGE")
    SAFE = (":OUTP1 OFF", ":VOLT1:LIM:STAT OFF", ":VOLT1 MIN", ":VOLT1:OFFS 0")
    CONFIGURE = (
        ":OUTP1:LOAD {load}",
        ":PULS:TRAN1 MIN",
        ":PULS:TRAN1:TRA MIN",
        ":PULS:WIDT1 MIN",
        ":PULS:PER1 {period_s:.6g}",
        ":PULS:WIDT1 {width_s:.6g}",
        ":PULS:TRAN1 {edge_s:.6g}",
        ":PULS:TRAN1:TRA {edge_s:.6g}",
        ":VOLT1:OFFS {middle_volts:.6g}",
        ":VOLT1 {step_volts:.6g}",
    )
    LIMIT = (
        ":VOLT1:LIM:LOW {least_volts:.6g}",
        ":VOLT1:LIM:HIGH {most_volts:.6g}",
        ":VOLT1:LIM:STAT ON",
    )
    COMMANDS: ClassVar = {"on": ":OUTP1 ON", "burst": ":TRIG1", "done": "*OPC?"}

    def _burst(self, count: int, duration_s: float) -> None:
        for _ in range(count):
            self._train(duration_s / count)
