"""The firmware of this checkout, built when a board needs it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from protocols.errors import FirmwareError

FOLDER = Path(__file__).resolve().parents[1] / "firmware"
LIBRARY = "build/host/libfw_host.so"
PROCESS = "build/host/fw_host"
IMAGE = "build/arm/fw_sim.elf"
PACKAGES = "firmware/debian-packages.txt"

_HOST_TOOLS = ("make", "gcc")
_NEEDS = {
    "native": _HOST_TOOLS,
    "native-process": _HOST_TOOLS,
    "qemu": ("make", "arm-none-eabi-gcc", "qemu-system-arm", "setpriv"),
}
BOARDS = tuple(_NEEDS)
"""Names of the boards that run the firmware on this computer."""
_ERROR_LINES = 15


def what_is_missing(board: str) -> str:
    """Why this computer cannot run a board of `BOARDS`; empty where it can."""
    if not (FOLDER / "Makefile").is_file():
        return f"{FOLDER} is not there: board {board} needs a checkout with its firmware"
    lacking = [tool for tool in _NEEDS[board] if shutil.which(tool) is None]
    if lacking:
        return f"board {board} needs {', '.join(lacking)}; install the packages of {PACKAGES}"
    return ""


@cache
def built(board: str, target: str) -> Path:
    """A file of the firmware, up to date with its sources; made once per process.

    Raises:
        FirmwareError: a tool is missing, or the firmware does not compile.
    """
    if reason := what_is_missing(board):
        raise FirmwareError(reason)
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    try:
        with _lock():
            done = subprocess.run(
                ["make", "-s", "-C", str(FOLDER), target],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
    except OSError as error:
        raise FirmwareError(f"{FOLDER}: the firmware cannot be built here: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-_ERROR_LINES:])
        raise FirmwareError(f"make -C {FOLDER} {target} failed:\n{tail}")
    return FOLDER / target


@contextmanager
def _lock() -> Iterator[None]:
    """Two processes that build at once would write the same files."""
    folder = FOLDER / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
