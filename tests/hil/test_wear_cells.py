"""The wear account's arithmetic: booking in any portions gives the same sums."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.rram.geometry import Geometry
from hil.wear_cells import Pulses, Wear, add_pulses, no_wear, pulse_energy
from protocols.errors import InputError
from protocols.messages import Operation

CELLS = 6


def pulses(seed: int, n: int) -> Pulses:
    rng = np.random.default_rng(seed)
    return Pulses(
        flat=rng.integers(0, CELLS, n),
        operation=rng.integers(0, 3, n),
        gate_volts=rng.uniform(0.0, 3.5, n),
        line_volts=rng.uniform(0.0, 4.0, n),
        width_s=rng.uniform(1e-7, 1e-5, n),
        siemens=rng.uniform(0.0, 250e-6, n),
    )


def part(whole: Pulses, a: int, b: int) -> Pulses:
    return Pulses(**{name: values[a:b] for name, values in vars(whole).items()})


def one_by_one(whole: Pulses) -> np.ndarray:
    """The same sums by the plainest loop."""
    cells = no_wear(CELLS)
    for k, flat in enumerate(whole.flat):
        cell = cells[flat]
        siemens = max(float(cell["siemens"]), whole.siemens[k])
        cell["energy_joules"] += whole.line_volts[k] ** 2 * siemens * whole.width_s[k]
        cell[Operation(whole.operation[k]).name.lower()] += 1
        for name in ("line_volts", "gate_volts"):
            cell[name] = max(cell[name], np.float32(getattr(whole, name)[k]))
        cell["siemens"] = whole.siemens[k]
    return cells


@given(st.integers(0, 10_000), st.integers(0, 60), st.lists(st.integers(0, 60), max_size=5))
def test_any_portions_give_the_sums_of_one_pulse_after_the_other(
    seed: int, n: int, cuts: list[int]
) -> None:
    whole, cells = pulses(seed, n), no_wear(CELLS)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    for a, b in pairwise(edges):
        add_pulses(cells, part(whole, a, b))
    expected = one_by_one(whole)
    for name in ("set", "reset", "form", "line_volts", "gate_volts"):
        np.testing.assert_array_equal(cells[name], expected[name])
    np.testing.assert_allclose(cells["energy_joules"], expected["energy_joules"], rtol=1e-6)
    np.testing.assert_allclose(cells["siemens"], expected["siemens"], rtol=1e-6)


def test_energy_is_volts_squared_times_conductance_times_width() -> None:
    assert pulse_energy(100e-6, 2.0, 1e-6) == pytest.approx(4e-10)


def test_a_reading_below_zero_counts_as_none() -> None:
    cells = no_wear(1)
    below = Pulses(*(np.array([v]) for v in (0, 0, 1.0, 1.0, 1e-6, -1e-6)))
    add_pulses(cells, below)
    assert cells["energy_joules"][0] == 0.0
    assert cells["siemens"][0] == 0.0


def test_maps_show_untouched_cells_as_nothing() -> None:
    wear = Wear(Geometry(2, 3), no_wear(6), np.zeros(6, np.int64))
    add_pulses(wear.cells, part(pulses(1, 5), 0, 1))
    shown = wear.map("pulses")
    assert shown.shape == (2, 3)
    assert np.isfinite(shown).sum() == 1
    assert wear.summary()["pulses"] == 1
    assert wear.summary()["highest_line_volts"] == np.nanmax(wear.map("line_volts"))


def test_wear_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="5 entries do not make the wear of 6 cells"):
        Wear(Geometry(2, 3), no_wear(5), np.zeros(5, np.int64))
