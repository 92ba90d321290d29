"""A board in this process is not cut short by Ctrl-C: a real one would not be either.

An interrupt in the middle of a simulated pulse would leave a board that has driven a pulse and does
not know of it, so that its host's repetition drives it again. So signals wait until the board has
answered; the answer may then be lost, but the board remembers it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import wraps
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def uninterrupted(receive: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The same board; signals that arrive while it works are handled when it has answered."""

    @wraps(receive)
    def to_its_end(data: bytes) -> bytes:
        if threading.current_thread() is not threading.main_thread():
            return receive(data)  # signals are handled in the main thread alone
        heard: list[tuple[int, FrameType | None]] = []
        before = {
            one: signal.signal(one, lambda number, frame: heard.append((number, frame)))
            for one in _SIGNALS
        }
        try:
            return receive(data)
        finally:
            for one, handler in before.items():
                signal.signal(one, signal.SIG_DFL if handler is None else handler)
            for number, frame in heard:
                handler = before[signal.Signals(number)]
                if callable(handler):
                    handler(number, frame)
                elif handler is not signal.SIG_IGN:
                    signal.raise_signal(number)

    return to_its_end
