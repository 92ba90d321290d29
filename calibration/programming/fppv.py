"""Fixed-pulse programming (FPPV): jump to the gate voltage of the level, erase and retry if missed.

The level table names a gate voltage for every target. A cell below its target gets a SET at that
gate, one above it an erasing RESET, until a reading lies inside. As published (A. Levy et al.,
IEEE TED 2021; their tables show SET pulses repeated after a reading below and RESET pulses after
one above, one gate voltage per level) the pulses never change: `gate_step_volts=0`. With a step a
cell's gate moves up after it came out low and down after it came out high, so that each cell finds
its own voltage; that is this project's addition and the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.programming import ProgramParams
from calibration.programming.job import NONE, RESET, SET, Job, Recipe, RecipeProgrammer
from calibration.programming.levels import LevelTable, set_gate_100ns
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError


@dataclass(frozen=True)
class JumpParams(ProgramParams):
    """What the routines with a level table share.

    Attributes:
        levels: SET gate voltage of each level, from the erased state.
        set_line_volts, set_width_s: bit line and width of the SET, those of the table.
        gate_step_volts: by how much a cell's gate moves after a miss; 0 never moves it.
        highest_gate_volts, lowest_gate_volts: its range.
        erase_gate_volts, erase_line_volts, erase_width_s: the RESET that erases.
        erase_step_volts, erase_stop_volts: a repeated erasing pulse has a higher line voltage.
    """

    levels: LevelTable = field(default_factory=set_gate_100ns)
    set_line_volts: float = 2.0
    set_width_s: float = 100e-9
    gate_step_volts: float = 0.05
    lowest_gate_volts: float = 1.5
    highest_gate_volts: float = 3.5
    erase_gate_volts: float = 3.5
    erase_line_volts: float = 2.8
    erase_step_volts: float = 0.1
    erase_stop_volts: float = 3.2
    erase_width_s: float = 200e-9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.lowest_gate_volts < self.highest_gate_volts:
            raise InputError("0 < lowest_gate_volts < highest_gate_volts is needed.")
        if not 0.0 < self.erase_line_volts <= self.erase_stop_volts:
            raise InputError("0 < erase_line_volts <= erase_stop_volts is needed.")
        if not self.gate_step_volts >= 0.0:
            raise InputError(f"gate_step_volts={self.gate_step_volts} must not be negative.")
        for name in (
            "erase_step_volts",
            "set_line_volts",
            "set_width_s",
            "erase_gate_volts",
            "erase_width_s",
        ):
            if not getattr(self, name) > 0.0:
                raise InputError(f"{name}={getattr(self, name)} must be a positive number.")


@dataclass(frozen=True)
class FppvParams(JumpParams):
    """As `JumpParams`."""


class Jumps(Recipe):
    """What jumping routines share: the gate of every cell, erasing, the strongest pulses."""

    def __init__(self, params: JumpParams) -> None:
        self.jump = params

    def begin(self, job: Job) -> None:
        """Every cell at the table's voltage for its target."""
        self.gate = self.bounded(self.jump.levels.volts_for(job.target))
        self.erasures = np.zeros(len(job.cells), np.int64)

    def bounded(self, gate: FloatArray) -> FloatArray:
        """Gate voltages within their range."""
        limits = self.jump.lowest_gate_volts, self.jump.highest_gate_volts
        return np.asarray(np.clip(gate, *limits))

    def batch(self, job: Job, active: IntArray, is_set: BoolArray) -> PulseBatch:
        """A SET at the cell's gate, or the erasing RESET, which rises when it is repeated."""
        p = self.jump
        again = ~is_set & (job.last[active] == RESET)
        self.erasures[active] = np.where(again, self.erasures[active] + 1, 0)
        line = p.erase_line_volts + p.erase_step_volts * self.erasures[active]
        line = np.minimum(line, p.erase_stop_volts)
        return PulseBatch(
            job.cells[active],
            np.where(is_set, SET, RESET),
            np.where(is_set, self.gate[active], p.erase_gate_volts),
            np.where(is_set, p.set_line_volts, line),
            np.where(is_set, p.set_width_s, p.erase_width_s),
        )

    def strongest(self, cells: Cells, operation: int) -> PulseBatch:
        """A SET at the highest gate, or the strongest erasing RESET."""
        p = self.jump
        if operation == SET:
            return PulseBatch.set(
                cells,
                gate_volts=p.highest_gate_volts,
                line_volts=p.set_line_volts,
                width_s=p.set_width_s,
            )
        return PulseBatch.reset(
            cells,
            gate_volts=p.erase_gate_volts,
            line_volts=p.erase_stop_volts,
            width_s=p.erase_width_s,
        )


class FppvRecipe(Jumps):
    """The same SET below the target, the same RESET above it."""

    name = "fppv"

    def next(self, job: Job, active: IntArray) -> PulseBatch:
        """The first pulse of a cell that is out is a RESET: levels are reached from below."""
        began = job.last[active] != NONE
        return self.batch(job, active, (job.error[active] < 0.0) & began)

    def heard(self, job: Job, active: IntArray, given: PulseBatch) -> None:
        """Move the gates of cells that their SET missed."""
        cell = active[(given.operation == SET) & ~job.hurried]
        step = -np.sign(job.error[cell]) * self.jump.gate_step_volts
        self.gate[cell] = self.bounded(self.gate[cell] + step)


class Fppv(RecipeProgrammer[FppvParams]):
    """Fixed-pulse programming as a `Programmer`."""

    name = "fppv"
    params_type = FppvParams

    def recipe(self) -> FppvRecipe:
        """Every cell at the table's voltage."""
        return FppvRecipe(self.params)
