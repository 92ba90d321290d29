"""The instrument that reads the samples of the published board: the board itself reports nothing.

S1 and S3 rise when a run starts and fall 1.205 s later, so an instrument triggers on one of them
and takes x and y a stated time after that (1.000 s is where the firmware's t is 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.legacy_clock import Clock, HostClock
from protocols.errors import DataError, LinkError, LinkTimeout


class Capture(Protocol):
    """A triggered capture of two voltages."""

    name: str

    def arm(self) -> None:
        """Make ready for one trigger; returns when a trigger would be seen."""

    def fetch(self, timeout_s: float) -> tuple[float, float]:
        """x and y in volts of the run that triggered.

        Raises:
            LinkTimeout: no trigger within `timeout_s`.
        """


class Resource(Protocol):
    """What is used of a PyVISA message-based resource."""

    def write(self, message: str) -> object:
        """Send a command."""

    def query(self, message: str) -> str:
        """Send a question and read the answer."""


@dataclass(frozen=True)
class ScpiWords:
    """The commands of one make of oscilloscope; they differ, so they are configuration.

    Attributes:
        setup: sent once (time base, trigger on S1, where the sample is taken).
        arm: starts one single acquisition.
        done: asks whether it is complete.
        done_answers: the answers that mean yes.
        x, y: ask for the two voltages.
    """

    arm: Sequence[str]
    done: str
    done_answers: Sequence[str]
    x: str
    y: str
    setup: Sequence[str] = ()


class ScpiCapture:
    """A `Capture` by any oscilloscope that speaks SCPI.

    `resource` is what `pyvisa.ResourceManager().open_resource(...)` gives.
    """

    def __init__(
        self,
        resource: Resource,
        words: ScpiWords,
        *,
        name: str = "oscilloscope",
        poll_s: float = 0.02,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._resource, self._words, self._poll_s = resource, words, poll_s
        self._clock = clock or HostClock()
        for command in words.setup:
            self._write(command)

    def arm(self) -> None:
        """Start one acquisition."""
        for command in self._words.arm:
            self._write(command)

    def fetch(self, timeout_s: float) -> tuple[float, float]:
        """x and y in volts; see `Capture.fetch`.

        Raises:
            LinkTimeout: no trigger within `timeout_s`.
            LinkError: the instrument does not answer.
            DataError: an answer is no voltage.
        """
        deadline = self._clock.now_s() + timeout_s
        while self._query(self._words.done).strip() not in self._words.done_answers:
            if self._clock.now_s() >= deadline:
                raise LinkTimeout(f"{self.name}: no trigger within {timeout_s:g} s")
            self._clock.sleep_s(self._poll_s)
        return self._voltage(self._words.x), self._voltage(self._words.y)

    def _voltage(self, question: str) -> float:
        answer = self._query(question)
        try:
            volts = float(answer)
        except ValueError as error:
            raise DataError(f"{self.name}: {question!r} gave {answer!r}, no voltage") from error
        # SCPI instruments answer 9.9E37 for "not a number" (SCPI-1999, volume 1, 7.2.1.5).
        if not math.isfinite(volts) or abs(volts) > 1e6:
            raise DataError(f"{self.name}: {question!r} gave {answer!r}: nothing was measured")
        return volts

    def _write(self, command: str) -> None:
        try:
            self._resource.write(command)
        except Exception as error:
            raise _broken(self.name, command, error) from error

    def _query(self, question: str) -> str:
        try:
            return self._resource.query(question)
        except Exception as error:
            raise _broken(self.name, question, error) from error


def _broken(name: str, command: str, error: Exception) -> LinkError:
    return LinkError(f"{name}: {command!r} failed ({error}); check the instrument and its address")
