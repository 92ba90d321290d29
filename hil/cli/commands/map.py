"""`hil map`: where a model would go on this chip, and what weight error to expect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from calibration.mapping_chip import Mapped
from calibration.mapping_knowledge import ChipKnowledge
from drivers.rram.geometry import Geometry
from hil.cli.commands.verify import seconds
from hil.cli.options import (
    BenchOption,
    BoardOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    context,
)
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.mapping import load_knowledge, map_model


def command(
    model: ModelArgument = None,
    after: Annotated[
        str, typer.Option(metavar="TIME", help="Time from programming to use, e.g. 10m, 1h, 1d.")
    ] = "1h",
    chip_map: Annotated[
        Path | None,
        typer.Option("--chip-map", metavar="FILE", help="Bad cells; default: this chip's own map."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the placement here.")
    ] = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Map the model to this chip and report the expected weight error. Opens no board."""
    ctx = context(bench, board, json=json, seed=seed, model=model)
    config, console = ctx.config, ctx.console
    known = _knowledge(config, chip_map)
    mapped = map_model(load_model(config.model), config, known, used_after_s=seconds(after))
    if out is not None:
        mapped.placement.save(out)
    if json:
        console.json(
            {
                "model": config.model,
                "chip": config.chip.id,
                "known": None if known is None else known.counts(),
                "placement": mapped.placement.to_dict(),
                **mapped.report.to_dict(),
            }
        )
        return
    console.facts(f"Mapping of {config.model!r} on chip {config.chip.id!r}", _facts(mapped, known))
    console.facts(f"Expected weight error, {after} after programming (rms)", _errors(mapped))


def _knowledge(config: BenchConfig, path: Path | None) -> ChipKnowledge | None:
    if path is None:
        return load_knowledge(config)
    found, description = ChipKnowledge.load(path), config.load_description()
    found.check(config.chip.id, Geometry(description.rows, description.columns))
    return found


def _facts(mapped: Mapped, known: ChipKnowledge | None) -> dict[str, Any]:
    placement, report = mapped.placement, mapped.report
    blocks = "; ".join(
        f"rows {b.first_row}-{b.first_row + b.inputs - 1}, "
        f"columns {b.first_column}-{b.first_column + b.columns - 1}"
        for b in placement.blocks
    )
    low, high = placement.window_siemens
    counts = "nothing yet" if known is None else _counted(known.counts())
    missing = ", ".join(
        f"layer {one.layer} ({one.output}, {one.input}) by {one.missing:+.3g}"
        for one in report.missing[:5]
    )
    facts: dict[str, Any] = {
        "known of the chip": counts,
        "blocks": blocks + (" (moved)" if report.moved else ""),
        "hidden units": (
            "in the order " + " ".join(map(str, placement.order))
            if placement.order
            else "in the model's order"
        ),
        "window": f"{low * 1e6:g}-{high * 1e6:g} uS",
        "bad cells in the blocks": _counted(report.bad_cells),
        "weights made up for": report.made_up,
        "weights that miss a part": f"{len(report.missing)} {missing}".strip(),
        "stuck cells between blocks": report.crossings,
    }
    if any(report.line_error):
        worst = max(report.line_error)
        facts["lines"] = f"{worst:.2%} if cells were set without being read through them"
    if report.levels:
        best = report.levels[0]
        facts["levels"] = f"arms at the {best.anchor}, expected error {best.relative:.2%}"
    return facts


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "none"


def _errors(mapped: Mapped) -> dict[str, Any]:
    """One line per layer: the whole as a share of the largest weight, then by cause."""
    found = {}
    for index, layer in enumerate(mapped.report.budget.layers):
        parts = ", ".join(
            f"{name} {part / layer.largest:.2%}" for name, part in layer.parts.items()
        )
        found[f"layer {index}"] = f"{layer.relative:.2%} of its largest weight: {parts}"
    return found
