"""Receiving end of the published firmware: one line buffer, one character of hardware behind it."""

from __future__ import annotations

from collections import deque

from hil.sim.legacy_faults import LegacyFaults

BUFFER_BYTES = 200
_CR, _LF = 0x0D, 0x0A


class LineBuffer:
    """What the receive interrupt fills. Any byte is allowed; only CR LF ends a line."""

    def __init__(self, faults: LegacyFaults) -> None:
        self.data = bytearray(BUFFER_BYTES)
        self.length = 0
        self.complete = False
        self.dropped = 0
        self._faults = faults
        self._cr = False
        self._backlog: deque[int] = deque()

    def put(self, byte: int) -> None:
        """One byte from the line."""
        if self.complete:
            if self._faults.deaf_while_busy:
                self.dropped += 1
            else:
                self._backlog.append(byte)
        elif self._cr:
            self._cr = False
            if byte == _LF:
                self.complete = True
            else:
                self.length = 0  # this byte is gone too
        elif byte == _CR:
            self._cr = True
        else:
            self.data[self.length] = byte
            self.length = (self.length + 1) % BUFFER_BYTES

    def line(self) -> bytes:
        """The buffer as the parser sees it: with what earlier lines left behind."""
        if self._faults.stale_buffer:
            return bytes(self.data)
        return bytes(self.data[: self.length]).ljust(BUFFER_BYTES, b"\0")

    def release(self) -> None:
        """The main loop is done with the line."""
        self.complete = False
        self.length = 0
        while self._backlog and not self.complete:
            self.put(self._backlog.popleft())


class Receiver:
    """The UART's data register: holds one character while an interrupt of higher rank runs."""

    def __init__(self, buffer: LineBuffer, faults: LegacyFaults) -> None:
        self.lost = 0
        self._buffer = buffer
        self._one_only = faults.uart_overrun
        self._held: list[int] = []

    @property
    def holds(self) -> bool:
        """Whether a character waits for the interrupt to end."""
        return bool(self._held)

    def arrive(self, byte: int, blocked: bool) -> None:
        """A character is complete; `blocked` while the tick's interrupt runs."""
        if not blocked:
            self._buffer.put(byte)
        elif self._held and self._one_only:
            self.lost += 1
        else:
            self._held.append(byte)

    def deliver(self) -> None:
        """The interrupt has ended."""
        for byte in self._held:
            self._buffer.put(byte)
        self._held.clear()
