"""`hil info`: what is connected."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hil.bench import Bench
from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.diffusion.model import load_model
from hil.jobs.network import latest_placement, place
from hil.report.text import si
from protocols.errors import ChipError, RecordError


def command(
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """What is connected: board, limits, chip, model. Drives nothing."""
    ctx = context(bench, board, json=json, seed=seed)
    config, console = ctx.config, ctx.console
    model = load_model(config.model)
    placement = place(model, config)
    with Bench.open(config) as opened:
        identity, status = opened.board.identity, opened.board.status()
        limits = {name: asdict(bound) for name, bound in opened.limits.bounds.items()}
        reading = opened.macro.read(placement.cells)
        simulated = opened.is_simulated
    formed = int((reading > config.programming.unformed_siemens).sum())
    facts: dict[str, Any] = {
        "board": {
            "name": config.board,
            "port": identity.port.name.lower(),
            "build": identity.build,
            "serial": f"{identity.serial:x}",
            "array": f"{identity.rows} x {identity.columns}",
            "safe_reason": identity.safe_reason.name.lower(),
            "up_s": status.time_s,
            "dropped_frames": status.dropped,
        },
        "chip": {
            "id": config.chip.id,
            "simulated": simulated,
            "cells_of_the_model": len(placement.cells),
            "of_these_formed": formed,
            "last_programmed_by": _last_program(config),
        },
        "model": {"name": model.name, "volts_per_unit": model.volts_per_unit},
        "limits": limits,
    }
    if json:
        console.json(facts)
        return
    for section in ("board", "chip", "model"):
        console.facts(section, facts[section])
    console.facts("limits", {name: _limit(name, item) for name, item in limits.items()})


def _limit(name: str, item: dict[str, Any]) -> str:
    unit = next((u for end, u in (("_volts", "V"), ("_s", "s")) if name.endswith(end)), "")
    value = si(item["value"], unit) if unit else f"{item['value']:g}"
    return f"{value}  ({item['source']})"


def _last_program(config: Any) -> str | None:
    try:
        return latest_placement(config)[1].path.name
    except (RecordError, ChipError):
        return None
