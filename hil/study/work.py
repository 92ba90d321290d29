"""What a worker does: points in, rows out. It runs here, in another process, or on a cluster."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from threadpoolctl import threadpool_limits

from hil.study.axes import Point
from hil.study.columns import DONE, FAILED, FIGURES
from hil.study.config import StudyConfig
from hil.study.inputs import check_inputs
from hil.study.judge import judged
from hil.study.settings import bench_of
from hil.study.twin import Solved, solve_twin
from hil.study.whole_job import solve_board
from protocols.errors import ClusterError, RecordError

Row = dict[str, Any]
LONGEST_REASON = 500
DISTRIBUTION = "analog-diffusion-hil"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""A worker computes with one thread: there are as many workers as cores."""


@dataclass(frozen=True)
class Setting:
    """What all points of a study have in common, as it travels to a worker.

    Attributes:
        study: the study as JSON.
        source: names the study in errors.
        inputs: checksums of the files that it reads (`hil.study.inputs`), as JSON.
        version: of this project.
    """

    study: str
    source: str
    inputs: str
    version: str

    @classmethod
    def of(cls, study: StudyConfig, inputs: Mapping[str, str]) -> Setting:
        """The setting of a study. It is named by its name: a path differs from start to start."""
        source = f"study {study.name}"
        return cls(study.model_dump_json(), source, json.dumps(dict(inputs)), project_version())


@dataclass(frozen=True)
class Batch:
    """Points with their numbers, solved one after the other by one worker."""

    numbers: tuple[int, ...]
    points: tuple[Point, ...]


def project_version() -> str:
    """The version of this project that is installed here."""
    return metadata.version(DISTRIBUTION)


def solve_batch(setting: Setting, batch: Batch) -> list[Row]:
    """The rows of a batch. A point that cannot be solved has its reason in its row.

    Raises:
        ClusterError, ConfigError: this worker has another version, or other files, than the study.
        RecordError, OSError, MemoryError: what is wrong with this computer and not with a point.
    """
    if setting.version != project_version():
        raise ClusterError(
            f"worker {worker_name()} has version {project_version()} of this project, the study "
            f"runs with {setting.version}; install the same on every worker"
        )
    check_inputs(setting.inputs, worker_name())
    study = _study(setting.study)
    pairs = zip(batch.numbers, batch.points, strict=True)
    with threadpool_limits(1):  # a sum in another order is another sum
        return [_row(study, setting.source, number, point) for number, point in pairs]


@lru_cache(maxsize=4)
def _study(text: str) -> StudyConfig:
    return StudyConfig.model_validate_json(text)


def _row(study: StudyConfig, source: str, number: int, point: Point) -> Row:
    began = time.perf_counter()
    row: Row = {"point": number, **point.values(), "status": DONE, "reason": None}
    row |= dict.fromkeys(FIGURES)
    try:
        row |= figures_of(study, source, point)
    except (RecordError, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  (a point's failure is its result)
        row |= {"status": FAILED, "reason": _reason(error)}
    return row | {"host_s": time.perf_counter() - began, "worker": worker_name()}


def figures_of(study: StudyConfig, source: str, point: Point) -> dict[str, float | None]:
    """Every figure of one point; None where there is none."""
    config = bench_of(study, point, source)
    solved: Solved = (solve_twin if study.depth == "twin" else solve_board)(config, point)
    found = solved.figures | judged(
        solved.samples, config.model, point.mode, point.label, config.seed
    )
    return {name: None if value != value else value for name, value in found.items()}


def _reason(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


def worker_name() -> str:
    """This process, for the table of times."""
    return f"{socket.gethostname()}:{os.getpid()}"


def batches_of(points: Sequence[Point], missing: Sequence[int], size: int) -> list[Batch]:
    """The points whose numbers are missing, `size` at a time."""
    parts = [missing[at : at + size] for at in range(0, len(missing), size)]
    return [Batch(tuple(part), tuple(points[k] for k in part)) for part in parts]
