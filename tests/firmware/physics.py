"""The front end that the firmware's tests run against: the one that the simulator ships."""

from hil.sim.virtual import Inputs
from hil.sim.virtual import VirtualFrontEnd as Physics

INTERLOCK_OPEN, LATE = Inputs.INTERLOCK_OPEN, Inputs.LATE

__all__ = ["INTERLOCK_OPEN", "LATE", "Physics"]
