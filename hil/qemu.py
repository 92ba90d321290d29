"""The firmware's image on an emulated STM32F405, in front of simulated physics.

QEMU shows that the image works, not how fast the silicon is. Its instruction counter is the clock
(`-icount shift=2`), so a run is reproducible. USART1 is a socket pair, the front end goes through
two FIFOs by semihosting, in a folder of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hil.firmware import IMAGE, built_for
from hil.lockstep import LockstepStream
from hil.sim.virtual import VirtualFrontEnd
from protocols.errors import FirmwareError

MACHINE = "netduinoplus2"
_EMULATOR = ("setpriv", "--pdeathsig", "KILL", "qemu-system-arm")
_REQUESTS, _RESPONSES, _LOG = "semi_req", "semi_rsp", "qemu.log"


def command(image: Path, line: int) -> list[str]:
    """How QEMU is started with USART1 on the descriptor `line`. It dies with its parent."""
    return [
        *_EMULATOR,
        *("-M", MACHINE, "-kernel", str(image), "-display", "none", "-monitor", "none"),
        *("-chardev", f"socket,id=line,fd={line}", "-serial", "chardev:line"),
        *("-icount", "shift=2", "-semihosting-config", "enable=on,target=native"),
    ]


class QemuStream(LockstepStream):
    """The line to an image on QEMU; closing it kills the emulator."""

    def __init__(self, front_end: VirtualFrontEnd, image: Path | None = None) -> None:
        """Starts QEMU and waits until the image has made its outputs safe.

        Args:
            front_end: answers the image's transactions.
            image: an ELF file; None builds the one of this checkout.

        Raises:
            FirmwareError: it cannot be built, or does not come up.
            ConfigError: the image was built for another board than the front end has.
        """
        description = front_end.machine.description
        elf = built_for("qemu", IMAGE, description) if image is None else image
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hil-qemu-")))
            near, far = socket.socketpair()
            stack.callback(near.close)
            with far:
                requests, responses = _fifos(folder)
                process = _start(command(elf, far.fileno()), folder, far.fileno())
            super().__init__("qemu", process, front_end, requests, responses, lambda: _said(folder))
            stack.callback(super().close)
            self.power_up(lambda: near)
            self._resources = stack.pop_all()

    def close(self) -> None:
        """Kill the emulator and remove its folder. Closing twice is allowed."""
        self._resources.close()


def _fifos(folder: Path) -> tuple[int, int]:
    """The near ends of the two FIFOs. Neither waits for the far end to be opened."""
    for name in (_REQUESTS, _RESPONSES):
        os.mkfifo(folder / name)
    requests = os.open(folder / _REQUESTS, os.O_RDONLY | os.O_NONBLOCK)
    responses = os.open(folder / _RESPONSES, os.O_RDWR)
    return requests, responses


def _start(arguments: list[str], folder: Path, line: int) -> subprocess.Popen[bytes]:
    try:
        with (folder / _LOG).open("wb") as log:
            return subprocess.Popen(
                arguments,
                cwd=folder,
                pass_fds=[line],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the keyboard is for the host alone
            )
    except OSError as error:
        raise FirmwareError(f"qemu: the emulator cannot be started: {error}") from error


def _said(folder: Path) -> str:
    """What the emulator has written."""
    log = folder / _LOG
    text = log.read_text(errors="replace").strip() if log.is_file() else ""
    return f"QEMU says: {text[-500:]}" if text else "QEMU says nothing."
