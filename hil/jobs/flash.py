"""`hil flash`: the firmware onto an STM32F407, by pyOCD; checked before anything is written."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hil.firmware import FOLDER
from hil.jobs.elf import Elf, read_elf
from protocols.errors import FirmwareError, InputError

DEFAULT_IMAGE = FOLDER / "build" / "arm" / "fw_hw.elf"
DEFAULT_TARGET = "stm32f407vg"
FLASH_START, FLASH_BYTES = 0x0800_0000, 512 * 1024
RAM_START, RAM_BYTES = 0x2000_0000, 128 * 1024
"""Flash of the smallest STM32F407 and its SRAM without the core-coupled part."""
LIMIT_S = 180.0
"""Longest that flashing may take (this project's choice; 30 kB take seconds)."""
_BUILD, _BUILD_BYTES = "FW_BUILD", 16
_EMULATOR_ONLY = "virtual_board_init"
_TAIL_LINES = 15


@dataclass(frozen=True)
class Image:
    """A firmware image that was checked."""

    path: Path
    build: str
    flash_bytes: int
    ram_bytes: int


def checked_image(path: Path | None) -> Image:
    """The image to flash; None takes the one that `make firmware` builds.

    Raises:
        InputError: it is not there, not this project's firmware for the bench, or does not fit.
    """
    if path is None:
        path = DEFAULT_IMAGE
        if not path.is_file():
            raise InputError(f"{path} is not there; `make firmware` builds it")
    elf = read_elf(path)
    build = _build_of(elf, path)
    _check_vectors(elf, path)
    flash = _used(elf, FLASH_START, FLASH_BYTES, path)
    ram = sum(
        one.memory_bytes
        for one in elf.segments
        if RAM_START <= one.run_address < RAM_START + RAM_BYTES
    )
    if ram > RAM_BYTES:
        raise InputError(f"{path}: needs {ram} bytes of RAM, the part has {RAM_BYTES}")
    return Image(path, build, flash, ram)


def _build_of(elf: Elf, path: Path) -> str:
    """The build's name, the one that `hello` gives."""
    raw = elf.read(elf.symbols.get(_BUILD, 0), _BUILD_BYTES).rstrip(b"\0")
    if not raw or not raw.isascii():
        raise InputError(
            f"{path}: has no {_BUILD}, so it is not this project's firmware (or was stripped of its"
            " symbols); `make firmware` builds one"
        )
    if _EMULATOR_ONLY in elf.symbols:
        raise InputError(
            f"{path}: is the image for the emulator, it would stop at its first call of a debugger;"
            f" flash {DEFAULT_IMAGE.name}"
        )
    return raw.decode("ascii")


def _check_vectors(elf: Elf, path: Path) -> None:
    """The first words of the flash: a stack within the RAM, a reset handler within the flash."""
    head = elf.read(FLASH_START, 8)
    stack, reset = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
    in_flash = FLASH_START <= reset < FLASH_START + FLASH_BYTES and reset & 1
    if not (RAM_START < stack <= RAM_START + RAM_BYTES and in_flash):
        raise InputError(
            f"{path}: no vector table at {FLASH_START:#010x}; the part would not start from it"
        )


def _used(elf: Elf, start: int, size: int, path: Path) -> int:
    """Bytes of flash; every segment that is written has to lie in it."""
    written = [one for one in elf.segments if one.data]
    for one in written:
        end = one.load_address + len(one.data)
        if one.load_address < start or end > start + size:
            raise InputError(
                f"{path}: writes {one.load_address:#010x} to {end:#010x}, the part's flash is"
                f" {start:#010x} to {start + size:#010x}"
            )
    return sum(len(one.data) for one in written)


def command(image: Image, probe: str | None, target: str = DEFAULT_TARGET) -> list[str]:
    """How pyOCD is called. It halts the part, writes, compares and resets it."""
    unique = [] if probe is None else ["--uid", probe]
    return [
        *(sys.executable, "-m", "pyocd", "flash", "--no-wait", "--target", target),
        *(*unique, "--format", "elf", str(image.path)),
    ]


def require_pyocd() -> None:
    """Says what to install where pyOCD is not there.

    Raises:
        FirmwareError: it is not.
    """
    if find_spec("pyocd") is None:
        raise FirmwareError(
            "pyOCD is needed to flash and is not installed; use: pip install pyocd (or pip install"
            " -e '.[flash]')"
        )


def flash(image: Image, probe: str | None, target: str = DEFAULT_TARGET) -> None:
    """Writes the image and restarts the part. The board should be stopped before.

    Args:
        image: what to write.
        probe: unique id of the debug probe; None takes the only one.
        target: the part by pyOCD's name.

    Raises:
        FirmwareError: pyOCD is not installed, finds no probe, or fails.
    """
    require_pyocd()
    arguments = command(image, probe, target)
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FirmwareError(
            f"pyOCD was still at work after {LIMIT_S:g} s and was ended; check probe and cable,"
            " then flash again: the board may have half an image"
        ) from error
    except OSError as error:
        raise FirmwareError(f"pyOCD cannot be started: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:])
        raise FirmwareError(
            f"pyOCD failed (exit {done.returncode}); probes are listed by pyocd list, the part is"
            f" made known by pyocd pack install {target}. It says:\n{tail or '(nothing)'}"
        )
