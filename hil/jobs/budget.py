"""The error budget: the programmed chip run again with one non-ideality off at a time (simulated).

What a chip's own board cannot switch off, its simulation can: the conductances that the programmed
chip truly has are put behind a second simulated board, one effect is switched off, the loop is
calibrated again and the same trajectories are solved. The conductances are those after relaxation,
so they do not relax a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.mapping_knowledge import DEAD_BELOW_SIEMENS
from calibration.placement import Placement
from calibration.progress import Progress, silent
from hil.config import BenchConfig
from hil.diffusion.metrics import Metrics
from hil.diffusion.score_model import ScoreModel
from hil.jobs.rows import chip, conductance_map, run_loop, simulated_bench
from hil.sim.effects import Effects
from hil.waveforms import Mode

FloatArray = NDArray[np.float64]

GROUPS: dict[str, tuple[str, ...]] = {
    "read noise of the cells": ("read_noise", "telegraph"),
    "line resistance": ("line_resistance",),
    "multiplier gains and zeros": ("multiplier_error",),
    "integrator leak and offset": ("integrator_error",),
    "electronic noise of the loop": ("loop_noise",),
    "DAC and ADC errors": ("dac_error", "adc_error", "front_end_noise"),
    "settling and skew": ("settling", "skew"),
    "saturating stages": ("tia_saturation", "hidden_clamp"),
}
"""What is switched off together, under the name that a reader knows it by."""


@dataclass(frozen=True)
class BudgetLine:
    """The chip's metrics with one thing changed; `kind` is all_on, one_off or all_off."""

    name: str
    kind: str
    metrics: Metrics


def error_budget(
    config: BenchConfig,
    model: ScoreModel,
    placement: Placement,
    true_siemens: FloatArray,
    count: int,
    progress: Progress | None = None,
) -> list[BudgetLine]:
    """Metrics of the ODE samples with everything on, one thing off at a time, everything off.

    Args:
        config: the simulated bench.
        model, placement: what was programmed.
        true_siemens: (n,) the chip's true conductances, in the placement's order.
        count: samples per line.
        progress: called line by line.
    """
    tell = progress or silent
    on = config.sim.switched().without("relaxation", "drift")
    cases = list(_cases(on, placement, true_siemens))
    once = config.loop.model_copy(update={"trim_again": False})  # nothing relaxes here
    quick = replace(config.drive_trim, passes=1)  # eleven trims: half the probes, much the same
    config = config.with_changes(loop=once, drive_trim=quick)
    lines = []
    for done, (name, kind, effects, siemens) in enumerate(cases):
        tell(done, len(cases), f"error budget: {name}")
        alive = np.where(siemens < DEAD_BELOW_SIEMENS, np.nan, siemens)  # those stay as made
        cells = conductance_map(placement, alive, config.load_description())
        with simulated_bench(config, effects, cells) as bench:
            loop = run_loop(bench, model, placement)
            samples = loop.run(count, Mode.ODE, seed=config.seed)
        lines.append(BudgetLine(name, kind, chip(samples, model).metrics))
    tell(len(cases), len(cases), "error budget")
    return lines


def _cases(
    on: Effects, placement: Placement, true_siemens: FloatArray
) -> Iterator[tuple[str, str, Effects, FloatArray]]:
    yield "everything on", "all_on", on, true_siemens
    yield "programming error", "one_off", on, placement.target_siemens
    for name, effects in GROUPS.items():
        yield name, "one_off", on.without(*effects), true_siemens
    yield "everything off", "all_off", Effects.none(), placement.target_siemens
