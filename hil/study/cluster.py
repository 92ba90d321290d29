"""The same batches on a Dask cluster: whoever has a scheduler names its address.

Dask is an extra (`pip install 'analog-diffusion-hil[dask]'`), on the workers too, beside the same
version of this project. Workers send rows back; only this process writes files.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from importlib import import_module
from typing import Any

from hil.study.work import Batch, Row, Setting, solve_batch
from protocols.errors import ClusterError, HilError

CONNECT_S = 10.0
AHEAD = 3
"""Batches handed out per thread of the workers."""
ALONE_S = 60.0
"""How long a study waits for the first worker, and for a new one when all are gone."""
_POLL_S = 1.0
KEPT = "the rows that are on the disk are kept: start the study again to go on"


class Cluster:
    """A Dask cluster by the address of its scheduler, such as tcp://10.0.0.5:8786."""

    def __init__(self, address: str, alone_s: float = ALONE_S) -> None:
        """Connects.

        Raises:
            ClusterError: Dask is not installed, or there is no scheduler at this address.
        """
        self._address, self._alone_s = address, alone_s
        self._client = _connected(address)

    def close(self) -> None:
        """Leave the cluster; what it still computes for this study is cancelled."""
        self._client.close()

    def workers(self) -> int:
        """Threads of the workers that are there now, at least 1."""
        return max(1, self._threads())

    def _threads(self) -> int:
        info = self._client.scheduler_info(n_workers=-1)
        return sum(int(one.get("nthreads", 1)) for one in info["workers"].values())

    def run(self, setting: Setting, batches: Sequence[Batch]) -> Iterator[list[Row]]:
        """See `Runner`.

        Raises:
            ClusterError: no worker, a scheduler that went away, or a worker that cannot do it.
        """
        try:
            yield from self._run(setting, batches)
        except HilError:
            raise
        except (ImportError, AttributeError) as error:
            raise ClusterError(
                f"{self._address}: a worker cannot load this project ({error}); install the same "
                f"version on every worker. Of what was done, {KEPT}"
            ) from error
        except _lost() as error:
            raise ClusterError(
                f"{self._address}: the cluster was lost ({type(error).__name__}: {error}); {KEPT}"
            ) from error

    def _run(self, setting: Setting, batches: Sequence[Batch]) -> Iterator[list[Row]]:
        self._wait_for_workers()
        left, waiting = iter(batches), set[Any]()
        while True:
            most = AHEAD * self.workers()
            while len(waiting) < most and (batch := next(left, None)) is not None:
                waiting.add(self._client.submit(solve_batch, setting, batch, pure=False))
            if not waiting:
                return
            done = self._first(waiting)
            waiting -= done
            for future in done:
                yield future.result()

    def _first(self, waiting: set[Any]) -> set[Any]:
        """Futures that are done, at least one."""
        seen = time.monotonic()
        while True:
            with suppress(TimeoutError, asyncio.TimeoutError), self._client.as_current():
                found = _distributed().wait(waiting, timeout=_POLL_S, return_when="FIRST_COMPLETED")
                return set(found.done)
            if self._threads():
                seen = time.monotonic()
            elif time.monotonic() - seen > self._alone_s:
                raise ClusterError(
                    f"{self._address}: the scheduler has had no worker for {self._alone_s:g} s; "
                    f"{KEPT}"
                )

    def _wait_for_workers(self) -> None:
        end = time.monotonic() + self._alone_s
        while not self._threads():
            if time.monotonic() > end:
                raise ClusterError(
                    f"{self._address}: the scheduler has no workers; start one with "
                    f"`dask worker {self._address}` where this project is installed"
                )
            time.sleep(0.1)


def _connected(address: str) -> Any:
    try:
        dask = _distributed()
    except ImportError as error:
        raise ClusterError(
            f"--scheduler needs Dask, which is not installed here ({error}); install it with "
            "pip install 'analog-diffusion-hil[dask]'"
        ) from error
    try:
        return dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"{address}: no Dask scheduler answers there ({' '.join(str(error).split())}); an "
            "address is like tcp://HOST:8786, as `dask scheduler` prints it"
        ) from error


def _lost() -> tuple[type[BaseException], ...]:
    """What Dask raises when scheduler or workers are gone."""
    dask = _distributed()
    lost = (dask.CancelledError, dask.KilledWorker, dask.comm.CommClosedError)
    return (CancelledError, *lost, OSError)


def _distributed() -> Any:
    """Dask's package, which is an extra. Raises ImportError."""
    return import_module("distributed")
