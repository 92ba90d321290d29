"""Which steps each board of a batch gets: a YAML file, or one command for several boards.

    steps:
      - {command: form, boards: all}
      - {command: program ring --algorithm ispp, boards: [left, right]}
      - {command: verify, boards: left, with: {after: 1h, retrim: true}}

`command` is what follows `hil` on a command line; `with` are options of it by name. Each board does
its own steps in their order, and waits for no other board.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocols.errors import ConfigError, FileError, InputError
from protocols.files import parse_yaml, read_text
from protocols.hardware import MAX_FILE_BYTES, explain

ALL = "all"
MOST_STEPS = 1000  # this project's choice
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Value = bool | int | float | str


class Step(BaseModel):
    """One command for some boards.

    Attributes:
        command: what follows `hil`.
        boards: by name; `all` is every one of the bench file.
        options: further options of the command by name; true and false are for switches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    command: Text
    boards: Annotated[Text | tuple[Text, ...], Field(min_length=1)]
    options: Annotated[dict[Text, Value], Field(alias="with")] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The boards, as they stand."""
        return (self.boards,) if isinstance(self.boards, str) else self.boards

    def words(self) -> list[str]:
        """The command and its options as the words of a command line.

        Raises:
            InputError: quotes that are not closed.
        """
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise InputError(f"{self.command!r}: {error}") from error
        for name, value in self.options.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(option if value else f"--no-{option.removeprefix('--')}")
            else:
                words += [option, str(value)]
        return words


class _PlanFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS)]


Plan = dict[str, list[list[str]]]
"""Board name -> the command lines of its steps, without `hil`."""


def read_steps(path: Path) -> tuple[tuple[Step, ...], str]:
    """The steps of a file and its text.

    Raises:
        ConfigError: it cannot be read, or a key or value is not allowed.
    """
    try:
        text = read_text(path, MAX_FILE_BYTES)
        data = parse_yaml(text)
    except FileError as error:
        raise ConfigError(f"{path}: the batch file cannot be read ({error})") from error
    try:
        return _PlanFile.model_validate(data).steps, text
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from error


def plan_of(steps: Sequence[Step], boards: Mapping[str, Any], source: str) -> Plan:
    """What each board does, in the order of the bench file.

    Args:
        steps: in their order.
        boards: of the bench file, by name.
        source: names the steps in errors.

    Raises:
        ConfigError: a board that the bench file does not have.
        InputError: a step is no command line.
    """
    plan: Plan = {name: [] for name in boards}
    for number, step in enumerate(steps):
        names = tuple(boards) if step.names == (ALL,) else step.names
        for name in dict.fromkeys(names):
            if name not in plan:
                known = ", ".join(boards) or "none; add boards: {NAME: {...}}"
                raise ConfigError(
                    f"{source}: steps.{number}: no board is called {name!r}; the bench file has "
                    f"{known}"
                )
            plan[name].append(step.words())
    return {name: lines for name, lines in plan.items() if lines}
