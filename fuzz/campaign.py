"""Every target in a process of its own, and the page that says what came of it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import targets

ROOT = Path(__file__).parents[1]
START_S = 120.0  # for the imports, on a busy computer
HANG_S = 120.0  # without a new input, by the clock of the wall: then the process is ended
LINE_TARGETS = ("decoder", "dispatcher")
DISPATCHER_SHARE = 0.1


@dataclass(frozen=True)
class Job:
    """Targets with how many inputs each, for how long at most; one process has them in turn."""

    names: tuple[str, ...]
    inputs: int
    seconds: float = float("inf")


@dataclass(frozen=True)
class Row:
    """What came of one target; `findings` maps what went wrong to the number of an input."""

    target: str
    inputs: int
    refused: int
    cpu_s: float
    slowest_s: float
    findings: dict[str, int] = field(default_factory=dict)

    def cells(self) -> tuple[str, ...]:
        """As texts."""
        figures = (f"{self.cpu_s:.1f}", f"{1e3 * self.slowest_s:.2f}", str(len(self.findings)))
        return (self.target, f"{self.inputs:,}", f"{self.refused:,}", *figures)


@dataclass(frozen=True)
class Tally:
    """What came of a campaign."""

    rows: tuple[Row, ...]
    seed: int
    wall_s: float

    @property
    def line_inputs(self) -> int:
        """Inputs into the decoder and the dispatcher."""
        return sum(row.inputs for row in self.rows if row.target in LINE_TARGETS)

    @property
    def fewest_per_reader(self) -> int:
        """Inputs into the reader that had the fewest."""
        return min((r.inputs for r in self.rows if r.target not in LINE_TARGETS), default=0)

    @property
    def findings(self) -> int:
        """Crashes, hangs and uncaught exceptions, each kind counted once."""
        return sum(len(row.findings) for row in self.rows)

    def page(self) -> str:
        """A table, and how to make each finding again."""
        heads = ("target", "inputs", "refused", "CPU s", "slowest ms", "findings")
        lines = [row.cells() for row in self.rows]
        widths = [max(len(line[k]) for line in (heads, *lines)) for k in range(len(heads))]
        out = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in (heads, *lines)
        ]
        for row in self.rows:
            for what, number in row.findings.items():
                again = f"python -m fuzz.worker {row.target} --seed {self.seed} --only {number}"
                out.append(f"FINDING {row.target}: {what}\n    {again}")
        return "\n".join(out)


def run(jobs: Iterable[Job], seed: int, processes: int = 1) -> Tally:
    """Runs every job, `processes` of them at a time."""
    began = time.monotonic()
    with ThreadPoolExecutor(processes) as pool:
        rows = [row for found in pool.map(lambda job: run_job(job, seed), jobs) for row in found]
    return Tally(tuple(rows), seed, time.monotonic() - began)


def line_jobs(inputs: int, seconds: float = float("inf")) -> list[Job]:
    """The decoder and the dispatcher, together `inputs`."""
    board = round(inputs * DISPATCHER_SHARE)
    return [Job(("decoder",), inputs - board, seconds), Job(("dispatcher",), board, seconds)]


def reader_jobs(inputs: int, seconds: float = float("inf"), parts: int = 1) -> list[Job]:
    """Every reader of files, `inputs` each, in `parts` processes."""
    names = targets.names()
    return [Job(names[part::parts], inputs, seconds) for part in range(parts)]


def run_job(job: Job, seed: int, command: Sequence[str] = ("-m", "fuzz.worker")) -> list[Row]:
    """In a process that may crash, hang or run out of memory; another one goes on after it."""
    rows: list[Row] = []
    while len(rows) < len(job.names):
        found, trouble, last = _process(job, job.names[len(rows) :], seed, command)
        rows += found
        if trouble:
            rows.append(Row(job.names[len(rows)], last, 0, 0.0, 0.0, {trouble: last}))
    return rows


def _process(
    job: Job, names: tuple[str, ...], seed: int, command: Sequence[str]
) -> tuple[list[Row], str, int]:
    """The rows that it got to, why it came to no good end ("": it did), and the last input."""
    with tempfile.TemporaryDirectory(prefix="hil-fuzz-") as folder:
        progress, out, err = (Path(folder) / part for part in ("progress", "out", "err"))
        arguments = [*names, f"--inputs={job.inputs}", f"--seed={seed}"]
        arguments += [f"--seconds={job.seconds}", f"--progress={progress}"]
        with out.open("wb") as told, err.open("wb") as complained:
            process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=told,
                stderr=complained,
            )
            hung = _wait(process, progress)
        rows = [Row(**json.loads(line)) for line in out.read_text().splitlines()]
        if process.returncode == 0 and len(rows) == len(names):
            return rows, "", 0
        tail = " ".join(err.read_text(errors="replace").split())[-160:]
        why = "hangs" if hung else f"ended with {process.returncode}: {tail}"
        return rows[: len(names) - 1], why, _number(progress)


def _wait(process: subprocess.Popen[bytes], progress: Path) -> bool:
    """Until it ends; True if it stood still and was ended."""
    seen, since = -1, time.monotonic() + START_S
    while process.poll() is None:
        time.sleep(0.05)
        now = _number(progress)
        if now != seen:
            seen, since = now, max(since, time.monotonic())
        if time.monotonic() > since + HANG_S:
            process.kill()
            process.wait()
            return True
    return False


def _number(progress: Path) -> int:
    try:
        return int(struct.unpack("<Q", progress.read_bytes())[0])
    except (OSError, struct.error):
        return 0
