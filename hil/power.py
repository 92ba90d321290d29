"""Supplies of a board on and off, in the order that the drawn board gives them.

On: rail by rail, each with its current limit, and the next only when the volts of the one before
are there and nothing draws more than it should. Off: the last one first, the line drivers, so that
what could change a cell is gone before the logic that holds it. What the firmware does between the
two, DACs at zero before an output is enabled and before a switch is closed, is its own start-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibration.bringup.power import Rail, missing, power_down, power_up
from drivers.instruments.interfaces import PowerSupply
from protocols.errors import InstrumentError, UnconfirmedError

OFF_VOLTS = 0.1
"""A rail below this is off (this project's choice): no transistor conducts."""
TRIES = 20
"""Looks at a rail that is to be empty, its settling time apart."""
Wait = Callable[[float], None]


@dataclass(frozen=True)
class RailState:
    """A rail as its supply measures it; both as magnitudes."""

    name: str
    volts: float
    amperes: float

    @property
    def off(self) -> bool:
        """Whether nothing can be driven from it."""
        return self.volts < OFF_VOLTS


def measured(supply: PowerSupply, rails: Sequence[Rail]) -> list[RailState]:
    """Every rail that the supply feeds, now."""
    known = [rail for rail in rails if rail not in missing(supply, rails)]
    found = [(rail.name, *supply.measure(rail.name)) for rail in known]
    return [RailState(name, abs(volts), abs(amperes)) for name, volts, amperes in found]


def switch_on(supply: PowerSupply, rails: Sequence[Rail], wait: Wait = time.sleep) -> None:
    """Every rail on in order, each looked at before the next.

    Raises:
        NoInstrument: the supply has no channel for a rail; nothing was switched.
        InstrumentError: a rail has not its volts or draws too much. All rails are off again.
    """
    if missing(supply, rails):
        power_up(supply, rails, wait)  # says which
    try:
        for rail in rails:
            power_up(supply, [rail], wait)
            (state,) = measured(supply, [rail])
            _check(rail, state)
    except BaseException:
        power_down(supply, rails)
        raise


def _check(rail: Rail, state: RailState) -> None:
    wrong = abs(state.volts - abs(rail.volts)) > rail.tolerance * abs(rail.volts)
    if wrong or state.amperes > rail.amperes_high:
        raise InstrumentError(
            f"rail {rail.name} has {state.volts:.3f} V and draws {1e3 * state.amperes:.0f} mA;"
            f" {abs(rail.volts):g} V within {100 * rail.tolerance:g} % and at most"
            f" {1e3 * rail.amperes_high:.0f} mA are expected. All rails are off again; check what"
            " hangs on this one"
        )


def switch_off(
    supply: PowerSupply, rails: Sequence[Rail], wait: Wait = time.sleep
) -> list[RailState]:
    """Every rail off, the last one first, each empty before the next; what they are at then.

    Raises:
        UnconfirmedError: a rail still has volts; the others are off as well.
    """
    known = [rail for rail in rails if rail not in missing(supply, rails)]
    full: list[RailState] = []
    for rail in reversed(known):
        power_down(supply, [rail])
        state = _emptied(supply, rail, wait)
        full += [] if state.off else [state]
    if full:
        raise UnconfirmedError(
            "switched off, and still at "
            + ", ".join(f"{one.volts:.2f} V (rail {one.name})" for one in full)
            + ": another supply feeds it, or the output did not switch"
        )
    return measured(supply, known)


def _emptied(supply: PowerSupply, rail: Rail, wait: Wait) -> RailState:
    for _ in range(TRIES):
        (state,) = measured(supply, [rail])
        if state.off:
            break
        wait(rail.settle_s)
    return state
