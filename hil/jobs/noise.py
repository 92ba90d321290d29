"""Which noise law serves a network best: the laws of a study, in software and on a board's loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from calibration.placement import Placement
from calibration.progress import Progress
from hil.bench import Bench
from hil.diffusion.metrics import kl_1d, reference_of, sliced_w1
from hil.diffusion.noise_law import REVERSE_SDE, NoiseLaw
from hil.diffusion.noise_study import LawFigures, References
from hil.diffusion.references import source_of
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.waveforms import Mode

LOOP_SAMPLES = 4000
LOOP_LAWS = 3
"""Laws of a software study that are tried on a loop as well (this project's choice)."""


def references_of(model: ScoreModel) -> References:
    """The data that a model's samples are judged by, by class.

    Raises:
        DataError: the model names no known data set.
        ModelError: the file beside the model that holds them is missing or damaged.
    """
    source = source_of(model)
    labels: list[int | None] = [*range(model.n_classes)] or [None]
    return {label: reference_of(source, label) for label in labels}


def laws_for_loop(found: Sequence[LawFigures]) -> list[NoiseLaw | None]:
    """What is worth a try on a loop: the ODE, the reverse SDE, and the best of a study."""
    best = [figures.law for figures in found[:LOOP_LAWS] if figures.law is not None]
    return [None, REVERSE_SDE, *(law for law in best if law != REVERSE_SDE)]


def loop_study(
    bench: Bench,
    model: ScoreModel,
    placement: Placement,
    laws: Sequence[NoiseLaw | None],
    references: References,
    count: int = LOOP_SAMPLES,
    progress: Progress | None = None,
) -> list[LawFigures]:
    """Figures of each law (None: the ODE) with the network that is on the chip, as they came.

    Every law is calibrated, trimmed and solved on its own, `count` samples per class from the same
    initial conditions. How much the noise decides is not measured here (NaN).

    Raises:
        CalibrationError: the loop cannot be calibrated, or the network is too far off.
        ConfigError: tick, RC and duration do not fit together.
    """
    return [_on_loop(bench, model, placement, law, references, count, progress) for law in laws]


def _on_loop(
    bench: Bench,
    model: ScoreModel,
    placement: Placement,
    law: NoiseLaw | None,
    references: References,
    count: int,
    progress: Progress | None,
) -> LawFigures:
    chosen = model if law is None else dataclasses.replace(model, noise=law)
    loop = rows.run_loop(bench, chosen, placement, progress)
    mode = Mode.ODE if law is None else Mode.SDE
    found = []
    for label, reference in references.items():
        x = loop.run(count, mode, seed=bench.config.seed, label=label, progress=progress).x
        found.append((kl_1d(x, reference), sliced_w1(x, reference)))
    kl, w1 = np.mean(found, axis=0)
    return LawFigures(law, float(kl), float(w1), float("nan"), count, (float(w1),))
