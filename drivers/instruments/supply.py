"""What every power supply that speaks SCPI does alike."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import PowerSupply
from drivers.instruments.limits import InstrumentLimits
from protocols.errors import ComplianceError, InputError


class ScpiSupply(Driver, PowerSupply):
    """A supply of several outputs, each with a current limit.

    Only the channels that the bench file names are ever touched, so that a supply may feed
    something else as well; without names there, all are this project's.

    `COMMANDS` has amperes, volts, on, off, measure_volts and measure_amperes, each of a channel
    `{n}`. `RATINGS` are the channels' largest volts and amperes.
    """

    ROLE = "supply"
    RATINGS: ClassVar[tuple[InstrumentLimits, ...]]
    _numbers: dict[str, int]
    _limited: set[str]

    def _prepare(self) -> None:
        self._numbers = self.settings.channel_numbers(len(self.RATINGS), self.name)
        self._forget()

    def _forget(self) -> None:
        self._limited = set()

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which they are to be switched on."""
        return tuple(self._numbers)

    def safe_commands(self) -> tuple[str, ...]:
        """Off and zero volts, the channel that is switched on last goes off first."""
        return tuple(
            self.COMMANDS[what].format(n=number, volts=0.0)
            for number in reversed(self._numbers.values())
            for what in ("off", "volts")
        )

    def set(self, channel: str, volts: float, current_limit_amperes: float) -> None:
        """Current limit first, then volts; see `PowerSupply`."""
        number = self._number(channel)
        what = f"{self.name}, channel {channel}"
        if volts < 0.0:
            raise InputError(f"{what}: {volts:g} V; a supply has none below zero, swap its leads")
        for limits in (self.limits, self.RATINGS[number - 1]):
            limits.check_volts(volts, what)
            limits.check_amperes(current_limit_amperes, what)
        self.send("amperes", n=number, amperes=float(current_limit_amperes))
        self.send("volts", n=number, volts=float(volts))
        self._limited.add(channel)

    def output(self, channel: str, on: bool) -> None:
        """Switch one output; see `PowerSupply`."""
        number = self._number(channel)
        if on and channel not in self._limited:
            raise ComplianceError(
                f"{self.name}: channel {channel} may go on only after set has given it a current"
                " limit; nothing was sent"
            )
        self.send("on" if on else "off", n=number)

    def measure(self, channel: str) -> tuple[float, float]:
        """Volts and amperes at the terminals."""
        number = self._number(channel)
        return self.number("measure_volts", n=number), self.number("measure_amperes", n=number)

    def _number(self, channel: str) -> int:
        if channel not in self._numbers:
            raise InputError(
                f"{self.name} has no channel {channel!r}; it has {', '.join(self._numbers)}"
            )
        return self._numbers[channel]
