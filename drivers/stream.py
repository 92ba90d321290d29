"""Where the bytes go: a serial port, a TCP port, or a board in this process.

A stream moves bytes and knows nothing of frames. It has three methods, so that a wrapper that
loses, repeats or delays bytes is a class of three methods too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import serial
from serial.tools import list_ports

from protocols.errors import PortError

DEFAULT_BAUD = 921_600
_URL_SCHEMES = ("unix://", "socket://", "loop://", "rfc2217://", "hwgrep://", "spy://")

if "drivers" not in serial.protocol_handler_packages:
    serial.protocol_handler_packages.append("drivers")  # protocol_unix.py


class Stream(Protocol):
    """Bytes out, bytes in. Every method raises `PortError` when the line is gone."""

    name: str

    def write(self, data: bytes) -> None:
        """Send all of `data`."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; waits for the first byte at most `timeout_s`, then gives b""."""

    def close(self) -> None:
        """Give the line back. Closing twice is allowed."""


class MemoryStream:
    """A board in this process: `peer` gets what is written and returns what it answers at once."""

    def __init__(self, peer: Callable[[bytes], bytes], name: str = "memory") -> None:
        self.name = name
        self._peer = peer
        self._inbox = bytearray()
        self._closed = False

    def write(self, data: bytes) -> None:
        """Hand `data` to the peer and keep its answer."""
        self._check_open()
        self._inbox += self._peer(data)

    def read(self, timeout_s: float) -> bytes:  # noqa: ARG002  (nothing can arrive by waiting)
        """What the peer has answered; never waits, because the peer answers inside `write`."""
        self._check_open()
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def close(self) -> None:
        """Refuse further use."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise PortError(f"{self.name}: the stream was closed; open it again")


class SerialStream:
    """A serial port by name, or what pyserial opens by URL (`socket://HOST:PORT`, `unix://PATH`).

    Reads take one byte with a time-out and then all that is waiting: pyserial's `read_until`
    would cost one call per byte. A port is opened exclusively, so that two hosts cannot share it.
    `waits`: nothing happens on the board because of a read, so that it may be cut into short ones.
    """

    waits = True

    def __init__(self, url_or_port: str, baud: int = DEFAULT_BAUD) -> None:
        self.name = url_or_port
        try:
            self._port: serial.Serial | None = serial.serial_for_url(
                url_or_port, baudrate=baud, timeout=0, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise PortError(_cannot_open(url_or_port, error)) from error

    def write(self, data: bytes) -> None:
        """Send all of `data`; returns when the operating system has it."""
        port = self._open_port()
        try:
            port.write(data)
        except OSError as error:
            raise PortError(self._broken(error)) from error

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; waits for the first byte at most `timeout_s`."""
        port = self._open_port()
        try:
            if port.timeout != timeout_s:
                port.timeout = timeout_s
            data = bytes(port.read(1))
            while data and (waiting := port.in_waiting):
                data += port.read(waiting)
        except (OSError, TypeError) as error:  # pyserial: TypeError when closed from elsewhere
            raise PortError(self._broken(error)) from error
        return data

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None
        if port is not None:
            try:
                port.close()
            except OSError as error:
                raise PortError(f"{self.name}: closing the port failed: {error}") from error

    def _open_port(self) -> serial.Serial:
        if self._port is None:
            raise PortError(f"{self.name}: the port was closed; open it again")
        return self._port

    def _broken(self, error: Exception) -> str:
        return f"{self.name}: the line broke ({error}); check cable and power, then open it again"


def open_stream(spec: str, baud: int = DEFAULT_BAUD) -> Stream:
    """The stream of a board name: `serial:PORT`, a pyserial URL, or the name of a port.

    Raises:
        PortError: it cannot be opened; the text lists the ports that are there.
    """
    if spec.startswith("serial:"):
        return SerialStream(spec.removeprefix("serial:"), baud)
    if spec.startswith((*_URL_SCHEMES, "/", "COM", "tty")):
        return SerialStream(spec, baud)
    raise PortError(
        f"{spec!r} names no line to a board; write serial:PORT (for instance"
        f" serial:/dev/ttyUSB0), socket://HOST:PORT or unix://PATH. {_known_ports()}"
    )


def _cannot_open(port: str, error: Exception) -> str:
    return f"{port} cannot be opened: {error}. {_known_ports()}"


def _known_ports() -> str:
    names = sorted(info.device for info in list_ports.comports())
    return f"Serial ports of this computer: {', '.join(names) or 'none'}."
