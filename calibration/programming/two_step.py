"""Gate-controlled two-step programming: jump by the gate in either direction, then trim the gate.

The gate limits the current, so it decides where a SET ends, and where a RESET does. Each cell is
first driven by the gate voltage that the level tables name for its target. What it reads then tells
how far this cell is off the tables, and its own gate is corrected by just that (the coarse step);
once it is within a few per cent, the gate moves in small steps (the fine step). There is no erasing
in between. After E. J. Merced-Grafals et al., Nanotechnology 27, 365202 (2016), of which the
abstract states gate control in both directions, 100 ns pulses and 12 % after two pulses; the
correction by table and the fine step are this project's reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.programming import ProgramParams
from calibration.programming.job import RESET, SET, Job, Recipe, RecipeProgrammer
from calibration.programming.levels import LevelTable, reset_gate_200ns, set_gate_100ns
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError


@dataclass(frozen=True)
class TwoStepParams(ProgramParams):
    """Two tables and how a cell's gate moves.

    Attributes:
        set_levels, reset_levels: gate over the conductance that a SET or RESET ends at.
        set_line_volts, set_width_s, reset_line_volts, reset_width_s: the pulses of the tables.
        coarse_fraction: further off than this fraction of its target a cell is corrected by the
            tables, closer by `fine_step_volts`.
        most_step_volts: the largest single correction.
        lowest_gate_volts, highest_set_gate_volts, highest_reset_gate_volts: range of the gates.
    """

    set_levels: LevelTable = field(default_factory=set_gate_100ns)
    reset_levels: LevelTable = field(default_factory=reset_gate_200ns)
    set_line_volts: float = 2.0
    set_width_s: float = 100e-9
    reset_line_volts: float = 2.8
    reset_width_s: float = 200e-9
    coarse_fraction: float = 0.12
    fine_step_volts: float = 0.02
    most_step_volts: float = 0.2
    lowest_gate_volts: float = 1.5
    highest_set_gate_volts: float = 3.5
    highest_reset_gate_volts: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("set_line_volts", "set_width_s", "reset_line_volts", "reset_width_s"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"{name}={getattr(self, name)} must be a positive number.")
        if not 0.0 < self.fine_step_volts <= self.most_step_volts:
            raise InputError("0 < fine_step_volts <= most_step_volts is needed.")
        highest = min(self.highest_set_gate_volts, self.highest_reset_gate_volts)
        if not 0.0 < self.lowest_gate_volts < highest:
            raise InputError(
                "The highest gates must lie above lowest_gate_volts, and that above 0."
            )
        if not 0.0 < self.coarse_fraction < 1.0:
            raise InputError(f"coarse_fraction={self.coarse_fraction} must lie in (0, 1).")


class TwoStepRecipe(Recipe):
    """Both gates of every cell."""

    name = "two_step"

    def __init__(self, params: TwoStepParams) -> None:
        self.params = params

    def begin(self, job: Job) -> None:
        """Both gates as the tables say."""
        p = self.params
        self.gate = np.stack(
            [p.set_levels.volts_for(job.target), p.reset_levels.volts_for(job.target)], axis=1
        )
        self._bound(np.arange(len(job.cells)))

    def next(self, job: Job, active: IntArray) -> PulseBatch:
        """A SET below the target, a RESET above it, each at the cell's own gate."""
        p = self.params
        is_set = job.error[active] < 0.0
        operation = np.where(is_set, SET, RESET)
        return PulseBatch(
            job.cells[active],
            operation,
            self.gate[active, operation],
            np.where(is_set, p.set_line_volts, p.reset_line_volts),
            np.where(is_set, p.set_width_s, p.reset_width_s),
        )

    def heard(self, job: Job, active: IntArray, given: PulseBatch) -> None:
        """Correct the gate that was used by what came of it."""
        p = self.params
        far = np.abs(job.error[active]) > p.coarse_fraction * job.target[active]
        for kind, table in ((SET, p.set_levels), (RESET, p.reset_levels)):
            mine = (given.operation == kind) & ~job.hurried
            coarse, fine = active[mine & far], active[mine & ~far]
            off = table.volts_for(job.target[coarse]) - table.volts_for(job.reading[coarse])
            self.gate[coarse, kind] += self._step(off, job.error[coarse], kind)
            self.gate[fine, kind] += self._step(np.zeros(fine.size), job.error[fine], kind)
        self._bound(active)

    def _step(self, off: FloatArray, error: FloatArray, kind: int) -> FloatArray:
        """At least a fine step towards the target; a stronger SET raises, a RESET lowers."""
        p = self.params
        towards = -np.sign(error) if kind == SET else np.sign(error)
        size = np.clip(np.abs(off), p.fine_step_volts, p.most_step_volts)
        return np.asarray(towards * size)

    def _bound(self, cell: IntArray) -> None:
        p = self.params
        highest = (p.highest_set_gate_volts, p.highest_reset_gate_volts)
        self.gate[cell] = np.clip(self.gate[cell], p.lowest_gate_volts, highest)

    def strongest(self, cells: Cells, operation: int) -> PulseBatch:
        """The highest gate."""
        p = self.params
        if operation == SET:
            return PulseBatch.set(
                cells,
                gate_volts=p.highest_set_gate_volts,
                line_volts=p.set_line_volts,
                width_s=p.set_width_s,
            )
        return PulseBatch.reset(
            cells,
            gate_volts=p.highest_reset_gate_volts,
            line_volts=p.reset_line_volts,
            width_s=p.reset_width_s,
        )


class TwoStep(RecipeProgrammer[TwoStepParams]):
    """Gate-controlled two-step programming as a `Programmer`."""

    name = "two_step"
    params_type = TwoStepParams

    def recipe(self) -> TwoStepRecipe:
        """Every cell at the tables' voltages."""
        return TwoStepRecipe(self.params)
