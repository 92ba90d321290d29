"""Predictive programming: each pulse is the one that a fitted model expects to end soonest.

A model of the technology, read from a profile or fitted to the chip's own characterisation, says
where each pulse of a finite menu leaves a cell (`predictive_tables`) and how many more pulses it
then needs (`predictive_value`). Every cell has a belief about its own figures, which each verify
read updates (`predictive_belief`); what the cells of a chip have in common beyond the model is
learned from all of them together (`predictive_population`). All cells of a round get their pulses
in one batch, so round trips count rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.cell_model import CellModel
from calibration.programming import ProgramParams
from calibration.programming.job import RESET, SET, Job, Recipe, RecipeProgrammer
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive_belief import Belief, choose, surprises, update
from calibration.programming.predictive_job import SureJob
from calibration.programming.predictive_lists import SHIFTS, fill_lists, nodes_of
from calibration.programming.predictive_plan import Planner, planner_of
from calibration.programming.predictive_population import Population
from calibration.programming.predictive_reach import Reach
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError
from protocols.messages import Operation

_LOWEST_READING = 1e-9  # S; what reads lower counts as this
_LIMIT_LN = 0.03  # an entry this close to the furthest one is at the limit of what the menu can do


@dataclass(frozen=True)
class PredictiveParams(ProgramParams):
    """What predictive programming plans with.

    Attributes:
        model: of the technology (`CellModel.from_profile`) or of this chip (`CellModel.fit`).
        menu: the pulses it chooses from; None takes `PulseMenu.default()`.
        learn: whether cells of a run learn from each other.
        guard_fraction: of the tolerance that is kept free for errors that all readings of a cell
            share, as of converters and lines; for where the truth counts.
        limit_tries: pulses at the end of what the menu can do, without getting there, before a
            cell is given up. Cells at the edge of what a technology reaches get there by luck, in
            tens to hundreds of pulses.
    """

    model: CellModel | None = None
    aim_fraction: float = 0.8
    settle_s: tuple[float, ...] = (100.0, 100.0, 30.0, 10.0, 3.0, 1.0) + (0.0,) * 14
    tries_at_stop: int = 30
    learn: bool = True
    guard_fraction: float = 0.0
    limit_tries: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.menu is None:
            object.__setattr__(self, "menu", PulseMenu.default())
        if not 0.0 <= self.guard_fraction <= 0.5:
            raise InputError(f"guard_fraction={self.guard_fraction} must lie in [0, 0.5].")
        if self.limit_tries < 1:
            raise InputError(f"limit_tries={self.limit_tries} must be at least 1.")
        for operation in (Operation.SET, Operation.RESET):
            if self.menu is not None and not self.menu.of(operation).size:
                raise InputError(f"The menu has no {operation.name} pulse; programming needs both.")


class Predictive(RecipeProgrammer[PredictiveParams]):
    """Predictive programming as a `Programmer`. Raises InputError without a model."""

    name = "predictive"
    params_type = PredictiveParams

    def loop(self, macro: Macro) -> Callable[..., Job]:
        """Cells are ended by how likely they are in; by the plain loop where readings are what
        counts, where pairs move their targets, and where nothing is driven."""
        model = self.params.model
        if self.params.count_in == "reading" or self.pairs is not None or macro.dry_run:
            return Job
        if model is None:
            return Job
        return partial(SureJob, model=model, guard=self.params.guard_fraction)

    def recipe(self) -> PredictiveRecipe:
        """A fresh recipe: nothing known of any cell yet."""
        model, menu = self.params.model, self.params.menu
        if model is None or menu is None:
            raise InputError(
                "Predictive programming needs a cell model: read a technology profile with "
                "CellModel.from_profile, or fit one to the chip (hil characterise response)."
            )
        return PredictiveRecipe(planner_of(model, menu), self.params)


class PredictiveRecipe(Recipe):
    """Which pulse each cell gets next, by belief and expectation."""

    name = "predictive"
    on_menu = True

    def __init__(self, planner: Planner, params: PredictiveParams) -> None:
        self.planner, self.params = planner, params
        self.population = Population(planner.menu, params.learn)

    def begin(self, job: Job) -> None:
        """Every cell with the population's belief."""
        tables = self.planner.tables
        self.last_resort = self.planner.at_limit(_LIMIT_LN)
        self.belief = Belief.prior(len(job.cells), tables)
        self.reach = Reach(len(job.cells))
        self.entry = np.full(len(job.cells), -1)
        self.before = self._ln(job.reading)
        self._aim(job)

    def _aim(self, job: Job) -> None:
        """The windows of all cells, alike ones together."""
        self.target = job.target.copy()
        self.group, self.low, self.high = self.planner.windows(job.target, job.aim)
        self.remaining = self.planner.remaining(self.low, self.high)
        self.lists = self.planner.lists(self.low, self.high)

    def next(self, job: Job, active: IntArray) -> PulseBatch:
        """The entry with the fewest expected pulses for each cell."""
        if not np.array_equal(self.target, job.target):
            self._aim(job)
        plan, belief, population = self.planner, self.belief, self.population
        ln, group = self._ln(job.reading[active]), self.group[active]
        node = nodes_of(ln, self.low[group], plan.tables.grid)
        keys = np.stack([group, node, belief.kind[active]], axis=1)
        self.lists, new = self.lists.grown(keys)
        windows = self.low, self.high, self.remaining
        ends = plan.ends, plan.strongest
        fill_lists(new, plan.tables, self.lists, *windows, plan.weight, SHIFTS, *ends)
        plan.keep(self.low, self.high, self.lists)
        entry, expected = np.empty(active.size, np.int64), np.empty(active.size)
        choose(
            active,
            group,
            node,
            belief,
            plan.tables,
            self.lists,
            plan.memory,
            population.shift,
            population.widen,
            self.last_resort,
            entry,
            expected,
        )
        self.before[active], self.entry[active] = ln, entry
        return plan.menu.batch(job.cells[active], entry)

    def heard(self, job: Job, active: IntArray, given: PulseBatch) -> None:
        """Learn from the verify reads: what the cells share first, then each for itself."""
        plan, belief, population = self.planner, self.belief, self.population
        if job.hurried.any():
            k = np.flatnonzero(job.hurried)
            wished = (given.operation[k], given.gate_volts[k], given.line_volts[k])
            self.entry[active[k]] = plan.menu.snap(*wished, given.width_s[k])
        entry, before = self.entry[active], self.before[active]
        after = self._ln(job.reading[active])
        low, blur = self.low[self.group[active]], plan.blur(after)
        told = (active, entry, before, low, after, blur, belief, plan.tables, plan.memory)
        if population.learns:
            found = np.empty((active.size, 3))
            surprises(*told, found)
            population.hear(entry, found)
        on = np.ones(active.size, np.bool_)
        if job.by_reading:  # a cell that has landed is done: nothing more is asked of it
            on = np.abs(job.error[active]) > job.aim[active]
        going = (active[on], entry[on], before[on], low[on], after[on], blur[on], *told[6:])
        update(*going, population.shift, population.widen, np.empty((int(on.sum()), 2)))
        self._give_up(job, active, entry)

    def _give_up(self, job: Job, active: IntArray, entry: IntArray) -> None:
        """Cells that many pulses at the end of what the menu can do have not brought there."""
        is_set = self.planner.menu.operation[entry] == SET
        error, aim = job.error[active], job.aim[active]
        short = np.where(is_set, error < -aim, error > aim)
        at_end = np.flatnonzero(short & self.last_resort[entry])
        cell, k = active[at_end], np.where(is_set[at_end], SET, RESET)
        edge = np.where(k == SET, self.low[self.group[cell]], self.high[self.group[cell]])
        ln = self._ln(job.reading[cell])
        job.stuck[cell] |= self.reach.hopeless(cell, k, ln, edge, self.params.limit_tries)

    def strongest(self, cells: Cells, operation: int) -> PulseBatch:
        """The entry that leads furthest in one direction, by the model; the whole menu is checked
        besides."""
        entry = self.planner.furthest(operation)
        return self.planner.menu.batch(cells, np.full(len(cells), entry))

    @staticmethod
    def _ln(siemens: FloatArray) -> FloatArray:
        known = np.where(np.isfinite(siemens), siemens, _LOWEST_READING)  # dry runs read NaN
        return np.asarray(np.log(np.maximum(known, _LOWEST_READING)))
