"""From a point of a study to the bench, the model and the simulated chip that it means."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.diffusion.score_model import ScoreModel
from hil.diffusion.weight_errors import additive
from hil.sim.config import SimSettings, parse_settings
from hil.sim.effects import Effects
from hil.study.axes import Point
from hil.study.config import StudyConfig
from hil.study.tasks import model_name
from protocols.hardware import BoardDescription

EXACT_SIEMENS = 1e-8
"""Stands for a tolerance of 0 where a positive one is needed; a twin's cells are then exact."""


def bench_of(study: StudyConfig, point: Point, source: str = "the study") -> BenchConfig:
    """The bench that a point means: the study's, with the point's chip, profile and tolerance.

    Raises:
        ConfigError: a value that no bench allows; names the file or the point.
    """
    base = study.bench_config(source)
    sim = _simulated(study, base.sim, point, source)
    programming: Any = base.programming
    if point.tolerance_siemens is not None:
        tolerance = max(point.tolerance_siemens, EXACT_SIEMENS)
        programming = replace(programming, tolerance_siemens=tolerance)
    return base.with_changes(
        source=source,
        seed=study.seed,
        model=model_name(point.task, point.model),
        sim=sim,
        programming=programming,
    )


def _simulated(study: StudyConfig, base: SimSettings, point: Point, source: str) -> SimSettings:
    changes: dict[str, Any] = {"seed": point.chip, "board_seed": point.chip}
    effects = dict(base.effects)
    if study.effects is not None:
        effects = {name: name in study.effects for name in Effects.names()}
    if point.profile is not None:
        changes["profile"] = point.profile
    if point.read_noise == 0:
        effects |= {"read_noise": False, "telegraph": False, "two_state": False}
    elif point.read_noise != 1:
        before = base.profile_scale.get("read_noise.sigma", 1.0)
        scale = {"read_noise.sigma": before * point.read_noise}
        changes["profile_scale"] = {**base.profile_scale, **scale}
    if point.stuck_fraction is not None:
        half = 0.5 * point.stuck_fraction
        changes |= {"stuck_low_fraction": half, "stuck_high_fraction": half}
    return parse_settings({**base.model_dump(), **changes, "effects": effects}, source)


def board_of(config: BenchConfig, point: Point) -> BoardDescription:
    """The board of a bench with the point's converters: of `dac_bits`, where it says so."""
    description = config.load_description()
    if point.dac_bits is None:
        return description
    converters = description.converters.model_copy(update={"bits": point.dac_bits})
    return description.model_copy(update={"converters": converters})


@lru_cache(maxsize=16)
def ideal_model(name: str) -> ScoreModel:
    """A model as it was trained; read once. Raises ModelError."""
    return load_model(name)


def model_of(config: BenchConfig, point: Point) -> ScoreModel:
    """The network that this chip is meant to hold: the model's, with the point's weight error.

    Errors are those of `hil.diffusion.weight_errors.additive`, keyed by the chip.
    """
    model = ideal_model(config.model)
    if point.weight_error == 0.0:
        return model
    return additive(model, point.weight_error, config.seed, point.chip)
