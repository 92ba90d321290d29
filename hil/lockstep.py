"""The line to a board in another process whose front end is answered from here.

Both are served by the one thread that waits for the line: the firmware asks, stands still until it
has its answer, and goes on. So nothing happens on the chip while the host is not waiting, and a
front end that fails raises its error where the host reads; the board learns of a fault.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from collections.abc import Callable

from hil.sim.virtual import FAILED, VirtualFrontEnd
from protocols.errors import FirmwareError, PortError

START_S = 20.0
"""Longest that a board may take to power up (an emulator on a busy computer)."""
BUSY_S = 120.0
"""Longest that a board may go on asking its front end without an answer on the line."""

_CHUNK = 1 << 16
_LENGTH_BYTES = 2
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class LockstepStream:
    """Bytes to and from a board process, its transactions answered while one waits.

    Args:
        name: of the board, for errors.
        process: the board; it is killed when the stream is closed.
        front_end: answers the transactions.
        requests, responses: descriptors of the two directions of the front end; closed with the
            stream.
        why: what the process has to say about its end.
    """

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        front_end: VirtualFrontEnd,
        requests: int,
        responses: int,
        why: Callable[[], str],
    ) -> None:
        self.name = name
        self.process = process
        self.front_end = front_end
        self._requests, self._responses = requests, responses
        self._why = why
        self._asked = bytearray()
        self._line: socket.socket | None = None
        self._poll = select.poll()
        self._poll.register(requests, select.POLLIN)

    def power_up(self, line: Callable[[], socket.socket]) -> None:
        """Serve the front end until the board's outputs are safe, then take its line.

        Raises:
            FirmwareError: the board does not come up.
        """
        deadline, before = time.monotonic() + START_S, self.front_end.safe
        while self.front_end.safe == before:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise FirmwareError(f"{self.name}: the board does not power up. {self._why()}")
            self._turn(0.05)
        self._line = line()
        self._line.setblocking(False)
        self._poll.register(self._line, select.POLLIN)

    # --- the three methods of a stream ---------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send all of `data`; the front end is served meanwhile."""
        line, left = self._open_line(), memoryview(data)
        self._poll.modify(line, select.POLLIN | select.POLLOUT)
        try:
            while left:
                try:
                    left = left[line.send(left) :]
                except BlockingIOError:
                    self._turn(1.0)
                except OSError as error:
                    raise self._broken(str(error)) from error
        finally:
            self._poll.modify(line, select.POLLIN)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; waits for the first byte at most `timeout_s` of silence.

        A board that talks to its front end is at work, not silent.
        """
        line = self._open_line()
        started = time.monotonic()
        deadline = started + timeout_s
        while True:
            served = self.front_end.transactions
            left_s = max(deadline - time.monotonic(), 0.0)
            if self._turn(left_s):
                return self._received(line)
            now = time.monotonic()
            if self.front_end.transactions > served:
                deadline = now + timeout_s
                if now > started + BUSY_S:
                    raise self._broken(f"at work for {BUSY_S:g} s without an answer")
            elif now >= deadline:
                return b""

    def close(self) -> None:
        """End the board. A board that waits for its front end listens to nothing but a kill."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        for descriptor in {self._requests, self._responses} - {-1}:
            os.close(descriptor)
        self._requests = self._responses = -1

    # --- one turn --------------------------------------------------------------------------------

    def _turn(self, timeout_s: float) -> bool:
        """Wait for something, answer the transactions that came; whether the line can be read."""
        readable = False
        for descriptor, event in self._poll.poll(1e3 * timeout_s):
            if descriptor != self._requests:
                readable = readable or bool(event & (select.POLLIN | _GONE))
            elif event & select.POLLIN:
                self._serve()
            elif event & _GONE:
                raise self._broken("it has ended")
        return readable

    def _serve(self) -> None:
        asked = self._asked
        asked += os.read(self._requests, _CHUNK)
        while len(asked) >= _LENGTH_BYTES:
            length = _LENGTH_BYTES + int.from_bytes(asked[:_LENGTH_BYTES], "little")
            if len(asked) < length:
                return
            request = bytes(asked[:length])
            del asked[:length]
            response = FAILED  # an interrupt from the keyboard leaves a board that can be stopped
            try:
                response = self.front_end.answer(request)
            finally:
                self._respond(response)

    def _respond(self, response: bytes) -> None:
        try:
            os.write(self._responses, response)  # short, and asked for: it never blocks
        except OSError as error:
            raise self._broken(str(error)) from error

    def _received(self, line: socket.socket) -> bytes:
        try:
            data = line.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._broken(str(error)) from error
        if not data:
            raise self._broken("it has closed the line")
        return data

    def _open_line(self) -> socket.socket:
        if self._line is None:
            raise PortError(f"{self.name}: the line was closed; open it again")
        return self._line

    def _broken(self, what: str) -> PortError:
        return PortError(f"{self.name}: the board is gone ({what}). {self._why()}")
