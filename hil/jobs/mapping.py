"""A model mapped to the chip of a bench: with what is known of its cells, and what to expect.

What is known of a chip is kept in its folder (`CHIP_MAP_FILE`), beside its wear. Forming and
programming add to it; every later mapping goes round the cells that they found bad.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.mapping import Layout
from calibration.mapping_chip import Mapped, map_to_chip
from calibration.mapping_knowledge import ChipKnowledge, Lines
from calibration.mapping_levels import LevelLaw, Outlook
from calibration.placement import Placement
from calibration.programming import CellStatus, ProgramResult
from drivers.rram.geometry import Geometry
from hil.chip_store import ChipStore
from hil.config import BenchConfig
from hil.diffusion.sampler import Solve, initial_conditions, trajectories
from hil.diffusion.score_model import ScoreModel
from hil.sim.profile import profile_path
from protocols.errors import RecordError

CHIP_MAP_FILE = "chip-map.json"
LINES_KIND = "line_resistance"  # of the chip's store, as `hil calibrate --lines` keeps it
MAPPING_FILE = "mapping.json"
USED_AFTER_S = 3600.0
PATHS, PATH_STEPS, PATH_EVERY = 64, 200, 10
"""Software solutions that the importance of a weight is averaged over."""
PATH_SEED = 20_250_102


# --- what is known of the chip -------------------------------------------------------------------


def chip_map_path(config: BenchConfig) -> Path:
    """Where the map of the chip in the socket is kept."""
    return config.chip.folder / config.chip.id / CHIP_MAP_FILE


def load_knowledge(config: BenchConfig) -> ChipKnowledge | None:
    """What is known of the chip in the socket; None when nothing was recorded yet.

    Its lines are those that were measured last, where they stood out of the spread of the cells.

    Raises:
        MappingError: the map is damaged, or is another chip's.
        RecordError: the measured lines are damaged.
    """
    path, lines = chip_map_path(config), measured_lines(config)
    if not path.is_file():
        return None if lines is None else blank_knowledge(config, lines)
    found = ChipKnowledge.load(path)
    found.check(config.chip.id, _geometry(config))
    return found if lines is None else replace(found, lines=lines)


def measured_lines(config: BenchConfig) -> Lines | None:
    """The resistance of the chip's lines as measured last; None when it was not resolved.

    Raises:
        RecordError: that file is damaged.
    """
    stored = ChipStore.of(config).latest(LINES_KIND)
    if stored is None or not stored.result.get("resolved"):
        return None
    try:
        ohm = float(stored.result["common"]["ohm_per_pitch"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{stored.path}: no line resistance in it ({error!r}).") from error
    return Lines(ohm, ohm)


def blank_knowledge(config: BenchConfig, lines: Lines | None = None) -> ChipKnowledge:
    """A chip of which nothing is known."""
    return ChipKnowledge.blank(config.chip.id, _geometry(config), lines)


def keep_knowledge(config: BenchConfig, known: ChipKnowledge) -> None:
    """Writes what is known of the chip in the socket.

    Raises:
        MappingError: another chip's, or the file cannot be written.
    """
    known.check(config.chip.id, _geometry(config))
    known.save(chip_map_path(config))


def _geometry(config: BenchConfig) -> Geometry:
    description = config.load_description()
    return Geometry(description.rows, description.columns)


# --- mapping -------------------------------------------------------------------------------------


def map_model(
    model: ScoreModel,
    config: BenchConfig,
    knowledge: ChipKnowledge | None = None,
    *,
    home: Placement | None = None,
    used_after_s: float = USED_AFTER_S,
    measured: bool = True,
) -> Mapped:
    """A model on the chip of a bench: placement and expected weight error. Nothing is driven.

    Args:
        model, config: what and where.
        knowledge: the chip's bad cells; None is a perfect chip.
        home: where the network stands already; it is moved only for a real gain.
        used_after_s: time between programming and use that the expectation is for.
        measured: whether the model that was measured on the chip in the socket holds for this one;
            it does not for a virgin chip that lives in a run folder.

    Raises:
        MappingError: the network does not fit the macro, or too few of its cells are good.
        RecordError, CalibrationError: the chip's cell model is damaged.
    """
    description = config.load_description()
    extra = config.chip_mapping
    bad = knowledge is not None and bool(knowledge.bad.any())
    return map_to_chip(
        model.weights,
        model.biases,
        geometry=_geometry(config),
        loop=description.loop,
        converters=description.converters,
        outlook=outlook(config, used_after_s, measured=measured),
        knowledge=knowledge,
        importance=importance(model, description.loop.bias_volts) if bad else None,
        options=replace(config.mapping, volts_per_unit=model.volts_per_unit),
        chip_options=extra,
        home=None if home is None else layout_of(home),
    )


def layout_of(placement: Placement) -> Layout:
    """Where a placement's blocks stand."""
    corners = tuple((block.first_row, block.first_column) for block in placement.blocks)
    return Layout(corners, placement.order)


def outlook(
    config: BenchConfig, used_after_s: float = USED_AFTER_S, *, measured: bool = True
) -> Outlook:
    """What programming by this bench file leaves, by the chip's own cell model if it has one.

    Without one the law is that of the technology profile that the simulator uses.
    """
    own = ChipStore.of(config).model() if measured else None
    law = _profile_law(profile_path(config.sim.profile)) if own is None else LevelLaw.of(own)
    params = config.programming
    waits = [s for s in params.settle_s if s > 0.0]
    return Outlook(
        law,
        tolerance=params.tolerances,
        share=params.aim_fraction,
        confirm_samples=params.confirm_samples,
        confirmed_after_s=max(waits, default=1.0),
        used_after_s=used_after_s,
    )


@lru_cache(maxsize=4)
def _profile_law(path: Path) -> LevelLaw:
    return LevelLaw.from_profile(path)


def importance(model: ScoreModel, bias_volts: float) -> list[FloatArray]:
    """(out, in + 1) per layer: squared change of the score per squared change of a weight.

    Averaged over the software's solutions, each tau weighed with beta squared, because the loop
    integrates beta times the score; over all classes, where the model has any. The last column is
    the bias as the weight that it is driven as. Hidden units that are off or clamped do not count.
    """
    labels: list[int | None] = [*range(model.n_classes)] or [None]
    found = [_importance(model, bias_volts, label) for label in labels]
    return [np.mean(layers, axis=0) for layers in zip(*found, strict=True)]


def _importance(model: ScoreModel, bias_volts: float, label: int | None) -> list[FloatArray]:
    """As `importance`, of one class."""
    start = initial_conditions(model, PATH_SEED, 0, PATHS)
    paths = trajectories(model, start, Solve(steps=PATH_STEPS, clamp=True, label=label), PATH_EVERY)
    tau = model.tau(np.linspace(0.0, model.capture_time, paths.shape[1]))
    weight = np.asarray(model.schedule.beta(tau)) ** 2
    weight = np.broadcast_to(weight / weight.sum() / PATHS, paths.shape[:2])[..., None]
    h1, h2, _ = model.layer_outputs(paths, tau, label=label, clamp=True)
    one = np.full((*paths.shape[:2], 1), bias_volts / model.volts_per_unit)
    clamp = model.hidden_clamp_units
    open1, open2 = ((h > 0.0) & (h < clamp) for h in (h1, h2))
    w2, w3 = model.weights[1], model.output_gain * model.weights[2]
    slope2 = open2[..., None, :] * w3  # (n, k, 2, hidden)
    slope1 = (slope2 @ w2) * open1[..., None, :]
    into = [np.concatenate([h, one], axis=-1) ** 2 for h in (paths, h1, h2)]
    out = [
        np.sum(slope1**2, axis=-2),
        np.sum(slope2**2, axis=-2),
        np.full((*paths.shape[:2], len(w3)), model.output_gain**2),
    ]
    return [
        np.einsum("nko,nki->oi", weight * gain, signal)
        for gain, signal in zip(out, into, strict=True)
    ]


# --- results over all cells of a placement -------------------------------------------------------


def with_fixed(result: ProgramResult, placement: Placement) -> ProgramResult:
    """A result of the driven cells as one of all cells of a placement.

    Fixed cells were neither pulsed nor read: they stand at their target with no pulse, as stuck.
    """
    if placement.fixed is None or not placement.fixed.any():
        return result
    driven, count = placement.driven, len(placement)
    middle = float(np.mean(placement.window_siemens))
    stuck = np.where(
        placement.target_siemens > middle, int(CellStatus.STUCK_HIGH), int(CellStatus.STUCK_LOW)
    )
    known: dict[str, Any] = {
        "target_siemens": placement.target_siemens,
        "reached_siemens": placement.target_siemens,
        "tolerance_siemens": np.full(count, float(np.max(result.tolerance_siemens))),
        "status": stuck,
    }
    changes: dict[str, Any] = {"cells": placement.cells}
    for each in fields(result):
        value = getattr(result, each.name)
        if isinstance(value, np.ndarray) and value.shape[:1] == (len(driven),):
            whole = np.array(known.get(each.name, np.zeros((count, *value.shape[1:]), value.dtype)))
            whole[driven] = value
            changes[each.name] = whole
    return replace(result, **changes)
