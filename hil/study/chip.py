"""A chip that holds a network without having been formed, pulsed or verified: the twin's cells.

The cells, what becomes of them with time and how they read are those of the simulated board
(`hil.sim`): the same profile, the same seed, the same draws of relaxation and read noise. What is
left out is the way there. Instead of pulses, each cell is put somewhere inside the aim of its
tolerance, waits as long as programming waits, is read as a confirming read reads it, and is put
there again if it moved out: `ProgramParams.settle_s`, `aim_fraction` and `confirm_samples` say how
often, how close and by how many readings, as they do for the board. That the place inside the aim
is uniform was found on simulated boards; README and benchmarks compare the two.

Left out as well: weak cells, disturbed neighbours, and the errors of the converters that read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.mapping_knowledge import ChipKnowledge
from calibration.placement import Placement
from calibration.programming import ProgramParams
from drivers.rram.geometry import Cells
from hil.config import BenchConfig
from hil.diffusion.score_model import ScoreModel
from hil.jobs.mapping import blank_knowledge, map_model
from hil.sim.array import Array
from hil.sim.chip import Chip
from hil.sim.draws import uniforms
from hil.study.settings import EXACT_SIEMENS
from protocols.hardware import BoardDescription

FloatArray = NDArray[np.float64]
Index = NDArray[np.int64]

STREAM_LANDING = 6_101  # (cell, round): where in its aim a cell is put
PLACED_SIEMENS = 100e-6
"""What every cell is asked to hold to find those that do not."""
READ_BACK_SAMPLES = 16  # as `hil.jobs.rows`


@dataclass(frozen=True)
class Programmed:
    """A network on a chip.

    Attributes:
        placement: what the cells shall hold.
        array: the cells behind their lines.
        index: (n,) of the placement's cells in the array.
        now_s: time of the chip when programming was done.
        in_tolerance: (n,) by the last confirming read.
        bad_cells: of the whole macro.
    """

    placement: Placement
    array: Array
    index: Index
    now_s: float
    in_tolerance: NDArray[np.bool_]
    bad_cells: int

    def siemens(self, now_s: float) -> FloatArray:
        """(n,) true mean conductances as the loop sees them."""
        return self.array.conductance(self.index, now_s)

    def read(self, now_s: float, samples: int) -> FloatArray:
        """(n,) means of `samples` readings."""
        return _read(self.array, self.index, now_s, samples)


def programmed_chip(
    config: BenchConfig, description: BoardDescription, model: ScoreModel
) -> Programmed:
    """A chip of `config.sim` with `model` on it.

    Stuck cells are gone round or made up for, as after a bring-up that found all of them.

    Raises:
        MappingError: the network does not fit, or too few cells are good.
        ConfigError, DataError: the profile or its tables.
    """
    chip = Chip.open(None, config.sim, description)
    array = Array(chip, description, config.sim)
    known, bad = _stuck_cells(config, array)
    placement = map_model(model, config, known, measured=False).placement
    index = array.flat(placement.cells.rows, placement.cells.columns)
    now_s, fine = _program(array, index, placement, config.programming, config.sim.seed)
    return Programmed(placement, array, index, now_s, fine, bad)


def _stuck_cells(config: BenchConfig, array: Array) -> tuple[ChipKnowledge | None, int]:
    """What a bring-up would find out: the cells that do not take what they are given."""
    faults = array.chip.profile.faults
    if faults.stuck_low_fraction + faults.stuck_high_fraction == 0.0:
        return None, 0
    every = np.arange(array.rows * array.columns)
    array.chip.cells.set_conductance(every, PLACED_SIEMENS, 0.0)
    found = array.chip.cells.conductance(every, 0.0)
    stuck = np.flatnonzero(np.abs(found - PLACED_SIEMENS) > 0.01 * PLACED_SIEMENS)
    cells = Cells(stuck // array.columns, stuck % array.columns)
    return blank_knowledge(config).with_stuck(cells, found[stuck]), stuck.size


def _program(
    array: Array, index: Index, placement: Placement, params: ProgramParams, seed: int
) -> tuple[float, NDArray[np.bool_]]:
    """Put the driven cells at their targets and see to it that they stay; time and who did."""
    driven = placement.driven
    cells, target = index[driven], placement.target_siemens[driven]
    tolerance = params.tolerances(target)
    exact = bool(np.all(tolerance <= EXACT_SIEMENS))
    now_s, out = 0.0, np.arange(cells.size)
    for number, wait_s in enumerate((0.0,) if exact else params.settle_s):
        landing = 2.0 * uniforms(seed, STREAM_LANDING, cells[out], number) - 1.0
        shift = 0.0 if exact else params.aim_fraction * tolerance[out] * landing
        _place(array, cells[out], target[out] + shift, now_s)
        now_s += wait_s
        reading = _read(array, cells, now_s, params.confirm_samples)
        out = np.flatnonzero(np.abs(reading - target) > tolerance)
        if exact or not out.size:
            break
    fine = np.zeros(index.size, np.bool_)
    fine[driven] = True
    fine[driven[out]] = exact
    return now_s, fine


def _place(array: Array, cells: Index, shown_siemens: FloatArray, now_s: float) -> None:
    """Cells at what shows as `shown_siemens` through their lines, or at the end of what they can.

    A wide tolerance reaches beyond what cells can have; a real one would stop there as well.
    """
    own = shown_siemens / (1.0 - shown_siemens * array.path_ohm(cells))
    bounds = array.chip.profile.bounds
    own = np.clip(own, bounds.lowest_siemens, bounds.highest_siemens)
    array.chip.cells.set_conductance(cells, own, now_s)


def _read(array: Array, cells: Index, now_s: float, samples: int) -> FloatArray:
    """(n,) means of readings in a row."""
    times = np.full(cells.size, now_s)
    return np.asarray(np.mean([array.read(cells, times) for _ in range(samples)], axis=0))
