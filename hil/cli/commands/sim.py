"""`hil sim`: the simulator's own commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibration.cell_model import CellModel
from hil.boards import open_board
from hil.cli.console import Console
from hil.cli.options import BenchOption, BoardOption, JsonOption, context
from hil.control import cells_file
from hil.serve import LOOPBACK, Server, warning
from hil.sim.fit import fit_profile, write_profile
from protocols.errors import ConfigError

SERVED = ("sim", "native")

app = typer.Typer(
    help="The simulator: fit its cells to measurements, serve its board on a port.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """The simulator: fit its cells to measurements, serve its board on a port."""


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA_FOLDER", help="Measured cells (.tsv.gz).")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Profile to write.")] = Path(
        "profile.yaml"
    ),
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="FILE", help="Cell model (JSON) to write as well."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fit a technology profile to measured cells and write it.

    The cell model is the same fit as predictive programming plans with it.
    """
    console = Console(json=json)
    with console.steps("Fitting the cell model") as progress:
        profile = fit_profile(data, lambda what, done, total: progress(done, total, what))
    write_profile(profile, out)
    if model is not None:
        CellModel.from_profile(profile.model_dump(mode="json")).save(model)
    if json:
        console.json({"profile": str(out), "model": None if model is None else str(model)})
        return
    for path in (out, model):
        if path is not None:
            console.done(path)


@app.command()
def serve(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="TCP port; 0 takes a free one.")
    ] = 0,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = LOOPBACK,
    bench: BenchOption = None,
    board: BoardOption = None,
    json: JsonOption = False,
) -> None:
    """Serve the simulated board on a TCP port, for --board socket://HOST:PORT elsewhere.

    It listens on this computer's own address unless told otherwise. Ctrl-C ends it.
    """
    ctx = context(bench, board, json=json)
    if ctx.config.board not in SERVED:
        raise ConfigError(f"board {ctx.config.board}: only {' and '.join(SERVED)} can be served")
    risk = warning(host)
    opened = open_board(ctx.config, ctx.config.load_description(), cells_file(ctx.config))
    try:
        with Server(opened.stream, host, port) as server:
            facts = {"board": ctx.config.board, "listens": f"socket://{server.address}"}
            if json:
                ctx.console.json({**facts, "warning": risk})
            else:
                ctx.console.facts("served", {**facts, **({"WARNING": risk} if risk else {})})
            server.run()
    finally:
        opened.close()
