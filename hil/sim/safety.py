"""What keeps the outputs safe: arming with a time-out, watchdog, stop, and the latched reasons.

All times are board time. `stop`, the watchdog, a fault and an open interlock latch: until the
reason is cleared by its name, nothing above the read level is driven and no run starts. Power-up,
the end of an arming and `disarm` put the outputs to their safe values without latching.

The watchdog counts the silence of the host, so it looks only at time that passes while nothing is
asked: on a simulated board that is the time of `advance`. The time of a long batch or of solves
during a poll is not silence.
"""

from __future__ import annotations

from hil.sim.refusal import RefusedError
from protocols.messages import SafeReason

LATCHING = frozenset({SafeReason.STOP, SafeReason.WATCHDOG, SafeReason.FAULT, SafeReason.INTERLOCK})
_STRONGER = frozenset({SafeReason.FAULT, SafeReason.INTERLOCK})


class Safety:
    """The safe state of one board. It decides; the board acts on it."""

    def __init__(self, watchdog_ns: int) -> None:
        self.reason = SafeReason.POWER_UP
        self.interlock_open = False
        self._watchdog_ns = watchdog_ns
        self._armed_until_ns: int | None = None
        self._fed_ns = 0

    @property
    def latched(self) -> bool:
        """Whether a reason has to be cleared before anything is driven."""
        return self.reason in LATCHING

    def armed_ns(self, now_ns: int) -> int:
        """Time left of the arming; 0 is not armed."""
        if self._armed_until_ns is None:
            return 0
        return max(0, self._armed_until_ns - now_ns)

    def require_safe_to_drive(self) -> None:
        """Raises RefusedError while the interlock is open or a reason is latched."""
        if self.interlock_open:
            raise RefusedError("interlock_open")
        if self.latched:
            raise RefusedError("safe_state", self.reason)

    def require_armed(self, now_ns: int, for_ns: int) -> None:
        """Raises RefusedError unless the arming lasts for another `for_ns`."""
        if self.armed_ns(now_ns) <= for_ns:
            raise RefusedError("not_armed")

    def arm(self, now_ns: int, duration_ns: int) -> int:
        """Allow voltages above the read level; returns until when."""
        self.require_safe_to_drive()
        self._armed_until_ns = now_ns + duration_ns
        self.reason = SafeReason.NONE
        return self._armed_until_ns

    def spare_arming(self, duration_ns: int) -> None:
        """Time that was spent on a request, and does not count for the arming."""
        if self._armed_until_ns is not None:
            self._armed_until_ns += duration_ns

    def make_safe(self, reason: SafeReason) -> None:
        """End the arming. A fault or an open interlock is not covered up by a lesser reason."""
        self._armed_until_ns = None
        if self.reason in _STRONGER and reason not in _STRONGER:
            return
        if self.latched and reason not in LATCHING:
            return
        self.reason = reason

    def clear(self, reason: SafeReason) -> None:
        """Acknowledge a latched reason by its name; nothing latched is nothing to do.

        Raises:
            RefusedError: another reason is latched, or the interlock is still open.
        """
        if self.interlock_open:
            raise RefusedError("interlock_open")
        if self.latched and reason != self.reason:
            raise RefusedError("safe_state", self.reason)
        self.reason = SafeReason.NONE

    def greet(self) -> SafeReason:
        """A new session: the reason before it. What does not latch is over."""
        before = self.reason
        self._armed_until_ns = None
        if not self.latched:
            self.reason = SafeReason.NONE
        return before

    def feed(self, now_ns: int) -> None:
        """A good frame has come, or the board was at work for the host until now."""
        self._fed_ns = now_ns
        self._expire(now_ns)

    def silence(self, now_ns: int, running: bool) -> bool:
        """The host has said nothing until now; returns whether the watchdog has acted."""
        bites_ns = self._fed_ns + self._watchdog_ns
        self._expire(min(now_ns, bites_ns))
        if now_ns < bites_ns or not (running or self._armed_until_ns is not None):
            self._expire(now_ns)
            return False
        self.make_safe(SafeReason.WATCHDOG)
        return True

    def _expire(self, now_ns: int) -> None:
        if self._armed_until_ns is not None and now_ns >= self._armed_until_ns:
            self.make_safe(SafeReason.ARM_TIMEOUT)
