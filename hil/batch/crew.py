"""One worker process per board, told what to do and listened to by the process of the batch.

Why processes: what a host computes for a board (planning pulses, mapping, fitting) is Python, so
that threads of one process would take turns at it; and the end of one process ends no other. Each
worker is in a session of its own: Ctrl-C reaches the batch alone, which tells the workers once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from hil.study.work import THREAD_VARIABLES
from protocols.errors import RecordError

WORKER = "hil.cli.batch_worker"
STOP_S = 30.0
"""Longest that a worker may take to make its board safe (this project's choice)."""
ENDED = "ended"
Event = dict[str, Any]


class Crew:
    """The workers of some boards; as a context manager none outlives it."""

    def __init__(self, boards: Sequence[str], logs: Path, folder: Path | None = None) -> None:
        """Starts one worker per board, in `folder`; each writes `logs`/BOARD.log.

        Raises:
            RecordError: a log cannot be written, or a process cannot be started.
        """
        self._events: SimpleQueue[tuple[str, Event]] = SimpleQueue()
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        try:
            for name in boards:
                self._workers[name] = self._start(name, logs / f"{name}.log")
        except OSError as error:
            self.end()
            raise RecordError(f"a worker of the batch cannot be started: {error}") from error

    def _start(self, name: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                start_new_session=True,
                cwd=self._folder,
                env=_surroundings(),
            )
        threading.Thread(target=self._listen, args=(name, worker), daemon=True).start()
        return worker

    def _listen(self, name: str, worker: subprocess.Popen[bytes]) -> None:
        if worker.stdout is not None:
            for line in worker.stdout:
                self._events.put((name, json.loads(line)))
        self._events.put((name, {"event": ENDED, "exit_code": worker.wait()}))

    def order(self, name: str, arguments: Sequence[str]) -> None:
        """Tell a worker to run `hil ARGUMENTS`. One that has ended says so by its event."""
        pipe = self._workers[name].stdin
        if pipe is not None:
            try:
                pipe.write(json.dumps({"arguments": list(arguments)}).encode() + b"\n")
                pipe.flush()
            except BrokenPipeError:
                return

    def dismiss(self, name: str) -> None:
        """There are no more orders for a worker."""
        pipe = self._workers[name].stdin
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                return

    def next_event(self, timeout_s: float | None = None) -> tuple[str, Event] | None:
        """The next thing that a worker says, with the board's name; None when the time is over."""
        try:
            return self._events.get(timeout=timeout_s)
        except Empty:
            return None

    def interrupt(self, names: Sequence[str]) -> Iterator[tuple[str, Event]]:
        """Ends the commands of some workers as Ctrl-C does; what they say, until they have ended.

        A worker that does not end in time is told to end by SIGTERM, and is not waited for.
        """
        for name in names:
            self._signal(name, signal.SIGINT)  # once: a second one would cut the first one short
        left, deadline = set(names), time.monotonic() + STOP_S
        while left:
            found = self.next_event(max(deadline - time.monotonic(), 0.0))
            if found is None:
                break
            name, event = found
            if event["event"] == ENDED:
                left.discard(name)
            elif event["event"] == "result":
                self.dismiss(name)
            yield found
        for name in left:
            self._signal(name, signal.SIGTERM)

    def _signal(self, name: str, number: int) -> None:
        worker = self._workers[name]
        if worker.poll() is None:
            worker.send_signal(number)

    def end(self) -> None:
        """Dismisses everybody; a worker that still runs a command ends it as by Ctrl-C."""
        for name in self._workers:
            self.dismiss(name)
        deadline = time.monotonic() + STOP_S
        for worker in self._workers.values():
            try:
                worker.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.kill()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _surroundings() -> dict[str, str]:
    """A worker's environment: one thread each, no colours, and this project as it is here."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        "NO_COLOR": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within this block a second Ctrl-C is not heard: boards are being made safe."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
