"""Which gate voltage gives which conductance: the lookup tables behind the jumping routines.

The select transistor's compliance sets the conductance after a SET, so one pulse at a voltage that
belongs to a level lands near it. The tables below are medians of measured 1T1R cells (data of
A. Levy et al., IEEE TED 2021); a bench has its own and says so in its parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from protocols.errors import InputError


@dataclass(frozen=True)
class LevelTable:
    """Voltage over conductance; linear between its knots and held beyond them.

    Attributes:
        siemens: rising.
        volts: strictly rising or strictly falling.
    """

    siemens: tuple[float, ...]
    volts: tuple[float, ...]

    def __post_init__(self) -> None:
        values = (*self.siemens, *self.volts)
        steps = np.diff(np.asarray(self.volts))
        if len(self.siemens) != len(self.volts) or len(self.siemens) < 2:
            raise InputError("A level table needs as many voltages as conductances, two at least.")
        if not all(math.isfinite(v) and v > 0.0 for v in values):
            raise InputError("A level table holds positive numbers only.")
        if not np.all(np.diff(np.asarray(self.siemens)) > 0.0):
            raise InputError("The conductances of a level table must rise.")
        if not (np.all(steps > 0.0) or np.all(steps < 0.0)):
            raise InputError("The voltages of a level table must rise or fall all the way.")

    def volts_for(self, siemens: FloatArray) -> FloatArray:
        """(n,) voltages that belong to (n,) conductances."""
        return np.asarray(np.interp(siemens, self.siemens, self.volts))

    def siemens_for(self, volts: FloatArray) -> FloatArray:
        """(n,) conductances that belong to (n,) voltages."""
        order = np.argsort(self.volts)
        x, y = np.asarray(self.volts)[order], np.asarray(self.siemens)[order]
        return np.asarray(np.interp(volts, x, y))


def set_gate_100ns() -> LevelTable:
    """SET from the high-resistance state, VBL 2 V, 100 ns: medians of 100 cells x 10 up to 165 uS.

    Above that the measured sweep was stopped at its safe limit; the 200 ns sweep from the low
    side, 0.6 V lower at 165 uS, goes on from there up to 3.1 V; the last knot is the end of the
    gate's range (this project's choice).
    """
    knots = (
        (6e-6, 2.10),
        (11e-6, 2.20),
        (24e-6, 2.25),
        (45e-6, 2.30),
        (74e-6, 2.35),
        (97e-6, 2.40),
        (119e-6, 2.45),
        (139e-6, 2.50),
        (153e-6, 2.55),
        (165e-6, 2.60),
        (180e-6, 2.70),
        (203e-6, 2.80),
        (219e-6, 2.90),
        (230e-6, 3.00),
        (235e-6, 3.10),
        (242e-6, 3.50),
    )
    return LevelTable(tuple(g for g, _ in knots), tuple(v for _, v in knots))


def reset_gate_200ns() -> LevelTable:
    """RESET from about 175 uS over the word line, VSL 2.8 V, 200 ns: medians of 50 cells x 10."""
    return LevelTable(siemens=(16e-6, 26e-6, 58e-6, 164e-6), volts=(3.00, 2.75, 2.50, 2.25))
