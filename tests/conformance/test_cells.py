"""Pulses and reads: limits, order, budget, all or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.messages import (
    ArmRequest,
    HelloRequest,
    HelloResponse,
    LimitsLowerRequest,
    Operation,
    PulseReadRequest,
    PulseReadRequestEntry,
    ReadRequest,
    ReadRequestEntry,
    ReadResponse,
)

FIELDS = {"gate": 3, "line": 4, "width": 5}


def entry(row=0, column=0, operation=Operation.SET, gate=500, line=500, width=10):
    return PulseReadRequestEntry(row, column, operation, gate, line, width)


@pytest.fixture
def armed(wire):
    wire.good(ArmRequest(60_000))
    return wire


@pytest.fixture
def limits(target, armed):
    """The board's own limits as codes: what its repeated hello says."""
    payload = target.wire.exchange(HelloRequest.CODE, HelloRequest(1).pack(), 0, 0)
    return HelloResponse.unpack(payload[1:])


def limit_of(limits, operation, quantity) -> int:
    return getattr(limits, f"{Operation(operation).name.lower()}_{quantity}_max")


def test_a_batch_is_driven_in_order_and_counted(armed):
    entries = tuple(entry(row=r, column=c) for r in range(3) for c in range(4))
    before = armed.status()
    got = armed.good(PulseReadRequest(100, entries))
    after = armed.status()
    assert len(got.entries) == 12
    assert all(one.reading <= 4095 for one in got.entries)
    assert after.pulses == before.pulses + 12
    assert after.reads == before.reads + 12
    assert before.time_us < got.time_us <= after.time_us


def test_an_empty_batch_is_nothing(armed):
    before = armed.status().pulses
    assert armed.good(PulseReadRequest(100, ())).entries == ()
    assert armed.good(ReadRequest(100, 1, ())).entries == ()
    assert armed.status().pulses == before


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("quantity", FIELDS)
def test_every_limit_is_kept_and_the_whole_batch_refused(armed, limits, operation, quantity):
    limit = limit_of(limits, operation, quantity)
    good = entry(1, 1, operation)
    at_limit = entry(2, 2, operation, **{quantity: limit})
    over = entry(3, 3, operation, **{quantity: limit + 1})
    armed.good(PulseReadRequest(100, (good, at_limit)))
    before = armed.status()
    assert armed.refused(PulseReadRequest(100, (good, at_limit, over))) == (
        "over_limit",
        {"field": FIELDS[quantity], "entry": 2, "value": limit + 1, "limit": limit},
    )
    after = armed.status()
    assert (after.pulses, after.reads) == (before.pulses, before.reads)


def test_a_longer_limit_of_forming_does_not_hold_for_set(armed, limits):
    width = limits.set_width_max + 1
    assert width <= limits.form_width_max
    armed.good(PulseReadRequest(100, (entry(operation=Operation.FORM, width=width),)))
    name, _ = armed.refused(PulseReadRequest(100, (entry(operation=Operation.SET, width=width),)))
    assert name == "over_limit"


@pytest.mark.parametrize(("field", "place"), [(0, "row"), (1, "column")])
def test_cells_outside_the_array(armed, limits, field, place):
    there = getattr(limits, f"{place}s")
    expected = {"field": field, "entry": 1, "value": there, "minimum": 0, "maximum": there - 1}
    bad = PulseReadRequest(100, (entry(), entry(**{place: there})))
    assert armed.refused(bad) == ("out_of_range", expected)
    cell = {"row": 0, "column": 0}
    read = (ReadRequestEntry(**cell), ReadRequestEntry(**{**cell, place: there}))
    assert armed.refused(ReadRequest(100, 1, read)) == ("out_of_range", expected)
    armed.good(PulseReadRequest(100, (entry(**{place: there - 1}),)))


def test_the_read_level(armed, limits):
    limit = limits.read_code_max
    expected = ("over_limit", {"field": 0, "entry": 0, "value": limit + 1, "limit": limit})
    cells = (ReadRequestEntry(0, 0),)
    armed.good(ReadRequest(limit, 1, cells))
    assert armed.refused(ReadRequest(limit + 1, 1, cells)) == expected
    before = armed.status().pulses
    armed.good(PulseReadRequest(limit, (entry(),)))
    assert armed.refused(PulseReadRequest(limit + 1, (entry(),))) == expected
    assert armed.status().pulses == before + 1


@pytest.mark.parametrize("operation", Operation)
def test_limits_can_be_lowered_but_not_raised(armed, limits, operation):
    now = [limit_of(limits, operation, quantity) for quantity in FIELDS]
    now.append(limits.pulses_per_cell_max)
    now.append(limit_of(limits, operation, "energy"))
    now.append(limits.arm_ms_max)
    lower = [value // 2 for value in now]
    armed.good(LimitsLowerRequest(operation, *lower))
    for quantity, limit in zip(FIELDS, lower, strict=False):
        over = {"gate": 1, "line": 1, "width": 1} | {quantity: limit + 1}
        name, found = armed.refused(PulseReadRequest(100, (entry(operation=operation, **over),)))
        assert (name, found["limit"]) == ("over_limit", limit)
    for index in range(6):
        raised = list(lower)
        raised[index] += 1
        name, found = armed.refused(LimitsLowerRequest(operation, *raised))
        assert (name, found["field"], found["limit"]) == ("over_limit", index + 1, lower[index])


@pytest.mark.parametrize("operation", Operation)
def test_the_energy_is_named_by_the_longest_width(armed, limits, operation):
    line, width, energy = limit_of(limits, operation, "line"), 400, 300_000
    codes = [limit_of(limits, operation, quantity) for quantity in FIELDS]
    room = (limits.pulses_per_cell_max, energy, limits.arm_ms_max)
    armed.good(LimitsLowerRequest(operation, *codes, *room))
    longest = energy * 1024 // line**2
    assert longest < width
    good = entry(operation=operation, line=line, width=longest)
    armed.good(PulseReadRequest(100, (good,)))
    before = armed.status().pulses
    for over in (longest + 1, width):
        bad = entry(1, 1, operation, line=line, width=over)
        assert armed.refused(PulseReadRequest(100, (good, bad))) == (
            "over_limit",
            {"field": 5, "entry": 1, "value": over, "limit": longest},
        )
    assert armed.status().pulses == before
    short = entry(operation=operation, line=line // 4, width=16 * longest)
    armed.good(PulseReadRequest(100, (short,)))
    armed.good(PulseReadRequest(100, (entry(operation=operation, line=0, width=codes[2]),)))


def test_a_lowered_arming_holds_for_the_session(armed, limits):
    codes = (limits.set_gate_max, limits.set_line_max, limits.set_width_max)
    room = (limits.pulses_per_cell_max, limits.set_energy_max)
    armed.good(LimitsLowerRequest(Operation.SET, *codes, *room, 2000))
    armed.good(ArmRequest(2000))
    refusal = {"field": 0, "entry": 0, "value": 2001, "limit": 2000}
    assert armed.refused(ArmRequest(2001)) == ("over_limit", refusal)
    raised = LimitsLowerRequest(Operation.SET, *codes, *room, 2001)
    assert armed.refused(raised) == ("over_limit", {**refusal, "field": 6})
    armed.hello(2)
    armed.good(ArmRequest(limits.arm_ms_max))


def test_lowered_limits_end_with_the_session(target, armed, limits):
    armed.good(LimitsLowerRequest(Operation.SET, 1, 1, 1, 1, 1, 1000))
    armed.hello(2)
    armed.good(ArmRequest(1000))
    armed.good(PulseReadRequest(100, (entry(gate=limits.set_gate_max),)))


def test_the_budget_counts_repetitions_within_a_batch(armed, limits):
    codes = (limits.set_gate_max, limits.set_line_max, limits.set_width_max)
    armed.good(LimitsLowerRequest(Operation.SET, *codes, 3, limits.set_energy_max, 60_000))
    armed.good(PulseReadRequest(100, (entry(), entry(), entry(1, 1))))
    before = armed.status().pulses
    assert armed.refused(PulseReadRequest(100, (entry(1, 1), entry(), entry()))) == (
        "pulse_budget",
        {"entry": 2, "count": 3, "limit": 3},
    )
    assert armed.status().pulses == before
    armed.good(PulseReadRequest(100, (entry(1, 1), entry())))
    name, _ = armed.refused(PulseReadRequest(100, (entry(),)))
    assert name == "pulse_budget"
    armed.good(PulseReadRequest(100, (entry(1, 1),)))


def test_a_batch_repeated_by_the_line_is_driven_once(armed):
    before = armed.status()
    whole = armed.encode(PulseReadRequest(100, (entry(), entry(1, 1))), armed.next)
    (first,) = armed.raw(whole, 1)
    for _ in range(5):
        assert armed.raw(whole, 1) == [first]
    armed.next += 1
    status = armed.status()
    assert (status.pulses, status.repeated) == (before.pulses + 2, before.repeated + 5)


def test_reads_add_up(armed):
    cells = tuple(ReadRequestEntry(r, r) for r in range(5))
    sums = [one.sum for one in armed.good(ReadRequest(100, 64, cells)).entries]
    assert all(value <= 64 * 4095 for value in sums)
    assert armed.status().reads == 5 * 64


def test_reads_take_as_many_cells_as_an_answer_holds(armed, limits):
    fit = ReadResponse.entries_per_payload(limits.payload_bytes - 1)
    cells = tuple(ReadRequestEntry(n % limits.rows, 0) for n in range(fit))
    assert len(armed.good(ReadRequest(100, 1, cells)).entries) == fit
    name, _ = armed.refused(ReadRequest(100, 1, (*cells, cells[0])))
    assert name == "bad_length"


def test_known_conductances_are_read(target, armed):
    target.need("known cells")
    wanted = np.full((target.description.rows, target.description.columns), np.nan)
    wanted[:4, 0] = [50e-6, 100e-6, 150e-6, 200e-6]
    target.back_door.set_conductances(wanted)
    of = target.description.converters
    code = 163
    cells = tuple(ReadRequestEntry(row, 0) for row in range(4))
    sums = [one.sum for one in armed.good(ReadRequest(code, 16, cells)).entries]
    volts = code * of.pulse_full_scale_volts / 4095
    siemens = np.array(sums) / 16 / 4095 * of.read_full_scale_amperes / volts
    assert siemens == pytest.approx(wanted[:4, 0], rel=0.15)
    assert (np.diff(siemens) > 30e-6).all()
