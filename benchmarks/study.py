"""Studies: a thousand chips in ten minutes, the same table on a cluster, a twin beside its board.

    python benchmarks/study.py [--json FILE] [--quick] [--part PART]

Part "speed": the shipped study `thousand-chips` (1,000 twins, 2,000 samples each) on two processes;
it has to finish in 600 s. Beside the time on the clock stands the processor time of the workers,
which does not depend on what else the computer does, and the load while it ran. With --quick 24
chips are solved and the time for 1,000 follows from the time per chip.

Part "cluster": a study on one process of this computer, on two, and on a local Dask cluster of two
worker processes, each a start of its own: the three tables have to be equal byte by byte. Without
--quick the cluster solves the thousand chips of the part "speed" as well.

Part "depths": what a twin says beside what the whole job on the simulated board gives for the same
chips and tolerances (minutes a chip): ratios of medians.

All of it is simulated. Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser, text_table

from hil.study.config import EXAMPLES, parse_study
from hil.study.folder import StudyFolder
from hil.study.job import Study, StudyResult, run_study
from hil.study.runners import Processes, Runner
from hil.study.work import Row

PARTS = ("speed", "cluster", "depths")
CHIPS, QUICK_CHIPS = 1000, 24
WORKERS = 2
SPEED_BARS: Bars = {"seconds for 1,000 chips": (0.0, 600.0), "failed points": (0, 0)}
CLUSTER_BARS: Bars = {"tables that differ": (0, 0)}
DEPTH_BARS: Bars = {  # this project's choice: a twin is to be trusted within a quarter or so
    "weight error, twin / board": (0.75, 1.25),
    "sliced W1, twin / board": (0.7, 1.4),
}
SMALL = """\
name: identical
grid:
  chip: {first: 1, count: 4}
  weight_error: [0, 0.03]
  mode: [ode, sde]
  samples: 500
bench:
  drive_trim: {trajectories: 100, iterations: 3}
"""
DEPTHS = """\
name: depths
depth: DEPTH
grid:
  chip: {first: 1, count: COUNT}
  tolerance_siemens: TOLERANCES
"""
Found = dict[str, Any]


def study_of(text: str) -> Study:
    return Study.of(parse_study(text, "benchmark"), "benchmark", text)


def thousand(chips: int) -> Study:
    text = (
        (EXAMPLES / "thousand-chips.yaml").read_text().replace("points: 1000", f"points: {chips}")
    )
    return study_of(text)


def digest(result: StudyResult) -> str:
    return hashlib.sha256((result.folder / "table.parquet").read_bytes()).hexdigest()[:16]


def rows_of(study: Study, folder: Path) -> list[Row]:
    with StudyFolder.opened(folder, study.config, study.text, study.inputs) as opened:
        rows = opened.rows()
    return [rows[point] for point in sorted(rows)]


def report(figures: Found, bars: Bars, title: str) -> list[str]:
    lines = []
    for name, value in figures.items():
        low, high = bars.get(name, (None, None))
        bar = "" if high is None else f"{low:g} to {high:g}"
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append([name, shown, bar])
    print(f"\n{title} (simulated)\n" + text_table(["figure", "found", "bar"], lines), flush=True)
    return missed_bars(figures, bars)


# --- speed -----------------------------------------------------------------------------------


def speed(folder: Path, quick: bool) -> tuple[Found, list[str]]:
    chips = QUICK_CHIPS if quick else CHIPS
    study = thousand(chips)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    load = os.getloadavg()[0]
    began = time.perf_counter()
    result = run_study(study, folder / "speed", Processes(WORKERS))
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent = [row["host_s"] for row in rows_of(study, folder / "speed")]
    typical_s = float(np.median(spent)) / WORKERS * CHIPS
    figures = {
        "chips": chips,
        "samples per chip": 2000,
        "workers": WORKERS,
        "seconds for 1,000 chips": wall_s if chips == CHIPS else typical_s,
        "seconds on the clock": wall_s,
        "processor seconds": cpu_s,
        "processor seconds per chip": cpu_s / chips,
        "load of the computer before": load,
        "load of the computer at the end": os.getloadavg()[0],
        "failed points": result.failed,
        "table": digest(result),
    }
    return figures, report(figures, SPEED_BARS, "A thousand chips")


# --- cluster ---------------------------------------------------------------------------------


def on_cluster(study: Study, folder: Path) -> StudyResult:
    from distributed import LocalCluster

    from hil.study.cluster import Cluster

    with LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
    ) as local:
        cluster = Cluster(local.scheduler_address)
        try:
            return run_study(study, folder, cluster)
        finally:
            cluster.close()


def cluster(folder: Path, quick: bool, thousand_table: str | None) -> tuple[Found, list[str]]:
    study = study_of(SMALL)
    runners: dict[str, Runner] = {"one": Processes(1), "two": Processes(2)}
    tables = {name: digest(run_study(study, folder / name, of)) for name, of in runners.items()}
    tables["cluster"] = digest(on_cluster(study, folder / "cluster"))
    differing = len(set(tables.values())) - 1
    figures: Found = {f"table of {name}": table for name, table in tables.items()}
    if not quick and thousand_table is not None:
        began = time.perf_counter()
        large = digest(on_cluster(thousand(CHIPS), folder / "thousand"))
        figures["seconds of the cluster for 1,000 chips"] = time.perf_counter() - began
        figures |= {"thousand chips, processes": thousand_table, "thousand chips, cluster": large}
        differing += large != thousand_table
    figures["tables that differ"] = differing
    return figures, report(figures, CLUSTER_BARS, "Processes and a cluster of two workers")


# --- depths ----------------------------------------------------------------------------------


def depths(folder: Path, quick: bool) -> tuple[Found, list[str]]:
    medians: dict[str, dict[str, float]] = {}
    for depth in ("board", "twin"):
        text = DEPTHS.replace("DEPTH", depth).replace("COUNT", "1" if quick else "3")
        text = text.replace("TOLERANCES", "[1.2e-5]" if quick else "[null, 6.0e-6, 1.2e-5]")
        study = study_of(text)
        run_study(study, folder / depth, Processes(1 if quick else WORKERS))
        rows = rows_of(study, folder / depth)
        medians[depth] = {
            name: float(np.median([row[name] for row in rows]))
            for name in ("weight_rms", "sliced_w1", "kl_1d", "flow_error")
        }
    board, twin = medians["board"], medians["twin"]
    figures: Found = {f"{name}, {depth}": m[name] for depth, m in medians.items() for name in m}
    figures["weight error, twin / board"] = twin["weight_rms"] / board["weight_rms"]
    figures["sliced W1, twin / board"] = twin["sliced_w1"] / board["sliced_w1"]
    return figures, report(figures, DEPTH_BARS, "Twins beside whole jobs on the board")


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "few chips")
    parser.add_argument("--part", choices=PARTS, help="only this part; default: all")
    asked = parser.parse_args(argv)
    figures: Found = {"simulated": True}
    over: list[str] = []
    with tempfile.TemporaryDirectory(prefix="study-") as name:
        folder, table = Path(name), None
        if asked.part in (None, "speed") or (asked.part == "cluster" and not asked.quick):
            figures["speed"], misses = speed(folder, asked.quick)
            table = str(figures["speed"]["table"])
            over += misses
        if asked.part in (None, "cluster"):
            figures["cluster"], misses = cluster(folder, asked.quick, table)
            over += misses
        if asked.part in (None, "depths"):
            figures["depths"], misses = depths(folder, asked.quick)
            over += misses
    return finish(asked.json, figures, over)


if __name__ == "__main__":
    sys.exit(main())
