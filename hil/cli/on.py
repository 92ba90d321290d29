"""`--on NAME`: one more option on every command that takes a bench file.

It is added to each command's own, and chooses one of the boards that the bench file names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from hil.config import BenchConfig
from protocols.errors import ConfigError

OnOption = Annotated[
    str | None,
    typer.Option("--on", metavar="NAME", help="Which of the bench file's boards, by its name."),
]


@dataclass(frozen=True)
class _Asked:
    """Which board was asked for, and whether the command works with one alone."""

    name: str | None = None
    one: bool = False


_NOTHING = _Asked()
_ASKED: ContextVar[_Asked] = ContextVar("on", default=_NOTHING)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with `--on`, if it takes a bench file.

    A command with `--board` works with one board; with `--stepped` as well perhaps with several.
    """
    signature = inspect.signature(command, eval_str=True)
    names = signature.parameters.keys()
    if "bench" not in names or "on" in names:
        return command
    one = "board" in names and "stepped" not in names
    added = inspect.Parameter(
        "on", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OnOption
    )

    @functools.wraps(command)
    def with_option(*arguments: Any, on: str | None = None, **named: Any) -> Any:
        token = _ASKED.set(_Asked(on, one))
        try:
            return command(*arguments, **named)
        finally:
            _ASKED.reset(token)

    parameters = [*signature.parameters.values(), added]
    with_option.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_option.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_option


def add_to(app: typer.Typer) -> typer.Typer:
    """A group of commands, each with `--on` where it takes a bench file."""
    for registered in app.registered_commands:
        if registered.callback is not None:
            registered.callback = options(registered.callback)
    return app


def asked_for() -> str | None:
    """The name that was given, if one was."""
    return _ASKED.get().name


def chosen(config: BenchConfig, *, several: bool, board: bool) -> tuple[BenchConfig, bool]:
    """The bench of the board that was asked for, and whether there are several without one.

    Args:
        config: of the bench file.
        several: the command works with several boards.
        board: a board was named in place of the file's (`--board`).

    Raises:
        ConfigError: no board of that name; or several, none was named, and one is needed.
    """
    asked = _ASKED.get()
    if asked.name is not None:
        return config.on(asked.name, "--on: "), False
    if len(config.boards) == 1 and not board:
        return config.on(next(iter(config.boards))), False
    alone = not config.boards or board
    if asked.one and not several and not alone:
        raise unnamed(config)
    return config, not alone


def unnamed(config: BenchConfig) -> ConfigError:
    """What a command says that works with one board and was told none."""
    return ConfigError(
        f"the bench file names several boards ({', '.join(config.boards)}); say which one with"
        " --on NAME, or work on all of them with hil batch"
    )
