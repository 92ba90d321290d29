"""What stands around the emulated published board: the line, the clock and an oscilloscope.

All three share the board's virtual time: reading, sleeping and waiting for a trigger advance it.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.sim.legacy import LegacyEmulator
from hil.sim.legacy_faults import NANOSECONDS
from hil.sim.legacy_run import RunRecord
from protocols.errors import LinkTimeout, PortError

Analog = Callable[[RunRecord, int], tuple[float, float]]
"""x and y in volts of a run at a time in ns; `RunRecord` holds what was driven up to then."""

_TRIGGER_STEP_NS = 5_000_000


class LegacyLine:
    """The host's end of the serial line (`drivers.stream.Stream`) and its clock."""

    def __init__(self, board: LegacyEmulator, name: str = "legacy-sim") -> None:
        self.name = name
        self.board = board
        self._closed = False

    def write(self, data: bytes) -> None:
        """Send bytes; they take their time on the line."""
        self._check_open()
        self.board.send(data)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; lets at most `timeout_s` pass until the first byte."""
        self._check_open()
        board = self.board
        deadline = board.now_ns + max(round(timeout_s * NANOSECONDS), 0)
        found = board.take()
        while not found and board.now_ns < deadline:
            arrives = board.next_byte_ns()
            step = board.now_ns + board.timing.character_ns if arrives is None else arrives
            board.advance(min(step, deadline))
            found = board.take()
        return found

    def close(self) -> None:
        """Refuse further use."""
        self._closed = True

    def now_s(self) -> float:
        """Virtual time."""
        return self.board.now_ns / NANOSECONDS

    def sleep_s(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.board.advance(self.board.now_ns + max(round(seconds * NANOSECONDS), 0))

    def _check_open(self) -> None:
        if self._closed:
            raise PortError(f"{self.name}: the line was closed; open it again")


class EmulatedScope:
    """Triggers on S1, which rises at the start of a run, and samples x and y a while later.

    Args:
        board: whose switch line it watches.
        analog: what the chip's integrators hold (simulated).
        delay_s: from the trigger to the sample; 1.0 s is the update with t = 1.
    """

    def __init__(self, board: LegacyEmulator, analog: Analog, delay_s: float = 1.0) -> None:
        self.name = "emulated oscilloscope"
        self._board, self._analog = board, analog
        self._delay_ns = round(delay_s * NANOSECONDS)
        self._armed_at: int | None = None

    def arm(self) -> None:
        """Wait for the next trigger."""
        self._armed_at = self._board.run_count

    def fetch(self, timeout_s: float) -> tuple[float, float]:
        """x and y in volts of the run that triggered.

        Raises:
            LinkTimeout: not armed, or no trigger within `timeout_s`.
        """
        board = self._board
        deadline = board.now_ns + round(timeout_s * NANOSECONDS)
        while self._armed_at is not None and board.run_count <= self._armed_at:
            if board.now_ns >= deadline:
                break
            board.advance(min(board.now_ns + _TRIGGER_STEP_NS, deadline))
        if self._armed_at is None or board.run_count <= self._armed_at:
            raise LinkTimeout(f"{self.name}: no trigger within {timeout_s:g} s")
        self._armed_at = None
        run = board.runs[-1]
        sample_ns = run.start_ns + self._delay_ns
        board.advance(sample_ns)
        return self._analog(run, sample_ns)
