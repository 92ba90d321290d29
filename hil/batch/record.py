"""The run folder of a batch: what each board has to do, how far it is, what came of each step.

`batch.json` is written whole at every change, so that a batch that was killed can be taken up: what
is done stays done, a step that was cut off goes on with its own run, the rest follows.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hil.batch.plan import Plan
from hil.record import DONE, FAILED, INTERRUPTED, RUNNING, RunFolder
from protocols.errors import RecordError
from protocols.hardware import explain

KIND = "batch"
FILE = "batch.json"
WAITING, SKIPPED = "waiting", "skipped"
"""Of a step, besides the states of a run: not begun, and not to be, since one before it failed."""


@dataclass
class StepRecord:
    """One step of one board.

    Attributes:
        arguments: the command line without `hil`.
        status: waiting, running, done, failed, interrupted or skipped.
        exit_code: of the command.
        started: when, with its time zone.
        host_s: how long it took.
        cpu_s: processor time of the board's worker, its simulated board included.
        result: what the command said, or `{"error": ...}`.
    """

    arguments: list[str]
    status: str = WAITING
    exit_code: int | None = None
    started: str | None = None
    host_s: float | None = None
    cpu_s: float | None = None
    result: dict[str, Any] | None = None

    @property
    def command(self) -> str:
        """Its first word."""
        return self.arguments[0]

    def begin(self) -> None:
        """The worker is told to do it."""
        self.status, self.exit_code, self.result = RUNNING, None, None
        self.started = datetime.now().astimezone().isoformat(timespec="microseconds")


@dataclass
class BatchRecord:
    """All steps of a batch, and its folder."""

    run: RunFolder
    boards: dict[str, list[StepRecord]] = field(default_factory=dict)

    @classmethod
    def new(cls, run: RunFolder, plan: Plan) -> BatchRecord:
        """The record of a batch that begins. Raises RecordError."""
        steps = {name: [StepRecord(line) for line in lines] for name, lines in plan.items()}
        record = cls(run, steps)
        record.save()
        return record

    @classmethod
    def load(cls, run: RunFolder) -> BatchRecord:
        """The record of a batch as it stands.

        Raises:
            RecordError: there is none, or it is damaged.
        """
        if run.kind != KIND:
            raise RecordError(f"{run.path}: this is a {run.kind!r} run, not a batch")
        saved = run.load_json(FILE)
        try:
            return cls(run, TypeAdapter(dict[str, list[StepRecord]]).validate_python(saved))
        except ValidationError as error:
            raise RecordError(explain(run.file(FILE), error)) from error

    def save(self) -> None:
        """Writes it whole. Raises RecordError."""
        self.run.save_json(
            FILE, {name: [asdict(step) for step in steps] for name, steps in self.boards.items()}
        )

    def status_of(self, board: str) -> str:
        """done, or what kept the board from it."""
        states = [step.status for step in self.boards[board]]
        for status in (INTERRUPTED, FAILED):
            if status in states:
                return status
        return DONE if set(states) == {DONE} else WAITING

    @property
    def exit_code(self) -> int:
        """0 if all is done, else that of the first step that failed, in the order of the boards."""
        for steps in self.boards.values():
            for step in steps:
                if step.exit_code:
                    return step.exit_code
        return 0 if all(self.status_of(name) == DONE for name in self.boards) else 1

    def summary(self) -> dict[str, Any]:
        """Board by board, for programs."""
        return {
            name: {"status": self.status_of(name), "steps": [asdict(step) for step in steps]}
            for name, steps in self.boards.items()
        }


def take_up(path: Path) -> BatchRecord:
    """A batch that was cut off, or in which a board failed.

    Steps that are not done wait again.

    Raises:
        RecordError: it is no batch, or it is done.
    """
    record = BatchRecord.load(RunFolder.open(path))
    if record.run.status == DONE:
        raise RecordError(f"{path}: this batch is done; there is nothing to resume")
    record.run.take_up()
    for steps in record.boards.values():
        for step in steps:
            if step.status != DONE:
                step.status = WAITING
    record.save()
    return record


def cut_off_run(runs: Path, board: str, step: StepRecord) -> RunFolder | None:
    """The run of a step that was begun and did not get to its end, where it can be taken up.

    Raises:
        RecordError: the run of the network that it belongs to is damaged.
    """
    if step.started is None:
        return None
    began = datetime.fromisoformat(step.started)
    for run in RunFolder.all(runs):
        if datetime.fromisoformat(run.info["started"]) < began:
            return None
        if run.info.get("on") == board and run.kind == step.command:
            whole = (run.info.get("parameters") or {}).get("network")
            if whole is not None:  # one macro's share of a network
                run = RunFolder.open(runs / Path(str(whole)).name)
            usable = run.status != DONE and run.file("config.json").is_file()
            return run if usable and run.file("journal.sqlite").is_file() else None
    return None


@contextmanager
def alone(run: RunFolder) -> Iterator[None]:
    """Within this block no other process works on the batch. Raises RecordError."""
    with run.file(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecordError(f"{run.path}: another process works on this batch") from error
        lock.write(f"{os.getpid()}\n")
        yield


def results_by_board(record: BatchRecord) -> Mapping[str, dict[str, Any]]:
    """The last result of every board, for a table."""
    return {
        name: next((s.result for s in reversed(steps) if s.result is not None), {})
        for name, steps in record.boards.items()
    }
