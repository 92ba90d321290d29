"""The headline comparison: software on this computer, the bench, and the modelled chip, per task.

Every software form is used with the fewest steps whose samples are as good as those of 10,000: the
mean 1-D KL over the classes within 5 %, from the same initial conditions. That number is searched
for, form by form (Euler for the published loop, second order for the others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.placement import Placement
from calibration.progress import Progress, silent
from hil.config import BenchConfig
from hil.diffusion.baselines import EagerTorch, Form, PublishedTorch
from hil.diffusion.keyed import FloatArray
from hil.diffusion.metrics import kl_1d, sliced_w1
from hil.diffusion.model import load_model
from hil.diffusion.noise_study import References
from hil.diffusion.sampler import Solve, initial_conditions, trajectories
from hil.diffusion.score_model import ScoreModel
from hil.fewest_steps import Fewest, fewest_steps
from hil.jobs import rows
from hil.jobs.headline_software import (
    TIMED_STEPS,
    CompiledForm,
    Planned,
    Power,
    computer,
    time_forms,
)
from hil.jobs.network import place
from hil.jobs.noise import references_of
from hil.report.headline.components import Components, chip_energy
from hil.report.headline.data import (
    BenchRow,
    HeadlineData,
    ModelledRow,
    SoftwareRow,
    TaskRow,
)
from hil.sim.effects import Effects
from hil.waveforms import Mode
from protocols.errors import ConfigError, MappingError

REFERENCE_STEPS = 10_000
TOLERANCE = 0.05
PUBLISHED_STEPS = {False: 10_000, True: 5_000}  # of the published notebooks, by conditional
SAMPLES, BATCH = 20_000, 20_000
LEAST_PER_CLASS = 2_000
BENCH_SAMPLES = 64
SEED = 6_001
Figure = Callable[[FloatArray, FloatArray], float]
CELL_POINTS, CELL_STEPS, CELL_EVERY = 200, 200, 10


@dataclass(frozen=True)
class HeadlineOptions:
    """How much is measured, and what is assumed.

    Attributes:
        samples: of the search, over all classes.
        batch: of the timing.
        power_watts: of this computer, from the user; None is measured or unknown.
    """

    samples: int = SAMPLES
    batch: int = BATCH
    power_watts: float | None = None


# --- the whole table -----------------------------------------------------------------------------


def headline(
    models: Sequence[str],
    config: BenchConfig,
    components: Components,
    components_file: Path,
    asked: HeadlineOptions | None = None,
    progress: Progress | None = None,
) -> HeadlineData:
    """Measures and models every task.

    Args:
        models: names or files, one per task.
        config: of the bench whose board is simulated for the bench's time.
        components: figures of the modelled chip.
        components_file: where they stand.
        asked: how much; None is the default.
        progress: counts steps of the job.

    Raises:
        ModelError, DataError: a model cannot be loaded or has no data to be judged by.
        CalibrationError: a software form does not reach the quality of 10,000 steps.
        KernelError: the compiled kernel cannot be built here.
    """
    options, tell = asked or HeadlineOptions(), progress or silent
    power = Power.of(options.power_watts, components.host)
    tasks = []
    for number, name in enumerate(models):
        tell(number, len(models), f"headline: {name}")
        tasks.append(_task(load_model(name), config, components, options, power))
    tell(len(models), len(models), "headline")
    return HeadlineData(
        tasks=tuple(tasks),
        computer=computer(),
        power_source=power.origin,
        components_file=str(components_file),
        notes=_notes(options),
    )


def _task(
    model: ScoreModel,
    config: BenchConfig,
    components: Components,
    options: HeadlineOptions,
    power: Power,
) -> TaskRow:
    conditional, references = model.n_classes > 0, references_of(model)
    quality = _Quality(model, references, options.samples)
    reference = quality.kl(CompiledForm(model), REFERENCE_STEPS)
    limit = reference * (1.0 + TOLERANCE)
    euler = EagerTorch(model, heun=False)
    by_euler = fewest_steps(lambda n: quality.kl(euler, n), limit, REFERENCE_STEPS)
    by_heun = fewest_steps(lambda n: quality.kl(CompiledForm(model), n), limit, REFERENCE_STEPS)
    placement = _placement(model, config)
    watts = None if placement is None else cells_watts(model, placement)
    return TaskRow(
        task=model.task or model.training.data,
        model=model.name,
        is_conditional=conditional,
        reference_steps=REFERENCE_STEPS,
        reference_kl=reference,
        tolerance=TOLERANCE,
        samples=quality.count * len(references),
        tried=by_euler.tried,
        software=_software(model, quality, by_euler, by_heun, options.batch, power),
        bench=None if placement is None else bench_row(model, config, placement),
        modelled=ModelledRow(
            components.solve.used,
            components.solve.is_assumed,
            chip_energy(components, model, watts),
        ),
        published=tuple(
            each for each in components.published if (each.task == "conditional") == conditional
        ),
    )


class _Quality:
    """Figures of a form with a number of steps, means over the classes."""

    def __init__(self, model: ScoreModel, references: References, samples: int) -> None:
        self.references = references
        self.count = max(samples // len(references), min(samples, LEAST_PER_CLASS))
        self._start = initial_conditions(model, SEED, 0, self.count)

    def kl(self, form: Form, steps: int) -> float:
        """The 1-D KL."""
        return self._mean(kl_1d, form, steps)

    def planned(self, form: Form, steps: int, *, found: bool, by: Form | None = None) -> Planned:
        """The form with its figures, which are those of `by` where that solves the same faster."""
        solver = form if by is None else by
        kl, w1 = (self._mean(figure, solver, steps) for figure in (kl_1d, sliced_w1))
        return Planned(form, steps, kl, w1, found)

    def _mean(self, figure: Figure, form: Form, steps: int) -> float:
        each = [
            figure(form.solve(self._start, steps, label), reference)
            for label, reference in self.references.items()
        ]
        return float(np.mean(each))


def _software(
    model: ScoreModel,
    quality: _Quality,
    by_euler: Fewest,
    by_heun: Fewest,
    batch: int,
    power: Power,
) -> tuple[SoftwareRow, ...]:
    """The three forms at equal quality, and the published one with its published steps."""
    published, eager, compiled = PublishedTorch(model), EagerTorch(model), CompiledForm(model)
    steps = PUBLISHED_STEPS[model.n_classes > 0]
    few = by_heun.steps
    plan = (
        quality.planned(published, steps, found=False, by=compiled),
        quality.planned(published, by_euler.steps, found=True),
        quality.planned(eager, few, found=True),
        quality.planned(compiled, few, found=True),
    )
    start = initial_conditions(model, SEED, 0, batch)
    return time_forms(plan, start, 0 if model.n_classes else None, power)


# --- the bench and the chip ----------------------------------------------------------------------


def _placement(model: ScoreModel, config: BenchConfig) -> Placement | None:
    """Where the network goes on the bench's macro; None when it does not fit one."""
    try:
        return place(model, config)
    except (MappingError, ConfigError):
        return None


def bench_row(model: ScoreModel, config: BenchConfig, placement: Placement) -> BenchRow | None:
    """Time of a sample by a simulated board's clock; None where its loop cannot run the model."""
    description = config.load_description()
    config = config.with_changes(loop=config.loop.model_copy(update={"trim_drive": False}))
    cells = rows.conductance_map(placement, placement.target_siemens, description)
    label = 0 if model.n_classes else None
    with rows.simulated_bench(config, Effects.none(), cells) as bench:
        try:
            loop = rows.run_loop(bench, model, placement)
        except ConfigError:  # dimensions or widths that one board's loop does not have
            return None
        samples = loop.run(BENCH_SAMPLES, Mode.ODE, seed=SEED, label=label)
    return BenchRow(
        samples.board_s / BENCH_SAMPLES, config.loop.ticks, config.loop.tick_s, BENCH_SAMPLES
    )


def cells_watts(model: ScoreModel, placement: Placement) -> float:
    """Power that the cells of a network take while it is solved: the sum of V^2 G over them.

    The mean over a solve, along solutions of the software with clamped hidden units; columns are at
    virtual ground, so a cell sees its row's voltage. Both arms of a pair count.
    """
    squares = _row_squares(model)
    each = [squares[k][i] for k, i in zip(placement.layer, placement.input, strict=True)]
    return float(np.sum(np.array(each) * placement.target_siemens))


def _row_squares(model: ScoreModel) -> list[FloatArray]:
    """Mean square voltage of every input of each layer, the bias last."""
    label, start = 0 if model.n_classes else None, initial_conditions(model, SEED, 0, CELL_POINTS)
    how = Solve(steps=CELL_STEPS, clamp=True, label=label)
    paths = trajectories(model, start, how, every=CELL_EVERY)
    tau = model.tau(model.capture_time * np.linspace(0.0, 1.0, paths.shape[1]))
    hidden = model.layer_outputs(paths, tau, label=label, clamp=True)[:-1]
    size = model.volts_per_unit**2
    return [np.append(np.mean(v**2, axis=(0, 1)), 1.0) * size for v in (paths, *hidden)]


def _notes(options: HeadlineOptions) -> tuple[str, ...]:
    return (
        f"Quality: mean 1-D KL over the classes, {options.samples:,} samples in all. The fewest "
        f"steps are those whose KL is at most {1 + TOLERANCE:g} times that of {REFERENCE_STEPS:,} "
        "steps, as is that of every larger number that was tried: searched for, not assumed.",
        "Host time: medians of interleaved runs on this computer, single precision. A solve of "
        f"more than {TIMED_STEPS} steps is timed over {TIMED_STEPS} and scaled.",
        "The published sources do not say which computer and which number of steps their factors "
        "are against. Each factor here names its own baseline.",
        "The modelled chip has never been timed: its time is a stated figure or an assumption.",
    )
