"""The firmware as a process of its own on unix sockets, in front of simulated physics."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from hil.firmware import PROCESS, built_for
from hil.lockstep import START_S, LockstepStream
from hil.sim.virtual import VirtualFrontEnd
from protocols.errors import FirmwareError

_LINE, _FRONT_END = "line", "front_end"


class ProcessStream(LockstepStream):
    """The line to `fw_host`; closing it ends the process."""

    def __init__(self, front_end: VirtualFrontEnd) -> None:
        """Starts the process and waits until it has made its outputs safe.

        Raises:
            FirmwareError: it cannot be built, or does not come up.
            ConfigError: it was built for another board than the front end has.
        """
        program = built_for("native-process", PROCESS, front_end.machine.description)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hil-native-")))
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / _FRONT_END))
                listener.listen(1)
                listener.settimeout(START_S)
                process = _start(program, folder)
                stack.callback(process.kill)
                try:
                    asking, _ = listener.accept()
                except OSError as error:
                    raise FirmwareError(
                        f"native-process: the board does not power up: {error}"
                    ) from error
            requests = asking.detach()
            super().__init__("native-process", process, front_end, requests, requests, lambda: "")
            stack.callback(super().close)
            self.power_up(lambda: _connected(folder / _LINE))
            self._resources = stack.pop_all()

    def close(self) -> None:
        """End the process and remove its folder. Closing twice is allowed."""
        self._resources.close()


def _start(program: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [str(program), "--socket", _LINE, "--front-end", _FRONT_END]
    try:
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise FirmwareError(f"native-process: it cannot be started: {error}") from error


def _connected(path: Path) -> socket.socket:
    """The line; the process listens a moment after its power-up."""
    deadline = time.monotonic() + START_S
    while True:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(str(path))
        except OSError as error:
            line.close()
            if time.monotonic() > deadline:
                raise FirmwareError(f"native-process: no line to the board: {error}") from error
            time.sleep(0.005)
        else:
            return line
