"""Plain incremental-step programming (ISPP): the baseline that other routines are measured against.

A cell below its target gets SET pulses at a rising word line (the transistor's compliance sets the
conductance), one above it RESET pulses at a rising source line; every pulse is verified by a read.
Overshoot turns the direction round, and the ramp that was left goes back by a little and starts
again from there. This is the ping-pong of the published 1T1R benches, with all cells of a round in
one batch, so that round trips count rounds and not pulses.

With `from_erased` a ramp always starts at its beginning, from a cell that was erased by a RESET
pulse: the procedure behind the published pulse counts of A. Levy et al. (IEEE TED 2021).

A verifying read is one noisy sample, and a conductance relaxes after its last pulse. So pulsing
stops only deep inside the tolerance (`aim_fraction`), and when no cell is left to pulse all of them
are read again with several samples: those that moved out are programmed again, within their budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.programming import ProgramParams
from calibration.programming.job import NONE, RESET, SET, Job, Recipe, RecipeProgrammer
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError


@dataclass(frozen=True)
class Ramp:
    """A voltage that rises with every pulse in the same direction.

    Attributes:
        start_volts, step_volts, stop_volts: the ramp; it stays at the stop.
        back_volts: how far it goes back when the direction turns.
        lowest_volts: it never goes back further than this.
    """

    start_volts: float
    step_volts: float
    stop_volts: float
    back_volts: float
    lowest_volts: float

    def __post_init__(self) -> None:
        values = tuple(getattr(self, name) for name in self.__dataclass_fields__)
        if not all(math.isfinite(v) and v > 0.0 for v in values):
            raise InputError(f"A ramp's voltages must be positive numbers: {self}.")
        if not self.lowest_volts <= self.start_volts <= self.stop_volts:
            raise InputError(f"A ramp needs lowest <= start <= stop: {self}.")

    def next(self, volts: FloatArray, again: BoolArray, turned: BoolArray) -> FloatArray:
        """Voltage of the next pulse: a step up when `again`, back when `turned`, else as it is."""
        moved = np.where(again, volts + self.step_volts, volts)
        moved = np.where(turned, moved - self.back_volts, moved)
        return np.minimum(np.maximum(moved, self.lowest_volts), self.stop_volts)


@dataclass(frozen=True)
class IsppParams(ProgramParams):
    """Ramps and widths. Voltages follow the measured cells; the rest is this project's choice.

    Attributes:
        set_gate: word-line ramp of a SET. At 1 us the measured cells start to move at 1.6 V and
            reach 200 uS at 2 V.
        set_line_volts, set_width_s: the SET's bit line and width.
        reset_line: source-line ramp of a RESET; the measured cells start to move at 0.6 V.
        reset_gate_volts, reset_width_s: the RESET's word line and width.
        from_erased: each cell is erased first, and again after an overshoot or at the end of the
            SET ramp; each SET ramp starts at its beginning.
    """

    set_gate: Ramp = field(default_factory=lambda: Ramp(1.6, 0.03, 3.5, 0.04, 1.0))
    set_line_volts: float = 2.0
    set_width_s: float = 1e-6
    reset_line: Ramp = field(default_factory=lambda: Ramp(0.4, 0.05, 3.2, 0.1, 0.2))
    reset_gate_volts: float = 3.5
    reset_width_s: float = 200e-9
    from_erased: bool = False


class Ispp(RecipeProgrammer[IsppParams]):
    """Incremental-step programming as a `Programmer`."""

    name = "ispp"
    params_type = IsppParams

    def recipe(self) -> IsppRecipe:
        """Two fresh ramps per cell."""
        return IsppRecipe(self.params)


class IsppRecipe(Recipe):
    """The two ramps of every cell."""

    name = "ispp"

    def __init__(self, params: IsppParams) -> None:
        self.params = params

    def begin(self, job: Job) -> None:
        """Both ramps at their start."""
        n = len(job.cells)
        self.gate = np.full(n, self.params.set_gate.start_volts)
        self.line = np.full(n, self.params.reset_line.start_volts)

    def next(self, job: Job, active: IntArray) -> PulseBatch:
        """A SET below the target, a RESET above it (or, from erased, at the end of a ramp)."""
        p, last = self.params, job.last[active]
        is_set = job.error[active] < 0.0
        if p.from_erased:
            top = (last == SET) & (self.gate[active] >= p.set_gate.stop_volts)
            is_set &= (last != NONE) & ~top
        for ramp, volts, mine, this, other in (
            (p.set_gate, self.gate, is_set, SET, RESET),
            (p.reset_line, self.line, ~is_set, RESET, SET),
        ):
            again, turned = mine & (last == this), mine & (last == other)
            moved = ramp.next(volts[active], again, turned)
            volts[active] = np.where(turned, ramp.start_volts, moved) if p.from_erased else moved
        return PulseBatch(
            job.cells[active],
            np.where(is_set, SET, RESET),
            np.where(is_set, self.gate[active], p.reset_gate_volts),
            np.where(is_set, p.set_line_volts, self.line[active]),
            np.where(is_set, p.set_width_s, p.reset_width_s),
        )

    def heard(self, job: Job, active: IntArray, given: PulseBatch) -> None:
        """Where a cell was hurried, its ramp goes on from there."""
        up, down = (np.flatnonzero(job.hurried & (given.operation == k)) for k in (SET, RESET))
        self.gate[active[up]] = given.gate_volts[up]
        self.line[active[down]] = given.line_volts[down]

    def strongest(self, cells: Cells, operation: int) -> PulseBatch:
        """The end of a ramp."""
        p = self.params
        if operation == SET:
            return PulseBatch.set(
                cells,
                gate_volts=p.set_gate.stop_volts,
                line_volts=p.set_line_volts,
                width_s=p.set_width_s,
            )
        return PulseBatch.reset(
            cells,
            gate_volts=p.reset_gate_volts,
            line_volts=p.reset_line.stop_volts,
            width_s=p.reset_width_s,
        )
