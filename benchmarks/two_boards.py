"""Two boards by one command: how much longer than one board does a batch on two take?

    python benchmarks/two_boards.py [--json FILE] [--quick] [--board BOARD] [--rounds N]

`hil batch` forms and programs the ring on one simulated board, and on two side by side, in turns
within one run, on two cores of this computer. Every run starts from virgin chips. All boards have
the same die, so that each has the same work; a board and what the host computes for it are one
worker process. The bar is for the wall clock from the command's start to its end, medians over the
rounds: two boards in at most 1.1 times the time of one. The table also has the processor time of
every worker, which other programs on the machine cannot spoil as much; where a worker got less
than nine tenths of a core, the machine was not quiet, and that is said.

Exits with 1 when the bar is missed, or a board did not get to its end or came out different.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser, text_table

ROOT = Path(__file__).parents[1]
CORES = 2
ROUNDS = 3
BOARDS = ("sim", "native", "native-process")
RATIO = "two boards / one board"
BAR: Bars = {RATIO: (0.0, 1.1)}
QUIET = 0.9
STEPS = ("form", "program ring")
SAME = ("cells", "formed", "in_tolerance", "pulses_mean", "bench_s", "rounds")
"""Of a result: what the same work on the same die comes to, whoever works beside it."""


@dataclass(frozen=True)
class Batch:
    """One run of the command.

    Attributes:
        boards: how many.
        wall_s: from its start to its end.
        workers: per board, wall and processor time of its steps.
        results: per board, what its steps came to.
        trouble: why it is no measurement, or empty.
    """

    boards: int
    wall_s: float
    workers: list[tuple[float, float]]
    results: list[list[dict[str, Any]]]
    trouble: str = ""

    @property
    def share(self) -> float:
        """Of a core, what the worker got that got the least."""
        return min((cpu / wall for wall, cpu in self.workers if wall), default=0.0)


def run_batch(count: int, board: str, steps: Sequence[str]) -> Batch:
    """A batch on `count` boards with virgin chips, in a folder of its own."""
    names = [f"board{number}" for number in range(1, count + 1)]
    with tempfile.TemporaryDirectory(prefix="two-boards-") as place:
        folder = Path(place)
        entries = "".join(f"  {name}: {{seed: 1}}\n" for name in names)
        (folder / "bench.yaml").write_text(f"board: {board}\nboards:\n{entries}")
        lines = "".join(f"  - {{command: {step}, boards: all}}\n" for step in steps)
        (folder / "batch.yaml").write_text(f"steps:\n{lines}")
        began = time.perf_counter()
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from hil.cli.app import main; main()"),
                *("batch", "batch.yaml", "--json"),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            env=surroundings(folder),
        )
        wall_s = time.perf_counter() - began
    return judged(count, wall_s, done)


def surroundings(folder: Path) -> dict[str, str]:
    """One numerical thread, this project, and doors for `hil stop` that no other run has."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(folder),
    }


def judged(count: int, wall_s: float, done: subprocess.CompletedProcess[str]) -> Batch:
    """What a run of the command said."""
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return Batch(count, wall_s, [], [], f"no result ({done.returncode}): {done.stderr[-500:]}")
    boards = said.get("boards", {}).values()
    steps = [board["steps"] for board in boards]
    workers = [
        (sum(s["host_s"] or 0.0 for s in each), sum(s["cpu_s"] or 0.0 for s in each))
        for each in steps
    ]
    results = [[figures(step["result"]) for step in each] for each in steps]
    trouble = "" if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout[-500:]}"
    return Batch(count, wall_s, workers, results, trouble)


def figures(result: dict[str, Any] | None) -> dict[str, Any]:
    """What has to be the same in every run."""
    return {name: result[name] for name in SAME if result is not None and name in result}


def differences(batches: Sequence[Batch]) -> list[str]:
    """Boards that did not come out as the first one."""
    first = batches[0].results[0]
    return [
        f"a board of a batch on {batch.boards} came out as {found}, the first one as {first}"
        for batch in batches
        for found in batch.results
        if found != first
    ]


def ratio_of(batches: Sequence[Batch]) -> dict[str, float]:
    """Medians of one and two boards, and their ratio."""
    medians = {
        count: statistics.median(b.wall_s for b in batches if b.boards == count)
        for count in (1, CORES)
    }
    cpu = {
        count: statistics.median(
            max(cpu for _, cpu in b.workers) for b in batches if b.boards == count
        )
        for count in (1, CORES)
    }
    return {
        "one board, s": medians[1],
        "two boards, s": medians[CORES],
        RATIO: medians[CORES] / medians[1],
        "processor time of a board, two at a time / alone": cpu[CORES] / cpu[1],
    }


def report(batches: Sequence[Batch], found: dict[str, float]) -> None:
    lines = [
        [
            str(batch.boards),
            f"{batch.wall_s:.1f}",
            " + ".join(f"{wall:.1f}" for wall, _ in batch.workers),
            " + ".join(f"{cpu:.1f}" for _, cpu in batch.workers),
            f"{batch.wall_s - max(wall for wall, _ in batch.workers):.1f}",
            f"{batch.share:.0%}",
        ]
        for batch in batches
    ]
    heads = ["boards", "command s", "steps s", "their processor s", "start and end s", "of a core"]
    print(f"`hil batch` on simulated boards, {CORES} cores\n{text_table(heads, lines)}\n")
    for name, value in found.items():
        print(f"{name:50} {value:.3f}")
    if min(batch.share for batch in batches) < QUIET:
        print("The machine was not quiet: a worker got less than nine tenths of a core.")


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "forming alone, one round")
    parser.add_argument("--board", choices=BOARDS, default="sim", help="what the boards are")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="of both batches")
    asked = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < CORES:
        parser.error(f"this needs {CORES} cores, there is {len(cores)}")
    os.sched_setaffinity(0, cores[:CORES])
    rounds = asked.rounds or (1 if asked.quick else ROUNDS)
    steps = STEPS[:1] if asked.quick else STEPS
    run_batch(1, asked.board, STEPS[:1])  # builds and caches what every later run finds there
    batches: list[Batch] = []
    for number in range(rounds):
        counts = (1, CORES) if number % 2 == 0 else (CORES, 1)
        batches += [run_batch(count, asked.board, steps) for count in counts]
    trouble = [batch.trouble for batch in batches if batch.trouble]
    if trouble:
        return finish(asked.json, {"simulated": True}, trouble)
    found = ratio_of(batches)
    report(batches, found)
    figures_kept = {
        "simulated": True,
        "board": asked.board,
        "steps": list(steps),
        **found,
        "batches": [vars(batch) for batch in batches],
    }
    return finish(asked.json, figures_kept, [*missed_bars(found, BAR), *differences(batches)])


if __name__ == "__main__":
    sys.exit(main())
