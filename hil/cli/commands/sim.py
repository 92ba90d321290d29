"""`hil sim`: the simulator's own commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.cli.console import Console
from hil.cli.options import JsonOption
from hil.sim.fit import fit_profile, write_profile

app = typer.Typer(
    help="The simulator: fit its cells to measurements.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """The simulator: fit its cells to measurements."""


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA_FOLDER", help="Measured cells (.tsv.gz).")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Profile to write.")] = Path(
        "profile.yaml"
    ),
    json: JsonOption = False,
) -> None:
    """Fit a technology profile to measured cells and write it."""
    console = Console(json=json)
    with console.steps("Fitting the cell model") as progress:
        profile = fit_profile(data, lambda what, done, total: progress(done, total, what))
    write_profile(profile, out)
    if json:
        console.json({"profile": str(out)})
    else:
        console.done(out)
