"""`--resume RUN`: a command that takes everything from a run that was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from hil.cli.console import Console
from hil.cli.faults import with_faults
from hil.cli.on import asked_for
from hil.cli.options import Context
from hil.jobs.resume import cut_off
from hil.record import RunFolder
from protocols.errors import InputError

ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Take up a run folder that was cut off, where it stopped and as it was asked for.",
    ),
]


def resumed(
    path: Path, kind: str, *, json: bool, given: Mapping[str, object]
) -> tuple[Context, RunFolder]:
    """The run and what it works with.

    Args:
        path: its folder.
        kind: the command.
        json: the only other option that is allowed.
        given: the other options by name, None or False where they were not given.

    Raises:
        InputError: another option was given.
        RecordError, ConfigError: the run cannot be taken up; says why.
    """
    all_given = {**given, "--on": asked_for()}
    others = [name for name, value in all_given.items() if value not in (None, False)]
    if others:
        raise InputError(
            f"--resume takes everything from the run {path.name}; leave out {', '.join(others)}"
        )
    run, config = cut_off(path, kind)
    return Context(with_faults(config), "", Console(json=json)), run
