"""Instruments of pyvisa-sim, a dialogue file per model; everything that is sent is on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
import yaml
from pyvisa.constants import StatusCode

from drivers.instruments import visa
from drivers.instruments.catalogue import MODELS, Wanted, attach
from drivers.instruments.driver import Driver
from drivers.instruments.limits import InstrumentLimits, InstrumentSettings

DIALOGUES = Path(__file__).parent / "dialogues"
LIMITS = InstrumentLimits(6.0, 0.5, "the bench file")


def dialogue(name: str) -> Path:
    return DIALOGUES / f"{name}.yaml"


def address(name: str) -> str:
    """The first resource of a dialogue file."""
    with dialogue(name).open(encoding="utf-8") as file:
        return str(next(iter(yaml.safe_load(file)["resources"])))


class Tap:
    """A PyVISA resource with a record of what is sent; it can be unplugged, and answer by hand."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource
        self.sent: list[str] = []
        self.tried: list[str] = []
        self.answers: dict[str, list[str]] = {}
        self.cleared = 0
        self.closed = False
        self.unplugged_at: int | None = None
        self.silent: set[str] = set()
        self._asked = ""

    def unplug(self, after: int = 0) -> None:
        """From the command after the next `after` ones on, the line is dead."""
        self.unplugged_at = len(self.tried) + after

    def write(self, text: str) -> None:
        self._pass(text)
        self._asked = text
        if text not in self.silent and not self.answers.get(text):
            self._resource.write(text)

    def read_raw(self) -> bytes:
        if self._asked in self.silent:
            raise pyvisa.errors.VisaIOError(StatusCode.error_timeout)
        if self.answers.get(self._asked):
            return self.answers[self._asked].pop(0).encode() + b"\n"
        return bytes(self._resource.read_raw())

    def clear(self) -> None:
        self.cleared += 1
        if self._dead():
            raise pyvisa.errors.VisaIOError(StatusCode.error_connection_lost)

    def close(self) -> None:
        self.closed = True
        self._resource.close()

    def commands(self, errors: str) -> list[str]:
        """What was sent, without the error queries."""
        return [text for text in self.sent if text != errors]

    def _dead(self) -> bool:
        return self.unplugged_at is not None and len(self.tried) >= self.unplugged_at

    def _pass(self, text: str) -> None:
        dead = self._dead()
        self.tried.append(text)
        if dead:
            raise pyvisa.errors.VisaIOError(StatusCode.error_connection_lost)
        self.sent.append(text)


Opener = Callable[..., tuple[Any, Tap]]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens the simulated instrument of a model; `(driver, tap)`."""
    drivers: list[Driver] = []

    def open_one(name: str, **changes: Any) -> tuple[Any, Tap]:
        library = f"{dialogue(name)}@sim"
        resource = visa._manager(library).open_resource(
            address(name), read_termination="\n", write_termination="\n", timeout=10_000
        )
        tap = Tap(resource)
        settings = InstrumentSettings(**{"limits": LIMITS, "timeout_s": 10.0, **changes})
        wanted = Wanted(MODELS[name].ROLE, address(name), settings)
        driver = attach(wanted, visa.VisaLine(tap, address(name)))
        assert tap.cleared == 1  # once it is known who it is
        tap.cleared = 0
        drivers.append(driver)
        return driver, tap

    yield open_one
    for driver in drivers:
        tap = driver.session.line._resource
        if tap is not None:
            tap.unplugged_at = None
        driver.close()
