"""The select transistors of the array: what a gate voltage leaves of a cell's conductance.

At the small voltages of reads a transistor is a resistor that its gate sets. Its conductance is the
usual smooth law of weak and strong inversion together (C. Enz, F. Krummenacher, E. Vittoz, Analog
Integrated Circuits and Signal Processing 8, 83, 1995), to first order in the drain's voltage:

    G(V) = k u ln(1 + exp((V - V_t) / u))

A cell's conductance, wherever else it occurs, is that of cell and transistor together with the gate
open as for a read; a gate voltage below that adds the difference of the transistor's resistances.
The sizes are this project's choice; the threshold is that below which nothing forms in the profile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.chip_faults import WEAK_VOLTS
from hil.sim.config import CUT_SIGMAS, SimSettings
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]

STREAM_TRANSISTOR = 123
"""(word line): deviation of its transistors' threshold."""
SLOPE_VOLTS = 0.045
"""u: 104 mV of gate per decade below the threshold (this project's choice)."""
_LEAST_SIEMENS = 1e-15


class Transistors:
    """The transistors of one chip, word line by word line."""

    def __init__(self, description: BoardDescription, settings: SimSettings) -> None:
        self._slope = settings.transistor_siemens_per_volt
        self.open_volts = description.limits.set.gate_volts
        normals = draws.normals(settings.seed, STREAM_TRANSISTOR, np.arange(description.columns), 0)
        spread = settings.transistor_threshold_sd_volts * np.clip(normals, -CUT_SIGMAS, CUT_SIGMAS)
        self.threshold_volts: F64 = settings.transistor_threshold_volts + spread
        weak = settings.chip_faults.weak_word_line
        if weak is not None:
            self.threshold_volts[weak] += WEAK_VOLTS

    def siemens(self, columns: NDArray[np.int64], gate_volts: float) -> F64:
        """Conductance of the transistors of word lines `columns` (n,)."""
        over = (gate_volts - self.threshold_volts[columns]) / SLOPE_VOLTS
        return np.asarray(self._slope * SLOPE_VOLTS * np.logaddexp(0.0, over))

    def behind(self, siemens: F64, columns: NDArray[np.int64], gate_volts: float) -> F64:
        """Conductance (n,) of cells at a gate voltage, from theirs with the gates open."""
        there = np.maximum(self.siemens(columns, gate_volts), _LEAST_SIEMENS)
        more_ohm = 1.0 / there - 1.0 / self.siemens(columns, self.open_volts)
        return np.asarray(siemens / (1.0 + siemens * np.maximum(more_ohm, 0.0)))
