"""What a reading adds to the conductance: its dependence on the read voltage, telegraph noise.

I-V. Conduction through a filament is ohmic at high conductance and rises faster than the voltage at
low conductance. The usual compact form is I = a sinh(b V); b = 2.717 per volt is that of a
published data-driven model of metal-oxide cells (model Data_Driven2021 in the code of MemTorch).
Here b falls with the conductance, b(G) = b0 / (1 + G / Gq) with the conductance quantum
Gq = 2 e^2 / h = 77.5 uS, above which a filament conducts like a metal; that interpolation is this
project's choice. The tables to which the profile is fitted were read at one voltage, so a
conductance means that at `REFERENCE_VOLTS`, where the law changes nothing. The analog loop works at
half of that and is taken as linear.

Telegraph noise. A share of the cells has one trap that is either empty or filled, which moves the
reading between two levels about the same mean (S. Ambrogio et al., IEEE TED 61, 2920, 2014). Time
is cut into slots of the trap's own length, its state is a keyed draw per slot: a function of time
and cell alone, so reading has no effect on it. The share is 0 unless the settings say otherwise,
because the fitted read noise holds the fluctuations of the measured cells already (heavy tails);
about a tenth of the cells is what simulators assume. Amplitudes and times are this project's
choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.config import SimSettings

F64 = NDArray[np.float64]
Index = NDArray[np.int64]

REFERENCE_VOLTS = 0.2
QUANTUM_SIEMENS = 77.48e-6  # 2 e^2 / h
_SMALLEST_VOLTS = 1e-6  # below it a cell is linear to the last digit
STREAM_TRAP = 121  # (cell): whether there is a trap, its occupation, its time
STREAM_SLOT = 122  # (cell, slot): its state
SHORTEST_DECADE, LONGEST_DECADE = -3.0, 0.0  # log10 of the slot length in seconds
LEAST_OCCUPATION = 0.3  # of a trap; the most is 1 - this


class ReadLaw:
    """The law of one chip's readings; the conductances themselves are the cells' own."""

    def __init__(self, settings: SimSettings) -> None:
        effects = settings.switched()
        self._seed = settings.seed
        self._per_volt = settings.read_nonlinearity_per_volt if effects.read_nonlinearity else 0.0
        self._share = settings.telegraph_fraction if effects.two_state else 0.0
        self._step = settings.telegraph_step

    @property
    def has_traps(self) -> bool:
        """Whether cells step between two levels, so that a conductance changes by itself."""
        return self._share > 0.0

    def over_voltage(self, siemens: F64, volts: float, reference_volts: float) -> F64:
        """Apparent conductance at a read voltage of cells that have `siemens` at the reference."""
        if self._per_volt == 0.0 or volts == reference_volts or volts <= 0.0:
            return siemens
        b = self._per_volt / (1.0 + np.maximum(siemens, 0.0) / QUANTUM_SIEMENS)
        here, there = np.sinh(b * volts) / volts, np.sinh(b * reference_volts) / reference_volts
        return np.asarray(siemens * here / there)

    def over_voltages(self, siemens: F64, volts: F64, reference_volts: float) -> F64:
        """The same for rows at voltages of their own, of either sign.

        `siemens` (rows, columns), `volts` (n, rows); shape (n, rows, columns).
        """
        shape = (volts.shape[0], *siemens.shape)
        if self._per_volt == 0.0:
            return np.broadcast_to(siemens, shape)
        b = self._per_volt / (1.0 + np.maximum(siemens, 0.0) / QUANTUM_SIEMENS)
        there = np.sinh(b * reference_volts) / reference_volts
        size = np.maximum(np.abs(volts), _SMALLEST_VOLTS)[:, :, None]
        return np.asarray(siemens / there * (np.sinh(b * size) / size))

    def telegraph(self, index: Index, siemens: F64, now_s: F64) -> F64:
        """The readings with each trap's step added, mean unchanged; `now_s` one for all or each."""
        if self._share == 0.0:
            return siemens
        has, filled, length_s = self.traps(index)
        slot = (np.broadcast_to(now_s, index.shape) / length_s).astype(np.int64)
        state = draws.uniforms(self._seed, STREAM_SLOT, index, slot & 0xFFFFFFFF, slot >> 32)
        step = self._step * (np.where(state < filled, 1.0, 0.0) - filled)
        return np.asarray(siemens * np.where(has, 1.0 + step, 1.0))

    def traps(self, index: Index) -> tuple[NDArray[np.bool_], F64, F64]:
        """Which cells have a trap, how much of the time it is filled, and its slot's length."""
        u = draws.uniform_lanes(self._seed, STREAM_TRAP, index, lanes=3)
        filled = LEAST_OCCUPATION + (1.0 - 2.0 * LEAST_OCCUPATION) * u[:, 1]
        decades = SHORTEST_DECADE + (LONGEST_DECADE - SHORTEST_DECADE) * u[:, 2]
        return u[:, 0] < self._share, filled, 10.0**decades
