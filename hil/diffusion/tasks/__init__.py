"""The tasks, one file each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hil.diffusion.task import Task
from protocols.errors import DataError

__all__ = ["TASKS", "Task", "find_task"]


def _found() -> Iterator[tuple[str, Task]]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        task = getattr(importlib.import_module(f"{__name__}.{module.name}"), "TASK", None)
        if not isinstance(task, Task) or task.name != module.name:
            raise DataError(
                f"tasks/{module.name}.py has no Task named {module.name!r} called TASK; every file "
                "of that folder is one task."
            )
        yield task.name, task


TASKS: Mapping[str, Task] = MappingProxyType(dict(_found()))


def find_task(name: str) -> Task:
    """The task called `name`; DataError, which lists all of them, where there is none."""
    if name not in TASKS:
        raise DataError(f"{name!r} is nothing to learn; known are: {', '.join(TASKS)}.")
    return TASKS[name]
