"""The rows of the table: data, software, the loop with ideal weights, the programmed chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from calibration.placement import Placement
from calibration.progress import Progress
from hil.bench import Bench
from hil.boards import simulated
from hil.config import BenchConfig
from hil.diffusion.metrics import (
    DATA_ROW_SEED,
    REFERENCE_POINTS,
    Metrics,
    class_distances,
    evaluate,
    reference_of,
)
from hil.diffusion.references import source_of
from hil.diffusion.sampler import Solve, euler_maruyama, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.runloop import RunLoop, Samples
from hil.sim.board import make_board
from hil.sim.effects import Effects
from hil.waveforms import LoopTiming, Mode
from protocols.hardware import BoardDescription

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Labels = Sequence[int | None]
ALL_DATA: Labels = (None,)
SOFTWARE_STEPS = 1000
READ_BACK_SAMPLES = 16


@dataclass(frozen=True)
class Row:
    """One row: the samples in model units, (n, d), and their metrics.

    With classes, `labels` (n,) are those of the samples and `class_w1` is the sliced Wasserstein-1
    distance of each class from its own data.
    """

    samples: FloatArray
    metrics: Metrics
    labels: IntArray | None = None
    class_w1: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))


def row(samples: FloatArray, model: ScoreModel, labels: IntArray | None = None) -> Row:
    """The row of some samples; with labels they are judged by data of the same classes."""
    source = source_of(model)
    if labels is None:
        return Row(samples, evaluate(samples, reference_of(source)))
    present = np.unique(labels)
    share = REFERENCE_POINTS // len(present)
    truth = np.concatenate([reference_of(source, int(label))[:share] for label in present])
    distances = class_distances(samples, labels, source)
    return Row(samples, evaluate(samples, truth), labels, MappingProxyType(distances))


def data(model: ScoreModel, count: int, labels: Labels = ALL_DATA) -> Row:
    """Data against data, `count` points of each label: what zero looks like."""
    source = source_of(model)
    parts = [source.draw(count, DATA_ROW_SEED, 0, label) for label in labels]
    return row(np.concatenate(parts), model, repeated(labels, count))


def software(model: ScoreModel, seed: int, count: int, labels: Labels = ALL_DATA) -> Row:
    """The Euler ODE in software, 1,000 steps, from the same initial conditions as the loop.

    `count` samples of each label, whose trajectories are numbered on from class to class.
    """
    parts = [
        solve(
            model,
            initial_conditions(model, seed, number * count, count),
            Solve(steps=SOFTWARE_STEPS, label=label),
        )
        for number, label in enumerate(labels)
    ]
    return row(np.concatenate(parts), model, repeated(labels, count))


def software_sde(model: ScoreModel, seed: int, count: int, labels: Labels = ALL_DATA) -> Row:
    """The SDE in software by Euler-Maruyama, 1,000 steps; arguments as for `software`."""
    parts = []
    for number, label in enumerate(labels):
        first = number * count
        start = initial_conditions(model, seed, first, count)
        parts.append(
            euler_maruyama(model, start, seed, steps=SOFTWARE_STEPS, first=first, label=label)
        )
    return row(np.concatenate(parts), model, repeated(labels, count))


def repeated(labels: Labels, each: int) -> IntArray | None:
    """Class of every sample when each label has as many; None where one of them is no class."""
    numbers = [label for label in labels if label is not None]
    if len(numbers) != len(labels):
        return None
    return np.repeat(np.array(numbers, dtype=np.int64), each)


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
    return row(samples.x, model)


def chip(samples: Samples, model: ScoreModel) -> Row:
    """The row of what a chip gave."""
    return row(samples.x, model, samples.labels)
