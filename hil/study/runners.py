"""Who solves the batches: this process, processes of this computer, or a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import Protocol

from hil.study.work import THREAD_VARIABLES, Batch, Row, Setting, solve_batch
from protocols.errors import RecordError

AHEAD = 3
"""Batches handed out per worker, so that none waits for the next."""


class Runner(Protocol):
    """Solves batches, in any order."""

    def workers(self) -> int:
        """How many batches are solved at a time."""
        ...

    def run(self, setting: Setting, batches: Sequence[Batch]) -> Iterator[list[Row]]:
        """The rows of each batch, as they are done."""
        ...


class Here:
    """This process, one batch after the other."""

    def workers(self) -> int:
        """One."""
        return 1

    def run(self, setting: Setting, batches: Sequence[Batch]) -> Iterator[list[Row]]:
        """See `Runner`."""
        for batch in batches:
            yield solve_batch(setting, batch)


class Processes:
    """Processes of this computer, each with one thread; started anew, so that none is a copy."""

    def __init__(self, count: int | None = None) -> None:
        """`count` None is one per core."""
        self._count = count or len(os.sched_getaffinity(0))

    def workers(self) -> int:
        """How many processes."""
        return self._count

    def run(self, setting: Setting, batches: Sequence[Batch]) -> Iterator[list[Row]]:
        """See `Runner`.

        Raises:
            RecordError: a process was killed from outside.
        """
        before = set(multiprocessing.active_children())
        count = min(self._count, len(batches))
        with _one_thread_each():
            pool = ProcessPoolExecutor(
                count, multiprocessing.get_context("spawn"), initializer=_begin_worker
            )
            try:
                yield from _in_any_order(pool, setting, batches, AHEAD * count)
            except BrokenProcessPool as error:
                raise RecordError(
                    "a worker process ended before its time (killed, or out of memory); the rows "
                    "that are on the disk are kept: start the study again, with fewer workers if "
                    "memory is short"
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in set(multiprocessing.active_children()) - before:
                    child.terminate()
                    child.join()


def _in_any_order(
    pool: ProcessPoolExecutor, setting: Setting, batches: Sequence[Batch], ahead: int
) -> Iterator[list[Row]]:
    waiting: set[Future[list[Row]]] = set()
    left = iter(batches)
    while True:
        while len(waiting) < ahead and (batch := next(left, None)) is not None:
            waiting.add(pool.submit(solve_batch, setting, batch))
        if not waiting:
            return
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started within this block compute with one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin_worker() -> None:
    """Ctrl-C goes to every process of a terminal; the one that hands out the work answers it.

    Where that one is killed outright, nobody tells its workers to end; so they watch it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Ends this process when the process of a sentinel has ended."""
    connection.wait([sentinel])
    os._exit(1)
