"""Any set of points in the plane, with or without classes, from the user's own file."""

from __future__ import annotations

from pathlib import Path

from hil.diffusion.companion import Companion
from hil.diffusion.point_files import read_points
from hil.diffusion.task import Prepared, Progress, Task
from hil.diffusion.train_config import TrainConfig
from protocols.errors import DataError


def _prepare(path: Path | None, progress: Progress | None) -> Prepared:  # noqa: ARG001  (protocol)
    if path is None:
        raise DataError("task 'points' needs a file of points; name it with --data PATH.")
    source = read_points(path)
    return Prepared(source, Companion(source), "points")


TASK = Task(
    name="points",
    description="any points in the plane, from a CSV or NPZ file, with classes if it has them",
    config=TrainConfig(
        name="points",
        data="points",
        groups=16,
        sde_share=0.25,
        radius_weight=0.0,
        moment_weight=0.0,
        spread_weight=1.0,
    ),
    prepare=_prepare,
    needs="a CSV or NPZ file of points in the plane (within +-2, about 1 wide)",
)
