"""`hil program` for a network that outgrows the analog loop: form, program and verify every macro.

Each macro has a run of its own (kind `program`, with its journal, placement and results, as if it
were alone on the bench); one more run of kind `network` says how they belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.forming import FormResult
from calibration.mapping_knowledge import ChipKnowledge
from calibration.mapping_levels import SigmaLaw
from calibration.placement import Placement
from calibration.programming import ProgramResult
from calibration.progress import Progress, silent
from calibration.pulse_clock import PulseClock
from hil.config import BenchConfig
from hil.diffusion.score_model import ScoreModel
from hil.jobs.bring_up import with_all_pulses
from hil.jobs.mapping import blank_knowledge, keep_knowledge, outlook
from hil.jobs.network import Programmed, form_cells, program_cells
from hil.jobs.resume import keep_start, save_config, starting_knowledge
from hil.jobs.session import session
from hil.record import RunFolder
from hil.tiled.network import TiledNetwork, fitted_to_chip, lay_out
from hil.tiled.rack import Member, Opener, Rack, open_rack
from hil.tiled.record import NETWORK_KIND, save_network
from hil.tiled.tiling import MacroShape, tile_network
from protocols.errors import RecordError

ROUNDS = 2
"""Programmings of one macro, at most: the second makes up for cells that the first found bad."""


@dataclass(frozen=True)
class MacroDone:
    """One macro's part of a network, programmed and verified."""

    placement: Placement
    forming: FormResult
    programmed: Programmed
    rounds: int


@dataclass(frozen=True)
class ProgrammedNetwork:
    """A network that is on its macros.

    Attributes:
        network: with the placements as programmed.
        macros: by name.
        weight_error: per layer, rms of the weights as verified against the model's, over its
            largest weight.
        bench_s: bench time by macro; they work at the same time.
    """

    network: TiledNetwork
    macros: Mapping[str, MacroDone]
    weight_error: tuple[float, ...]
    bench_s: Mapping[str, float]

    def summary(self) -> dict[str, Any]:
        """The figures of the command."""
        results = [done.programmed.program for done in self.macros.values()]
        pulses = np.concatenate([result.pulses for result in results])
        inside = sum(int(result.summary()["in_tolerance"]) for result in results)
        tiling = self.network.tiling
        return {
            "layers": ", ".join(f"{inputs} -> {outputs}" for outputs, inputs in tiling.shapes),
            "tiles": len(tiling.tiles),
            "macros": ", ".join(self.macros),
            "cells": tiling.cells,
            "in_tolerance": inside,
            "pulses_mean": float(pulses.mean()),
            "pulses_p99": float(np.percentile(pulses, 99)),
            "weight_error": max(self.weight_error),
            "weight_error_by_layer": ", ".join(f"{error:.4f}" for error in self.weight_error),
            "bench_s": max(self.bench_s.values()),
        }

    def failures(self) -> list[tuple[int, int, str]]:
        """Cells that are not in tolerance: row, column and why, with the macro."""
        return [
            (row, column, f"macro {name}: {why}")
            for name, done in self.macros.items()
            for row, column, why in done.programmed.program.failures
        ]


def plan_network(
    model: ScoreModel, config: BenchConfig, resume: RunFolder | None = None
) -> TiledNetwork:
    """A model on the macros of a bench, with what is known of their cells. Nothing is driven.

    `resume` is a run that is taken up: what was known when it began decides.

    Raises:
        MappingError: the bench's macros are too few or too small, or have too few good cells.
    """
    benches = config.each_macro()
    shapes = [(int(w.shape[0]), int(w.shape[1])) for w in model.weights]
    arms = 2 if config.mapping.scheme == "differential" else 1
    tiling = tile_network(
        shapes, [shape_of(name, each) for name, each in benches.items()], arms=arms
    )
    options = replace(config.mapping, volts_per_unit=model.volts_per_unit)
    network = lay_out(model.weights, tiling, options)
    members = {} if resume is None else members_of(resume)
    known = {
        macro.name: starting_knowledge(benches[macro.name], members.get(macro.name))
        for macro in tiling.used
    }
    return fitted_to_chip(
        network,
        {name: each for name, each in known.items() if each is not None},
        _sigma(benches[tiling.used[0].name]),
        quiet=config.chip_mapping.quiet,
        largest_shortfall=config.chip_mapping.largest_shortfall,
    )


def shape_of(name: str, config: BenchConfig) -> MacroShape:
    """A macro's size, by the description of its board."""
    description = config.load_description()
    return MacroShape(name, description.rows, description.columns)


def members_of(run: RunFolder) -> dict[str, RunFolder]:
    """The runs of a network's macros.

    Raises:
        RecordError: it was cut off before its macros were open, or one is gone.
    """
    members = run.info.get("members")
    if not isinstance(members, dict) or not members:
        raise RecordError(f"{run.path}: this run ended before it drove anything; start a new one")
    return {
        name: RunFolder.open(run.path.parent / Path(str(m)).name) for name, m in members.items()
    }


def program_network(
    config: BenchConfig,
    model: ScoreModel,
    network: TiledNetwork,
    parameters: Mapping[str, Any],
    bench_text: str | None = None,
    progress: Progress | None = None,
    resume: RunFolder | None = None,
) -> tuple[RunFolder, ProgrammedNetwork]:
    """Forms, programs and verifies a planned network on its macros; the run that says so.

    Args:
        config, model, network: what goes where.
        parameters: of the command, for the records.
        bench_text: the bench file as it was read.
        progress: of all macros together.
        resume: the run of kind `network` that is taken up; what its macros answered before comes
            from their journals.

    Raises:
        HilError: whatever a macro says; a note names it.
    """
    tell, benches = progress or silent, config.each_macro()
    before = {} if resume is None else members_of(resume)
    with _folder(config, parameters, bench_text, resume) as run:
        shared = {**parameters, "stepped": True, "network": run.path.name}
        openers: dict[str, Opener] = {
            macro.name: partial(
                session,
                benches[macro.name],
                "program",
                parameters={**shared, "macro": macro.name},
                bench_text=bench_text,
                resume=before.get(macro.name),
            )
            for macro in network.tiling.used
        }
        with open_rack(openers) as rack:
            members = {name: member.run.path.name for name, member in rack.members.items()}
            run.update(members=members)
            run.journal.event("members", members)
            done = _bring_up(rack, network, _sigma(next(iter(benches.values()))), tell)
            bench_s = rack.each(lambda member: member.bench.accounts().bench_s)
        found = _result(model, network, done, bench_s)
        chips = {name: benches[name].chip.id for name in members}
        save_network(run, found.network, chips, members)
        run.save_json("results.json", {**found.summary(), "members": members})
    return run, found


def _folder(
    config: BenchConfig,
    parameters: Mapping[str, Any],
    bench_text: str | None,
    resume: RunFolder | None,
) -> RunFolder:
    if resume is not None:
        resume.take_up()
        return resume
    run = RunFolder.create(
        config.runs,
        NETWORK_KIND,
        parameters=parameters,
        seed=config.seed,
        bench_text=bench_text,
        board=config.name,
    )
    save_config(run, config)
    return run


def _bring_up(
    rack: Rack, network: TiledNetwork, sigma: SigmaLaw, tell: Progress
) -> dict[str, MacroDone]:
    sizes = {name: len(each) for name, each in network.placements.items()}
    forming = rack.progress(tell, "forming", sizes)
    formed = rack.some(
        {name: partial(_form, placement=network.placements[name], tell=forming[name])
         for name in sizes}
    )  # fmt: skip
    programming = rack.progress(tell, "programming", sizes)
    return rack.some(
        {
            name: partial(
                _program,
                network=network,
                formed=formed[name],
                sigma=sigma,
                tell=programming[name],
            )
            for name in sizes
        }
    )


def _form(member: Member, placement: Placement, tell: Progress) -> tuple[FormResult, ChipKnowledge]:
    config = member.bench.config
    resumed = "cut_off" in member.run.info
    start = starting_knowledge(config, member.run if resumed else None)
    if not resumed:
        keep_start(member.run, start)
    known = start or blank_knowledge(config)
    result = form_cells(member.bench, member.run, placement, tell, known)
    learned = known.with_forming(result)
    keep_knowledge(config, learned)
    return result, learned


def _program(
    member: Member,
    network: TiledNetwork,
    formed: tuple[FormResult, ChipKnowledge],
    sigma: SigmaLaw,
    tell: Progress,
) -> MacroDone:
    forming, known = formed
    config, name, programs = member.bench.config, member.name, list[ProgramResult]()
    with PulseClock(member.bench.macro) as clock:
        while True:
            largest = config.chip_mapping.largest_shortfall
            fitted = fitted_to_chip(network, {name: known}, sigma, largest_shortfall=largest)
            done = program_cells(member.bench, member.run, fitted.placements[name], tell)
            programs.append(done.program)
            learned = known.with_program(done.program)
            news, known = learned.is_news_to(known), learned
            keep_knowledge(config, known)
            if not news or len(programs) == ROUNDS:
                break
    total = with_all_pulses(programs, known)
    member.run.save_json("program.json", total.to_dict())
    done = replace(done, program=total, age_s=clock.ages(done.placement.cells))
    return MacroDone(done.placement, forming, done, len(programs))


def _result(
    model: ScoreModel,
    network: TiledNetwork,
    done: Mapping[str, MacroDone],
    bench_s: Mapping[str, float],
) -> ProgrammedNetwork:
    placed = network.with_placements({name: each.placement for name, each in done.items()})
    readings = {name: each.programmed.verify.reading_siemens for name, each in done.items()}
    errors = weight_errors(model.weights, placed.weights_from(readings))
    return ProgrammedNetwork(placed, dict(done), errors, dict(bench_s))


def weight_errors(
    wanted: tuple[FloatArray, ...] | list[FloatArray], found: list[FloatArray]
) -> tuple[float, ...]:
    """Per layer: rms of what the weights are off by, over the largest weight."""
    return tuple(
        float(np.sqrt(np.mean((have - want) ** 2)) / np.abs(want).max())
        for want, have in zip(wanted, found, strict=True)
    )


def _sigma(config: BenchConfig) -> SigmaLaw:
    return outlook(config).sigma
