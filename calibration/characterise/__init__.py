"""Characterisation: short measurements of how a chip's cells behave, each with its intervals."""

from calibration.characterise.common import (
    Account,
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    Stop,
    formed,
)
from calibration.characterise.intervals import Interval
from calibration.characterise.routines import ROUTINES, Routine

__all__ = [
    "ROUTINES",
    "Account",
    "Characterisation",
    "Cost",
    "Interval",
    "Rig",
    "Routine",
    "RoutineParams",
    "Stop",
    "formed",
]
