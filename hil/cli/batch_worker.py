"""One board's worker of `hil batch`: a process that runs commands as it is told, one at a time.

Orders come in as lines of JSON (`{"arguments": [...]}`), events go out as lines of JSON; what the
commands print goes to the worker's log. The end of the orders ends the worker; while a command
runs it means that the batch is gone, and the command ends as by Ctrl-C: outputs safe.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from hil.cli.signals import ending_well
from hil.jsonable import to_json

EVERY_S = 0.25
"""Progress is told no more often: drawing it must not cost the boards their processor."""
INTERRUPTED = 130


class Worker:
    """What the process does."""

    def __init__(self, orders: IO[bytes], events: IO[str]) -> None:
        self._orders, self._events = orders, events
        self._queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._busy = threading.Event()
        self._told_s = 0.0

    def run(self) -> None:
        """Does orders until there are no more."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        while (order := self._queue.get()) is not None:
            self._busy.set()
            event = self._done(order["arguments"])
            self._busy.clear()
            self._tell(event)

    def _listen(self) -> None:
        for line in self._orders:
            self._queue.put(json.loads(line))
        self._queue.put(None)
        if self._busy.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    def _done(self, arguments: list[str]) -> dict[str, Any]:
        from hil.cli.steps import relayed  # late: loading all commands takes a second or more
        from hil.cli.tree import invoke

        said, began, before_s = io.StringIO(), time.perf_counter(), processor_s()
        try:
            with redirect_stdout(said), relayed(self._progress):
                code = invoke(arguments)
            result = _last_object(said.getvalue())
        except KeyboardInterrupt:
            code, result = INTERRUPTED, None
        except Exception as error:  # noqa: BLE001  (a defect here must not end the other boards)
            traceback.print_exc(file=sys.stderr)
            code, result = 1, _failure(type(error).__name__, str(error))
        return {
            "event": "result",
            "exit_code": code,
            "result": result,
            "host_s": time.perf_counter() - began,
            "cpu_s": processor_s() - before_s,
        }

    def _progress(self, name: str, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if now - self._told_s >= EVERY_S or done >= total:
            self._told_s = now
            what = {"step": name, "done": done, "total": total, "message": message}
            self._tell({"event": "progress", **what})

    def _tell(self, event: Mapping[str, Any]) -> None:
        try:
            self._events.write(to_json(event) + "\n")
            self._events.flush()
        except (BrokenPipeError, ValueError):
            return  # nobody listens any more; the end of the orders says so too


def processor_s() -> float:
    """Processor time of this process and of those it has waited for (boards of their own)."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _last_object(text: str) -> dict[str, Any] | None:
    """The one JSON object that a command printed; None where it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"text": text[-2000:]} if text.strip() else None
    return found if isinstance(found, dict) else {"value": found}


def _failure(title: str, message: str) -> dict[str, Any]:
    return {"error": {"title": title, "message": message, "exit_code": 1}}


def main() -> None:
    """The process: orders on standard input, events on standard output, all else in the log."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    orders = os.fdopen(os.dup(0), "rb")
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  (as long as the process is)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the batch ignores it
    try:
        with ending_well():
            Worker(orders, events).run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
