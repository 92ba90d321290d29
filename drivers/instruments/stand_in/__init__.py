"""Instruments in place of a board's own front end: a switch matrix, an SMU, a pulse generator.

As laboratories without this project's board work: the matrix takes one cell after the other to the
instruments, a supply holds its gate, the pulse generator (or the source-measure unit, for long
pulses) drives it, the source-measure unit reads it. Slow by nature: tens of milliseconds a pulse
and a read, against tens of microseconds on the board.
"""

from drivers.instruments.stand_in.front_end import StandIn
from drivers.instruments.stand_in.setup import StandInParams, StandInSet, StandInWiring

__all__ = ["StandIn", "StandInParams", "StandInSet", "StandInWiring"]
