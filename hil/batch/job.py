"""A batch from its record to its end: every board does its steps, and waits for no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hil.batch.crew import ENDED, Crew, Event, undisturbed
from hil.batch.record import (
    SKIPPED,
    WAITING,
    BatchRecord,
    StepRecord,
    alone,
)
from hil.record import DONE, FAILED, INTERRUPTED, RunFolder
from protocols.errors import SafetyError

INTERRUPTED_CODES = (129, 130, 143)
Arguments = Callable[[str, StepRecord], list[str]]
"""(board, step) -> the whole command line that its worker is to run."""


class View(Protocol):
    """Who watches a batch."""

    def began(self, board: str, number: int, count: int, step: StepRecord) -> None:
        """A board begins its step `number` of `count`."""
        ...

    def moved(self, board: str, name: str, done: int, total: int, message: str) -> None:
        """A board got further in one routine of its step."""
        ...

    def ended(self, board: str, step: StepRecord) -> None:
        """A board's step is over."""
        ...


def run_batch(record: BatchRecord, arguments: Arguments, view: View) -> int:
    """Does everything that waits; the exit code.

    A step that fails ends its own board's steps and no others. Every change is on the disk before
    the next order goes out.

    Raises:
        KeyboardInterrupt: the batch was interrupted; every board is safe.
        SafetyError: it was interrupted, and not every worker confirmed that its board is safe.
        RecordError: the record cannot be written; the workers are ended.
    """
    run = record.run
    with alone(run):
        try:
            waiting = [name for name in record.boards if _next(record.boards[name]) is not None]
            with Crew(waiting, run.path, _folder(run)) as crew:
                _Batch(record, arguments, view, crew).run(waiting)
        except BaseException as error:
            run.__exit__(type(error), error, error.__traceback__)
            raise
        failed = [name for name in record.boards if record.status_of(name) != DONE]
        if failed:
            run.finish(FAILED, f"not done on {', '.join(failed)}")
        else:
            run.finish()
    return record.exit_code


class _Batch:
    def __init__(self, record: BatchRecord, arguments: Arguments, view: View, crew: Crew) -> None:
        self._record, self._arguments, self._view, self._crew = record, arguments, view, crew
        self._busy: dict[str, StepRecord] = {}

    def run(self, boards: Sequence[str]) -> None:
        try:
            for name in boards:
                self._go_on(name)
            while self._busy:
                found = self._crew.next_event()
                if found is not None:
                    self._heard(*found)
        except KeyboardInterrupt:
            with undisturbed():
                self._stop()
            raise

    def _go_on(self, board: str) -> None:
        """The next step of a board, or none."""
        steps = self._record.boards[board]
        step = _next(steps)
        if step is None:
            self._crew.dismiss(board)
            return
        line = self._arguments(board, step)
        step.begin()
        self._busy[board] = step
        self._record.save()
        self._view.began(board, steps.index(step) + 1, len(steps), step)
        self._crew.order(board, line)

    def _heard(self, board: str, event: Event) -> None:
        step = self._busy.get(board)
        if step is None:
            return  # a worker that was dismissed has ended
        if event["event"] == "progress":
            self._view.moved(board, event["step"], event["done"], event["total"], event["message"])
            return
        self._take(board, step, event)
        if step.status == DONE:
            self._go_on(board)
        else:
            self._crew.dismiss(board)

    def _take(self, board: str, step: StepRecord, event: Event) -> None:
        """What came of a step; those after one that failed are not begun."""
        del self._busy[board]
        code = int(event["exit_code"])
        if event["event"] == ENDED:
            log = self._record.run.path / f"{board}.log"
            said = f"its worker ended ({code}) in the middle of the step; {log} says more"
            event = {"result": {"error": {"title": "Worker ended", "message": said}}}
            code = code if code > 0 else 1
        step.exit_code, step.result = code, event["result"]
        step.host_s, step.cpu_s = event.get("host_s"), event.get("cpu_s")
        step.status = DONE if code == 0 else FAILED
        if code in INTERRUPTED_CODES:
            step.status = INTERRUPTED
        if step.status == FAILED:
            for later in self._record.boards[board]:
                if later.status == WAITING:
                    later.status = SKIPPED
        self._record.save()
        self._view.ended(board, step)

    def _stop(self) -> None:
        """Every command ends as by Ctrl-C."""
        for board, event in self._crew.interrupt(list(self._busy)):
            step = self._busy.get(board)
            if step is not None and event["event"] != "progress":
                self._take(board, step, event)
        if self._busy:
            names = ", ".join(self._busy)
            raise SafetyError(
                f"the batch was interrupted, and the workers of {names} do not confirm that their"
                " outputs are safe; use hil stop --on NAME, or switch the supply off"
            )


def _folder(run: RunFolder) -> Path | None:
    """Where the batch was begun: names of files in its command lines count from there."""
    parameters = run.info.get("parameters")
    folder = parameters.get("folder") if isinstance(parameters, dict) else None
    return None if folder is None else Path(str(folder))


def _next(steps: Sequence[StepRecord]) -> StepRecord | None:
    """The step that a board has to do next; None when one before it was not done."""
    for step in steps:
        if step.status == WAITING:
            return step
        if step.status != DONE:
            return None
    return None
