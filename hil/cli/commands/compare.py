"""`hil compare`: two chips, or one chip at two dates, on one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import BenchOption, BoardOption, JsonOption, context
from protocols.errors import InputError

FOLDER = Path("compare")


def command(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="CHIP, CHIP@DATE, a run folder, or now (in the socket)."),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="As A.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where page, figures and JSON go.")
    ] = FOLDER,
    significance: Annotated[
        float,
        typer.Option(
            min=1e-9, max=0.2, help="Chance of any false difference in the whole comparison."
        ),
    ] = 0.01,
    bench: BenchOption = None,
    board: BoardOption = None,
    json: JsonOption = False,
) -> None:
    """Compare conductance maps: what differs, by how much, whether it is chance, and whether it is
    the same chip. Drives nothing."""
    from calibration.chip_compare import CompareParams  # scipy.stats: slow to load, for this alone
    from hil.compare import compare_sides, find_side
    from hil.report.compare.page import differences, render

    ctx = context(bench, board, json=json)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: not a folder; nothing was compared")
    first, second = (find_side(ctx.config, name) for name in (a, b))
    found = compare_sides(first, second, CompareParams(significance=significance))
    page = render(found, out)
    if json:
        ctx.console.json({**found.to_dict(), "report": str(page)})
        return
    ctx.console.table(differences(found.comparison))
    ctx.console.say(found.verdict)
    ctx.console.done(page)
