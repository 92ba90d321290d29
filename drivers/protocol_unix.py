"""Unix stream sockets for pyserial: `serial.serial_for_url("unix:///path")`.

The name of this module is pyserial's choice: it looks for `protocol_<scheme>` in the packages of
`serial.protocol_handler_packages`, where `drivers.stream` enters this one. Unlike `socket://`,
which only knows whether anything has come, `in_waiting` counts the bytes, so that a reader can take
them all at once.
"""

from __future__ import annotations

import array
import fcntl
import select
import socket
import termios
from typing import Any

from serial.serialutil import PortNotOpenError, SerialBase, SerialException

SCHEME = "unix://"


class Serial(SerialBase):
    """A line to whoever listens on a unix socket. Baud rate and modem lines mean nothing."""

    _socket: socket.socket | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            SerialException: nobody listens there, or the URL names no path.
        """
        path = (self.portstr or "").removeprefix(SCHEME)
        if not (self.portstr or "").startswith(SCHEME) or not path:
            raise SerialException(f"{self.portstr!r} is not of the form unix://PATH")
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(path)
        except OSError as error:
            line.close()
            raise SerialException(f"could not open {self.portstr}: {error}") from error
        self._socket = line
        self.is_open = True

    def close(self) -> None:
        """Close the line. Closing twice is allowed."""
        line, self._socket = self._socket, None
        self.is_open = False
        if line is not None:
            line.close()

    @property
    def in_waiting(self) -> int:
        """How many bytes have come."""
        count = array.array("i", [0])
        fcntl.ioctl(self.fileno(), termios.FIONREAD, count)
        return count[0]

    def read(self, size: int = 1) -> bytes:
        """At most `size` bytes; fewer when the time-out is over before.

        Raises:
            SerialException: the other end has closed.
        """
        line, found = self._line(), b""
        while len(found) < size:
            ready, _, _ = select.select([line], [], [], self.timeout)
            if not ready:
                break
            data = line.recv(size - len(found))
            if not data:
                raise SerialException("the other end has closed the line")
            found += data
        return found

    def write(self, data: Any) -> int:
        """Send all of `data`; how many bytes that is."""
        self._line().sendall(data)
        return len(data)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._line().fileno()

    def reset_input_buffer(self) -> None:
        """Throw away what has come."""
        while count := self.in_waiting:
            self._line().recv(count)

    def reset_output_buffer(self) -> None:
        """Nothing waits on this side."""

    def _line(self) -> socket.socket:
        if self._socket is None:
            raise PortNotOpenError()
        return self._socket

    def _reconfigure_port(self) -> None:
        """A socket has no settings."""
