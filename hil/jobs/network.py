"""A network on the chip: where it goes, forming its cells, programming and verifying them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import FloatArray
from calibration.forming import FormResult, form
from calibration.mapping_knowledge import ChipKnowledge
from calibration.placement import Placement
from calibration.programming import ProgramResult
from calibration.programming.choose import make_programmer
from calibration.programming.pairs import PairTrim
from calibration.progress import Progress
from calibration.pulse_clock import PulseClock
from calibration.verify import VerifyParams, VerifyResult, verify
from hil.bench import Bench
from hil.config import BenchConfig
from hil.diffusion.score_model import ScoreModel
from hil.jobs.mapping import map_model, with_fixed
from hil.jobs.programming import programming_params
from hil.journal import Journal
from hil.record import RunFolder
from hil.runloop import RunLoop, Samples
from protocols.errors import ChipError, NotFormedError, RecordError

PLACEMENT_FILE = "placement.json"
LARGEST_MISMATCH = 0.1
"""Root mean square by which a layer of a placement may differ from that of the model, as a fraction
of its largest weight; pair trim moves targets by a hundredth or so (this project's choice)."""


@dataclass(frozen=True)
class Programmed:
    """A network that is on the chip: where, and how well.

    `age_s` (n,) is the time since each cell's last pulse, as far as this programming knows.
    """

    placement: Placement
    program: ProgramResult
    verify: VerifyResult
    age_s: FloatArray


def place(
    model: ScoreModel, config: BenchConfig, knowledge: ChipKnowledge | None = None
) -> Placement:
    """Where the cells of a model go and what they shall hold; nothing is driven.

    Args:
        model, config: what and where.
        knowledge: the chip's bad cells, which are gone round or made up for; None is a perfect
            chip. `hil.jobs.mapping.map_model` gives the expected weight error as well.

    Raises:
        MappingError: the network does not fit the macro of the bench; says what is missing.
    """
    return map_model(model, config, knowledge).placement


def form_cells(
    bench: Bench,
    run: RunFolder,
    placement: Placement,
    progress: Progress | None = None,
    knowledge: ChipKnowledge | None = None,
) -> FormResult:
    """Forms the cells of a placement; those that are formed or fixed already are left alone."""
    cells = placement.cells[placement.driven]
    if knowledge is not None:  # a formed cell with a low target reads as if it were not formed
        known = knowledge.formed[cells.rows, cells.columns]
        low = placement.target_siemens[placement.driven] < bench.config.forming.threshold_siemens
        cells = cells[np.flatnonzero(~(known & low))]
    result = form(bench.macro, cells, bench.config.forming, progress)
    run.save_json("forming.json", result.to_dict())
    run.journal.event("forming", {"cells": len(result.cells), "formed": int(result.formed.sum())})
    return result


def program_cells(
    bench: Bench, run: RunFolder, placement: Placement, progress: Progress | None = None
) -> Programmed:
    """Programs a placement by write-verify and reads it once more.

    The placement that is kept holds the targets as programmed: with pair trim (bench file), one arm
    of each pair makes up for what the other one misses.

    Raises:
        NotFormedError: cells were never formed; nothing was driven.
        TargetError: a target is outside the window that cells can be programmed to.
    """
    _refuse_unformed(bench, placement)
    pairs = bench.config.pair_trim and placement.scheme == "differential"
    trim = PairTrim(placement) if pairs else None
    params = programming_params(bench.config, bench.macro.limits)
    programmer = make_programmer(params, bench.wait, trim)
    driven, target = placement.driven, placement.target_siemens
    with PulseClock(bench.macro) as clock:
        result = programmer.run(bench.macro, placement.cells[driven], target[driven], progress)
    result = with_fixed(result, placement)
    placement = placement.with_targets(result.target_siemens)
    placement.save(run.file(PLACEMENT_FILE))
    run.save_json("program.json", result.to_dict())
    run.journal.event("program", result.summary())
    verified = verify_cells(bench, run, placement, progress)
    return Programmed(placement, result, verified, clock.ages(placement.cells))


def verify_cells(
    bench: Bench, run: RunFolder, placement: Placement, progress: Progress | None = None
) -> VerifyResult:
    """Reads a placement's cells and compares them with their targets."""
    params = VerifyParams(tolerance_siemens=bench.config.programming.tolerance_siemens)
    result = verify(bench.macro, placement.cells, placement.target_siemens, params, progress)
    run.save_json("verify.json", {**result.to_dict(), "clock_s": bench.clock_s})
    return result


def record_loop(run: RunFolder, loop: RunLoop) -> None:
    """Writes what was measured of the loop, and how its drive was trimmed, into the journal."""
    run.journal.event("loop_calibration", loop.calibration.to_dict())
    for mode, trim in loop.history:
        run.journal.event("drive_trim", {"mode": mode.value, **trim.to_dict()})


def record_samples(run: RunFolder, samples: Samples) -> None:
    """Writes the samples of one mode and the initial conditions they came from."""
    name = f"samples_{samples.mode.value}"
    arrays: dict[str, NDArray[Any]] = {"x": samples.x, "initial": samples.initial}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
    run.save_arrays(f"{name}.npz", arrays)
    run.journal.array(f"{name}_initial", samples.initial)
    run.journal.event(name, {"count": len(samples.x), "board_s": samples.board_s})


def latest_placement(config: BenchConfig, run: Path | None = None) -> tuple[Placement, RunFolder]:
    """The placement that was last programmed into this bench's chip, and the run that did it.

    Args:
        config: the bench; its runs folder is searched for its chip's id.
        run: the run folder to take instead of the latest.

    Raises:
        RecordError: nothing was programmed yet, or the run is one of another chip.
        ChipError: a later run began to program this chip and did not get to its end.
    """
    if run is not None:
        found = RunFolder.open(run)
        if found.info.get("chip") != config.chip.id:
            raise RecordError(
                f"{run}: programmed chip {found.info.get('chip')!r}, this bench has "
                f"{config.chip.id!r}; name a run of this chip"
            )
        if not found.file(PLACEMENT_FILE).is_file():
            raise RecordError(
                f"{run}: this {found.kind!r} run did not program a network to its end"
            )
        return Placement.load(found.file(PLACEMENT_FILE)), found
    for found in RunFolder.all(config.runs):
        if found.info.get("chip") != config.chip.id:
            continue
        if found.file(PLACEMENT_FILE).is_file():
            return Placement.load(found.file(PLACEMENT_FILE)), found
        if _overwrites(found) and _has_pulsed(found):
            raise ChipError(
                f"{found.path}: this {found.kind!r} run pulsed cells of the network on chip "
                f"{config.chip.id!r} and left none ({found.status}), so the cells are neither what "
                "they were nor what they should be; use hil program again"
            )
    raise RecordError(
        f"{config.runs}: no run has programmed chip {config.chip.id!r} yet; use hil program first"
    )


def refuse_other_model(placement: Placement, model: ScoreModel) -> None:
    """Refuses to run a model when another one was programmed.

    The hidden layers say which one it is: the last layer is a repair's to choose.

    Raises:
        ChipError: the placement holds other weights.
    """
    held = zip(*placement.weights_from(placement.target_siemens), strict=True)
    layers = list(zip(held, model.layers, strict=False))[: max(len(model.layers) - 1, 1)]
    same = len(placement.blocks) == len(model.layers) and all(
        _is_close(*(np.column_stack(part) for part in pair)) for pair in layers
    )
    if not same:
        raise ChipError(
            f"the chip was programmed with another network than model {model.name!r}; name the "
            "model that is on it, or use hil program first"
        )


def _is_close(held: FloatArray, wanted: FloatArray) -> bool:
    if held.shape != wanted.shape:
        return False
    off = float(np.sqrt(np.mean((held - wanted) ** 2)))
    return off <= LARGEST_MISMATCH * float(np.abs(wanted).max())


def _overwrites(run: RunFolder) -> bool:
    """Whether a run drives cells of a network: programming does, characterising where asked to."""
    asked = run.info.get("parameters") or {}
    return run.kind == "program" or (run.kind == "characterise" and asked.get("cells") == "network")


def _has_pulsed(run: RunFolder) -> bool:
    """Whether a run meant to drive any pulse."""
    path = run.file("journal.sqlite")
    if not path.is_file():
        return False
    with Journal.open_read(path, check=False) as journal:
        return bool(journal.intents())


def _refuse_unformed(bench: Bench, placement: Placement) -> None:
    cells = placement.cells[placement.driven]
    reading = bench.macro.read(cells, samples=4)
    low = reading < bench.config.programming.unformed_siemens
    if low.all():
        row, column = cells.rows[0], cells.columns[0]
        raise NotFormedError(
            f"chip {bench.config.chip.id!r}: none of the {len(reading)} cells to be programmed is "
            f"formed (cell ({row}, {column}) reads {reading[0] * 1e6:.2f} uS); use hil form first"
        )
