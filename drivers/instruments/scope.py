"""What every oscilloscope that speaks SCPI does alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import Oscilloscope
from drivers.instruments.session import is_number
from protocols.errors import InputError, InstrumentError, InstrumentTimeout, NotTriggered
from protocols.instruments import Waveform

POLL_S = 0.02
PREAMBLE = 10  # format, type, points, count, x increment, origin, reference, y the same


class ScpiScope(Driver, Oscilloscope):
    """A single-shot capture, around one trigger in the middle of the screen.

    `VERTICAL` and `TIMEBASE` set up a channel and the screen, `TRIGGER` an edge; `COMMANDS` has
    arm, source, preamble and data. Waveforms are transferred as text (numbers in volts).
    """

    ROLE = "scope"
    CHANNELS: ClassVar[int]
    VERTICAL: ClassVar[tuple[str, ...]]
    TIMEBASE: ClassVar[tuple[str, ...]]
    TRIGGER: ClassVar[tuple[str, ...]]
    VERTICAL_DIVISIONS: ClassVar[int] = 8
    TIME_DIVISIONS: ClassVar[int] = 10
    _numbers: dict[str, int]

    def _prepare(self) -> None:
        self._numbers = self.settings.channel_numbers(self.CHANNELS, self.name)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self._numbers)

    def configure(
        self,
        channel: str,
        full_scale_volts: float,
        full_scale_s: float,
        trigger_channel: str,
        trigger_volts: float,
        *,
        rising: bool = True,
    ) -> None:
        """Show one channel around one edge; see `Oscilloscope`."""
        for value, what in ((full_scale_volts, "volts"), (full_scale_s, "seconds")):
            if not (value > 0.0 and math.isfinite(value)):
                raise InputError(f"{self.name}: a full scale of {value:g} {what} is none")
        if not math.isfinite(trigger_volts):
            raise InputError(f"{self.name}: a trigger at {trigger_volts:g} V is none")
        values = {
            "n": self._number(channel),
            "source": self._number(trigger_channel),
            "probe": self.settings.probe,
            "full_volts": full_scale_volts,
            "division_volts": step_up(full_scale_volts / self.VERTICAL_DIVISIONS),
            "full_s": full_scale_s,
            "division_s": step_up(full_scale_s / self.TIME_DIVISIONS),
            "level_volts": trigger_volts,
            "slope": "POS" if rising else "NEG",
        }
        with self.safe_after_failure():
            for command in (*self.VERTICAL, *self.TIMEBASE, *self.TRIGGER):
                self.session.do(command.format(**values))

    def arm(self) -> None:
        """Wait for one trigger from now on; see `Oscilloscope`."""
        with self.safe_after_failure():
            self.session.do(self.COMMANDS["arm"])
            if not self._comes(self._armed):
                raise InstrumentTimeout(f"{self.name} does not get ready for a trigger{self._late}")

    def waveform(self, channel: str) -> Waveform:
        """What was captured; see `Oscilloscope`."""
        number = self._number(channel)
        with self.safe_after_failure():
            if not self._comes(self._captured):
                raise NotTriggered(
                    f"{self.name}: nothing triggered it{self._late}; check probe, level and pulse"
                )
            self.session.do(self.COMMANDS["source"].format(n=number))
            preamble = self.session.numbers(self.COMMANDS["preamble"])
            volts = self._volts(self.session.ask(self.COMMANDS["data"]))
        if len(preamble) != PREAMBLE or preamble[2] != volts.size:
            raise InstrumentError(
                f"{self.name}: a waveform of {volts.size} points whose preamble is {preamble}"
            )
        step_s, origin_s, reference = preamble[4:7]
        return Waveform(origin_s + (np.arange(volts.size) - reference) * step_s, volts)

    def _armed(self) -> bool:
        """Whether a trigger would be seen now."""
        raise NotImplementedError

    def _captured(self) -> bool:
        """Whether a trigger was seen and the capture is complete."""
        raise NotImplementedError

    def _volts(self, text: str) -> np.ndarray:
        """Volts in an answer: a block header (IEEE 488.2, 8.7.9) before numbers with commas."""
        try:
            if text.startswith("#"):
                text = text[2 + int(text[1]) :]
            volts = np.array([float(part) for part in text.split(",") if part.strip()])
        except (ValueError, IndexError) as error:
            raise InstrumentError(f"{self.name}: a waveform that is no row of numbers") from error
        if not all(is_number(value) for value in volts):
            raise InstrumentError(f"{self.name}: part of the waveform is off the screen or missing")
        return volts

    def _comes(self, done: Callable[[], bool]) -> bool:
        """Whether something comes true within the time allowed."""
        end = time.monotonic() + self.settings.timeout_s
        while not done():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True

    @property
    def _late(self) -> str:
        return f" (waited {self.settings.timeout_s:g} s)"

    def _number(self, channel: str) -> int:
        if channel not in self._numbers:
            raise InputError(
                f"{self.name} has no channel {channel!r}; it has {', '.join(self._numbers)}"
            )
        return self._numbers[channel]


def step_up(value: float) -> float:
    """The next step of a 1-2-5 dial that is not below `value`."""
    decade = 10.0 ** math.floor(math.log10(value))
    steps = (round(step * decade, 15) for step in (1.0, 2.0, 5.0, 10.0))
    return next(step for step in steps if step >= value * (1.0 - 1e-9))
