"""Plain incremental-step programming (ISPP): the baseline that other routines are measured against.

A cell below its target gets SET pulses at a rising word line (the transistor's compliance sets the
conductance), one above it RESET pulses at a rising source line; every pulse is verified by a read.
Overshoot turns the direction round, and the ramp that was left goes back by a little and starts
again from there. This is the ping-pong of the published 1T1R benches, with all cells of a round in
one batch, so that round trips count rounds and not pulses.

A verifying read is one noisy sample, and a conductance relaxes after its last pulse. So pulsing
stops only deep inside the tolerance (`aim_fraction`), and when no cell is left to pulse all of them
are read again with several samples: those that moved out are programmed again, within their budget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.programming import CellStatus, ProgramParams, ProgramResult
from calibration.programming.pairs import PairTrim
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError

_NONE, _SET, _RESET = -1, 0, 1


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
        tries_at_stop: pulses at a ramp's stop in a row before a cell is called stuck.
    """

    set_gate: Ramp = field(default_factory=lambda: Ramp(1.6, 0.03, 3.5, 0.04, 1.0))
    set_line_volts: float = 2.0
    set_width_s: float = 1e-6
    reset_line: Ramp = field(default_factory=lambda: Ramp(0.4, 0.05, 3.2, 0.1, 0.2))
    reset_gate_volts: float = 3.5
    reset_width_s: float = 200e-9
    tries_at_stop: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tries_at_stop < 1:
            raise InputError(f"tries_at_stop={self.tries_at_stop} must be at least 1.")


class Ispp:
    """Incremental-step programming as a `Programmer`."""

    name = "ispp"

    def __init__(
        self,
        params: IsppParams | None = None,
        wait: Callable[[float], None] = time.sleep,
        pairs: PairTrim | None = None,
    ) -> None:
        """`wait` lets seconds of bench time pass; a simulated board has its own (`advance`).

        With `pairs` the cells are those of its placement, in its order, and each pair's difference
        is what is programmed.
        """
        self.params = params or IsppParams()
        self.wait = wait
        self.pairs = pairs

    def run(
        self,
        macro: Macro,
        cells: Cells,
        targets: FloatArray,
        progress: Progress | None = None,
    ) -> ProgramResult:
        """Drive `cells` to `targets` (n,) siemens; see `Programmer.run`."""
        wanted = self.params.check_targets(cells, targets)
        self._check_limits(macro, cells)
        if self.pairs is not None and self.pairs.nominal.shape != wanted.shape:
            raise InputError(
                f"{len(cells)} cells to program, but pairs of {self.pairs.nominal.size}."
            )
        job = _Job(macro, cells, wanted, self.params, progress or silent, self.pairs)
        job.confirm()
        for settle_s in self.params.settle_s:
            with macro.armed(self.params.armed_s):
                while job.round():
                    pass
            if settle_s > 0.0 and not macro.dry_run:
                self.wait(settle_s)
            job.confirm()
            if macro.dry_run or not job.can_go_on.any():
                break
        return job.result(self.name)

    def _check_limits(self, macro: Macro, cells: Cells) -> None:
        """The strongest pulses of both ramps, before the weakest is driven."""
        if not len(cells):
            return
        p, one = self.params, cells[np.arange(1)]
        macro.limits.check(
            PulseBatch.set(
                one,
                gate_volts=p.set_gate.stop_volts,
                line_volts=p.set_line_volts,
                width_s=p.set_width_s,
            )
        )
        macro.limits.check(
            PulseBatch.reset(
                one,
                gate_volts=p.reset_gate_volts,
                line_volts=p.reset_line.stop_volts,
                width_s=p.reset_width_s,
            )
        )


class _Job:
    """One run: the state of every cell between two rounds."""

    def __init__(
        self,
        macro: Macro,
        cells: Cells,
        target: FloatArray,
        params: IsppParams,
        progress: Progress,
        pairs: PairTrim | None,
    ) -> None:
        n = len(cells)
        self.macro, self.cells, self.target, self.params = macro, cells, target, params
        self.progress, self.start_s, self.pairs = progress, macro.time_s, pairs
        self.tolerance = params.tolerances(target)
        if pairs is not None:
            self.tolerance = pairs.tolerances(self.tolerance)
        self.reading = np.full(n, np.nan)
        self.gate = np.full(n, params.set_gate.start_volts)
        self.line = np.full(n, params.reset_line.start_volts)
        self.last = np.full(n, _NONE)
        self.at_stop = np.zeros(n, np.int64)
        self.counts = np.zeros((n, 2), np.int64)
        self.out = np.ones(n, np.bool_)  # out of tolerance at the last confirm
        self.unformed = np.zeros(n, np.bool_)
        self.stuck = np.zeros(n, np.bool_)
        self.rounds, self.round_trips = 0, 0
        self.passes: list[int] = []

    @property
    def error(self) -> FloatArray:
        return self.reading - self.target

    @property
    def aim(self) -> FloatArray:
        """(n,) how close a verifying read must be; doubles in the third quarter of the pulse budget
        and again in the last one.

        A cell that does not settle so ends near its target, and not wherever the last pulse of its
        budget left it. Whether it is in tolerance is another question.
        """
        quarter = (4 * self.counts.sum(axis=1)) // self.params.pulse_budget
        wider = 2.0 ** np.maximum(quarter - 1, 0)
        return np.asarray(self.params.aim_fraction * self.tolerance * wider)

    @property
    def can_go_on(self) -> BoolArray:
        """Cells that are out of tolerance and may still be pulsed."""
        budget = self.counts.sum(axis=1) < self.params.pulse_budget
        return np.asarray(self.out & budget & ~self.stuck & ~self.unformed)

    def confirm(self) -> None:
        """Read every cell with several samples and decide who is out of tolerance."""
        self.reading = self.macro.read(self.cells, samples=self.params.confirm_samples)
        self.round_trips += 1
        if self.pairs is not None:
            self.target = self.pairs.targets(self.reading, self.tolerance)
        self.out = np.abs(self.error) > self.tolerance
        first = not self.passes
        self.unformed = self.reading < self.params.unformed_siemens if first else self.unformed
        self.stuck &= self.out
        self.passes.append(int(self.out.sum()))
        self._tell(f"confirm {len(self.passes) - 1}")

    def round(self) -> bool:
        """One pulse for every cell that needs one; False when none does."""
        active = np.flatnonzero(self.can_go_on & (np.abs(self.error) > self.aim))
        if not active.size:
            return False
        operation = np.where(self.error[active] < 0.0, _SET, _RESET)
        self._ramp(active, operation)
        self.reading[active] = self.macro.pulse_read(
            self._batch(active, operation), label=f"ispp round {self.rounds + 1}"
        )
        self.counts[active, operation] += 1
        self.last[active] = operation
        self.rounds += 1
        self.round_trips += 1
        self._find_stuck(active, operation)
        self._tell(f"round {self.rounds}")
        return True

    def _ramp(self, active: IntArray, operation: IntArray) -> None:
        p, last = self.params, self.last[active]
        for ramp, volts, this in ((p.set_gate, self.gate, _SET), (p.reset_line, self.line, _RESET)):
            mine = operation == this
            again, turned = mine & (last == this), mine & (last == 1 - this)
            volts[active] = ramp.next(volts[active], again, turned)

    def _batch(self, active: IntArray, operation: IntArray) -> PulseBatch:
        p, is_set = self.params, operation == _SET
        return PulseBatch(
            self.cells[active],
            operation,
            np.where(is_set, self.gate[active], p.reset_gate_volts),
            np.where(is_set, p.set_line_volts, self.line[active]),
            np.where(is_set, p.set_width_s, p.reset_width_s),
        )

    def _find_stuck(self, active: IntArray, operation: IntArray) -> None:
        p, is_set = self.params, operation == _SET
        full = np.where(
            is_set,
            self.gate[active] >= p.set_gate.stop_volts,
            self.line[active] >= p.reset_line.stop_volts,
        )
        error = self.error[active]
        wrong_side = np.where(is_set, error < -self.aim[active], error > self.aim[active])
        self.at_stop[active] = np.where(full & wrong_side, self.at_stop[active] + 1, 0)
        self.stuck[active] |= self.at_stop[active] >= p.tries_at_stop

    def _tell(self, message: str) -> None:
        done = len(self.cells) - int(np.sum(self.can_go_on & (np.abs(self.error) > self.aim)))
        self.progress(done, len(self.cells), message, self.reading.copy())

    def result(self, name: str) -> ProgramResult:
        status = np.full(len(self.cells), int(CellStatus.MOVED))
        used_up = self.counts.sum(axis=1) >= self.params.pulse_budget
        status[used_up | (self.aim > self.tolerance)] = CellStatus.BUDGET
        status[self.stuck & (self.error < 0.0)] = CellStatus.STUCK_LOW
        status[self.stuck & (self.error > 0.0)] = CellStatus.STUCK_HIGH
        status[self.unformed] = CellStatus.UNFORMED
        if self.macro.dry_run:
            status[:] = CellStatus.NOT_DRIVEN
        status[~self.out] = CellStatus.IN_TOLERANCE
        return ProgramResult(
            algorithm=name,
            cells=self.cells,
            target_siemens=self.target,
            tolerance_siemens=self.tolerance,
            reached_siemens=self.reading,
            sets=self.counts[:, _SET].copy(),
            resets=self.counts[:, _RESET].copy(),
            status=status,
            rounds=self.rounds,
            round_trips=self.round_trips,
            bench_s=self.macro.time_s - self.start_s,
            passes=tuple(self.passes),
        )
