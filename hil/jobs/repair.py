"""Repair of a programmed network with the chip in the loop; see `calibration.repair`.

measure    cells read back, layers probed: a twin of the chip as it is
fit        words, embedding and last layer for which the twin ends where the software ends
re-program the cells of the last layer that have to move, and measure again
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.arrays import FloatArray
from calibration.drive import DriveTrim
from calibration.placement import Placement
from calibration.programming import ProgramResult
from calibration.programming.choose import make_programmer
from calibration.progress import Progress, silent
from calibration.repair import (
    Cure,
    RepairParams,
    RepairResult,
    RepairRound,
    last_range,
    plan_cure,
)
from calibration.repair_flow import Fit, fit_flow
from hil.bench import Bench
from hil.diffusion.score_model import ScoreModel
from hil.jobs.network import PLACEMENT_FILE
from hil.jobs.programming import programming_params
from hil.record import RunFolder
from hil.runloop import RunLoop
from hil.waveforms import Mode
from protocols.errors import InputError

REPAIR_FILE = "repair.json"


def refuse_conditional(model: ScoreModel, what: str) -> None:
    """Raises InputError for a model with classes, whose last layer serves all of them at once."""
    if model.n_classes:
        raise InputError(
            f"{what} is for networks without classes, and model {model.name!r} has "
            f"{model.n_classes}: a last layer that suits one class need not suit the others. "
            "hil run trims words and embedding for every class by itself; hil verify --retrim "
            "programs again what moved."
        )


def repair_network(
    bench: Bench,
    run: RunFolder,
    loop: RunLoop,
    placement: Placement,
    progress: Progress | None = None,
    mode: Mode = Mode.ODE,
    label: int | None = None,
) -> RepairResult:
    """Re-programs the last layer until the measured network ends where the software ends.

    The drive is trimmed before and after every round, so that pulses are spent only on what words
    and embedding cannot do. The loop keeps the trimmed drive.

    Raises:
        InputError: the model has classes.
        CalibrationError: the network is too far off for any drive.
        TargetError, LimitError, SafetyError: as programming.
    """
    refuse_conditional(loop.model, "a repair")
    tell, params, config = progress or silent, bench.config.repair, bench.config
    first = trim = loop.trim(mode, config.drive_trim, tell, label)
    rounds: list[RepairRound] = []
    reason = ""
    while not reason:
        reason = _enough(trim, params, len(rounds))
        if reason:
            break
        start_s = bench.macro.time_s
        reading = bench.macro.read(placement.cells, samples=params.samples)
        fit, cure = _plan(loop, placement, trim, reading, params, mode, label, bench)
        reason = _not_worth(trim, fit, cure, params)
        if reason:
            break
        tell(len(rounds), params.rounds, "repairing the last layer")
        placement, result = _program(bench, run, placement, cure)
        loop.adopt(mode, _expected(trim, fit), label)
        before, trim = trim, loop.trim(mode, config.drive_trim, tell, label)
        rounds.append(
            RepairRound(
                error_before=before.error_after,
                error_expected=fit.error_after,
                error_after=trim.error_after,
                cells=len(cure),
                pulses=int(result.pulses.sum()),
                in_tolerance=int(result.in_tolerance.sum()),
                bench_s=bench.macro.time_s - start_s,
            )
        )
    done = RepairResult(
        error_ideal_drive=first.error_before,
        error_before=first.error_after,
        error_after=trim.error_after,
        rounds=tuple(rounds),
        reason=reason,
        placement=placement,
    )
    run.save_json(REPAIR_FILE, done.to_dict())
    run.journal.event("repair", done.summary())
    return done


def _enough(trim: DriveTrim, params: RepairParams, rounds: int) -> str:
    if trim.error_after < params.good_enough:
        return f"the ends are off by {trim.error_after:.2%} of their size, which is good enough"
    return f"its {params.rounds} rounds are done" if rounds >= params.rounds else ""


def _not_worth(trim: DriveTrim, fit: Fit, cure: Cure, params: RepairParams) -> str:
    if not len(cure):
        return "no cell of the last layer would have to move by more than it can be told"
    gain = 1.0 - fit.error_after / trim.error_after
    if gain < params.least_gain:
        return (
            f"another last layer would take {max(gain, 0.0):.0%} off the error that is left, "
            f"{params.least_gain:.0%} is asked for"
        )
    return ""


def _plan(
    loop: RunLoop,
    placement: Placement,
    trim: DriveTrim,
    reading: FloatArray,
    params: RepairParams,
    mode: Mode,
    label: int | None,
    bench: Bench,
) -> tuple[Fit, Cure]:
    """The last layer for which the measured twin does best, and the cells that have to move."""
    drive_params = bench.config.drive_trim
    flow = loop.flow(mode, drive_params, label)
    bounds = last_range(placement, trim.twin, reading, flow.unit_volts)
    start = np.concatenate([trim.coefficients, np.zeros(bounds[0].size)])
    reach, free = loop.reach(mode, drive_params, label), drive_params.fit(params.last_sd)
    fit = fit_flow(trim.twin, flow, reach, free, start, bounds)
    return fit, plan_cure(placement, trim.twin, fit.twin, reading, params, flow.unit_volts)


def _expected(trim: DriveTrim, fit: Fit) -> DriveTrim:
    """What the next trim starts from: the drive that goes with the new last layer."""
    return replace(
        trim,
        drive=fit.drive,
        twin=fit.twin,
        error_after=fit.error_after,
        coefficients=fit.coefficients[: len(trim.coefficients)],
    )


def _program(
    bench: Bench, run: RunFolder, placement: Placement, cure: Cure
) -> tuple[Placement, ProgramResult]:
    """Programs the cells of a cure; the placement with their targets is kept in the run."""
    targets = placement.target_siemens.copy()
    targets[cure.index] = cure.target_siemens
    params = programming_params(bench.config, bench.macro.limits)
    programmer = make_programmer(params, bench.wait)
    result = programmer.run(bench.macro, placement.cells[cure.index], cure.target_siemens)
    placement = placement.with_targets(targets)
    placement.save(run.file(PLACEMENT_FILE))
    return placement, result
