"""Re-trim: wait until programmed cells have relaxed, read them again, correct only what moved.

Works around any `Programmer`. Each round waits, reads every cell twice (the difference of the two
is the read noise), learns from all readings so far how this chip relaxes (`calibration.relaxation`)
and decides for every cell, or pair of cells, whether a pulse is worth it:

- A cell that gets a pulse starts to relax anew, so what counts is not how far it is off now but
  what its error is expected to be at the horizon: kept, its forecast error and the rest of its
  relaxation; pulsed again, a fresh relaxation from which later rounds may still choose. The second
  value is computed backwards over the rounds that are left (optimal stopping), so that early rounds
  are choosy and late ones correct only what is far off (`calibration.retrim_policy`).
- Of a differential pair only the difference counts, so the pair is corrected by one change of the
  arm that is expected to hold it better, at its level; the other arm keeps its age.
- A new aim leads the expected drift: it is the conductance that is expected to be right at the
  horizon.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.placement import Placement
from calibration.programming import CellStatus, Programmer, ProgramResult
from calibration.progress import Progress, silent
from calibration.pulse_clock import PulseClock
from calibration.relaxation import RelaxationLaw
from calibration.retrim_job import HOPELESS, READINGS, RetrimJob
from calibration.retrim_result import RetrimParams, RetrimResult, RetrimRound
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro

__all__ = ["HOPELESS", "Retrim", "RetrimParams", "RetrimResult", "RetrimRound", "retrim"]


def retrim(
    macro: Macro,
    programmer: Programmer,
    cells: Cells,
    targets: FloatArray,
    params: RetrimParams | None = None,
    wait: Callable[[float], None] = time.sleep,
    *,
    age_s: FloatArray | float = 1.0,
    partner: IntArray | None = None,
    keep: BoolArray | None = None,
    law: RelaxationLaw | None = None,
    progress: Progress | None = None,
) -> RetrimResult:
    """Re-trim cells that were programmed before.

    Args:
        macro: reads, and pulses through the programmer.
        programmer: drives the cells that moved; its tolerance must be one number or None.
        cells, targets: (n,) what was programmed, in siemens.
        params: waits, samples, what counts as moved.
        wait: lets seconds of bench time pass; a simulated board has its own (`advance`).
        age_s: time since each cell's last pulse.
        partner: (n,) index of the other arm of a cell's pair, -1 where there is none
            (`Placement.partner()`); None: every cell for itself.
        keep: (n,) cells that must not be pulsed (stuck, or fixed by the mapping).
        law: how the chip relaxes; None learns it from the readings.
        progress: told after every round.

    Raises:
        InputError: not one positive target per cell, or a partner that does not exist.
        TargetError, LimitError, SafetyError: as the programmer.
    """
    chosen = params or RetrimParams()
    job = RetrimJob(macro, cells, targets, chosen, partner, age_s)
    if keep is not None:
        job.hopeless |= keep
    job.given_law = law
    report = progress or silent
    for number, wait_s in enumerate(chosen.waits_s):
        if not macro.dry_run:
            wait(wait_s)
        job.round(programmer, number, wait_s)
        report(number + 1, len(chosen.waits_s), f"re-trim round {number + 1}", job.reading.copy())
        if macro.dry_run:
            break
    return job.result()


class Retrim:
    """A `Programmer` that programs with another one and re-trims what it left."""

    def __init__(
        self,
        programmer: Programmer,
        params: RetrimParams | None = None,
        wait: Callable[[float], None] = time.sleep,
        placement: Placement | None = None,
        touch_up: Programmer | None = None,
    ) -> None:
        """A re-trimming programmer.

        Args:
            programmer: programs all cells first.
            params: of the re-trim.
            wait: lets seconds of bench time pass.
            placement: makes pairs of the cells, which must be its cells in its order.
            touch_up: drives the cells that moved; None: the first one, whose tolerance must then
                be one number or None.
        """
        self.programmer, self.params, self.wait = programmer, params, wait
        self.touch_up = touch_up or programmer
        self.partner = None if placement is None else placement.partner()
        self.name = f"{programmer.name}+retrim"
        self.last: RetrimResult | None = None

    def run(
        self,
        macro: Macro,
        cells: Cells,
        targets: FloatArray,
        progress: Progress | None = None,
    ) -> ProgramResult:
        """Drive `cells` to `targets` (n,) siemens; see `Programmer.run`. `last` has the details."""
        start_s = macro.time_s
        clock = PulseClock(macro)
        with clock:
            first = self.programmer.run(macro, cells, targets, progress)
        status = CellStatus
        hopeless = np.isin(first.status, [int(s) for s in HOPELESS])
        self.last = done = retrim(
            macro,
            self.touch_up,
            cells,
            first.target_siemens,
            self.params,
            self.wait,
            age_s=clock.ages(cells),
            partner=self.partner,
            keep=hopeless,
            progress=progress,
        )
        error = done.reading_siemens - done.target_siemens
        inside = np.abs(error) <= first.tolerance_siemens
        out = np.where(first.status == status.IN_TOLERANCE, int(status.MOVED), first.status)
        trips = len(done.rounds) * READINGS
        return replace(
            first,
            algorithm=self.name,
            target_siemens=done.target_siemens,
            reached_siemens=done.reading_siemens,
            sets=first.sets + done.sets,
            resets=first.resets + done.resets,
            status=np.where(inside, int(status.IN_TOLERANCE), out),
            reads=first.reads + done.reads // max(len(cells), 1),
            round_trips=first.round_trips + trips,
            bench_s=macro.time_s - start_s,
        )
