"""Time as the host sees it; an emulated board brings its own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock that never goes back, and waiting."""

    def now_s(self) -> float:
        """Seconds since any fixed moment."""

    def sleep_s(self, seconds: float) -> None:
        """Wait; not at all for zero or less."""


class HostClock:
    """This computer's clock."""

    def now_s(self) -> float:
        """Monotonic time."""
        return time.monotonic()

    def sleep_s(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)
