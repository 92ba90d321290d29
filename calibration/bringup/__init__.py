"""Bringing up a board and a chip: stages that pass in order, each with limits, a figure, a record.

A stage is a module of this folder with a `STAGE` (`stage.py` says what that is); the list below is
their order. `runner.py` runs them and stops at the first that fails.
"""

from __future__ import annotations

from calibration.bringup import (
    converters,
    leakage,
    loop_stages,
    pilot,
    pin_map,
    pulses,
    read_noise,
    resistor_board,
    supplies,
    transistors,
)
from calibration.bringup.runner import Ran, chosen, run_stages
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup import Finding

__all__ = [
    "BOARD_STAGES",
    "CHIP_STAGES",
    "STAGES",
    "Figure",
    "Finding",
    "Needs",
    "Ran",
    "Rig",
    "Stage",
    "StageResult",
    "chosen",
    "run_stages",
]

BOARD_STAGES: tuple[Stage, ...] = (
    supplies.STAGE,
    converters.STAGE,
    pin_map.STAGE,
    resistor_board.STAGE,
    pulses.STAGE,
)
"""What is done without a chip."""

CHIP_STAGES: tuple[Stage, ...] = (
    leakage.STAGE,
    transistors.STAGE,
    read_noise.STAGE,
    pilot.STAGE,
    loop_stages.STAGE,
)
"""What is done with the chip in the socket, by the curves that the board's stages measured."""

STAGES: tuple[Stage, ...] = (*BOARD_STAGES, *CHIP_STAGES)
"""All stages in order."""
