"""The firmware of this checkout, built when a board needs it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from protocols.errors import FirmwareError
from protocols.hardware import BoardDescription

FOLDER = Path(__file__).resolve().parents[1] / "firmware"
LIBRARY = "build/host/libfw_host.so"
PROCESS = "build/host/fw_host"
IMAGE = "build/arm/fw_sim.elf"
PACKAGES = "firmware/debian-packages.txt"

_BUILD, _LIMITS = "build", "board_limits.h"
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


def built_for(board: str, target: str, description: BoardDescription) -> Path:
    """As `built`, with the rows and columns of a board description.

    Its hard limits, times and the rest stay those that are committed: a file that a user names
    does not raise what a firmware refuses.

    Raises:
        FirmwareError: also where the board has no memory for so many cells.
    """
    committed = limits = (FOLDER / "src" / _LIMITS).read_text(encoding="utf-8")
    for name, lines in (("ROWS", description.rows), ("COLUMNS", description.columns)):
        limits = re.sub(rf"(?m)^(#define BOARD_{name} )\d+u$", rf"\g<1>{lines}u", limits)
    return built(board, target, "" if limits == committed else limits)


@cache
def built(board: str, target: str, limits: str = "") -> Path:
    """A file of the firmware, up to date with its sources; made once per process.

    `limits` is the text of a `board_limits.h`; without it that of the reference board holds.

    Raises:
        FirmwareError: a tool is missing, or the firmware does not compile.
    """
    if reason := what_is_missing(board):
        raise FirmwareError(reason)
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    try:
        with _lock():
            target, options = _prepared(target, limits)
            done = subprocess.run(
                ["make", "-s", "-C", str(FOLDER), *options, target],
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


def _prepared(target: str, limits: str) -> tuple[str, list[str]]:
    """The target and the options of make; other limits have a build folder of their own."""
    if not limits:
        return target, []
    build = f"{_BUILD}/boards/{zlib.crc32(limits.encode()):08x}"
    header = FOLDER / build / _LIMITS
    if not header.exists() or header.read_text(encoding="utf-8") != limits:
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(limits, encoding="utf-8")
    options = [f"BUILD={build}", f"BOARD_LIMITS={build}/{_LIMITS}"]
    return target.replace(_BUILD, build, 1), options


@contextmanager
def _lock() -> Iterator[None]:
    """Two processes that build at once would write the same files."""
    folder = FOLDER / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
