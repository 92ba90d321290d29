"""A chip of the JART VCM model: physics of another school than the fitted equations.

`jart.py` has the equations and their sources. Published figures that are changed here, and why:

- N_min 3e-3 instead of 8e-3: the published one ends at 14 uS, and windows above 80 kohm need less.
- Thermal resistance in RESET the full R_th0 instead of 0.27 of it: behind a transistor of this
  current and gates up to 4.5 V the published one takes 1.6 V and more, and leaves deep states out
  of reach of the reference board.
- Variability: the published set (N_min +- 25 %, N_max +- 5 %, l_disc +- 10 %, r +- 11 %) is of
  single cells on a test chip; by the current limit r alone would spread SET by 22 %. Here l_disc
  has 3 %, r 3.5 %. N_min and N_max are as published.

This project's choices, for which the model has no figure: the transistor (gain and threshold, with
which a 100 ns SET reaches 70 to 205 uS between VWL 1.95 and 2.45 V), its spread; what changes from
pulse to pulse (r and the thermal resistance in RESET, in one draw that remembers the pulse before);
size and memory of the read noise and the settling; forming, whose voltages are the profile's, after
which the pulse goes on from N = 0.03. Faults and bounds are the profile's too.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.sim import physics_kernels as kernels
from hil.sim.cells import CellArray
from hil.sim.effects import Effects
from hil.sim.jart import CellModel
from hil.sim.profile import Profile

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Variability(NamedTuple):
    """Spreads, of logarithms unless a unit says otherwise, and what the effects switch off."""

    radius_device: float = 0.035
    radius_cycle: float = 0.02
    disc_device: float = 0.03
    n_min_device: float = 0.25
    n_max_device: float = 0.05
    threshold_device: float = 0.01  # V
    heat_device: float = 0.10
    heat_cycle: float = 0.08
    memory: float = 0.75  # from one pulse to the next of its direction
    weak_gain: float = 0.8  # of a weak cell's transistor
    noise_vacancies: float = 0.03  # sd of ln N times sqrt(vacancies)
    noise_memory: float = 0.7  # from read to read
    settle_vacancies: float = 0.04  # the same as sd after one decade of time
    onset_s: float = 1.0e-3
    device_on: float = 1.0
    cycle_on: float = 1.0
    noise_on: float = 1.0
    settle_on: float = 1.0


class PhysicsCells(CellArray):
    """Cells of the JART model; otherwise like `CellArray`."""

    kind: ClassVar[str] = "physics"

    def __init__(
        self,
        profile: Profile,
        seed: int,
        state: NDArray[np.void],
        effects: Effects | None = None,
        *,
        swapped: bool = False,
        model: CellModel | None = None,
        variability: Variability | None = None,
    ) -> None:
        super().__init__(profile, seed, state, effects, swapped=swapped)
        self.model = model or CellModel()
        self.variability = (variability or Variability())._replace(
            device_on=float(self.effects.device_to_device),
            cycle_on=float(self.effects.cycle_to_cycle),
            noise_on=float(self.effects.read_noise),
            settle_on=float(self.effects.relaxation),
        )

    def _pulse(
        self, cells: I64, direction: I64, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        kernels.pulse_cells(
            self._raw, cells, direction, gate, line, width_s, now_s, *self._physics
        )  # fmt: skip

    def _read(self, cells: I64, now_s: F64, out: F64) -> None:
        kernels.read_cells(self._raw, cells, now_s, *self._physics, out)

    def _mean(self, cells: I64, now_s: F64, out: F64) -> None:
        kernels.mean_cells(self._raw, cells, now_s, *self._physics, out)

    def _solve_noise(self, cells: I64, trajectories: I64, out: NDArray[np.float32]) -> None:
        kernels.solve_noise_cells(self._raw, cells, trajectories, *self._physics, out)

    @property
    def _physics(self) -> tuple[NDArray[np.void], Variability, CellModel]:
        return self._parameters, self.variability, self.model
