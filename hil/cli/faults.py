"""`--line-faults` and `--chip-faults`: two more options on every command that opens a board.

They are added to each command's own, and what was given reaches the command through its bench
configuration. They are for rehearsals; a command says on its error stream that one is on.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from drivers.faults import LineFaults
from hil.config import BenchConfig
from hil.config_stand_in import INSTRUMENTS
from hil.firmware import BOARDS
from hil.sim.board_faults import planted
from protocols.errors import InputError

_LINE: ContextVar[str | None] = ContextVar("line_faults", default=None)
_CHIP: ContextVar[str | None] = ContextVar("chip_faults", default=None)

LineFaultsOption = Annotated[
    str | None,
    typer.Option(
        "--line-faults",
        metavar="FAULTS",
        help="Rehearsal: damage the line, at a rate per byte (1e-3) or by name (drop=1e-3,seed=4).",
    ),
]
ChipFaultsOption = Annotated[
    str | None,
    typer.Option(
        "--chip-faults",
        metavar="FAULTS",
        help="Rehearsal: plant analog faults (open_bit_line=5,mains); without a place it is drawn.",
    ),
]
_OPTIONS = {"line_faults": LineFaultsOption, "chip_faults": ChipFaultsOption}


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with both options, if it takes a board."""
    signature = inspect.signature(command, eval_str=True)
    if "board" not in signature.parameters:
        return command
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def with_option(
        *arguments: Any,
        line_faults: str | None = None,
        chip_faults: str | None = None,
        **named: Any,
    ) -> Any:
        tokens = ((_LINE, _LINE.set(line_faults)), (_CHIP, _CHIP.set(chip_faults)))
        try:
            return command(*arguments, **named)
        finally:
            for variable, token in tokens:
                variable.reset(token)

    parameters = [*signature.parameters.values(), *added]
    with_option.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_option.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_option


def with_faults(config: BenchConfig) -> BenchConfig:
    """The bench with the faults of the command line.

    Raises:
        InputError: an option cannot be read, or the board's chip is a real one; says what is
            allowed.
    """
    text = _LINE.get()
    if text is not None:
        faults = LineFaults.parse(text)
        config = config.with_changes(source="--line-faults", line_faults=faults)
    if config.line_faults is not None:
        sys.stderr.write("Rehearsal: the line is damaged on purpose (line faults).\n")
    return _with_chip_faults(config)


def _with_chip_faults(config: BenchConfig) -> BenchConfig:
    text = _CHIP.get()
    if text is not None:
        description = config.load_description()
        sim = planted(text, config.sim, description)
        config = config.with_changes(source="--chip-faults", sim=sim)
    faults = (*config.sim.chip_faults.planted, *config.sim.board_faults.planted)
    stands_in = config.board == INSTRUMENTS and config.instruments is None
    if faults and not stands_in and config.board not in ("sim", *BOARDS):
        raise InputError(
            f"faults can be planted in a simulated board and chip only, not in {config.board}"
        )
    if faults:
        named = ", ".join(faults)
        sys.stderr.write(f"Rehearsal: board or chip are at fault on purpose ({named}).\n")
    return config
