"""Builds the firmware once, and says what is missing where it cannot be built."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from hil.sim.config import SimSettings
from protocols.hardware import BoardDescription, load_board
from tests.firmware.boards import FIRMWARE, missing


def need(*tools: str) -> None:
    """Skip without a tool; in continuous integration that is a failure instead."""
    if lacking := missing(*tools):
        text = (
            f"{', '.join(lacking)} not found; install the packages of firmware/debian-packages.txt"
        )
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(scope="session")
def make() -> Callable[..., str]:
    """Runs a target of the firmware's Makefile; its output."""

    def run(target: str, **variables: object) -> str:
        arguments = [f"{name}={value}" for name, value in variables.items()]
        command = ["make", "-s", "-C", str(FIRMWARE), target, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"make {target}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def host(make: Callable[..., str]) -> None:
    """The shared library and the process are there and up to date."""
    need("gcc", "make")
    make("host")


@pytest.fixture(scope="session")
def images(make: Callable[..., str]) -> None:
    """The two images are there and up to date."""
    need("arm-none-eabi-gcc", "make")
    make("arm")


@pytest.fixture(scope="session")
def emulator(images: None) -> None:
    """The images, and QEMU to run them."""
    need("qemu-system-arm", "setpriv")


@pytest.fixture(scope="session")
def description() -> BoardDescription:
    return load_board("reference")


@pytest.fixture(scope="session")
def settings() -> SimSettings:
    """A simulated board as large as the firmware's."""
    return SimSettings(ticks_max=512, trajectories_max=2048, trace_points_max=4096)
