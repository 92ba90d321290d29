"""A point at the depth "board": the whole job on a virgin chip behind the simulated board.

Form, map, program and verify, calibrate the loop, trim the drive, solve: all of it through the wire
protocol, in a folder of its own that is thrown away. It is what a twin stands for, some fifty times
slower.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.placement import Placement
from hil.bench import Bench
from hil.chip_section import ChipSection
from hil.config import BenchConfig
from hil.jobs import rows
from hil.jobs.bring_up import bring_up
from hil.jobs.session import session
from hil.study.axes import Point
from hil.study.settings import board_of, ideal_model, model_of
from hil.study.twin import Solved, weight_rms
from hil.waveforms import Mode
from protocols.errors import ConfigError, HilError
from protocols.files import replace_whole

FloatArray = NDArray[np.float64]

FOLDER_NAME = "FOLDER"
"""Stands for the folder of a point in the reason of its failure: it has another name each time."""
LEAST_BITS = 8


def solve_board(config: BenchConfig, point: Point) -> Solved:
    """The samples of one chip.

    Raises:
        HilError: whatever step fails says why.
    """
    with tempfile.TemporaryDirectory(prefix="hil-study-") as name:
        try:
            return _solved(_placed(config, point, Path(name)), point)
        except HilError as error:
            error.args = tuple(str(part).replace(name, FOLDER_NAME) for part in error.args)
            raise


def _placed(config: BenchConfig, point: Point, folder: Path) -> BenchConfig:
    """The bench with everything that it keeps in `folder`."""
    if point.tolerance_siemens == 0:
        raise ConfigError("tolerance_siemens 0 is for twins; a board programs within a tolerance")
    changes: dict[str, Any] = {
        "board": "sim",
        "runs": folder / "runs",
        "curves": folder / "boards",
        "chip": ChipSection(id="study", folder=folder / "chips"),
    }
    if point.dac_bits is not None:
        if point.dac_bits < LEAST_BITS:
            raise ConfigError(
                f"dac_bits {point.dac_bits}: all converters of a board have as many, at least "
                f"{LEAST_BITS}; a twin takes fewer for its waveforms"
            )
        file = folder / "board.yaml"
        replace_whole(file, board_of(config, point).model_dump_json().encode())  # YAML as well
        changes["description"] = str(file)
    return config.with_changes(**changes)


def _solved(config: BenchConfig, point: Point) -> Solved:
    wanted, mode = model_of(config, point), Mode(point.mode)
    with session(config, "study", parameters={}, virgin_chip=True) as (run, bench):
        brought = bring_up(bench, run, wanted)
        placement = brought.programmed.placement
        if point.age_s > 0.0:
            bench.wait(point.age_s)
        loop = rows.run_loop(bench, ideal_model(config.model), placement)
        siemens = _true_siemens(bench, placement)
        samples = loop.run(point.samples, mode, seed=config.seed, label=point.label)
        trims = [trim.error_after for _, trim in loop.history[:1]]
        figures = {
            "weight_rms": weight_rms(placement, siemens, ideal_model(config.model)),
            "in_tolerance": float(brought.programmed.program.in_tolerance.mean()),
            "bad_cells": float(brought.knowledge.bad.sum()),
            "flow_error": trims[0] if trims else float("nan"),
        }
    return Solved(samples.x, figures)


def _true_siemens(bench: Bench, placement: Placement) -> FloatArray:
    """(n,) true mean conductances as the loop sees them, through their lines."""
    board = bench.simulated
    if board is None:
        raise ConfigError("a study's board is the simulated one")
    array = board.machine.array
    index = array.flat(placement.cells.rows, placement.cells.columns)
    return array.conductance(index, board.chip.now_s)
