"""What later work takes over from a chip's bring-up: sacrificed cells, readings of a verify."""

from __future__ import annotations

import numpy as np

from calibration.arrays import FloatArray
from calibration.bringup import StageResult
from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.config import BenchConfig
from hil.jobs.mapping import blank_knowledge, keep_knowledge, load_knowledge
from hil.jobs.programming import VERIFY_READS

_OF_CELLS = "cells"


def keep_stage(bench: Bench, result: StageResult) -> tuple[str, ...]:
    """Keeps with the chip what a stage found; sentences that say what was kept.

    Call it after every stage of the chip, also after one that failed: cells that it used are used.

    Raises:
        MappingError, RecordError: the chip's files are damaged or cannot be written.
    """
    said = []
    if lost := result.data.get("sacrificed"):
        cells = Cells.of((int(row), int(column)) for row, column in lost)
        siemens = np.asarray(result.data["sacrificed_siemens"], np.float64)
        give_up(bench.config, cells, siemens)
        said.append(f"{len(lost)} cells are marked as sacrificed; no network will use them")
    reads = result.data.get(VERIFY_READS)
    if result.passed and reads is not None and reads["measured_on"] == _OF_CELLS:
        ChipStore.of(bench.config, bench.conditions).save(
            VERIFY_READS,
            reads,
            board=f"{bench.board.identity.serial:x}",
            simulated=bench.is_simulated,
        )
        said.append(f"{reads['reads']} readings per verify are kept with the chip")
    return tuple(said)


def give_up(config: BenchConfig, cells: Cells, siemens: FloatArray) -> None:
    """Marks cells that read `siemens` (n,) as sacrificed in what is known of the chip.

    Raises:
        MappingError: the chip's map is damaged or cannot be written.
    """
    known = load_knowledge(config) or blank_knowledge(config)
    keep_knowledge(config, known.with_sacrificed(cells, siemens))
