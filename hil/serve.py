"""A board of this computer on a TCP port, so that another process can use it over a line.

The line has no password: whoever reaches the port can drive the board and stop it. So it is this
computer's own address that is listened on, unless another is asked for by name.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import threading
from types import TracebackType
from typing import Self

from drivers.stream import Stream
from protocols.errors import PortError

LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16
_LOOK_S = 0.2
_SEND_S = 5.0  # a host that takes nothing for that long is let go (this project's choice)


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address; a name counts if all it stands for is.

    Raises:
        PortError: no such name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PortError(f"{host!r:.80}: no address of this computer ({error})") from error
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def warning(host: str) -> str:
    """What has to be said about an address; nothing about this computer's own."""
    if is_loopback(host):
        return ""
    return (
        f"{host} is reached from outside of this computer, and the line has no password: whoever "
        f"reaches the port can drive the board. Listen on {LOOPBACK} and use a tunnel instead."
    )


class Server:
    """Listens; `run` passes bytes between one host after the other and the board.

    The board hears of no connection: a host that goes away is one that falls silent.
    """

    def __init__(self, stream: Stream, host: str = LOOPBACK, port: int = 0) -> None:
        """Listen on `port` of `host`, 0 for any that is free. Raises PortError."""
        self._stream = stream
        self._ending = threading.Event()
        try:
            family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
            self._listener = socket.create_server((host, port), family=family, backlog=1)
        except (OSError, UnicodeError, OverflowError) as error:
            raise PortError(f"{host}:{port}: cannot be listened on ({error})") from error
        self._listener.settimeout(_LOOK_S)

    @property
    def address(self) -> str:
        """Host and port, as they are after `socket://`."""
        host, port = self._listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def run(self) -> None:
        """Serve until `stop`. Raises HilError when the board is gone."""
        while not self._ending.is_set():
            try:
                visitor, _ = self._listener.accept()
            except TimeoutError:
                continue
            with visitor, contextlib.suppress(OSError):
                visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                visitor.settimeout(_SEND_S)
                self._pass_on(visitor)

    def _pass_on(self, visitor: socket.socket) -> None:
        while not self._ending.is_set():
            if not select.select([visitor], [], [], _LOOK_S)[0]:
                continue
            data = visitor.recv(_CHUNK)
            if not data:
                return
            self._stream.write(data)
            while answer := self._stream.read(0.0):
                visitor.sendall(answer)

    def stop(self) -> None:
        """End `run` soon, from any thread."""
        self._ending.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._listener.close()
