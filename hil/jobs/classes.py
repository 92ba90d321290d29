"""Which classes a run is asked for, and solving them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibration.progress import Progress
from hil.diffusion.noise_source import NoiseSource
from hil.diffusion.score_model import ScoreModel
from hil.jobs.facts import trajectory_data
from hil.jobs.rows import repeated
from hil.report.data import TrajectoryData
from hil.runloop import RunLoop, Samples
from hil.waveforms import Mode
from protocols.errors import InputError

ALL, NONE = "all", "none"
PER_CLASS = 500
"""Samples of a class where nothing else is asked for; as many as were published."""


@dataclass(frozen=True)
class Asked:
    """`each` samples of every label; a label None is the network without class offsets."""

    labels: tuple[int | None, ...]
    each: int

    @classmethod
    def of(
        cls, model: ScoreModel, label: str | None, samples: int, per_class: int | None = None
    ) -> Self:
        """What the options of a command ask for.

        Args:
            model: of which.
            label: a class by name or number, "all", "none" (no class offsets), or None: all classes
                of a conditional model.
            samples: how many without classes.
            per_class: how many of each class; None is 500.

        Raises:
            InputError: `per_class` where no class is asked for.
            ModelError: the model has no such class, or has none at all.
        """
        wanted = label if label is not None else (ALL if model.n_classes else NONE)
        if wanted == NONE or (label is None and not model.n_classes):
            if per_class is not None:
                raise InputError(
                    f"{per_class} samples per class were asked for, and no class of model "
                    f"{model.name!r}; use --samples."
                )
            return cls((None,), samples)
        each = PER_CLASS if per_class is None else per_class
        return cls(_labels(model, wanted), each)

    @property
    def count(self) -> int:
        """Samples in all."""
        return self.each * len(self.labels)

    @property
    def has_classes(self) -> bool:
        """Whether classes are asked for."""
        return self.labels != (None,)

    @property
    def of_samples(self) -> NDArray[np.int64] | None:
        """Class of every sample, (count,), in the order of solving; None without classes."""
        return repeated(self.labels, self.each)

    def in_words(self, model: ScoreModel) -> str:
        """For plans and titles."""
        if not self.has_classes:
            return f"{self.each}"
        names = ", ".join(model.class_name(label) for label in self.labels if label is not None)
        return f"{self.each} of each class ({names})"


def _labels(model: ScoreModel, wanted: str) -> tuple[int, ...]:
    if wanted == ALL:
        model.check_label(0)  # of an unconditional model there is no class at all
        return tuple(range(model.n_classes))
    if wanted in model.class_names:
        return (model.class_names.index(wanted),)
    if not wanted.isdecimal() or not wanted.isascii():
        known = ", ".join(model.class_names) or "numbers"
        raise InputError(
            f"{wanted!r} is no class of model {model.name!r}; a name ({known}), a number from 0, "
            "'all' or 'none' is needed."
        )
    label = int(wanted)
    model.check_label(label)
    return (label,)


def solve_classes(
    loop: RunLoop,
    model: ScoreModel,
    asked: Asked,
    mode: Mode,
    seed: int,
    traces: int = 0,
    progress: Progress | None = None,
    noise: NoiseSource | None = None,
) -> tuple[Samples, TrajectoryData | None]:
    """Solves every label in turn; each has trajectories, and so initial conditions, of its own.

    Some trajectories of each class are captured whole, `traces` in all.

    Raises:
        As `RunLoop.run`.
    """
    parts: list[Samples] = []
    paths: list[TrajectoryData] = []
    for number, label in enumerate(asked.labels):
        found = loop.run(
            asked.each,
            mode,
            seed=seed,
            first=number * asked.each,
            traces=min(max(traces // len(asked.labels), 1), asked.each) if traces else 0,
            label=label,
            noise=noise,
            progress=progress,
        )
        parts.append(found)
        path = trajectory_data(model, found, label)
        if path is not None:
            paths.append(path)
    return _joined(parts, asked), _joined_paths(paths)


def _joined(parts: Sequence[Samples], asked: Asked) -> Samples:
    return replace(
        parts[0],
        x=np.concatenate([part.x for part in parts]),
        initial=np.concatenate([part.initial for part in parts]),
        clipped=sum(part.clipped for part in parts),
        board_s=sum(part.board_s for part in parts),
        labels=asked.of_samples,
    )


def _joined_paths(paths: Sequence[TrajectoryData]) -> TrajectoryData | None:
    if not paths:
        return None
    software = [path.software for path in paths if path.software is not None]
    return replace(
        paths[0],
        chip=np.concatenate([path.chip for path in paths]),
        software=np.concatenate(software) if len(software) == len(paths) else None,
    )
