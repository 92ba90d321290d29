"""The loop that all programming routines share: rounds, confirming reads, stuck cells, the result.

A routine is a `Recipe`: it says which pulse each cell gets next and learns what came of it. The
rest is the same for all of them and stands here once: one batch per round with every cell that
needs a pulse, one verify read per pulse, the budget of each cell, the confirming reads between
waits, and the search for cells that do not answer.

**Stuck cells.** A ramp takes tens of pulses to its end, so a cell that nothing moves would cost
tens of pulses. A cell that has not moved at all after `ANSWER_WITHIN` pulses gets `HURRY` pulses
that close in on the strongest one the routine may give; one that does not move even then is stuck.
So a dead cell is reported after `ANSWER_WITHIN + len(HURRY)` pulses, whatever the routine. A cell
that has answered once is not hurried again; it is stuck when `tries_at_stop` strongest pulses in a
row leave it on the wrong side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.programming import CellStatus, ProgramParams, ProgramResult
from calibration.programming.adjust import nearer, snapped
from calibration.programming.pairs import PairTrim
from calibration.programming.readable import check_readable
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError, NotFormedError
from protocols.messages import Operation

SET, RESET = int(Operation.SET), int(Operation.RESET)
NONE = -1
P = TypeVar("P", bound=ProgramParams)

ANSWER_WITHIN = 9
HURRY = (0.35, 0.7, 1.0, 1.0)
"""Shares of the way from the routine's own pulse to its strongest one."""
_MOVED_SIEMENS = (20e-6, 60e-6, 100e-6, 150e-6)
_MOVED_SHARE = (0.6, 0.4, 0.2, 0.1)
"""A reading this far from the first one, as a share of it, is an answer and not read noise."""
_MOVED_LEAST_SIEMENS = 3e-6
_SIZES = ("gate_volts", "line_volts", "width_s")


class Recipe(Protocol):
    """Which pulse each cell gets next. One instance serves one run."""

    name: str
    on_menu: bool = False
    """Whether all pulses that it gives are entries of the menu as they stand."""

    def begin(self, job: Job) -> None:
        """Make the state of every cell of a run; `job.reading` holds the first readings."""
        ...

    def next(self, job: Job, active: IntArray) -> PulseBatch:
        """The next pulse of each cell of `active` (indices into the job's cells), in that order."""
        ...

    def heard(self, job: Job, active: IntArray, given: PulseBatch) -> None:
        """What was given has been read: `job.reading`, `job.counts` and `job.last` are new.

        `given` differs from what `next` said where a cell is in a hurry (`job.hurried`), and by
        the grid of the menu.
        """
        ...

    def strongest(self, cells: Cells, operation: int) -> PulseBatch:
        """The end of what this recipe can do in one direction, for each of `cells`: given to cells
        that do not answer; a cell that it leaves on the wrong side several times is stuck."""
        ...

    def extremes(self, cell: Cells) -> tuple[PulseBatch, ...]:
        """For one cell: pulses whose limits bound those of all pulses that this recipe may give;
        they are checked before the first pulse. The strongest ones, if a recipe has no others."""
        return self.strongest(cell, SET), self.strongest(cell, RESET)


class Job:
    """One run: the state of every cell between two rounds; arrays have shape (n,).

    Attributes:
        reading: the last reading in siemens.
        target, tolerance: what is asked, in siemens; pair trim moves targets at a confirm.
        counts: (n, 2) SET and RESET pulses so far.
        driven: (n,) those of them that were driven for certain: in a run that was resumed, others
            may not have been, and a cell that does not answer to those is not stuck.
        last: operation of the last pulse, NONE before the first.
        reads: readings so far; a read of k samples counts k.
        hurried: (k,) which of the last round's pulses were not the recipe's own.
    """

    def __init__(
        self,
        macro: Macro,
        cells: Cells,
        target: FloatArray,
        params: ProgramParams,
        recipe: Recipe,
        progress: Progress | None = None,
        pairs: PairTrim | None = None,
    ) -> None:
        n = len(cells)
        self.macro, self.cells, self.target, self.params = macro, cells, target, params
        self.recipe, self.progress, self.pairs = recipe, progress or silent, pairs
        self.start_s = macro.time_s
        self.tolerance = params.tolerances(target)
        if pairs is not None:
            self.tolerance = pairs.tolerances(self.tolerance)
        self.reading = np.full(n, np.nan)
        self.first = np.full(n, np.nan)
        self.last = np.full(n, NONE)
        self.counts = np.zeros((n, 2), np.int64)
        self.driven = np.zeros(n, np.int64)
        self.reads = np.zeros(n, np.int64)
        self.out = np.ones(n, np.bool_)  # out of tolerance at the last confirm
        self.unformed = np.zeros(n, np.bool_)
        self.answered = np.zeros(n, np.bool_)
        self.stuck = np.zeros(n, np.bool_)
        self.at_stop = np.zeros(n, np.int64)
        self.hurried = np.zeros(0, np.bool_)
        self.rounds, self.round_trips = 0, 0
        self.passes: list[int] = []

    @property
    def by_reading(self) -> bool:
        """Whether the verify read after a pulse finishes a cell."""
        return self.params.count_in == "reading"

    @property
    def error(self) -> FloatArray:
        """Reading minus target."""
        return self.reading - self.target

    @property
    def pulses(self) -> IntArray:
        """SET and RESET pulses together."""
        total: IntArray = self.counts.sum(axis=1)
        return total

    @property
    def aim(self) -> FloatArray:
        """How close a verifying read must be to end the pulsing of a cell.

        Counted by reading it is the tolerance. Otherwise it is a fraction of it, which doubles in
        the third quarter of the pulse budget and again in the last one: a cell that does not settle
        ends near its target, and not wherever the last pulse of its budget left it. Whether it is
        in tolerance is another question.
        """
        if self.by_reading:
            return self.tolerance
        quarter = (4 * self.pulses) // self.params.pulse_budget
        wider = 2.0 ** np.maximum(quarter - 1, 0)
        return np.asarray(self.params.aim_fraction * self.tolerance * wider)

    @property
    def can_go_on(self) -> BoolArray:
        """Cells that are out of tolerance and may still be pulsed."""
        budget = self.pulses < self.params.pulse_budget
        return np.asarray(self.out & budget & ~self.stuck & ~self.unformed)

    @property
    def active(self) -> IntArray:
        """Indices of the cells that need a pulse now."""
        return np.flatnonzero(self.can_go_on & (np.abs(self.error) > self.aim))

    # --- the run -----------------------------------------------------------------------------

    def run(self, wait: Callable[[float], None] = time.sleep) -> ProgramResult:
        """Program the cells; `wait` lets seconds of bench time pass."""
        self.confirm()
        self._refuse_pristine()
        self.recipe.begin(self)
        for settle_s in (0.0,) if self.by_reading else self.params.settle_s:
            with self.macro.armed(self.params.armed_s, renewing=True):
                while self.round():
                    pass
            if settle_s > 0.0 and not self.macro.dry_run:
                wait(settle_s)
            self.confirm()
            if self.macro.dry_run or not self.can_go_on.any():
                break
        return self.result()

    def confirm(self) -> None:
        """Decide who is out of tolerance: by an average, or by the readings at hand."""
        first = not self.passes
        if first or not self.by_reading:
            samples = 1 if self.by_reading else self.params.confirm_samples
            self.reading = self.macro.read(self.cells, samples=samples)
            self.reads += samples
            self.round_trips += 1
        if self.pairs is not None:
            self.target = self.pairs.targets(self.reading, self.tolerance)
        self.out = np.abs(self.error) > self.tolerance
        if first:
            self.first = self.reading.copy()
            self.unformed = self.reading < self.params.unformed_siemens
        self.stuck &= self.out
        self.passes.append(int(self.out.sum()))
        self._tell(f"confirm {len(self.passes) - 1}")

    def round(self) -> bool:
        """One pulse for every cell that needs one; False when none does."""
        active = self.active
        if not active.size:
            return False
        batch = self._plan(active)
        label = f"{self.recipe.name} round {self.rounds + 1}"
        self.reading[active] = self.macro.pulse_read(batch, label=label)
        self.counts[active, batch.operation] += 1
        self.driven[active] += ~self.macro.doubtful
        self.reads[active] += 1
        self.last[active] = batch.operation
        self.rounds += 1
        self.round_trips += 1
        self._find_stuck(active, batch)
        self.recipe.heard(self, active, batch)
        self._tell(f"round {self.rounds}")
        return True

    # --- cells that do not answer ------------------------------------------------------------

    def _plan(self, active: IntArray) -> PulseBatch:
        """What the recipe wants, stronger for cells that nothing has moved, on the menu's grid."""
        batch = self.recipe.next(self, active)
        step = self.driven[active] - ANSWER_WITHIN
        self.hurried = ~self.answered[active] & (step >= 0)
        for kind in (SET, RESET):
            towards = (self.error[active] < 0.0) == (kind == SET)
            mine = np.flatnonzero(self.hurried & towards)
            if mine.size:
                share = np.array(HURRY)[np.minimum(step[mine], len(HURRY) - 1)]
                top = self.recipe.strongest(self.cells[active[mine]], kind)
                batch = nearer(batch, mine, top, share)
        return self._snapped(batch) if self.hurried.any() else self._as_menu(batch)

    def _as_menu(self, batch: PulseBatch) -> PulseBatch:
        """The recipe's own pulses on the menu's grid."""
        return batch if self.recipe.on_menu else self._snapped(batch)

    def _snapped(self, batch: PulseBatch) -> PulseBatch:
        menu = self.params.menu
        return batch if menu is None else snapped(menu, batch)

    def _find_stuck(self, active: IntArray, batch: PulseBatch) -> None:
        moved = np.abs(self.reading[active] - self.first[active])
        share = np.interp(self.first[active], _MOVED_SIEMENS, _MOVED_SHARE)
        far = np.maximum(share * self.first[active], _MOVED_LEAST_SIEMENS)
        self.answered[active] |= moved > far
        dumb = ~self.answered[active] & (self.driven[active] >= ANSWER_WITHIN + len(HURRY))
        error, aim = self.error[active], self.aim[active]
        is_set = batch.operation == SET
        wrong_side = np.where(is_set, error < -aim, error > aim)
        full = wrong_side & self._is_strongest(active, batch)
        at_stop = np.where(full, self.at_stop[active] + 1, 0)
        self.at_stop[active] = np.where(self.macro.doubtful, self.at_stop[active], at_stop)
        at_end = self.at_stop[active] >= self.params.tries_at_stop
        self.stuck[active] |= wrong_side & (dumb | at_end)

    def _is_strongest(self, active: IntArray, batch: PulseBatch) -> BoolArray:
        out = np.zeros(active.size, np.bool_)
        for kind in (SET, RESET):
            mine = np.flatnonzero(batch.operation == kind)
            if not mine.size:
                continue
            top = self._as_menu(self.recipe.strongest(self.cells[active[mine]], kind))
            out[mine] = np.logical_and.reduce(
                [getattr(batch, name)[mine] >= (1 - 1e-9) * getattr(top, name) for name in _SIZES]
            )
        return out

    def _refuse_pristine(self) -> None:
        if self.unformed.all() and not self.macro.dry_run:
            raise NotFormedError(
                f"None of the {len(self.cells)} cells was ever formed (all read below "
                f"{self.params.unformed_siemens:.3g} S); form them first. Nothing was driven."
            )

    # --- what is told ------------------------------------------------------------------------

    def _tell(self, message: str) -> None:
        if self.progress is silent:  # counting the cells that are done is work
            return
        done = len(self.cells) - self.active.size
        self.progress(done, len(self.cells), message, self.reading.copy())

    def result(self) -> ProgramResult:
        """What became of every cell."""
        status = np.full(len(self.cells), int(CellStatus.MOVED))
        used_up = self.pulses >= self.params.pulse_budget
        status[used_up | (self.aim > self.tolerance)] = CellStatus.BUDGET
        status[self.stuck & (self.error < 0.0)] = CellStatus.STUCK_LOW
        status[self.stuck & (self.error > 0.0)] = CellStatus.STUCK_HIGH
        status[self.unformed] = CellStatus.UNFORMED
        if self.macro.dry_run:
            status[:] = CellStatus.NOT_DRIVEN
        status[~self.out] = CellStatus.IN_TOLERANCE
        return ProgramResult(
            algorithm=self.recipe.name,
            cells=self.cells,
            target_siemens=self.target,
            tolerance_siemens=self.tolerance,
            reached_siemens=self.reading,
            sets=self.counts[:, SET].copy(),
            resets=self.counts[:, RESET].copy(),
            reads=self.reads,
            status=status,
            rounds=self.rounds,
            round_trips=self.round_trips,
            bench_s=self.macro.time_s - self.start_s,
            passes=tuple(self.passes),
        )


def program(
    macro: Macro,
    cells: Cells,
    targets: FloatArray,
    params: ProgramParams,
    recipe: Recipe,
    *,
    wait: Callable[[float], None] = time.sleep,
    progress: Progress | None = None,
    pairs: PairTrim | None = None,
    kind: Callable[..., Job] | None = None,
) -> ProgramResult:
    """Check what is asked, then drive `cells` to `targets` (n,) siemens by `recipe`.

    Raises:
        InputError: no cells, or pairs of other cells.
        TargetError: a target is not finite or outside the range of the parameters, or a tolerance
            is below what reads can tell.
        LimitError: the strongest pulses of the recipe are over a limit of the board.
        NotFormedError: no cell was ever formed.
    """
    if not len(cells):
        raise InputError("No cells to program: the mask or the list of cells is empty.")
    wanted = params.check_targets(cells, targets)
    if pairs is not None and pairs.nominal.shape != wanted.shape:
        raise InputError(f"{len(cells)} cells to program, but pairs of {pairs.nominal.size}.")
    for extreme in recipe.extremes(cells[np.arange(1)]):
        macro.limits.check(extreme)
    if params.menu is not None:
        params.menu.check(macro.limits)
    check_readable(params, cells, wanted)
    return (kind or Job)(macro, cells, wanted, params, recipe, progress, pairs).run(wait)


class RecipeProgrammer(Generic[P]):
    """A `Programmer` made of a recipe; subclasses say which one, and of which parameters."""

    name = ""
    params_type: type[P]

    def __init__(
        self,
        params: P | None = None,
        wait: Callable[[float], None] = time.sleep,
        pairs: PairTrim | None = None,
    ) -> None:
        """Without parameters, those of the class by default.

        `wait` lets seconds of bench time pass; a simulated board has its own (`advance`).

        With `pairs` the cells are those of its placement, in its order, and each pair's difference
        is what is programmed.
        """
        self.params = self.params_type() if params is None else params
        self.wait = wait
        self.pairs = pairs

    def recipe(self) -> Recipe:
        """A fresh recipe for one run."""
        raise NotImplementedError

    def loop(self, macro: Macro) -> Callable[..., Job]:
        """What makes the loop of a run; subclasses may have their own."""
        del macro
        return Job

    def run(
        self,
        macro: Macro,
        cells: Cells,
        targets: FloatArray,
        progress: Progress | None = None,
    ) -> ProgramResult:
        """Drive `cells` to `targets` (n,) siemens; see `Programmer.run`."""
        return program(
            macro,
            cells,
            targets,
            self.params,
            self.recipe(),
            wait=self.wait,
            progress=progress,
            pairs=self.pairs,
            kind=self.loop(macro),
        )
