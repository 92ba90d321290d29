"""How a batch is watched: a bar per board on a terminal, a line per 10 % elsewhere, or nothing."""

from __future__ import annotations

from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from hil.batch.record import StepRecord
from hil.cli.steps import REFRESH_PER_S
from hil.report.text import duration


class Silent:
    """Shows nothing; the base of the other two. A `hil.batch.job.View`."""

    def began(self, board: str, number: int, count: int, step: StepRecord) -> None:
        """See `View`."""

    def moved(self, board: str, name: str, done: int, total: int, message: str) -> None:
        """See `View`."""

    def ended(self, board: str, step: StepRecord) -> None:
        """See `View`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Lines(Silent):
    """Lines of text that name their board, for logs and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._tenths: dict[str, tuple[str, int]] = {}

    def began(self, board: str, number: int, count: int, step: StepRecord) -> None:
        """See `View`."""
        self._say(board, f"hil {' '.join(step.arguments)} (step {number} of {count})")

    def moved(self, board: str, name: str, done: int, total: int, message: str) -> None:
        """See `View`."""
        del message
        tenths = 10 * done // total if total else 10
        before = self._tenths.get(board)
        if 0 < tenths < 10 and (before is None or before[0] != name or tenths > before[1]):
            self._tenths[board] = (name, tenths)
            self._say(board, f"  {name}: {10 * tenths} % ({done} of {total})")

    def ended(self, board: str, step: StepRecord) -> None:
        """See `View`."""
        self._say(board, ending(step))

    def _say(self, board: str, text: str) -> None:
        self._stream.write(f"{board}: {text}\n")
        self._stream.flush()


class Bars(Silent):
    """A bar per board, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("  {task.fields[board]}", style="bold", markup=False),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[message]}", style="dim", markup=False),
            console=console,
            refresh_per_second=REFRESH_PER_S,
        )
        self._tasks: dict[str, TaskID] = {}

    def began(self, board: str, number: int, count: int, step: StepRecord) -> None:
        """See `View`."""
        text = f"{step.command} ({number} of {count})"
        if board not in self._tasks:
            self._tasks[board] = self._bars.add_task(text, total=1, board=board, message="")
        self._bars.update(self._tasks[board], description=text, completed=0, message="starting")

    def moved(self, board: str, name: str, done: int, total: int, message: str) -> None:
        """See `View`."""
        said = f"{name}: {message}" if message and not message.startswith(name) else message or name
        self._bars.update(self._tasks[board], total=max(total, 1), completed=done, message=said)

    def ended(self, board: str, step: StepRecord) -> None:
        """See `View`."""
        self._bars.update(self._tasks[board], message=ending(step))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()


def ending(step: StepRecord) -> str:
    """One line about a step that is over."""
    spent = "" if step.host_s is None else f" in {duration(step.host_s)}"
    why = (step.result or {}).get("error")
    said = f": {str(why.get('message', '')).splitlines()[0]}" if isinstance(why, dict) else ""
    return f"{step.command} {step.status}{spent}{said}"
