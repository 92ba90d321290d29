"""The bench file's section `bringup`: parameters and limits of each stage, by its name.

    bringup:
      supplies: {rails: [{name: logic, volts: 3.3}, {name: drivers, volts: 6.0}]}
      pin_map: {stride: 8}

Every stage's defaults stand with the stage (`calibration/bringup`).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from calibration.bringup.converters import ConvertersParams
from calibration.bringup.leakage import LeakageParams
from calibration.bringup.loop_stages import LoopStageParams
from calibration.bringup.pilot import PilotParams
from calibration.bringup.pin_map import PinMapParams
from calibration.bringup.pulses import PulsesParams
from calibration.bringup.read_noise import ReadNoiseParams
from calibration.bringup.resistor_board import ResistorBoardParams
from calibration.bringup.supplies import SuppliesParams
from calibration.bringup.transistors import TransistorParams


class BringupSection(BaseModel):
    """One field per stage, called as the stage is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    supplies: SuppliesParams = SuppliesParams()
    converters: ConvertersParams = ConvertersParams()
    pin_map: PinMapParams = PinMapParams()
    resistor_board: ResistorBoardParams = ResistorBoardParams()
    pulses: PulsesParams = PulsesParams()
    leakage: LeakageParams = LeakageParams()
    transistors: TransistorParams = TransistorParams()
    read_noise: ReadNoiseParams = ReadNoiseParams()
    pilot: PilotParams = PilotParams()
    loop: LoopStageParams = LoopStageParams()
