"""`hil read`: conductances, as numbers or as a map."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.diffusion.model import load_model
from hil.jobs.mapping import load_knowledge
from hil.jobs.network import place
from protocols.errors import InputError


def command(
    cell: Annotated[
        list[str] | None,
        typer.Option("--cell", metavar="ROW,COLUMN", help="One cell; may be repeated."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole array.")] = False,
    samples: Annotated[int, typer.Option(min=1, max=64, help="Conversions per cell.")] = 1,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Read conductances at the read voltage: the model's cells, given cells or the whole array."""
    ctx = context(bench, board, json=json, seed=seed)
    config, console = ctx.config, ctx.console
    with Bench.open(config) as opened:
        if cell:
            cells = Cells.of([_pair(text) for text in cell])
        elif everything:
            cells = Cells.all(opened.geometry)
        else:
            cells = place(load_model(config.model), config, load_knowledge(config)).cells
        siemens = opened.macro.read(cells, samples)
    if json:
        console.json(
            {
                "rows": cells.rows.tolist(),
                "columns": cells.columns.tolist(),
                "siemens": siemens.tolist(),
            }
        )
    elif cell:
        console.facts(
            "readings",
            {f"({r}, {c})": f"{g * 1e6:.2f} uS" for (r, c), g in zip(cells, siemens, strict=True)},
        )
    else:
        console.conductance_map(cells, siemens)
        console.facts(
            "readings",
            {
                "cells": len(cells),
                "median": f"{np.median(siemens) * 1e6:.2f} uS",
                "lowest": f"{siemens.min() * 1e6:.2f} uS",
                "highest": f"{siemens.max() * 1e6:.2f} uS",
            },
        )


def _pair(text: str) -> tuple[int, int]:
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--cell {text!r}: two whole numbers are needed, ROW,COLUMN") from None
    return row, column
