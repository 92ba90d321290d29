"""SIGTERM and SIGHUP end a command as Ctrl-C does: outputs safe, the run marked interrupted.

SIGTERM comes from `kill`, a service manager or a shutdown; SIGHUP from a terminal that was closed.
By default both would end the process on the spot, and the board would stay armed until its
watchdog acts.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_NAMES = {signal.SIGTERM: "ended by SIGTERM", signal.SIGHUP: "its terminal was closed (SIGHUP)"}
_CAUGHT: list[int] = []
"""The signals that ended this process; at most one, because the next ones are not heard."""


class TerminatedError(KeyboardInterrupt):
    """The process was told to end; whatever passes Ctrl-C on passes this on."""


def caught() -> int | None:
    """The signal that is ending this process, if it is not Ctrl-C."""
    return _CAUGHT[0] if _CAUGHT else None


def description(number: int | None) -> str:
    """What ended the command, for a sentence."""
    return "stopped from the keyboard" if number is None else _NAMES[signal.Signals(number)]


@contextmanager
def ending_well() -> Iterator[None]:
    """Within this block both signals raise `TerminatedError` in the main thread.

    A signal that the process was started to ignore (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [fd for fd in (0, 1, 2) if _is_terminal(fd)]

    def end(number: int, _frame: FrameType | None) -> None:
        for one in (*_ENDING, signal.SIGINT):  # nothing may interrupt what makes the outputs safe
            signal.signal(one, signal.SIG_IGN)
        if number == signal.SIGHUP:
            _cut_off(terminals)
        _CAUGHT.append(number)
        raise TerminatedError

    before = {one: signal.getsignal(one) for one in _ENDING}
    for one, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(one, end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _cut_off(terminals: list[int]) -> None:
    """A terminal that is gone refuses every write; what is still to be said goes nowhere."""
    if not terminals:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in terminals:
        os.dup2(nowhere, fd)
    os.close(nowhere)
