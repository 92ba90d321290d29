"""`hil info`: what is connected."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.cli.heatmap import ConductanceMap
from hil.cli.options import (
    BenchOption,
    BoardOption,
    Context,
    JsonOption,
    SeedOption,
    context,
)
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.network import latest_placement, place
from hil.jobs.wear import ChipWear, chip_wear
from hil.report.text import si
from protocols.errors import ChipError, RecordError

Of = Literal["pulses", "energy", "volts"]
_UNITS = (("_volts", "V"), ("_volts_per_s", "V/s"), ("_s", "s"), ("_joules", "J"))
_MAPS = {"pulses": ("pulses", ""), "energy": ("energy_joules", "J"), "volts": ("line_volts", "V")}


def command(
    chip: Annotated[
        bool, typer.Option("--chip", help="The chip's wear over its whole life, as a map.")
    ] = False,
    of: Annotated[Of, typer.Option(help="What --chip maps; energy is an estimate.")] = "pulses",
    figure: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the maps of --chip into this file.")
    ] = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """What is connected: board, limits, chip, model. Drives nothing."""
    ctx = context(bench, board, json=json, seed=seed)
    if chip or figure is not None:
        _show_wear(ctx, of, figure, as_json=json)
        return
    console, facts = ctx.console, _facts(ctx.config, whole=json)
    if json:
        console.json(facts)
        return
    for section in ("board", "chip", "session", "model"):
        console.facts(section, facts[section])
    console.facts("limits", {name: _limit(name, item) for name, item in facts["limits"].items()})


def _facts(config: BenchConfig, *, whole: bool) -> dict[str, Any]:
    """What is said of a bench; `whole` with every figure of its curves."""
    model = load_model(config.model)
    placement = place(model, config)
    with Bench.open(config) as opened:
        identity, status = opened.board.identity, opened.board.status()
        limits = {name: asdict(bound) for name, bound in opened.limits.bounds.items()}
        reading = opened.macro.read(placement.cells)
        simulated = opened.is_simulated
        curves, under = opened.board_curves, opened.conditions
    formed = int((reading > config.programming.unformed_siemens).sum())
    return {
        "board": {
            "name": config.board,
            "port": identity.port.name.lower(),
            "build": identity.build,
            "serial": f"{identity.serial:x}",
            "array": f"{identity.rows} x {identity.columns}",
            "safe_reason": identity.safe_reason.name.lower(),
            "up_s": status.time_s,
            "dropped_frames": status.dropped,
            "curves": curves.facts() if whole else curves.note,
        },
        "chip": {
            "id": config.chip.id,
            "simulated": simulated,
            "cells_of_the_model": len(placement.cells),
            "of_these_formed": formed,
            "last_programmed_by": _last_program(config),
            **{name: text for name, text in under.chip.items() if name != "id"},
        },
        "session": {
            "operator": under.operator or None,
            "temperature_celsius": under.temperature_celsius,
            "temperature_source": under.temperature_source,
        },
        "model": {"name": model.name, "volts_per_unit": model.volts_per_unit},
        "limits": limits,
    }


def _show_wear(ctx: Context, of: Of, figure: Path | None, *, as_json: bool) -> None:
    found = chip_wear(ctx.config)
    if figure is not None:
        from hil.report.style import save_figure  # matplotlib is loaded only when it draws
        from hil.wear_figure import wear_figure

        picture = wear_figure(found.wear, found.chip, simulated=found.simulated)
        save_figure(picture, figure)
    budget = ctx.config.wear.model_dump()
    if as_json:
        facts = {"chip": found.chip, "simulated": found.simulated, "notes": list(found.notes)}
        ctx.console.json({**facts, **found.wear.summary(), "budget": budget})
        return
    _draw_wear(ctx, found, of)
    simulated = " (simulated; energy is an estimate)" if found.simulated else ""
    ctx.console.facts(f"wear of chip {found.chip}{simulated}", found.wear.summary())
    ctx.console.facts("budget", budget)
    for note in found.notes:
        ctx.console.say(note)
    if figure is not None:
        ctx.console.done(figure)


def _draw_wear(ctx: Context, found: ChipWear, of: Of) -> None:
    what, unit = _MAPS[of]
    values = found.wear.map(what)
    rows, columns = np.nonzero(np.isfinite(values))
    if not rows.size:
        return
    top = float(np.nanmax(values))
    picture = ConductanceMap(Cells(rows, columns), top_siemens=top, unit=unit, step=top)
    ctx.console.value_map(picture, values[rows, columns])


def _limit(name: str, item: dict[str, Any]) -> str:
    unit = next((unit for end, unit in _UNITS if name.endswith(end)), "")
    value = si(item["value"], unit) if unit else f"{item['value']:g}"
    return f"{value}  ({item['source']})"


def _last_program(config: Any) -> str | None:
    try:
        return latest_placement(config)[1].path.name
    except (RecordError, ChipError):
        return None
