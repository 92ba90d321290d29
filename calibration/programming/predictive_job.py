"""The loop of predictive programming where the truth counts: look, pulse what needs it, look again.

The plain loop ends the pulsing of a cell by one reading. Here a cell's pulsing ends when it is
likely to *be* in tolerance (`predictive_estimate`), and the time goes where there is doubt:

- after a pulse, a cell that may have landed is read in blocks, ever longer ones, until it is
  likely enough in or out;
- between passes only cells that may have moved out since they were looked at are read. That is
  also what ends the run: reading all cells takes seconds in which the young ones relax, so the
  fewer cells a pass looks at, the fewer are lost to it;
- a pulse begins a cell's relaxation anew, so a cell gets one only where the chance to be in is
  below `worth` *and* its mean is beyond the planner's own window; the quieter a level, the more is
  asked of it;
- what counts is where a cell is at the end: it is aimed at, and judged by, what drift will have
  made of it after the waits that are still to come, so that most cells drift in instead of out;
- a pulse that did nothing leaves a cell as old as it was; how old a cell is that nobody has pulsed
  yet is not known, so it counts as young.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.cell_model import CellModel
from calibration.programming import ProgramResult
from calibration.programming.job import Job
from calibration.programming.predictive_estimate import Look, Noise, hear, inside

BLOCKS = (4, 4, 8, 16, 32, 64)  # readings in a row of one look, as far as there is doubt
_LANDED = 5  # of these blocks right after a pulse
_AHEAD_S = 1.0  # what happens at least within this time of a pulse is counted in
_STILL = 1.5  # sizes of the read noise within which a pulse did nothing
_HOPELESS = 0.02  # chance to be in, below which no more readings are spent
_ROUNDS = 40  # of one pass
_SPREAD_LN = (0.005, 0.01, 0.035, 0.075)  # of relaxation, ln G per root decade
_MAY_BE_OUT = (0.02, 0.05, 0.12, 0.35)  # the quieter a level is, the less may be out
_LOOK_AGAIN = (0.1, 0.1, 0.25, 0.25)  # share of that: the chance to be out from which a cell is
# looked at again
_THOROUGH, _WIDER = 8, 1.25  # passes with this share, and its growth from pass to pass after them
_DONE_SHARE = 0.0005  # cells that need a pulse, below which the run ends


class SureJob(Job):
    """A run that ends each cell by its chance to be in tolerance; arrays (n,).

    Attributes:
        asked: the targets in siemens; `target` holds where pulses aim, which leads the drift.
        margin: the tolerance without its guard.
        chance: to be within the margin, as last estimated.
        worth: a chance that is worth keeping; `again`: the chance to be out from which it is
            looked at again.
        horizon: seconds from a pulse to the end of the waits, as far as they are planned.
    """

    def __init__(self, *given: Any, model: CellModel, guard: float = 0.0, **named: Any) -> None:
        super().__init__(*given, **named)
        n = len(self.cells)
        self.asked, self.every = self.target.copy(), np.arange(n)
        self.margin = (1.0 - guard) * self.tolerance
        self.law, self.look = Noise.of(model, self.target), Look.none(n)
        self.look.pulsed_s[:] = self.start_s
        self.chance, self.horizon = np.zeros(n), _AHEAD_S
        may_be_out = np.interp(self.law.spread, _SPREAD_LN, _MAY_BE_OUT)
        self.worth = 1.0 - may_be_out
        self.again = may_be_out * np.interp(self.law.spread, _SPREAD_LN, _LOOK_AGAIN)
        self.wanted = np.ones(n, np.bool_)

    @property
    def sure(self) -> FloatArray:
        """(n,) chance to be in above which a cell is not looked at again. It falls in the last
        passes, so that they take ever less time and their cells are left young: it must converge.
        """
        late = max(len(self.passes) - _THOROUGH, 0)
        return np.asarray(1.0 - np.minimum(self.again * _WIDER**late, 1.0 - self.worth))

    @property
    def lead(self) -> float:
        """Decades of relaxation from a pulse to the horizon."""
        return float(np.log10(1.0 + self.horizon / self.law.onset_s))

    @property
    def aim(self) -> FloatArray:
        """The planner's own window, narrower than the tolerance."""
        return np.asarray(self.params.aim_fraction * self.tolerance)

    @property
    def active(self) -> IntArray:
        """Indices of the cells that need a pulse now."""
        return np.flatnonzero(self.wanted & self.can_go_on)

    def run(self, wait: Callable[[float], None] = time.sleep) -> ProgramResult:
        """Program the cells; `wait` lets seconds of bench time pass."""
        self._first_look()
        self._refuse_pristine()
        self._aim_ahead(0)
        self.recipe.begin(self)
        for number, settle_s in enumerate(self.params.settle_s):
            self._aim_ahead(number)
            with self.macro.armed(self.params.armed_s, renewing=True):
                for _ in range(_ROUNDS):
                    if not self.round():
                        break
            if settle_s > 0.0:
                wait(settle_s)
            self.confirm()
            if self.can_go_on.sum() <= _DONE_SHARE * len(self.cells):  # in now, not only later
                break
        return self.result()

    def _aim_ahead(self, number: int) -> None:
        """Aim at what will be left after all waits from `number` on."""
        self.horizon = max(sum(self.params.settle_s[number:]), _AHEAD_S)
        self.target = self.asked * np.exp(-self.law.drift * self.lead)

    def _first_look(self) -> None:
        self._read(self.every, BLOCKS[0], fresh=True)
        self.first = self.reading.copy()
        self.unformed = self.first < self.params.unformed_siemens
        margin = self.tolerance + 4.0 * self.law.size
        near = np.flatnonzero(np.abs(self.first - self.asked) < margin)
        self._look(near, BLOCKS[1:4], fresh=False)
        self._sum_up()

    # --- looking -----------------------------------------------------------------------------

    def confirm(self) -> None:
        """Look again at the cells that may have moved out, and say who is out."""
        unsure = self._chance(self.every) < self.sure
        self._look(np.flatnonzero(unsure & ~self.unformed), BLOCKS, fresh=True)
        self.chance = self._chance(self.every)
        self._sum_up()

    def _sum_up(self) -> None:
        self.wanted = self._needs(self.every)
        self.reading = self.look.mean.copy()
        off = np.abs(self.reading - self.asked)
        self.out = off > self.margin
        self.stuck &= self.out
        self.passes.append(int((off > self.tolerance).sum()))
        self._tell(f"confirm {len(self.passes) - 1}")

    def _needs(self, cell: IntArray) -> BoolArray:
        """Which of `cell` are better off with another pulse."""
        unlikely = self.chance[cell] < self.worth[cell]
        beyond = np.abs(self._later(cell) - self.asked[cell]) > self.aim[cell]
        unread = self.look.reads[cell] <= 1  # one reading, and a drift to come
        return np.asarray(unlikely & (beyond | (unread & (self.chance[cell] < _HOPELESS))))

    def _look(self, cell: IntArray, blocks: tuple[int, ...], *, fresh: bool) -> None:
        """Blocks of readings of `cell` until each is likely enough in or out."""
        for number, samples in enumerate(blocks):
            if not cell.size:
                return
            self._read(cell, samples, fresh=fresh and number == 0)
            self.chance[cell] = chance = self._chance(cell)
            if number > 0:
                cell = cell[(chance > _HOPELESS) & (chance < self.sure[cell])]

    def _read(self, cell: IntArray, samples: int, *, fresh: bool) -> None:
        began = self.macro.time_s
        reading = self.macro.read(self.cells[cell], samples=samples)
        hear(cell, reading, samples, fresh, self.law.correlation, self.look)
        self.look.time_s[cell] = self._times(began, cell.size)
        self.reading[cell] = self.look.mean[cell]
        self.reads[cell] += samples
        self.round_trips += 1

    def _times(self, began: float, n: int) -> FloatArray:
        """(n,) when each of n cells in a row had its turn."""
        return began + (self.macro.time_s - began) * (np.arange(n) + 1.0) / n

    def _chance(self, cell: IntArray) -> FloatArray:
        """(k,) how likely each of `cell` will be in tolerance when it counts."""
        out = np.empty(cell.size)
        at_s, low, high = self._judged_s(cell), self.asked - self.margin, self.asked + self.margin
        inside(cell, at_s, low, high, self.look, self.law, out)
        return out

    def _judged_s(self, cell: IntArray) -> FloatArray:
        """(k,) when it counts: at the horizon of a cell's last pulse, or now if that is past."""
        return np.maximum(self.look.pulsed_s[cell] + self.horizon, self.macro.time_s)

    def _later(self, cell: IntArray) -> FloatArray:
        """(k,) what each of `cell` is expected to be then."""
        look, law = self.look, self.law
        age = np.maximum(look.time_s[cell] - look.pulsed_s[cell], 0.0) + law.onset_s
        decades = np.log10((self._judged_s(cell) - look.time_s[cell]) / age + 1.0)
        return np.asarray(look.mean[cell] * np.exp(law.drift[cell] * decades))

    # --- pulsing -----------------------------------------------------------------------------

    def round(self) -> bool:
        """One pulse for every cell that needs one, and a look at those that may have landed."""
        active = self.active
        if not active.size:
            return False
        self.reading[active] = before = self._as_fresh(active)
        batch = self._plan(active)
        began = self.macro.time_s
        label = f"{self.recipe.name} round {self.rounds + 1}"
        reading = self.macro.pulse_read(batch, label=label)
        change = reading / self.look.mean[active]
        still = np.abs(reading - self.look.mean[active]) < _STILL * self.law.size[active]
        self.reading[active] = np.where(still, before * change, reading)
        self._count(active, batch.operation)
        self._find_stuck(active, batch)
        self.recipe.heard(self, active, batch)
        self._hear(active, reading, still, self._times(began, active.size))
        self.chance[active] = chance = self._chance(active)
        self._look(active[chance > _HOPELESS], BLOCKS[:_LANDED], fresh=False)
        self.wanted[active] = self._needs(active)
        self._tell(f"round {self.rounds}")
        return True

    def _hear(
        self, cell: IntArray, reading: FloatArray, still: BoolArray, at_s: FloatArray
    ) -> None:
        """The verify reading after a pulse: a new look, unless the pulse did nothing."""
        self.reading[cell] = reading
        self.look.pulsed_s[cell[~still]] = at_s[~still]
        self.look.time_s[cell] = at_s
        for which, fresh in ((~still, True), (still, False)):
            hear(cell[which], reading[which], 1, fresh, self.law.correlation, self.look)

    def _count(self, active: IntArray, operation: IntArray) -> None:
        self.counts[active, operation] += 1
        self.driven[active] += ~self.macro.doubtful
        self.reads[active] += 1
        self.last[active] = operation
        self.rounds += 1
        self.round_trips += 1
        self.out[active] = True

    def _as_fresh(self, cell: IntArray) -> FloatArray:
        """What cells would read had they just been pulsed, and outside the planner's window: the
        planner knows no drift, and takes a cell inside for done."""
        age = np.maximum(self.look.time_s[cell] - self.look.pulsed_s[cell], 0.0)
        passed = np.minimum(np.log10(1.0 + age / self.law.onset_s), self.lead)
        reading = self.look.mean[cell] * np.exp(-self.law.drift[cell] * passed)
        target, aim = self.target[cell], self.aim[cell]
        side = np.where(reading < target, -1.0, 1.0)
        edge = target + 1.001 * side * aim
        return np.where(np.abs(reading - target) <= aim, edge, reading)

    def result(self) -> ProgramResult:
        """What became of every cell."""
        self.target, self.reading = self.asked, self.look.mean.copy()
        self.out = np.abs(self.error) > self.tolerance
        return super().result()
