"""Which model a point means: named itself, or the one that training its task gives."""

from __future__ import annotations

from hil.config import BenchConfig
from hil.diffusion.tasks import TASKS
from protocols.errors import ConfigError


def model_name(task: str | None, model: str | None) -> str:
    """The model's name or file; the bench's default where nothing is named.

    Raises:
        ConfigError: no such task.
    """
    if task is not None and task not in TASKS:
        raise ConfigError(f"unknown task {task!r}; known are {', '.join(TASKS)}")
    if model is not None:
        return model
    return str(BenchConfig.model_fields["model"].default) if task is None else task
