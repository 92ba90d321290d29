"""The tree of commands, and how a command ends: done, refused, interrupted.

Importing this module loads much of the project, and a command the rest that it needs; `hil.cli.app`
does that late.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import typer

from hil.cli import faults, on, signals
from hil.cli.console import Console
from protocols.errors import HilError, RecordError

INTERRUPTED = 130
# Older versions of typer raise click's errors, newer ones their own copies of the same names.
_USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
TOUR = """
Brings up, programs, calibrates and runs analog in-memory generative chips.

A tour, on the simulated board that is the default:

\b
  hil demo                     the whole main job on a virgin chip; leaves a report
  hil info                     what is connected: board, limits, chip, model
  hil form                     form the cells that the model needs
  hil map                      where the model would go, and the weight error to expect
  hil program                  map the model to conductances, program and verify them
  hil verify --after 1h        read them again, an hour later; --retrim corrects what moved
  hil repair                   measure the network on the chip and fit the rest of its error away
  hil noise                    find the noise law that gives a network its best samples
  hil run --samples 500        calibrate the loop, solve, bring the samples home
  hil report                   the latest report again, from its record
  hil report headline          speed and energy per sample: software, bench, modelled chip
  hil characterise             how this chip's cells behave, measured on spare cells
  hil study weight-error       hundreds of simulated chips, one table and its figures

On a bench, with --board serial:PORT:

\b
  hil flash                    write the firmware of `make firmware` into the board
  hil instruments              what else is connected: supply, scope and so on
  hil bringup                  a new board and chip, stage by stage, to an acceptance sheet
  hil selftest                 check the board without changing a cell
  hil check                    check converters, bonds and chip at the read level
  hil calibrate                measure its converters; later commands apply the curves
  hil stop                     every output to its safe value, now
  hil unload                   see that nothing is driven, so that the chip may be taken out

With several boards in the bench file (boards: {left: {...}, right: {...}}):

\b
  hil info --on left           one of them, by its name
  hil boards                   ports, serial numbers, and which board is where
  hil batch form --on all      several at the same time; or hil batch FILE

Every command takes --bench FILE and --board BOARD, and prints JSON with --json. What form, program
and run would drive is said by --dry-run; what was cut off goes on with --resume RUN.
"""
COMMANDS = (
    *("demo", "info", "form", "read", "map", "program", "verify", "repair", "train"),
    *("noise", "run", "characterise", "calibrate", "selftest", "check", "stop", "flash"),
    *("boards", "batch", "study", "instruments", "bringup", "unload", "diary", "compare"),
)

GROUPS = ("report", "sim", "legacy")


def tree(arguments: Sequence[str] = ()) -> Any:
    """The command that `hil ARGUMENTS` is parsed by: with the one command or group that they name,
    so that no other is loaded, or with all of them."""
    named = arguments[0] if arguments else ""
    return _tree(named if named in COMMANDS + GROUPS else None)


@lru_cache(maxsize=len(COMMANDS) + len(GROUPS) + 1)
def _tree(only: str | None) -> Any:
    app = typer.Typer(
        help=TOUR,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 100},
    )
    app.callback()(_a_group_even_of_one)
    for name in COMMANDS if only is None else {only} & {*COMMANDS}:
        module = import_module(f"hil.cli.commands.{name}")
        app.command(name, context_settings=getattr(module, "SETTINGS", None))(
            faults.options(on.options(module.command))
        )
    for name in GROUPS if only is None else {only} & {*GROUPS}:
        app.add_typer(on.add_to(import_module(f"hil.cli.commands.{name}").app), name=name)
    return typer.main.get_command(app)


def _a_group_even_of_one() -> None:
    pass


def invoke(arguments: list[str]) -> int:
    """Runs `hil ARGUMENTS`; every error becomes a clear block and an exit code."""
    console = Console(json="--json" in arguments)
    try:
        code = tree(arguments)(args=arguments, prog_name="hil", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except _USAGE as error:
        return _usage(error, console, as_json="--json" in arguments)
    except HilError as error:
        console.error(error)
        return error.exit_code
    except OSError as error:
        failure = RecordError(f"{error.filename or 'a file'}: {error.strerror or error}")
        console.error(failure)
        return failure.exit_code
    if code == INTERRUPTED:  # newer versions of typer make this number of a Ctrl-C
        by = signals.caught()
        code = INTERRUPTED if by is None else 128 + by
        console.interrupted(signals.description(by), code)
    return code if isinstance(code, int) else 0


def _usage(error: Any, console: Console, as_json: bool) -> int:
    if as_json:
        console.failure("Usage", error.format_message(), "", error.exit_code)
    else:
        error.show()
    return int(error.exit_code)
