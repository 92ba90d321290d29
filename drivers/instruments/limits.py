"""What an instrument may be asked for: the bench file's limits, and the model's own rating."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols.errors import InputError, LimitError


@dataclass(frozen=True)
class InstrumentLimits:
    """The largest magnitudes that an output may be set to, whatever the instrument could do.

    `source` says where they stand, for the error's text.
    """

    volts: float
    amperes: float
    source: str = "the bench file"

    def check_volts(self, volts: float, what: str) -> None:
        """Refuse what is over the limit or not a number.

        Raises:
            LimitError: nothing was sent.
        """
        _check(abs(volts), self.volts, "V", what, self.source)

    def check_amperes(self, amperes: float, what: str) -> None:
        """Refuse a current limit over this one, or one that is not above zero.

        Raises:
            LimitError: nothing was sent.
        """
        if not amperes > 0.0:
            raise LimitError(
                f"{what}: a current limit of {amperes:g} A is none; it must be above 0"
            )
        _check(amperes, self.amperes, "A", what, self.source)


@dataclass(frozen=True)
class InstrumentSettings:
    """What the bench file says of one instrument.

    Attributes:
        limits: of the bench file.
        timeout_s: how long an answer, or a trigger, is waited for.
        channels: the bench's names of channels and their numbers on the panel; empty: all of them,
            called by their numbers.
        probe: attenuation of an oscilloscope's probes (10 for a 10:1 probe).
        sensor: the input of a thermometer, or its kind of thermocouple; empty for the driver's.
    """

    limits: InstrumentLimits
    timeout_s: float = 5.0
    channels: Mapping[str, int] = field(default_factory=dict)
    probe: float = 1.0
    sensor: str = ""

    def channel_numbers(self, count: int, who: str) -> dict[str, int]:
        """Names and numbers of the channels that are used, of an instrument that has `count`.

        Raises:
            InputError: a number that the instrument does not have.
        """
        named = dict(self.channels) or {str(number): number for number in range(1, count + 1)}
        for name, number in named.items():
            if not 1 <= number <= count:
                raise InputError(f"{who}: channel {name!r} is number {number}; it has 1 to {count}")
        return named


def _check(value: float, limit: float, unit: str, what: str, source: str) -> None:
    if not math.isfinite(value) or value > limit:
        raise LimitError(
            f"{what}: {value:g} {unit} is over the limit of {limit:g} {unit} of {source};"
            " nothing was sent"
        )
