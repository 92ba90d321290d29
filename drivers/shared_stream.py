"""A stream that a second thread may use for an emergency stop while the first one talks."""

from __future__ import annotations

import threading
import time

from drivers.stream import Stream
from protocols import frame, messages
from protocols.errors import LinkTimeout

SLICE_S = 0.02
"""Longest that the owner of a serial line keeps a stop waiting (this project's choice)."""

_STOP = b"\x00" + frame.encode(frame.Frame(0, 0, messages.StopRequest.CODE, b""))
_STOPPED = messages.StopRequest.CODE | frame.RESPONSE_BIT


class SharedStream:
    """Passes bytes on, and lets `stop` in between any two of the owner's calls.

    What arrives while `stop` waits for its answer is kept for the owner.
    """

    def __init__(self, stream: Stream) -> None:
        self.name = stream.name
        self._stream = stream
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._inbox = bytearray()
        # Boards in this computer work while their line is read; a serial line only waits.
        self._sliced = bool(getattr(stream, "waits", False))

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        with self._turn():
            self._stream.write(data)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; waits at most `timeout_s` for the first byte."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            with self._turn():
                if self._inbox:
                    data = bytes(self._inbox)
                    self._inbox.clear()
                    return data
                data = self._stream.read(min(left, SLICE_S) if self._sliced else left)
            if data or not self._sliced or left <= SLICE_S:
                return data

    def close(self) -> None:
        """Give the line back."""
        with self._lock:
            self._stream.close()

    def stop(self, attempts: int = 5, wait_s: float = 0.2) -> messages.SafeReason:
        """Put every output to its safe value, from any thread; the reason that then stands.

        Raises:
            LinkTimeout: the board does not answer.
            PortError: the line is gone.
        """
        self._stopping.set()
        try:
            with self._lock:
                return self._stop(attempts, wait_s)
        finally:
            self._stopping.clear()

    def _stop(self, attempts: int, wait_s: float) -> messages.SafeReason:
        decoder = frame.Decoder()
        for _ in range(attempts):
            self._stream.write(_STOP)
            deadline = time.monotonic() + wait_s
            while data := self._stream.read(max(deadline - time.monotonic(), 0.0)):
                self._inbox += data
                for answer in decoder.feed(data):
                    if (answer.session, answer.code) == (0, _STOPPED) and answer.payload:
                        got = messages.StopResponse.unpack(answer.payload[1:])
                        return messages.SafeReason(got.safe_reason)
        raise LinkTimeout(
            f"{self.name}: no answer to stop after {attempts} attempts of {wait_s:g} s; switch the"
            " supply off"
        )

    def _turn(self) -> threading.Lock:
        """The lock, for the owner: whoever stops goes first."""
        while self._stopping.is_set():
            time.sleep(1e-3)
        return self._lock
