"""The rows of the table: data, software, the loop with ideal weights, the programmed chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.placement import Placement
from calibration.progress import Progress
from hil.bench import Bench
from hil.boards import simulated
from hil.config import BenchConfig
from hil.diffusion.metrics import Metrics, data_row, evaluate, reference_set
from hil.diffusion.sampler import Solve, euler_maruyama, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.runloop import RunLoop, Samples
from hil.sim.board import make_board
from hil.sim.effects import Effects
from hil.waveforms import LoopTiming, Mode
from protocols.hardware import BoardDescription

FloatArray = NDArray[np.float64]
SOFTWARE_STEPS = 1000
READ_BACK_SAMPLES = 16


@dataclass(frozen=True)
class Row:
    """One row: the samples in model units, (n, 2), and their metrics."""

    samples: FloatArray
    metrics: Metrics


def row(samples: FloatArray, data_set: str) -> Row:
    """The row of some samples."""
    return Row(samples, evaluate(samples, reference_set(data_set)))


def data(model: ScoreModel, count: int) -> Row:
    """Data against data: what zero looks like."""
    return Row(reference_set(model.training.data)[:count], data_row(count, model.training.data))


def software(model: ScoreModel, seed: int, count: int) -> Row:
    """The Euler ODE in software, 1,000 steps, from the same initial conditions as the loop."""
    start = initial_conditions(model, seed, 0, count)
    return row(solve(model, start, Solve(steps=SOFTWARE_STEPS)), model.training.data)


def software_sde(model: ScoreModel, seed: int, count: int) -> Row:
    """The reverse SDE in software by Euler-Maruyama, 1,000 steps."""
    start = initial_conditions(model, seed, 0, count)
    samples = euler_maruyama(model, start, seed, steps=SOFTWARE_STEPS)
    return row(samples, model.training.data)


def run_loop(
    bench: Bench,
    model: ScoreModel,
    placement: Placement,
    progress: Progress | None = None,
) -> RunLoop:
    """The loop of a bench with a placement connected and calibrated, ready to run."""
    config = bench.config
    bench.integrator.connect(placement.blocks)
    loop = RunLoop(
        bench.integrator,
        model,
        bench.description,
        LoopTiming(config.loop.tick_s, config.loop.ticks),
        config.loop.initial_clip_volts,
        config.drive_trim if config.loop.trim_drive else None,
        lambda: placement.weights_from(bench.macro.read(placement.cells, READ_BACK_SAMPLES)),
        config.loop.trim_again,
        placement.channels,
    )
    loop.calibrate(config.loop_calibration, progress)
    return loop


def conductance_map(
    placement: Placement, conductance_siemens: FloatArray, description: BoardDescription
) -> FloatArray:
    """(rows, columns) conductances of a placement's cells, NaN elsewhere."""
    out = np.full((description.rows, description.columns), np.nan)
    out[placement.cells.rows, placement.cells.columns] = conductance_siemens
    return out


def simulated_bench(
    config: BenchConfig, effects: Effects, conductances: FloatArray | None = None
) -> Bench:
    """A second simulated bench, in memory, with chosen effects and cells set from behind.

    Args:
        config: the bench to copy.
        effects: which non-idealities are on.
        conductances: (rows, columns) in siemens, NaN leaves a cell unformed.
    """
    description = config.load_description()
    settings = config.sim.model_copy(
        update={"effects": {name: getattr(effects, name) for name in Effects.names()}}
    )
    board = make_board(settings, description)
    if conductances is not None:
        board.set_conductances(conductances)
    return Bench(config.with_changes(board="sim"), description, simulated(board))


def loop_ideal(
    config: BenchConfig,
    model: ScoreModel,
    placement: Placement,
    count: int,
    progress: Progress | None = None,
) -> Row:
    """The analog loop with every effect off and every cell exactly at its target, simulated."""
    description = config.load_description()
    cells = conductance_map(placement, placement.target_siemens, description)
    untrimmed = config.loop.model_copy(update={"trim_drive": False})
    config = config.with_changes(loop=untrimmed)
    with simulated_bench(config, Effects.none(), cells) as bench:
        loop = run_loop(bench, model, placement)
        samples = loop.run(count, Mode.ODE, seed=config.seed, progress=progress)
    return row(samples.x, model.training.data)


def chip(samples: Samples, model: ScoreModel) -> Row:
    """The row of what a chip gave."""
    return row(samples.x, model.training.data)
