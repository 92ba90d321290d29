"""Options that every command takes, and the objects that a command needs from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from calibration.programming.choose import ALGORITHMS
from hil.cli.console import Console
from hil.cli.faults import with_faults
from hil.cli.on import chosen
from hil.config import BenchConfig, load_config

BenchOption = Annotated[
    Path | None,
    typer.Option(
        "--bench",
        metavar="FILE",
        help="Bench file; bench.yaml here if there is one, else defaults.",
    ),
]
BoardOption = Annotated[
    str | None,
    typer.Option(
        "--board",
        metavar="BOARD",
        help="sim, native, qemu, serial:PORT or a URL (socket://, unix://); overrides the file.",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="S", help="Seed of chip, board and noise; overrides the file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
AlgorithmOption = Annotated[
    str | None,
    typer.Option(
        "--algorithm",
        metavar="NAME",
        help=f"How to program: {', '.join(ALGORITHMS)}; default: the bench's.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be driven, and drive nothing.")
]
ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="Model file (.npz) or the name of a shipped one; default: the bench's.",
    ),
]


@dataclass(frozen=True)
class Context:
    """What a command works with.

    `several`: the bench file names several boards, and the command line none of them.
    """

    config: BenchConfig
    bench_text: str
    console: Console
    several: bool = False


def context(
    bench: Path | None,
    board: str | None,
    *,
    json: bool,
    seed: int | None = None,
    model: str | None = None,
    several: bool = False,
) -> Context:
    """The bench file with the command line's changes, and the console.

    `seed` makes another simulated chip and board as well as other noise: one number names the
    whole simulated experiment. `several`: the command works with several boards as well.

    Raises:
        ConfigError: the bench file or an option is not valid.
    """
    config, text = load_config(bench)
    config, unchosen = chosen(config, several=several, board=board is not None)
    if board is not None:
        config = config.with_changes(source="--board", board=board)
    if model is not None:
        config = config.with_changes(source="MODEL", model=model)
    if seed is not None:
        chip = config.sim.model_copy(update={"seed": seed, "board_seed": seed})
        config = config.with_changes(source="--seed", seed=seed, sim=chip)
    config = with_faults(config)
    return Context(config, text, Console(json=json), unchosen)
