"""Hosts that are killed and boards that reset in the middle of a job, which is then taken up again.

Each job is `hil program` or `hil run` in a process of its own, forked from this one so that nothing
has to be loaded again. It is killed (SIGKILL) after a random time, taken up with `--resume`, killed
again, ... and in the end let go on. Per seed there is one undisturbed job to compare with; while it
runs, the chip's clock is noted at every row that goes into the journal. At a kill nothing was in
flight when the journal says so of the pulses and the chip's clock is where the undisturbed job had
it at that row: then the board has done nothing that is not on record.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hil.journal import Journal
from hil.ledger import past_of, void_tail
from hil.record import RunFolder
from hil.sim.cells import CellArray
from hil.sim.chip import _CELLS_AT, _COUNTERS_AT, COUNTERS
from protocols.errors import LinkError

BENCH = """\
seed: {seed}
sim: {{seed: {seed}, board_seed: {seed}, trajectories_per_poll: 16}}
programming: {{{programming}}}
loop: {{trim_drive: false, trim_again: false}}
"""
PROGRAMMING = "algorithm: ispp, settle_s: [0.0, 10.0], pulse_budget: 40"
SAMPLES = 48
JOB_LIMIT_S = 300.0
MOST_KILLS = 8
"""Of one job, before it is let go on."""
CELLS_FILE = Path("chips/sim-001/cells.chip")
LATEST = 0.7
"""When a job is killed at the latest, in parts of what an undisturbed one takes."""
FAILED = 97
RESET_RATE = 2e-4
"""Per pulse: some eight resets in a job."""


@dataclass
class Tally:
    """What became of the killed jobs."""

    kills: int = 0
    in_flight: int = 0
    too_late: int = 0
    jobs: int = 0
    completed: int = 0
    identical: int = 0
    to_be_identical: int = 0
    within: int = 0
    to_be_within: int = 0
    acts_missing: int = 0
    acts_twice: int = 0
    outside: int = 0
    host_s: float = 0.0


@dataclass(frozen=True)
class End:
    """What a job left: the chip's cells, and what the job says."""

    cells: np.ndarray
    figures: dict[str, float]


def resets(count: int, seed: int, folder: Path) -> Tally:
    """Boards that reset in the middle of batches of pulses; each ends its job, which is taken up.

    A reset comes right after a pulse or, as often, with a sagging supply in the middle of one.
    """
    tally, rng, began, number = Tally(), random.Random(seed), time.perf_counter(), 0
    stage = Stage(folder / "resets", "program", seed)
    while tally.kills < count:
        stage.reset(tally, rng, number)
        number += 1
    tally.host_s = time.perf_counter() - began
    return tally


def campaign(kills: int, seed: int, folder: Path, seeds: int = 4) -> Tally:
    """Kills jobs until `kills` have hit one, and compares how each of them ended."""
    tally, rng, began = Tally(), random.Random(seed), time.perf_counter()
    stages = [Stage(folder / f"{kind}{n}", kind, seed + n) for n in range(seeds)
              for kind in ("program", "run")]  # fmt: skip
    number = 0
    while tally.kills < kills:
        stage = stages[number % len(stages)]
        stage.disturbed(tally, rng, min(MOST_KILLS, kills - tally.kills), number)
        number += 1
    tally.host_s = time.perf_counter() - began
    return tally


class Stage:
    """One seed and kind of job: the chip before it, and how it ends undisturbed."""

    def __init__(self, folder: Path, kind: str, seed: int, programming: str = PROGRAMMING) -> None:
        self.kind, self.before = kind, folder / "before"
        self.folder = folder
        self.before.mkdir(parents=True)
        bench = BENCH.format(seed=seed, programming=programming)
        (self.before / "bench.yaml").write_text(bench, encoding="utf-8")
        _must(self.before, ["form"])
        if kind == "run":
            _must(self.before, ["program"])
        whole = folder / "whole"
        shutil.copytree(self.before, whole)
        started = time.perf_counter()
        _must(whole, self.command, timeline=whole / "timeline")
        self.lasts_s = time.perf_counter() - started
        self.timeline = dict(
            tuple(map(int, line.split())) for line in (whole / "timeline").read_text().splitlines()
        )
        self.end = end_of(whole, kind)
        self.given = _chip(self.before)["pulse_count"].astype(np.int64)

    @property
    def command(self) -> list[str]:
        """What the job is, from its start."""
        return ["program"] if self.kind == "program" else ["run", "--samples", str(SAMPLES)]

    def copy(self, name: str) -> Path:
        """A folder for a job of that name, with the chip as it is before it."""
        here = self.folder / name
        shutil.copytree(self.before, here)
        return here

    def again(self, here: Path) -> list[str]:
        """How a job that was cut off is taken up; anew where nothing was asked yet."""
        run = self._begun(here)
        return self.command if run is None else [self.kind, "--resume", str(run.path)]

    def _begun(self, here: Path) -> RunFolder | None:
        """The run that a job made last, if it has asked anything."""
        run = run_of(here, self.kind)
        return run if run is not None and _has_begun(run.file("journal.sqlite")) else None

    def disturbed(self, tally: Tally, rng: random.Random, kills: int, number: int) -> None:
        """One job with up to `kills` kills."""
        here = self.copy(f"job{number}")
        command, quiet = self.command, True
        for _ in range(rng.randint(1, kills)):
            if not _killed(here, command, rng.uniform(0.0, LATEST * self.lasts_s)):
                tally.too_late += 1
                break
            tally.kills += 1
            command = self.again(here)
            run = self._begun(here)
            if run is None:
                continue
            quiet = quiet and self._nothing_in_flight(here, run)
            tally.in_flight += not quiet
        self._finish(here, command, quiet, tally)
        shutil.rmtree(here)

    def reset(self, tally: Tally, rng: random.Random, number: int) -> None:
        """One job on a board that is reset again and again."""
        here = self.copy(f"job{number}")
        upset(here, {"reset": RESET_RATE, "brown_out": RESET_RATE}, rng.getrandbits(32))
        command = self.command
        while (code := forked(here, command, None)) == LinkError.exit_code:
            tally.kills += 1
            tally.in_flight += 1
            command = self.again(here)
        if code == 0:
            self._finish(here, command, False, tally)
        else:
            tally.jobs += 1
            sys.stderr.write((here / "said.txt").read_text(errors="replace")[-2000:])
        shutil.rmtree(here)

    def _finish(self, here: Path, command: list[str], quiet: bool, tally: Tally) -> None:
        tally.jobs += 1
        run = run_of(here, self.kind)
        done = run is not None and run.status == "done"
        if not done and forked(here, command, None) != 0:
            sys.stderr.write((here / "said.txt").read_text(errors="replace")[-2000:])
            return
        tally.completed += 1
        end = end_of(here, self.kind)
        missing, twice, outside = self.pulses(here)
        tally.acts_missing += missing
        tally.acts_twice += twice
        tally.outside += outside
        if quiet:
            tally.to_be_identical += 1
            same = np.array_equal(end.cells, self.end.cells) and end.figures == self.end.figures
            tally.identical += same
            if not same:
                sys.stderr.write(self._difference(here, end))
        else:
            tally.to_be_within += 1
            within = close(end.figures, self.end.figures)
            tally.within += within
            if not within:
                sys.stderr.write(self._difference(here, end))

    def _difference(self, here: Path, end: End) -> str:
        names = [
            n for n in end.cells.dtype.names or () if np.any(end.cells[n] != self.end.cells[n])
        ]
        return f"{here}: differs in {names}, {end.figures} instead of {self.end.figures}\n"

    def _nothing_in_flight(self, here: Path, run: RunFolder) -> bool:
        with Journal.open_read(run.file("journal.sqlite")) as journal:
            if journal.unknown() or void_tail(past_of(journal)):
                return False  # pulses without an answer, or a run of the loop that is begun again
        clock = int(np.frombuffer(_head(here), COUNTERS)["now_ns"][0])
        return self.timeline.get(_progress(run.file("journal.sqlite"))) == clock

    def pulses(self, here: Path) -> tuple[int, int, int]:
        """Acknowledged pulses that the chip has not, pulses beyond all that were meant, and pulses
        on cells that the job has nothing to do with.
        """
        shape = self.given.size
        known, meant = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for run in RunFolder.all(here / "runs"):
            if run.kind != self.kind or (self.before / "runs" / run.path.name).exists():
                continue
            if not _has_begun(run.file("journal.sqlite")):
                continue  # killed before anything was meant
            with Journal.open_read(run.file("journal.sqlite")) as journal:
                acknowledged = journal.records()
                intents = [intent.records for intent in journal.intents()]
            for counts, parts in ((known, [acknowledged]), (meant, intents)):
                for part in parts:
                    flat = part["row"].astype(int) * 128 + part["column"]
                    np.add.at(counts, flat, 1)
        driven = _chip(here)["pulse_count"].astype(np.int64) - self.given
        return (
            int(np.maximum(known - driven, 0).sum()),
            int(np.maximum(driven - meant, 0).sum()),
            int(driven[meant == 0].sum()),
        )


# --- processes ---------------------------------------------------------------------------------


def _must(here: Path, command: list[str], timeline: Path | None = None) -> None:
    if forked(here, command, None, timeline) != 0:
        raise SystemExit(f"{here}: {command} failed:\n{(here / 'said.txt').read_text()[-2000:]}")


def _killed(here: Path, command: list[str], after_s: float) -> bool:
    """Whether the job was killed; False when it had come to its end by then."""
    return forked(here, command, after_s) == -signal.SIGKILL


def forked(
    here: Path, command: list[str], kill_after_s: float | None, timeline: Path | None = None
) -> int:
    """Exit code of `hil COMMAND` in a folder; killed after a time, at the latest JOB_LIMIT_S."""
    child = os.fork()
    if not child:
        os._exit(_in_child(here, command, timeline))
    deadline = time.monotonic() + (JOB_LIMIT_S if kill_after_s is None else kill_after_s)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status)
        time.sleep(2e-4)


def _in_child(here: Path, command: list[str], timeline: Path | None) -> int:
    os.chdir(here)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    try:
        from hil.cli.app import run

        if timeline is not None:
            _note_clock(here, timeline)
        return run([*command, "--json"])
    except BaseException as error:  # noqa: BLE001 - a forked child must not return to the parent
        os.write(2, repr(error).encode())
        return FAILED


def _note_clock(here: Path, timeline: Path) -> None:
    """Writes, after each row of the journal, how many there are and the chip's clock."""

    def noted(write: Callable[..., None]) -> Callable[..., None]:
        def wrapper(journal: Journal, *arguments: object) -> None:
            write(journal, *arguments)
            clock = int(np.frombuffer(_head(here), COUNTERS)["now_ns"][0])
            with timeline.open("a") as file:
                file.write(f"{_progress(journal.path)} {clock}\n")

        return wrapper

    Journal.exchange = noted(Journal.exchange)  # type: ignore[method-assign]
    Journal.outcome = noted(Journal.outcome)  # type: ignore[method-assign]


# --- what is on the disk -----------------------------------------------------------------------


def _has_begun(journal: Path) -> bool:
    """Whether a run has a journal; its tables are made in one transaction."""
    if not journal.is_file():
        return False
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=rw", uri=True)) as db:
        return bool(db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0])


def _progress(journal: Path) -> int:
    """How far a job is: rows of its journal, less those that a resumed job took back."""
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as db:
        counts = db.execute("SELECT count FROM exchange ORDER BY id").fetchall()
        (outcomes,) = db.execute("SELECT COUNT(*) FROM outcome").fetchone()
    kept = 0
    for (count,) in counts:
        kept += count if count < 0 else 1
    return kept + int(outcomes)


def _head(here: Path) -> bytes:
    with (here / CELLS_FILE).open("rb") as file:
        return os.pread(file.fileno(), COUNTERS.itemsize, _COUNTERS_AT)


def _chip(here: Path) -> np.ndarray:
    data = (here / CELLS_FILE).read_bytes()[_CELLS_AT:]
    return np.frombuffer(data, np.dtype(CellArray.state_dtype))


def upset(here: Path, rates: Mapping[str, float], seed: int) -> None:
    """Lets the board of a job be upset, at the rates of `sim.upsets`."""
    bench = here / "bench.yaml"
    inside = ", ".join(f"{name}: {rate}" for name, rate in {**rates, "seed": seed}.items())
    text = bench.read_text(encoding="utf-8")
    bench.write_text(text.replace("sim: {", f"sim: {{upsets: {{{inside}}}, "), encoding="utf-8")


def run_of(here: Path, kind: str) -> RunFolder | None:
    """The run that a job made last; None where it made none."""
    before = here.parent / "before" / "runs"
    runs = [r for r in RunFolder.all(here / "runs") if r.kind == kind]
    new = [run for run in runs if not (before / run.path.name).exists()]
    return new[0] if new else None  # the one that was started last


def end_of(here: Path, kind: str) -> End:
    """What a job that came to its end left."""
    run = run_of(here, kind)
    if run is None:
        raise SystemExit(f"{here}: the job left no run")
    if kind == "program":
        found = run.load_json("program.json")
        figures = {"in": float(found["in_tolerance"]), "rms": float(found["rms_error_siemens"])}
    else:
        row = run.load_json("results.json")["rows"]["chip_ode"]
        figures = {name: float(row[name]) for name in ("radius_mean", "radius_sd") if name in row}
    return End(_chip(here).copy(), figures)


def close(found: dict[str, float], whole: dict[str, float]) -> bool:
    """Within what the random course of a job makes of the same figures.

    Cells in tolerance: 10 % fewer at most; radius of samples: 0.05.
    """
    if "in" in whole:
        return found["in"] >= 0.9 * whole["in"]
    return all(abs(found[name] - whole[name]) <= 0.05 for name in whole)
