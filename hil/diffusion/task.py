"""What a generation task is: where its data come from, how it is trained, what a sample shows.

A task is one file in the folder `tasks`, with a `Task` called TASK whose name is the file's. A new
file is a new task; nothing else has to be changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hil.diffusion.companion import Companion
from hil.diffusion.pictures import Codec
from hil.diffusion.sources import LabelledPoints, Source
from hil.diffusion.train_config import TrainConfig
from protocols.errors import DataError

Progress = Callable[[int, int, float], None]
"""Called as (step, total steps, loss)."""


@dataclass(frozen=True)
class Prepared:
    """What training starts from.

    Attributes:
        source: the points to learn.
        companion: what belongs beside the model's file, None for nothing.
        suffix: of the companion's file: MODEL.suffix.npz.
    """

    source: Source
    companion: Companion | None = None
    suffix: str = "data"


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: as the user types it; also the name of the model that training it gives.
        description: one sentence.
        config: how it is trained.
        prepare: the data to train on, from the path that the user named (None: none was), with
            progress for what has to be trained before, as an encoder.
        builtin: the data without a path, None where the user has to name one.
        needs: what the path names, for messages; empty where no path is taken.
        pictures: what makes pictures of samples where no file beside the model does.
    """

    name: str
    description: str
    config: TrainConfig
    prepare: Callable[[Path | None, Progress | None], Prepared]
    builtin: Callable[[], Source] | None = None
    needs: str = ""
    pictures: Callable[[], Codec] | None = None

    def source(self) -> Source:
        """The data that need no path; DataError where the user has to name one."""
        if self.builtin is None:
            raise DataError(
                f"task {self.name!r} has no data of its own: it needs {self.needs}. Train it with "
                f"hil train {self.name} --data PATH, and run the model file that this writes."
            )
        return self.builtin()

    def data(self, path: Path | None = None) -> LabelledPoints:
        """The finite set that the task learns; DataError where its data are a law."""
        found = getattr(self.prepare(path, None).source, "labelled", None)
        if not isinstance(found, LabelledPoints):
            raise DataError(f"the data of task {self.name!r} are a law, not a set of points.")
        return found

    def checked(self, path: Path | None) -> Path | None:
        """The path that the user named; DataError where it is missing or nothing to be named."""
        if path is None and self.builtin is None:
            raise DataError(
                f"task {self.name!r} needs {self.needs}; name it with --data PATH. Nothing is ever "
                "downloaded."
            )
        if path is not None and not self.needs:
            raise DataError(f"task {self.name!r} brings its own data; leave --data {path} out.")
        return path
