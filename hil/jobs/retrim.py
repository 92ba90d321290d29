"""Drift of a programmed chip, and its re-trim: what `hil verify` says and does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.drift import DriftReport, drift_report
from calibration.placement import Placement
from calibration.programming import Programmer
from calibration.programming.choose import make_programmer
from calibration.progress import Progress
from calibration.pulse_clock import LONG_AGO_S
from calibration.retrim import HOPELESS, RetrimResult, retrim
from calibration.verify import VerifyResult
from drivers.rram.geometry import Geometry
from hil.bench import Bench
from hil.config import BenchConfig
from hil.jobs.network import PLACEMENT_FILE, Programmed, verify_cells
from hil.jobs.programming import programming_params
from hil.journal import Journal
from hil.record import RunFolder
from protocols.errors import RecordError

DRIFT_FILE, RETRIM_FILE, VERIFY_FILE = "drift.json", "retrim.json", "verify.json"
TOUCH_UP_SETTLE_S = (0.0,) * 3  # confirming reads of a correction; the re-trim does the waiting


@dataclass(frozen=True)
class State:
    """What is known of cells from the run that last drove them; arrays (n,).

    `reading_siemens` and `age_s` are of the moment `clock_s` of the bench's clock.
    """

    reading_siemens: FloatArray
    age_s: FloatArray
    clock_s: float


def state_of(run: RunFolder, placement: Placement, config: BenchConfig) -> State:
    """Readings and ages at the end of a programming or re-trimming run.

    Raises:
        RecordError: the run holds no verify readings of these cells.
    """
    data = run.load_json(VERIFY_FILE)
    reading = np.asarray(data.get("reading_siemens", []), dtype=np.float64)
    read_at_s, clock_s = data.get("read_at_s"), data.get("clock_s")
    timed = isinstance(read_at_s, int | float) and isinstance(clock_s, int | float)
    if reading.shape != (len(placement),) or not timed:
        raise RecordError(
            f"{run.path / VERIFY_FILE}: no readings of the {len(placement)} cells with their time; "
            "program the chip again to have its drift told"
        )
    if run.file(RETRIM_FILE).is_file():
        age_s = np.asarray(run.load_json(RETRIM_FILE)["age_s"], dtype=np.float64)
    else:
        description = config.load_description()
        geometry = Geometry(description.rows, description.columns)
        age_s = _ages(run, placement.cells.flat(geometry), geometry, float(str(read_at_s)))
    return State(reading, age_s, float(str(clock_s)))


def _ages(run: RunFolder, flat: IntArray, geometry: Geometry, read_at_s: float) -> FloatArray:
    """(n,) time since each cell's last pulse in the run's journal."""
    last_s = np.full(geometry.cells, -np.inf)
    path = run.file("journal.sqlite")
    if path.is_file():
        with Journal.open_read(path, check=False) as journal:
            records = journal.sound_records()
        at = records["row"].astype(np.int64) * geometry.columns + records["column"]
        np.maximum.at(last_s, at, records["time_us"] * 1e-6)
    age_s = read_at_s - last_s[flat]
    return np.asarray(np.where(np.isfinite(age_s), np.maximum(age_s, 0.0), LONG_AGO_S))


def drift_of(
    bench: Bench, run: RunFolder, placement: Placement, source: RunFolder, now: VerifyResult
) -> DriftReport:
    """Compares a verify with the readings of the run that programmed the cells; keeps both.

    Raises:
        RecordError: the source run holds no readings.
        InputError: no time has passed since.
    """
    config, state = bench.config, state_of(source, placement, bench.config)
    drift = drift_report(
        placement.cells,
        placement.target_siemens,
        state.reading_siemens,
        now.reading_siemens,
        age_s=state.age_s,
        elapsed_s=bench.clock_s - state.clock_s,
        partner=placement.partner(),
        tolerance_siemens=config.programming.tolerance_siemens,
        params=config.retrim,
    )
    run.save_json(DRIFT_FILE, {**drift.to_dict(), "program": source.path.name})
    from hil.drift_figure import drift_figure  # matplotlib is loaded only when something is drawn
    from hil.report.style import save_figure

    figure = drift_figure(drift, simulated=bench.is_simulated)
    save_figure(figure, run.file("figures/drift.png"))
    return drift


def touch_up(bench: Bench) -> Programmer:
    """The programmer of corrections: the bench file's, without its own waits."""
    params = programming_params(bench.config, bench.macro.limits)
    params = replace(params, settle_s=TOUCH_UP_SETTLE_S, count_in="confirmed")
    return make_programmer(params, bench.wait)


def retrim_cells(
    bench: Bench,
    run: RunFolder,
    placement: Placement,
    age_s: FloatArray,
    progress: Progress | None = None,
    keep: BoolArray | None = None,
) -> tuple[Placement, RetrimResult, VerifyResult]:
    """Waits, reads a placement's cells again, corrects what moved, and reads them once more.

    The run then holds the placement as it is now, and is what later verifies compare with.

    Args:
        age_s: (n,) time since each cell's last pulse.
        keep: (n,) cells that must not be pulsed, besides those that the placement does not drive.

    Raises:
        TargetError, LimitError, SafetyError: as programming.
    """
    left = np.zeros(len(placement), np.bool_) if keep is None else keep.copy()
    left |= ~np.isin(np.arange(len(placement)), placement.driven)
    params, target = bench.config.retrim, placement.target_siemens
    lowest = min(params.lowest_siemens, float(target[~left].min(initial=np.inf)))
    done = retrim(
        bench.macro,
        touch_up(bench),
        placement.cells,
        target,
        replace(params, lowest_siemens=lowest),  # the partner of a dead cell stands low
        bench.wait,
        age_s=age_s,
        partner=placement.partner(),
        keep=left,
        progress=progress,
    )
    placement = placement.with_targets(done.target_siemens)
    placement.save(run.file(PLACEMENT_FILE))
    run.save_json(RETRIM_FILE, done.to_dict())
    run.journal.event("retrim", done.summary())
    return placement, done, verify_cells(bench, run, placement, progress)


def retrim_programmed(
    bench: Bench, run: RunFolder, programmed: Programmed, progress: Progress | None = None
) -> tuple[Programmed, RetrimResult]:
    """Re-trims a network right after it was programmed; cells known as stuck are left alone.

    Returns the network with its new targets and readings, and what re-trimming did.
    """
    program = programmed.program
    keep = np.isin(program.status, [int(status) for status in HOPELESS])
    placement, done, verified = retrim_cells(
        bench, run, programmed.placement, programmed.age_s, progress, keep
    )
    return Programmed(placement, program, verified, done.age_s), done
