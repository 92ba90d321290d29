"""A study from its file to its table and figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.progress import Progress, silent
from hil.study.axes import Point
from hil.study.config import StudyConfig
from hil.study.figures import draw_figures
from hil.study.folder import StudyFolder, failed
from hil.study.inputs import inputs_of
from hil.study.points import points_of
from hil.study.runners import Here, Runner
from hil.study.summary import Summary, summaries
from hil.study.work import Batch, Row, Setting, batches_of

BATCH = {"twin": 10, "board": 1}
BOARD_POINT_S = 40.0
"""Of a point at the depth "board" with 2,000 samples, for a plan before any was solved; of the size
that was measured on one core."""


@dataclass(frozen=True)
class Study:
    """A study that is ready to be solved.

    Attributes:
        config: what the file says.
        source: names the file in errors.
        text: of the file, kept beside the table.
        points: in the order of the table.
        inputs: checksums of what else it reads.
    """

    config: StudyConfig
    source: str
    text: str
    points: Sequence[Point]
    inputs: dict[str, str]

    @classmethod
    def of(cls, config: StudyConfig, source: str, text: str) -> Study:
        """A study with its points; whatever it names is opened once.

        Raises:
            ConfigError, ModelError, DataError: an unknown task, model or profile, or a value that
                is not allowed.
        """
        points = points_of(config, source)
        return cls(config, source, text, points, inputs_of(config, points, source))

    @property
    def batch(self) -> int:
        """Points that are handed out and written together."""
        return self.config.batch or BATCH[self.config.depth]

    @property
    def setting(self) -> Setting:
        """What travels to a worker."""
        return Setting.of(self.config, self.inputs)


@dataclass(frozen=True)
class StudyResult:
    """What a study gave.

    Attributes:
        folder: where the table is.
        points, solved, failed: how many there are, were solved now, and have no figures.
        host_s: time of this start.
        summaries: one per figure.
        figures: files.
    """

    folder: Path
    points: int
    solved: int
    failed: int
    host_s: float
    summaries: list[Summary]
    figures: list[Path]
    reasons: list[str]


def run_study(
    study: Study,
    path: Path,
    runner: Runner,
    progress: Progress | None = None,
    *,
    retry: bool = False,
) -> StudyResult:
    """Solves what is missing of a study and writes its table and figures.

    Args:
        study: what is asked.
        path: the study's folder.
        runner: who solves the batches.
        progress: counts points.
        retry: solve the points that failed once more.

    Raises:
        ConfigError: the folder holds another study.
        RecordError: the folder cannot be written.
        ClusterError: the cluster cannot be used.
    """
    tell, began = progress or silent, time.monotonic()
    with StudyFolder.opened(path, study.config, study.text, study.inputs) as folder:
        rows = folder.rows()
        missing = missing_points(study, rows, retry=retry)
        batches = batches_of(study.points, missing, study.batch)
        solved = 0
        tell(0, len(missing), "solving points")
        for part in runner.run(study.setting, batches) if batches else ():
            folder.add(part)
            rows |= {row["point"]: row for row in part}
            solved += len(part)
            tell(solved, len(missing), "solving points")
        if missing or not (path / "table.parquet").exists():
            folder.finish(rows)
        bad = failed(rows)
        return StudyResult(
            folder=path,
            points=len(study.points),
            solved=solved,
            failed=len(bad),
            host_s=time.monotonic() - began,
            summaries=summaries(study.config, rows),
            figures=draw_figures(study.config, rows, folder),
            reasons=sorted({str(rows[point]["reason"]) for point in bad}),
        )


def missing_points(study: Study, rows: dict[int, Row], *, retry: bool = False) -> list[int]:
    """Numbers of the points that are not on the disk; with `retry` those that failed as well."""
    again = set(failed(rows)) if retry else set()
    return [k for k in range(len(study.points)) if k not in rows or k in again]


def seconds_per_point(study: Study, rows: dict[int, Row]) -> float:
    """What a point costs one worker: what the points that are done did cost, else a trial."""
    spent = [row["host_s"] for row in rows.values() if row.get("host_s") is not None]
    if spent:
        return float(sum(spent) / len(spent))
    if study.config.depth == "board":
        return BOARD_POINT_S
    trial = Batch((0,), (study.points[0],))
    for _ in range(2):  # the first one compiles and reads what all later ones have
        began = time.perf_counter()
        for _rows in Here().run(study.setting, [trial]):
            spent.append(time.perf_counter() - began)
    return float(spent[-1])
