"""The macros of a bench file, open side by side: each with its own session, lock, journal, limits.

Every macro has a thread of its own in which its session is opened, used and closed; boards on
lines so work at the same time, and each journal is written by one thread alone. Simulated boards
share this computer's processor and are no faster for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from calibration.arrays import FloatArray
from calibration.progress import Progress
from hil.bench import Bench
from hil.record import RunFolder

T = TypeVar("T")
Opener = Callable[[], AbstractContextManager[tuple[RunFolder, Bench]]]
Job = Callable[["Member"], T]
_POLL_S = 0.5


class _HaltedError(KeyboardInterrupt):
    """Another macro failed, or the user stopped the command."""


@dataclass(frozen=True)
class Member:
    """One open macro: its name on the bench, its run's folder, its bench."""

    name: str
    run: RunFolder
    bench: Bench


class _Worker:
    """The thread of one macro and what is open in it."""

    def __init__(self, name: str, opener: Opener) -> None:
        self.name, self._opener = name, opener
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"macro {name}")
        self._context: AbstractContextManager[tuple[RunFolder, Bench]] | None = None
        self.member: Member | None = None

    def submit(self, job: Callable[[], T]) -> Future[T]:
        return self._pool.submit(job)

    def open(self) -> Member:
        context = self._opener()
        run, bench = context.__enter__()
        self._context, self.member = context, Member(self.name, run, bench)
        return self.member

    def do(self, job: Job[T]) -> T:
        if self.member is None:
            raise RuntimeError(f"macro {self.name!r} is not open")
        return job(self.member)

    def close(self, error: BaseException | None) -> None:
        context, self._context, self.member = self._context, None, None
        if context is None:
            return
        if error is None:
            context.__exit__(None, None, None)
        else:
            context.__exit__(type(error), error, error.__traceback__)

    def end(self) -> None:
        self._pool.shutdown()


class Rack:
    """Open macros by name; made by `open_rack`."""

    def __init__(self, workers: Mapping[str, _Worker], halt: threading.Event) -> None:
        self._workers, self._halt = workers, halt

    @property
    def members(self) -> dict[str, Member]:
        """What is open, in the order of the bench file."""
        found = {name: worker.member for name, worker in self._workers.items()}
        return {name: member for name, member in found.items() if member is not None}

    def each(self, job: Job[T]) -> dict[str, T]:
        """Does a job on every macro at the same time; its results by name.

        The first failure ends the jobs of the others at their next round, and is raised.
        """
        return _together(
            {
                name: worker.submit(partial(worker.do, job))
                for name, worker in self._workers.items()
            },
            self._halt,
        )

    def some(self, jobs: Mapping[str, Job[T]]) -> dict[str, T]:
        """Does a job of its own on some macros at the same time; as `each`."""
        return _together(
            {
                name: self._workers[name].submit(partial(self._workers[name].do, job))
                for name, job in jobs.items()
            },
            self._halt,
        )

    def progress(self, tell: Progress, step: str, sizes: Mapping[str, int]) -> dict[str, Progress]:
        """A progress callback for each macro's routine; together they move one bar.

        `sizes` weighs the macros. A routine ends with `KeyboardInterrupt` at its next round when
        another one failed.
        """
        return _SharedProgress(tell, step, sizes, self._halt).of_each()


class _SharedProgress:
    """One bar for routines that run side by side."""

    def __init__(
        self, tell: Progress, step: str, sizes: Mapping[str, int], halt: threading.Event
    ) -> None:
        self._tell, self._step, self._sizes, self._halt = tell, step, sizes, halt
        self._share = dict.fromkeys(sizes, 0.0)
        self._lock = threading.Lock()

    def of_each(self) -> dict[str, Progress]:
        return {name: partial(self._moved, name) for name in self._sizes}

    def _moved(
        self,
        name: str,
        done: int,
        total: int,
        message: str = "",
        conductance: FloatArray | None = None,
    ) -> None:
        del conductance
        if self._halt.is_set():
            raise _HaltedError(f"macro {name!r} was told to stop")
        with self._lock:
            share = done / total if total else 1.0
            self._share[name] = max(self._share[name], min(share, 1.0))
            whole = sum(self._sizes.values())
            reached = sum(self._share[key] * size for key, size in self._sizes.items())
            self._tell(int(reached), whole, f"{self._step}: macro {name}, {message}")


@contextmanager
def open_rack(openers: Mapping[str, Opener]) -> Iterator[Rack]:
    """Opens all macros at the same time, and closes them however the block ends.

    Raises:
        HilError: what the first macro that did not open says; the others are closed again.
    """
    halt = threading.Event()
    workers = {name: _Worker(name, opener) for name, opener in openers.items()}
    error: BaseException | None = None
    try:
        _together({name: worker.submit(worker.open) for name, worker in workers.items()}, halt)
        yield Rack(workers, halt)
    except BaseException as failure:
        error = failure
        halt.set()
        raise
    finally:
        _close_all(workers, error)


def _close_all(workers: Mapping[str, _Worker], error: BaseException | None) -> None:
    """Closes every macro; a failure of closing does not hide an earlier one."""
    futures = [worker.submit(partial(worker.close, error)) for worker in workers.values()]
    wait_for(futures)
    for worker in workers.values():
        worker.end()
    for future in futures:
        closing = future.exception()
        if closing is None or closing is error:
            continue
        if error is None:
            raise closing
        error.add_note(f"While closing: {closing}")


def _together(futures: Mapping[str, Future[T]], halt: threading.Event) -> dict[str, T]:
    """Results of all; the first failure is raised once all have ended."""
    waiting = set(futures.values())
    try:
        while waiting:
            done, waiting = wait_for(waiting, _POLL_S, FIRST_EXCEPTION)
            if any(future.exception() is not None for future in done):
                halt.set()
    except BaseException:
        halt.set()
        wait_for(futures.values())
        raise
    errors = {name: future.exception() for name, future in futures.items()}
    failed = {name: error for name, error in errors.items() if error is not None}
    own = [name for name, error in failed.items() if not isinstance(error, _HaltedError)]
    for name in own or list(failed):
        failed[name].add_note(f"on macro {name!r}")
        raise failed[name]
    return {name: future.result() for name, future in futures.items()}
