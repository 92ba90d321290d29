"""Keysight 33500B waveform generators, as pulse generators."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.limits import InstrumentLimits
from drivers.instruments.pulser import ScpiPulseGenerator


class Keysight33500B(ScpiPulseGenerator):
    """Output 1: up to 10 V into an open output, 5 V into 50 ohms; pulses of 16 ns and more."""

    NAME = "keysight-33500b"
    MANUAL = "Keysight 33500-90901, 33500 Series Operating and Service Guide"
    MAKER = r"(KEYSIGHT|AGILENT) TECHNOLOGIES.*"
    MODEL = r"335\d\d[AB]"
    ERRORS = "SYST:ERR?"
    RATING = InstrumentLimits(10.0, 0.2, "the model's rating")
    SHORTEST_S = 16e-9
    SETUP = (
        "*RST",
        "SOUR1:FUNC PULS",
        "SOUR1:VOLT:UNIT VPP",
        "SOUR1:BURS:MODE TRIG",
        "SOUR1:BURS:NCYC 1",
        "TRIG1:SOUR BUS",
        "SOUR1:BURS:STAT ON",
    )
    SAFE = ("OUTP1 OFF", "SOUR1:VOLT:LIM:STAT OFF", "SOUR1:VOLT MIN", "SOUR1:VOLT:OFFS 0")
    CONFIGURE = (
        "OUTP1:LOAD {load}",
        "SOUR1:FUNC:PULS:TRAN:BOTH MIN",
        "SOUR1:FUNC:PULS:WIDT MIN",
        "SOUR1:FUNC:PULS:PER {period_s:.6g}",
        "SOUR1:FUNC:PULS:WIDT {width_s:.6g}",
        "SOUR1:FUNC:PULS:TRAN:BOTH {edge_s:.6g}",
        "SOUR1:VOLT:OFFS {middle_volts:.6g}",
        "SOUR1:VOLT {step_volts:.6g}",
    )
    LIMIT = (
        "SOUR1:VOLT:LIM:LOW {least_volts:.6g}",
        "SOUR1:VOLT:LIM:HIGH {most_volts:.6g}",
        "SOUR1:VOLT:LIM:STAT ON",
    )
    COMMANDS: ClassVar = {
        "on": "OUTP1 ON",
        "count": "SOUR1:BURS:NCYC {count}",
        "burst": "*TRG",
        "done": "*OPC?",
    }
