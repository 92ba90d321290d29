"""The energy of a pulse in the units of the wire, for the limits of a board.

A pulse of V volts that lasts t seconds leaves at most V^2 G t in a cell of the conductance G. The
largest G that a cell can have is in the board's description (`limits.cell_siemens`), so a limit in
joules is one on V^2 t, and on the board one on

    line_code^2 x width_ticks <= energy_max x ENERGY_UNIT

A compliance current, series resistance and a cell that is in a low state only take from that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ENERGY_UNIT = 1024
"""Squares of codes times ticks in one unit of an energy limit on the wire."""

_U32_MAX = (1 << 32) - 1


def energy_corner(line_max: int, width_max: int) -> int:
    """The smallest energy limit that no pulse within the other two can exceed."""
    return min(-(-(line_max**2) * width_max // ENERGY_UNIT), _U32_MAX)


def energy_code(
    joules: float, siemens: float, tick_s: float, volts: Sequence[float], width_max: int
) -> int:
    """The largest energy limit on the wire that keeps every pulse at or below `joules`.

    Args:
        joules: the limit.
        siemens: the largest conductance of a cell.
        tick_s: the unit of widths.
        volts: what each code of the line gives at most, from code 0 to the largest allowed.
        width_max: the longest width allowed, in ticks.
    """
    corner = energy_corner(len(volts) - 1, width_max)
    most = joules / (siemens * tick_s) * (1.0 + 1e-9)  # volts^2 ticks; 1e-9 absorbs rounding
    binding = [
        most * (code / volt) ** 2
        for code, volt in enumerate(volts)
        if code > 0 and volt**2 * width_max > most  # code 0 is as low as a line can be
    ]
    if not binding:
        return corner
    return min(corner, math.floor(min(binding) / ENERGY_UNIT))
