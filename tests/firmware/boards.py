"""The firmware as a board: shared library, process and emulated chip, each behind `receive`.

The library is the one that a bench uses. Process and emulator are started here as bare as they are,
their sockets, FIFOs and traces in the test's hands.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Protocol

from hil.firmware import FOLDER as FIRMWARE
from hil.native import NativeBoard
from protocols import frame
from protocols.messages import KeepAliveRequest
from tests.firmware.physics import Physics

__all__ = ["FIRMWARE", "Board", "NativeBoard", "ProcessBoard", "QemuBoard", "missing"]

ANSWER_S = 20.0


class Board(Protocol):
    """Bytes of the line in, bytes out."""

    def receive(self, data: bytes) -> bytes: ...
    def close(self) -> None: ...


class _Server(threading.Thread):
    """Answers transactions; `read` and `write` are the two ends."""

    def __init__(self, physics: Physics) -> None:
        super().__init__(daemon=True)
        self.physics = physics
        self.trouble: Exception | None = None

    def serve(self, read, write) -> None:
        try:
            while head := read(2):
                (length,) = struct.unpack("<H", head)
                body = b""
                while len(body) < length:
                    body += read(length - len(body))
                write(self.physics.answer(head + body))
        except (OSError, ValueError):
            return
        except Exception as error:  # noqa: BLE001 - looked at by the board
            self.trouble = error


class _SocketBoard:
    """A board behind a connected socket. One zero-terminated answer per request is waited for."""

    def __init__(self, line: socket.socket, server: _Server | None) -> None:
        self.line = line
        self.server = server

    def receive(self, data: bytes) -> bytes:
        """Send; collect as many answers as requests."""
        self.line.settimeout(ANSWER_S)
        self.line.sendall(data)
        wanted = sum(1 for block in data.split(b"\0")[:-1] if block)
        out = b""
        while out.count(b"\0") < wanted:
            got = self.line.recv(65536)
            if not got:
                raise ConnectionError("the board has closed the line")
            out += got
        if self.server and self.server.trouble:
            raise self.server.trouble
        return out

    def hello(self, hello: bytes) -> bytes:
        """Repeat a hello until it is answered; then nothing is on its way any more."""
        self.line.settimeout(0.2)
        deadline, out = time.monotonic() + ANSWER_S, b""
        while b"\0" not in out:
            if time.monotonic() > deadline:
                raise TimeoutError("the board does not answer hello")
            with contextlib.suppress(TimeoutError):
                if not out:  # while an answer comes in, another hello would only be in its way
                    self.line.sendall(hello)
                out += self.line.recv(65536)
        self.line.settimeout(ANSWER_S)
        self.line.sendall(frame.encode(frame.Frame(0, 0, KeepAliveRequest.CODE, b"")))
        frames, decoder = [], frame.Decoder()
        frames += decoder.feed(out)
        while frames[-1].code != KeepAliveRequest.CODE | frame.RESPONSE_BIT:
            frames += decoder.feed(self.line.recv(65536))
        return frame.encode(frames[0])


class _SocketServer(_Server):
    def __init__(self, physics: Physics, listener: socket.socket) -> None:
        super().__init__(physics)
        self.listener = listener

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            self.serve(lambda n: connection.recv(n), connection.sendall)


class ProcessBoard(_SocketBoard):
    """The process on a unix socket, its front end on another."""

    def __init__(self, folder: Path, physics: Physics | None = None) -> None:
        command = [str(FIRMWARE / "build" / "host" / "fw_host"), "--socket", "line"]
        server = None
        if physics:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / "front"))
            listener.listen(1)
            server = _SocketServer(physics, listener)
            server.start()
            command += ["--front-end", "front"]
        self.process = subprocess.Popen(command, cwd=folder)
        self.path = folder / "line"
        super().__init__(self.connect(), server)

    def connect(self) -> socket.socket:
        deadline = time.monotonic() + ANSWER_S
        while True:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(str(self.path))
            except OSError:
                line.close()
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.01)
            else:
                return line

    def close(self) -> None:
        self.line.close()
        self.process.terminate()
        self.process.wait(10)


class _FifoServer(_Server):
    def __init__(self, physics: Physics, folder: Path) -> None:
        super().__init__(physics)
        self.folder = folder

    def run(self) -> None:
        with (
            (self.folder / "semi_req").open("rb", buffering=0) as requests,
            (self.folder / "semi_rsp").open("wb", buffering=0) as responses,
        ):
            self.serve(requests.read, responses.write)


class QemuBoard(_SocketBoard):
    """An image on QEMU's netduinoplus2, USART1 on a socket pair.

    A QEMU that waits in semihosting ignores SIGTERM; it is killed, and dies with this process.
    """

    def __init__(
        self, folder: Path, image: str, physics: Physics | None = None, trace: Path | None = None
    ) -> None:
        """`image` is below firmware/build; `trace` gets every register write."""
        self._monitor = folder / "monitor"
        server = None
        if physics:
            for name in ("semi_req", "semi_rsp"):
                os.mkfifo(folder / name)
            server = _FifoServer(physics, folder)
            server.start()
        near, far = socket.socketpair()
        command = [
            *("setpriv", "--pdeathsig", "KILL", "qemu-system-arm", "-M", "netduinoplus2"),
            *("-kernel", str(FIRMWARE / "build" / image), "-display", "none"),
            *("-monitor", "unix:monitor,server=on,wait=off"),
            *("-chardev", f"socket,id=s0,fd={far.fileno()}"),
            *("-serial", "chardev:s0", "-icount", "shift=2"),
        ]
        if physics:
            command += ["-semihosting-config", "enable=on,target=native"]
        if trace:
            command += ["-trace", "enable=memory_region_ops_write", "-D", str(trace)]
        self.process = subprocess.Popen(
            command, cwd=folder, pass_fds=[far.fileno()], stderr=subprocess.DEVNULL
        )
        far.close()
        super().__init__(near, server)

    def reset(self) -> None:
        """The reset line of the controller is pulled, whatever it is at."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor))
            monitor.sendall(b"system_reset\n")
            monitor.settimeout(ANSWER_S)
            seen = b""
            while seen.count(b"(qemu)") < 2:
                seen += monitor.recv(4096)

    def close(self) -> None:
        self.line.close()
        self.process.kill()
        self.process.wait(10)


def missing(*tools: str) -> list[str]:
    """Those of the tools that this machine does not have."""
    return [tool for tool in tools if shutil.which(tool) is None]
