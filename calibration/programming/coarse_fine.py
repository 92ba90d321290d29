"""Coarse-and-fine programming (RADAR): jump near the level by the gate, finish by the lines.

Coarse: the cell is erased and gets SET pulses at the gate voltage of its level, each a step higher,
until it comes near its target; the gate's steps are too coarse to end there. Fine: with the gate
open, the bit line (SET) or the source line (RESET) rises in small steps from a voltage that moves
nothing, so each direction creeps towards the target; a cell that falls out of reach goes back to
the coarse phase. (A. Levy et al., "RADAR", IEEE TED 2021. For two bits per cell the names of their
data files state steps of 0.1 V from 0.4 V for the bit line; start and step of the source line were
swept by the authors and are chosen here.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calibration.arrays import BoolArray, IntArray
from calibration.programming.fppv import JumpParams, Jumps
from calibration.programming.ispp import Ramp
from calibration.programming.job import NONE, RESET, SET, Job, RecipeProgrammer
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError


@dataclass(frozen=True)
class CoarseFineParams(JumpParams):
    """The jump of the coarse phase, and the two ramps of the fine one.

    Attributes:
        near_fraction: a cell is near, and its fine phase begins, when it reads within this
            fraction of its target or above it.
        fine_set_line: bit-line ramp of fine SET pulses; fine_set_gate_volts: their gate.
        fine_reset_line: source-line ramp of fine RESET pulses; fine_reset_gate_volts: their gate.
        fine_width_s: width of both.
    """

    gate_step_volts: float = 0.1
    near_fraction: float = 0.15
    fine_set_line: Ramp = field(default_factory=lambda: Ramp(0.4, 0.1, 2.0, 2.0, 0.4))
    fine_set_gate_volts: float = 3.0
    fine_reset_line: Ramp = field(default_factory=lambda: Ramp(0.4, 0.1, 3.2, 3.2, 0.4))
    fine_reset_gate_volts: float = 3.5
    fine_width_s: float = 200e-9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.near_fraction < 1.0:
            raise InputError(f"near_fraction={self.near_fraction} must lie in (0, 1).")
        for name in ("fine_set_gate_volts", "fine_reset_gate_volts", "fine_width_s"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"{name}={getattr(self, name)} must be a positive number.")


class CoarseFineRecipe(Jumps):
    """The phase and the ramps of every cell."""

    name = "coarse_fine"

    def __init__(self, params: CoarseFineParams) -> None:
        super().__init__(params)
        self.params = params

    def begin(self, job: Job) -> None:
        """Cells that are near already need no erasing."""
        super().begin(job)
        n = len(job.cells)
        self.fine = np.abs(job.error) < self.params.near_fraction * job.target
        self.set_line = np.full(n, self.params.fine_set_line.start_volts)
        self.reset_line = np.full(n, self.params.fine_reset_line.start_volts)
        self.fresh = np.ones(n, np.bool_)

    def next(self, job: Job, active: IntArray) -> PulseBatch:
        """Coarse cells: erase or jump; fine cells: the ramp of the side they are on."""
        coarse, fine = active[~self.fine[active]], active[self.fine[active]]
        out = np.argsort(np.concatenate([coarse, fine]), kind="stable")
        parts = [self._coarse(job, coarse), self._fine(job, fine)]
        return PulseBatch.join(parts)[out]

    def _coarse(self, job: Job, cell: IntArray) -> PulseBatch:
        low = job.error[cell] < 0.0
        return self.batch(job, cell, low & (job.last[cell] != NONE))

    def _fine(self, job: Job, cell: IntArray) -> PulseBatch:
        p = self.params
        is_set, last = job.error[cell] < 0.0, job.last[cell]
        for ramp, volts, mine, this in (
            (p.fine_set_line, self.set_line, is_set, SET),
            (p.fine_reset_line, self.reset_line, ~is_set, RESET),
        ):
            again = mine & (last == this) & ~self.fresh[cell]
            turned = mine & (last == 1 - this) & ~self.fresh[cell]
            volts[cell] = ramp.next(volts[cell], again, turned)
        self.fresh[cell] = False
        return PulseBatch(
            job.cells[cell],
            np.where(is_set, SET, RESET),
            np.where(is_set, p.fine_set_gate_volts, p.fine_reset_gate_volts),
            np.where(is_set, self.set_line[cell], self.reset_line[cell]),
            np.full(cell.size, p.fine_width_s),
        )

    def heard(self, job: Job, active: IntArray, given: PulseBatch) -> None:
        """Cells change phase; the gate of a coarse cell that is still low goes up."""
        error, near = job.error[active], self.params.near_fraction * job.target[active]
        was_coarse = ~self.fine[active]
        is_set = given.operation == SET
        missed = active[was_coarse & is_set & (error < -near) & ~job.hurried]
        self.gate[missed] = self.bounded(self.gate[missed] + self.jump.gate_step_volts)
        at_top = self.gate[active] >= self.jump.highest_gate_volts
        begins = was_coarse & is_set & ((error >= -near) | at_top)
        self._begin_fine(active[begins])
        lost = ~was_coarse & (error < -near) & ~self._creeping(active, is_set)
        self.fine[active[lost]] = False

    def _begin_fine(self, cell: IntArray) -> None:
        self.fine[cell], self.fresh[cell] = True, True
        self.set_line[cell] = self.params.fine_set_line.start_volts
        self.reset_line[cell] = self.params.fine_reset_line.start_volts

    def _creeping(self, active: IntArray, is_set: BoolArray) -> BoolArray:
        """Cells whose fine SET ramp is not at its end: they may come up again by themselves."""
        return is_set & (self.set_line[active] < self.params.fine_set_line.stop_volts)

    def strongest(self, cells: Cells, operation: int) -> PulseBatch:
        """The end of a fine ramp."""
        p = self.params
        make = PulseBatch.set if operation == SET else PulseBatch.reset
        ramp = p.fine_set_line if operation == SET else p.fine_reset_line
        return make(
            cells,
            gate_volts=p.fine_set_gate_volts if operation == SET else p.fine_reset_gate_volts,
            line_volts=ramp.stop_volts,
            width_s=p.fine_width_s,
        )

    def extremes(self, cell: Cells) -> tuple[PulseBatch, ...]:
        """Those of the jumps, and the ends of the fine ramps."""
        jumps = Jumps.strongest(self, cell, SET), Jumps.strongest(self, cell, RESET)
        return (*jumps, *super().extremes(cell))


class CoarseFine(RecipeProgrammer[CoarseFineParams]):
    """Coarse-and-fine programming as a `Programmer`."""

    name = "coarse_fine"
    params_type = CoarseFineParams

    def recipe(self) -> CoarseFineRecipe:
        """Every cell in its coarse phase."""
        return CoarseFineRecipe(self.params)
