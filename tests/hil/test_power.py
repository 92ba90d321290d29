"""Supplies on in order, each looked at before the next, and off in reverse."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from calibration.bringup.power import Rail, rails_of
from hil.power import OFF_VOLTS, measured, switch_off, switch_on
from protocols.board_map import load_map
from protocols.errors import ComplianceError, InstrumentError, NoInstrument, UnconfirmedError

RAILS = rails_of(load_map())
NAMES = [rail.name for rail in RAILS]


@dataclass
class Supply:
    """A supply that writes down what it is told; `low` and `stuck` are rails at fault."""

    names: tuple[str, ...] = tuple(NAMES)
    low: str = ""
    hungry: str = ""
    stuck: str = ""
    said: list[tuple[object, ...]] = field(default_factory=list)
    at: dict[str, float] = field(default_factory=dict)
    limited: set[str] = field(default_factory=set)

    @property
    def channels(self) -> tuple[str, ...]:
        return self.names

    def set(self, channel: str, volts: float, current_limit_amperes: float) -> None:
        assert volts > 0.0, "a supply has none below zero"
        self.limited.add(channel)
        self.at[channel] = volts
        self.said.append(("set", channel, volts, current_limit_amperes))

    def output(self, channel: str, on: bool) -> None:
        if on and channel not in self.limited:
            raise ComplianceError(channel)
        self.said.append(("on" if on else "off", channel))

    def measure(self, channel: str) -> tuple[float, float]:
        last = next(
            (one[0] for one in reversed(self.said) if one[0] != "set" and one[1] == channel), "off"
        )
        volts = self.at.get(channel, 0.0) if last == "on" or channel == self.stuck else 0.0
        self.said.append(("measured", channel))
        return volts * (
            0.8 if channel == self.low else 1.0
        ), 0.4 if channel == self.hungry else 0.05


def switched(supply: Supply) -> list[tuple[object, ...]]:
    return [one for one in supply.said if one[0] in ("on", "off")]


def test_rails_go_on_in_the_drawn_order_each_seen_before_the_next():
    supply, waited = Supply(), []
    switch_on(supply, RAILS, waited.append)
    assert switched(supply) == [("on", name) for name in NAMES]
    assert NAMES == ["logic", "negative", "positive", "drivers"]
    for rail, following in pairwise(RAILS):
        measured_at = supply.said.index(("measured", rail.name))
        assert supply.said.index(("on", rail.name)) < measured_at
        assert measured_at < supply.said.index(("on", following.name))
    limits = {one[1]: one[3] for one in supply.said if one[0] == "set"}
    assert limits == {rail.name: rail.limit_amperes for rail in RAILS}
    assert waited == [rail.settle_s for rail in RAILS]


@pytest.mark.parametrize("fault", ["low", "hungry"])
def test_a_rail_at_fault_ends_it_before_the_next_and_all_go_off(fault: str):
    supply = Supply(**{fault: "negative"})
    with pytest.raises(InstrumentError, match="rail negative has"):
        switch_on(supply, RAILS, lambda _: None)
    on = [one[1] for one in switched(supply) if one[0] == "on"]
    assert on == ["logic", "negative"]
    assert switched(supply)[-len(RAILS) :] == [("off", name) for name in reversed(NAMES)]


def test_a_supply_without_a_rail_switches_nothing():
    supply = Supply(names=("logic", "positive", "drivers"))
    with pytest.raises(NoInstrument, match="no channel for rail negative"):
        switch_on(supply, RAILS, lambda _: None)
    assert switched(supply) == []


def test_rails_go_off_in_reverse_and_are_seen_to_be_empty():
    supply = Supply()
    switch_on(supply, RAILS, lambda _: None)
    supply.said.clear()
    states = switch_off(supply, RAILS, lambda _: None)
    assert switched(supply) == [("off", name) for name in reversed(NAMES)]
    assert all(state.off and state.volts < OFF_VOLTS for state in states)
    assert measured(supply, RAILS) == states


def test_a_rail_that_stays_up_is_named_and_the_others_are_off():
    supply = Supply(stuck="positive")
    switch_on(supply, RAILS, lambda _: None)
    with pytest.raises(UnconfirmedError, match=r"5\.00 V \(rail positive\)"):
        switch_off(supply, RAILS, lambda _: None)
    assert {one[1] for one in switched(supply)[len(RAILS) :]} == set(NAMES)


def test_rails_that_the_supply_does_not_feed_are_left_alone():
    supply = Supply(names=("drivers",))
    assert [one.name for one in switch_off(supply, RAILS, lambda _: None)] == ["drivers"]
    assert Rail.of(load_map().supplies[1]).volts == -5.0
