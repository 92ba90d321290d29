"""Products of a block with vectors: what is converted, what is refused, on every board."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.transfer import Curves
from protocols.messages import (
    HelloRequest,
    HelloResponse,
    MultiplyRequest,
    MultiplyRequestEntry,
    StopRequest,
)

ROWS, COLUMNS = 6, 9


def product(
    codes, inputs=2, columns=3, first_row=0, first_column=0, scale=0, samples=1
) -> MultiplyRequest:
    entries = tuple(map(MultiplyRequestEntry, codes))
    return MultiplyRequest(first_row, first_column, inputs, columns, scale, samples, entries)


@pytest.fixture
def limits(target, wire):
    payload = target.wire.exchange(HelloRequest.CODE, HelloRequest(1).pack(), 0, 0)
    return HelloResponse.unpack(payload[1:])


@pytest.fixture
def known(target):
    """Conductances of a block that starts at (2, 5)."""
    target.need("known cells")
    cells = np.full((target.description.rows, target.description.columns), np.nan)
    found = np.random.default_rng(3).uniform(20e-6, 180e-6, (ROWS, COLUMNS))
    cells[2 : 2 + ROWS, 5 : 5 + COLUMNS] = found
    target.back_door.set_conductances(cells)
    return found


def test_a_current_is_the_sum_of_its_column(target, board, known):
    description = target.description
    geometry = Geometry(description.rows, description.columns)
    macro = Macro(board, geometry, Curves.nominal(description), Limits.of(description.limits))
    volts = np.random.default_rng(4).uniform(-0.1, 0.1, (30, ROWS))
    zero = macro.multiply(2, 5, COLUMNS, np.zeros((8, ROWS)), 16).mean(axis=0)
    found = macro.multiply(2, 5, COLUMNS, volts, 16) - zero
    error = found - volts @ known
    assert np.sqrt(np.mean(error**2)) < 0.05 * np.sqrt(np.mean((volts @ known) ** 2))
    wide = macro.multiply(2, 5, COLUMNS, volts, 16, scale=4) - zero
    assert np.sqrt(np.mean((wide - found) ** 2)) < 1.5e-6
    assert macro.saturated == 0


def test_nothing_flows_into_columns_whose_rows_are_at_zero(target, wire):
    target.need("known cells")
    got = wire.good(product([2048] * 2, samples=16))
    assert np.array([entry.sum for entry in got.entries]) / 16 == pytest.approx(2048, abs=12)


def test_the_sign_of_a_vector_is_that_of_the_current(target, wire, known):
    got = wire.good(product([2448] * ROWS + [1648] * ROWS, ROWS, COLUMNS, 2, 5, samples=4))
    sums = np.array([entry.sum for entry in got.entries]).reshape(2, COLUMNS) / 4 - 2048
    assert (sums[0] > 100).all()
    np.testing.assert_allclose(sums[1], -sums[0], rtol=0.3, atol=12)


def test_rows_stay_at_the_read_level(wire, limits):
    most = limits.multiply_code_max
    for sign in (-1, 1):
        wire.good(product([2048, 2048 + sign * most]))
        expected = {"field": 0, "entry": 1, "value": most + 1, "limit": most}
        refused = wire.refused(product([2048, 2048 + sign * (most + 1)]))
        assert refused == ("over_limit", expected)


def test_blocks_lie_in_the_array(wire, limits):
    rows, columns, fit = limits.rows, limits.columns, min(limits.columns, 105)
    for request, field, value, low, high in (
        (product([], inputs=rows + 1), 2, rows + 1, 1, rows),
        (product([], columns=fit + 1), 3, fit + 1, 1, fit),
        (product([2048] * 2, first_row=rows - 1), 0, rows - 1, 0, rows - 2),
        (product([2048] * 2, first_column=columns - 2), 1, columns - 2, 0, columns - 3),
        (product([2048] * 2, first_row=65535), 0, 65535, 0, rows - 2),
    ):
        expected = {"field": field, "entry": 0, "value": value, "minimum": low, "maximum": high}
        assert wire.refused(request) == ("out_of_range", expected)
    wire.good(product([2048] * 2, first_row=rows - 2, first_column=columns - 3))
    wire.good(product([2048] * 105, inputs=105, columns=fit))


def test_vectors_are_whole_and_their_sums_have_room(wire):
    for request, length, expected in (
        (product([2048] * 5, inputs=3), 10 + 10, 10 + 12),
        (product([2048] * 4, inputs=1, columns=30), 10 + 8, 10 + 6),
    ):
        assert wire.refused(request) == ("bad_length", {"length": length, "expected": expected})
    assert wire.good(product([], inputs=3)).entries == ()


def test_a_stopped_board_multiplies(target, wire):
    assert target.wire.exchange(StopRequest.CODE, b"", 0, 0)[0] == 0
    assert len(wire.good(product([2048, 2048])).entries) == 3


def test_no_cell_is_read_and_time_is_what_it_takes(target, wire):
    before = wire.status()
    wire.good(product([2048] * 6, samples=2))
    after = wire.status()
    assert (after.reads, after.pulses) == (before.reads, before.pulses)
    if "virtual time" in target.features:
        timing = target.description.timing
        lasts_s = 3 * (timing.vector_s + 3 * 2 * timing.read_s)
        assert (after.time_us - before.time_us) * 1e-6 >= lasts_s
