"""The rails of a board: which there are, in which order they go on and off.

Rails go on one after the other in the order of the drawn board, each with its current limit set
before, and off in the reverse order. Pulses and reads are the business of others: who switches
rails off has the board disarmed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from drivers.instruments.interfaces import PowerSupply
from protocols.board_map import BoardMap, Supply
from protocols.errors import InputError, NoInstrument


@dataclass(frozen=True)
class Rail:
    """One supply of the board.

    Attributes:
        name: as a channel of the supply is called.
        volts: nominal, negative below ground.
        tolerance: of the volts, relative.
        limit_amperes: at which the supply limits the current.
        amperes_low, amperes_high: what a sound board without a run draws; less is a part that is
            not connected, more one that is broken or the wrong way round.
        settle_s: from the output's on until the next rail.
    """

    name: str
    volts: float
    tolerance: float = 0.05
    limit_amperes: float = 0.5
    amperes_low: float = 0.0
    amperes_high: float = 0.5
    settle_s: float = 0.2

    def __post_init__(self) -> None:
        finite = all(abs(float(v)) < 1e3 for v in (self.volts, self.limit_amperes, self.settle_s))
        sensible = 0.0 < self.tolerance < 1.0 and self.limit_amperes > 0.0 and self.settle_s >= 0.0
        if not (finite and sensible and 0.0 <= self.amperes_low < self.amperes_high):
            raise InputError(
                f"rail {self.name}: volts, tolerance (0 to 1), limit, amperes_low < amperes_high"
                f" and settle_s have to make sense: {self}"
            )

    @classmethod
    def of(cls, drawn: Supply) -> Self:
        """The rail of a drawn board."""
        low, high = drawn.draws_amperes
        return cls(
            drawn.name, drawn.volts, drawn.tolerance, drawn.limit_amperes, low, high, drawn.settle_s
        )


def rails_of(pins: BoardMap | None, given: Sequence[Rail] = ()) -> tuple[Rail, ...]:
    """The rails that were given, else those of the drawn board, in the order of switching on.

    Raises:
        InputError: neither says anything.
    """
    if given:
        return tuple(given)
    if pins is None:
        raise InputError(
            "this kind of board is not drawn: name its rails in the bench file"
            " (bringup: supplies: rails: [{name: ..., volts: ...}])"
        )
    return tuple(Rail.of(one) for one in pins.supplies)


def missing(supply: PowerSupply, rails: Sequence[Rail]) -> list[Rail]:
    """Rails that no channel of the supply is called after."""
    return [rail for rail in rails if rail.name not in supply.channels]


def power_up(supply: PowerSupply, rails: Sequence[Rail], wait: Callable[[float], None]) -> None:
    """Every rail on, in order.

    Raises:
        NoInstrument: the supply has no channel for a rail.
        InstrumentError, LimitError: of the supply; the rails are off again.
    """
    without = missing(supply, rails)
    if without:
        raise NoInstrument(
            f"the supply has no channel for rail {without[0].name}, only"
            f" {', '.join(supply.channels)}; name its channels in the bench file"
            " (instruments: supply: {channels: {...}})"
        )
    try:
        for rail in rails:
            # A supply has no volts below zero: such a rail hangs on swapped leads.
            supply.set(rail.name, abs(rail.volts), rail.limit_amperes)
            supply.output(rail.name, True)
            wait(rail.settle_s)
    except BaseException:
        power_down(supply, rails)
        raise


def power_down(supply: PowerSupply, rails: Sequence[Rail]) -> None:
    """Every rail off, the last one first."""
    for rail in reversed(rails):
        supply.output(rail.name, False)
