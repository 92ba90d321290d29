"""Progress of long work: live with an ETA on a terminal, a line per 10 % elsewhere, or nothing.

Each class is a `calibration.progress.Progress`. One of them follows a whole job through several
routines: a new total, or a count that falls below half of the last one, starts a new line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from drivers.rram.geometry import Cells
from hil.cli.heatmap import ConductanceMap
from hil.report.text import duration

Floats = NDArray[np.float64]
REFRESH_PER_S = 4  # drawing must not cost the work its processor
_NAMES = {
    "confirm": "programming",
    "round": "programming",
    "formed": "forming",
    "read": "reading",
    "loop": "loop calibration",
}


def step_name(message: str) -> str:
    """The name of a step from the first message of it: what stands before a colon or a number."""
    text = re.split(r":|\b(?:at )?-?\d", message, maxsplit=1)[0].strip()
    return _NAMES.get(text, text) or "working"


@dataclass
class Step:
    """One routine's progress."""

    name: str
    total: int
    started_s: float
    done: int = 0
    message: str = ""
    tenths: int = field(default=0)

    @property
    def fraction(self) -> float:
        """Done over total; an empty step is done."""
        return min(self.done / self.total, 1.0) if self.total > 0 else 1.0


class Steps:
    """Follows a job from routine to routine and shows nothing; the base of the other two."""

    def __init__(
        self, title: str, cells: Cells | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.title = title
        self.steps: list[Step] = []
        self._clock = clock
        self._map = None if cells is None or not len(cells) else ConductanceMap(cells)

    def __call__(
        self, done: int, total: int, message: str = "", conductance: Floats | None = None
    ) -> None:
        """A routine tells how far it is; see `calibration.progress.Progress`."""
        picture = self._map
        # a routine that works on other cells than those of the map is followed without it
        if (
            picture is not None
            and conductance is not None
            and len(conductance) == len(picture.cells)
        ):
            picture.show(conductance)
        last = self.steps[-1] if self.steps else None
        if last is None or total != last.total or done < last.done // 2:
            if last is not None:
                self._ended(last)
            last = Step(step_name(message), total, self._clock())
            self.steps.append(last)
            self._started(last)
        last.done, last.message = done, message
        self._moved(last)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.steps:
            self._ended(self.steps[-1])

    def elapsed_s(self, step: Step) -> float:
        """Host time since a step began."""
        return self._clock() - step.started_s

    def _started(self, step: Step) -> None:
        """A step begins."""

    def _moved(self, step: Step) -> None:
        """A step got further."""

    def _ended(self, step: Step) -> None:
        """A step is over."""


Relay = Callable[[str, int, int, str], None]
"""Hears of progress: name of the step, done, total, message."""
_RELAY: ContextVar[Relay | None] = ContextVar("relay", default=None)


@contextmanager
def relayed(relay: Relay) -> Iterator[None]:
    """Within this block whoever shows progress hands it on instead: another process shows it."""
    token = _RELAY.set(relay)
    try:
        yield
    finally:
        _RELAY.reset(token)


def relay_of_steps() -> Relay | None:
    """Who hears of progress here, if it is not shown."""
    return _RELAY.get()


class RelayedSteps(Steps):
    """Shows nothing and hands everything on."""

    def __init__(self, title: str, relay: Relay) -> None:
        super().__init__(title)
        self._relay = relay

    def _moved(self, step: Step) -> None:
        self._relay(step.name, step.done, step.total, step.message)


def _whole(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else duration(seconds)


class LineSteps(Steps):
    """One line of text per 10 %, for logs and pipes."""

    def __init__(self, title: str, stream: IO[str], **more: Any) -> None:
        super().__init__(title, **more)
        self._stream = stream
        self._write(title)

    def _moved(self, step: Step) -> None:
        tenths = int(step.fraction * 10)
        if 10 > tenths > step.tenths:
            step.tenths = tenths
            left = self.elapsed_s(step) * (1.0 - step.fraction) / step.fraction
            eta = f", about {_whole(left)} left" if left >= 1.0 else ""
            self._write(f"  {step.name}: {10 * tenths} % ({step.done} of {step.total}){eta}")

    def _ended(self, step: Step) -> None:
        spent = duration(self.elapsed_s(step))
        self._write(f"  {step.name}: {step.done} of {step.total} in {spent}")

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class LiveSteps(Steps):
    """A bar with an ETA per routine and the conductance map below, redrawn in place."""

    def __init__(self, title: str, console: Console, **more: Any) -> None:
        super().__init__(title, **more)
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[tail]}"),
            TextColumn("{task.fields[message]}", style="dim", markup=False),
            console=console,
        )
        self._task: TaskID | None = None
        parts = [self._bars] if self._map is None else [self._bars, self._map]
        self._live = Live(
            Group(title, *parts), console=console, refresh_per_second=REFRESH_PER_S, transient=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._live.update(Group(self.title, self._bars))  # the map was for watching
            self._live.stop()

    def _started(self, step: Step) -> None:
        total = max(step.total, 1)
        self._task = self._bars.add_task(step.name, total=total, count="", tail="left", message="")

    def _moved(self, step: Step) -> None:
        if self._task is not None:
            count = f"{step.done} of {step.total}"
            completed = step.fraction * max(step.total, 1)
            self._bars.update(self._task, completed=completed, count=count, message=step.message)

    def _ended(self, step: Step) -> None:
        if self._task is not None:
            missing = step.total - step.done
            text = f"{missing} not done" if missing > 0 else ""
            self._bars.update(self._task, completed=max(step.total, 1), tail="", message=text)
            self._bars.stop_task(self._task)
