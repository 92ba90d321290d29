"""What a command would drive, said without opening a board: `--dry-run`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibration.loop import LoopCalibration
from calibration.placement import Placement
from calibration.programming.choose import name_of, recipe_programmer
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from hil.config import BenchConfig
from hil.diffusion.score_model import ScoreModel
from hil.jobs.classes import Asked
from hil.jobs.programming import programming_params
from hil.waveforms import LoopTiming, Mode, build_waveforms
from protocols.messages import Operation

Plan = Mapping[str, str]


def forming_plan(config: BenchConfig, placement: Placement) -> Plan:
    """Cells, ramp and limits of forming.

    Raises:
        LimitError: the ramp goes over a limit.
    """
    form = config.forming
    limits = _limits_of(config)
    limits.check(
        PulseBatch.form(
            placement.cells[:1],
            gate_volts=form.gate_volts,
            line_volts=float(form.ramp_volts[-1]),
            width_s=form.width_s,
        )
    )
    return {
        **_cells(placement),
        "operation": "FORM, one pulse per unformed cell and round, one read after each",
        "word line": f"{form.gate_volts:g} V",
        "bit line": f"{form.start_volts:g}-{form.stop_volts:g} V in steps of {form.step_volts:g} V",
        "width": f"{form.width_s * 1e6:g} us",
        "at most": f"{len(form.ramp_volts)} pulses per cell",
        **_limit_facts(limits, Operation.FORM),
    }


def programming_plan(config: BenchConfig, placement: Placement) -> Plan:
    """Cells, targets, ramps, budget and limits of programming.

    Raises:
        TargetError: a target is outside the window that cells can be programmed to.
        LimitError: a ramp goes over a limit.
    """
    limits = _limits_of(config)
    driven = placement.driven
    config.programming.check_targets(placement.cells[driven], placement.target_siemens[driven])
    _check_ramps(config, placement, limits)
    p, target = config.programming, placement.target_siemens * 1e6
    feedback = ", ".join(f"{block.feedback_ohm / 1e3:.2f}" for block in placement.blocks)
    return {
        **_cells(placement),
        "scheme": placement.scheme,
        "targets": f"{target.min():.1f}-{target.max():.1f} uS, median {np.median(target):.1f} uS",
        "feedback per layer": f"{feedback} kohm",
        "algorithm": name_of(p),
        **_pulse_facts(config, placement),
        "at most": f"{p.pulse_budget} pulses per cell",
        **_limit_facts(limits, Operation.SET),
        **_limit_facts(limits, Operation.RESET),
    }


def run_plan(config: BenchConfig, model: ScoreModel, asked: Asked, mode: Mode) -> Plan:
    """Peaks of the waveforms at the board's nominal gains, and the time that solving takes.

    Raises:
        ConfigError: tick, RC and duration do not fit together.
        ModelError: the model has no such class.
    """
    description = config.load_description()
    timing = LoopTiming(config.loop.tick_s, config.loop.ticks)
    nominal = LoopCalibration.nominal(description.loop)
    every = [
        build_waveforms(model, nominal, timing, description, mode, label) for label in asked.labels
    ]
    waves = every[0]  # words are those of every class
    embedding = max(np.abs(w.embedding_volts + w.class_offset_volts).max() for w in every)
    solve_s = timing.duration_s + description.timing.run_overhead_s
    return {
        "samples": f"{asked.in_words(model)} ({mode.name})",
        "solve": f"{timing.ticks} ticks of {timing.tick_s * 1e3:g} ms",
        "bench time": f"{asked.count * solve_s:.0f} s and the calibration before it",
        "drift word f, peak": f"{np.abs(waves.drift).max():.3f} of full scale",
        "score word g2, peak": f"{np.abs(waves.score).max():.3f} of full scale",
        "noise, peak": f"{waves.noise.max():.3f} of full scale per standard deviation",
        "embedding, peak": f"{embedding * 1e3:.0f} mV",
        "initial conditions": f"clipped at {config.loop.initial_clip_volts:g} V",
        "gains": "nominal; a run measures them first",
    }


def _cells(placement: Placement) -> Plan:
    blocks = "; ".join(
        f"rows {b.first_row}-{b.first_row + b.inputs - 1}, "
        f"columns {b.first_column}-{b.first_column + b.columns - 1}"
        for b in placement.blocks
    )
    return {"cells": str(len(placement.cells)), "blocks": blocks}


def _limits_of(config: BenchConfig) -> Limits:
    return Limits.of(config.load_description().limits).lowered(config.limits.values())


def _extremes(config: BenchConfig, placement: Placement) -> list[PulseBatch]:
    """The strongest pulses that programming may give."""
    p, cell = programming_params(config, _limits_of(config)), placement.cells[:1]
    made = recipe_programmer(p)
    found = [] if made is None else list(made.recipe().extremes(cell))
    if p.menu is not None:
        found += [p.menu.batch(cell, [k]) for k in range(len(p.menu))]
    return found


def _check_ramps(config: BenchConfig, placement: Placement, limits: Limits) -> None:
    for batch in _extremes(config, placement):
        limits.check(batch)


def _pulse_facts(config: BenchConfig, placement: Placement) -> Plan:
    facts = {}
    for kind, name in ((Operation.SET, "bit"), (Operation.RESET, "source")):
        strong = [b for b in _extremes(config, placement) if b.operation[0] == kind]
        if strong:
            gate, line, width = (
                max(float(getattr(batch, part)[0]) for batch in strong)
                for part in ("gate_volts", "line_volts", "width_s")
            )
            facts[kind.name] = (
                f"word line up to {gate:g} V, {name} line up to {line:g} V, "
                f"up to {width * 1e9:g} ns"
            )
    return facts


def _limit_facts(limits: Limits, operation: Operation) -> Plan:
    gate, line, width = (
        limits.bound(operation, name) for name in ("gate_volts", "line_volts", "width_s")
    )
    return {
        f"limits of {operation.name}": (
            f"word line {gate.value:g} V ({gate.source}), line {line.value:g} V ({line.source}), "
            f"width {width.value * 1e6:g} us ({width.source})"
        )
    }
