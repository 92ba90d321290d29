"""The simulated cells: keyed, bounded, monotone, and exactly ideal where an effect is off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hil.sim import cell_reference as reference
from hil.sim.cell_params import cell_parameters
from hil.sim.cells import CellArray
from hil.sim.effects import Effects
from hil.sim.profile import Profile, load_profile, parse_profile
from protocols.errors import ConfigError, InputError, TargetError

PROFILE = load_profile()
MICRO = 1e-6


def fresh(
    n: int, seed: int = 3, effects: Effects | None = None, profile: Profile = PROFILE
) -> CellArray:
    return CellArray(profile, seed, CellArray.virgin_state(n), effects)


def placed(
    n: int,
    siemens: float,
    seed: int = 3,
    effects: Effects | None = None,
    profile: Profile = PROFILE,
) -> CellArray:
    cells = fresh(n, seed, effects, profile)
    cells.set_conductance(np.arange(n), siemens)
    return cells


def changed(**laws: dict[str, float]) -> Profile:
    content = PROFILE.model_dump()
    for law, values in laws.items():
        content[law].update(values)
    return parse_profile(content, "test")


def history(cells: CellArray, index: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """A mixed life of some cells; the readings along it."""
    out = []
    for step in range(6):
        now = 0.01 * step
        cells.pulse(index, 1, 2.0 + 0.15 * step, 2.0, 2e-7, now)
        out.append(cells.read(index, now + 1e-3))
        cells.pulse(index, -1, 3.0, 0.8 + 0.2 * step, 1e-7, now + 2e-3)
        out.append(cells.read(index, now + 5e-3))
        out.append(cells.read(index, now + 6e-3))
    return out


# --- draws are keyed -------------------------------------------------------------------------


def test_order_and_batching_change_nothing() -> None:
    n = 300
    whole, permuted, split = placed(n, 8e-5), placed(n, 8e-5), placed(n, 8e-5)
    index = np.arange(n)
    order = np.random.default_rng(1).permutation(n)
    readings = history(whole, index)
    for ours, theirs in zip(readings, history(permuted, order), strict=True):
        np.testing.assert_array_equal(ours[order], theirs)
    parts = [history(split, part) for part in np.array_split(index, 9)]
    for step, ours in enumerate(readings):
        np.testing.assert_array_equal(ours, np.concatenate([part[step] for part in parts]))
    assert (whole.state == permuted.state).all()
    assert (whole.state == split.state).all()


def test_repeated_indices_are_pulses_and_reads_in_turn() -> None:
    together, apart = placed(3, 5e-5), placed(3, 5e-5)
    together.pulse([1, 1, 2, 1], [1, -1, 1, 1], [2.4, 3.0, 2.4, 2.5], 2.0, 1e-7, 0.0)
    for cell, polarity, gate in ((1, 1, 2.4), (1, -1, 3.0), (2, 1, 2.4), (1, 1, 2.5)):
        apart.pulse(cell, polarity, gate, 2.0, 1e-7, 0.0)
    assert (together.state == apart.state).all()
    readings = together.read([1, 1, 2, 1], 1.0)
    single = np.concatenate([apart.read(cell, 1.0) for cell in (1, 1, 2, 1)])
    np.testing.assert_array_equal(readings, single)
    assert np.unique(readings).size == 4
    assert together.state["read_count"].tolist() == [0, 3, 1]


def test_seed_is_the_die() -> None:
    a, b, c = placed(50, 8e-5, seed=1), placed(50, 8e-5, seed=1), placed(50, 8e-5, seed=2)
    for cells in (a, b, c):
        cells.pulse(np.arange(50), -1, 3.0, 2.0, 2e-7, 0.0)
    assert (a.state == b.state).all()
    assert not np.isclose(a.state["siemens"], c.state["siemens"]).any()


def test_reading_changes_neither_conductance_nor_later_pulses() -> None:
    read, unread = placed(100, 6e-5), placed(100, 6e-5)
    index = np.arange(100)
    for _ in range(20):
        read.read(index, 1.0)
    np.testing.assert_array_equal(read.conductance(index, 50.0), unread.conductance(index, 50.0))
    for cells in (read, unread):
        cells.pulse(index, -1, 3.0, 1.5, 2e-7, 60.0)
    np.testing.assert_array_equal(read.state["siemens"], unread.state["siemens"])


def test_state_can_live_in_a_memory_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "cells.bin"
    mapped = np.memmap(path, CellArray.state_dtype, "w+", shape=(20,))
    cells = CellArray(PROFILE, 3, mapped)
    cells.set_conductance(np.arange(20), 9e-5)
    cells.pulse(np.arange(20), 1, 2.6, 2.0, 2e-7, 0.5)
    expected = cells.read(np.arange(20), 1.0)
    mapped.flush()
    again = CellArray(PROFILE, 3, np.memmap(path, CellArray.state_dtype, "r+", shape=(20,)))
    assert (again.state["pulse_count"] == 2).all()
    assert (again.state == cells.state).all()
    assert not np.array_equal(again.read(np.arange(20), 1.0), expected)  # the next reading


# --- the compiled equations against the reference --------------------------------------------


@pytest.mark.parametrize("seed", [0, 12345])
def test_kernels_equal_the_numpy_reference(seed: int) -> None:
    profile = changed(faults={"stuck_low_fraction": 0.05, "weak_fraction": 0.1})
    n = 400
    compiled = placed(n, 9e-5, seed, profile=profile)
    state = compiled.state.copy()
    parameters = cell_parameters(profile, seed, Effects.all())
    index = np.arange(n)
    formed = index[state["formed"] == 1]
    plan = [
        (1, 2.3, 2.0, 1e-7), (1, 2.35, 2.0, 2e-7), (-1, 2.5, 2.8, 2e-7), (-1, 3.5, 1.2, 1e-6),
        (1, 1.7, 2.0, 1e-5), (1, 2.9, 0.9, 4e-7), (-1, 3.4, 2.0, 2e-7), (1, 2.6, 2.0, 3e-8),
        (-1, 1.0, 3.0, 2e-7), (1, 0.5, 0.2, 2e-7),
    ]  # fmt: skip
    for step, (polarity, gate, line, width) in enumerate(plan):
        now = 0.5 * step
        compiled.pulse(formed, polarity, gate, line, width, now)
        reference.pulse(state, formed, polarity, gate, line, width, now, parameters)
        ours = compiled.read(formed, now + 0.3)
        theirs = reference.read(state, formed, now + 0.3, parameters)
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=0)
    for name in ("siemens", "noise", "cycle"):
        np.testing.assert_allclose(compiled.state[name], state[name], rtol=1e-10, atol=1e-12)
    for name in ("program_pulse", "pulse_count", "read_count", "cycle_count", "noise_key"):
        np.testing.assert_array_equal(compiled.state[name], state[name])
    assert (state["cycle_count"] > 0).any()


# --- physics ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    siemens=st.floats(2e-7, 3.5e-4),
    polarity=st.sampled_from([-1, 1]),
    gate=st.floats(0.0, 5.0),
    line=st.floats(0.0, 5.0),
    width=st.floats(1e-9, 1.0),
    wait=st.floats(0.0, 1e9),
)
def test_no_pulse_leaves_the_bounds(
    siemens: float, polarity: int, gate: float, line: float, width: float, wait: float
) -> None:
    cells = placed(16, siemens)
    index = np.arange(16)
    cells.pulse(index, polarity, gate, line, width, 1.0)
    for value in (cells.conductance(index, 1.0), cells.conductance(index, 1.0 + wait)):
        assert np.isfinite(value).all()
        assert (value >= PROFILE.bounds.lowest_siemens).all()
        assert (value <= PROFILE.bounds.highest_siemens).all()
    assert (cells.read(index, 1.0 + wait) > 0).all()


@pytest.mark.parametrize("width_s", [2e-8, 1e-7, 1.5e-7, 2e-7, 1e-6, 1e-5, 1e-3])
@pytest.mark.parametrize("line_volts", [0.5, 1.0, 2.0, 4.0])
def test_set_rises_with_the_word_line(width_s: float, line_volts: float) -> None:
    gates = np.arange(0.0, 4.001, 0.02)
    cells = placed(gates.size, 3e-6, effects=Effects.none())
    cells.pulse(np.arange(gates.size), 1, gates, line_volts, width_s, 1.0)
    reached = cells.conductance(np.arange(gates.size), 1.0)
    assert (np.diff(reached) >= -1e-12).all()
    assert reached[0] == pytest.approx(3e-6)


def test_set_rises_with_width_and_bit_line() -> None:
    widths = np.logspace(-8, -3, 60)
    cells = placed(60, 3e-6, effects=Effects.none())
    cells.pulse(np.arange(60), 1, 2.3, 2.0, widths, 1.0)
    assert (np.diff(cells.conductance(np.arange(60), 1.0)) >= -1e-12).all()
    lines = np.linspace(0.0, 4.0, 60)
    cells = placed(60, 1.66e-4, effects=Effects.none())
    cells.pulse(np.arange(60), 1, 3.0, lines, 2e-7, 1.0)
    reached = cells.conductance(np.arange(60), 1.0)
    assert (np.diff(reached) >= -1e-12).all()
    assert reached[-1] > 2.2e-4


@pytest.mark.parametrize("swept", ["gate", "line", "width"])
def test_reset_falls_with_voltage_and_width(swept: str) -> None:
    n = 120
    cells = placed(n, 1.66e-4, effects=Effects.none())
    volts = np.linspace(0.0, 4.0, n)
    gate, line = (volts, 2.8) if swept == "gate" else (3.5, volts if swept == "line" else 0.9)
    width = np.logspace(-8, -3, n) if swept == "width" else 2e-7
    cells.pulse(np.arange(n), -1, gate, line, width, 1.0)
    reached = cells.conductance(np.arange(n), 1.0)
    assert (np.diff(reached) <= 1e-12).all()
    assert reached[-1] < 0.5 * reached[0]


def test_a_pulse_that_is_too_weak_leaves_no_trace() -> None:
    cells = placed(200, 1.66e-4)
    before = cells.state["siemens"].copy()
    index = np.arange(200)
    cells.pulse(index, 1, 1.5, 2.0, 2e-7, 1.0)
    cells.pulse(index, -1, 1.5, 2.8, 2e-7, 2.0)
    cells.pulse(index, -1, 3.5, 0.2, 2e-7, 3.0)
    np.testing.assert_array_equal(cells.state["siemens"], before)
    assert (cells.state["program_time_s"] == 0.0).all()
    assert (cells.state["pulse_count"] == 4).all()


def test_intermediate_levels_are_reached_by_a_rising_word_line() -> None:
    cells = placed(500, 5e-6)
    index = np.arange(500)
    seen = []
    for gate in np.arange(2.0, 3.2, 0.02):
        cells.pulse(index, 1, gate, 2.0, 1e-7, 0.0)
        seen.append(np.median(cells.conductance(index, 0.0)))
    assert seen[0] < 10e-6 < 200e-6 < seen[-1]
    assert np.diff(seen).max() < 20e-6


def test_forming_needs_its_voltage_and_happens_once() -> None:
    cells = fresh(2000)
    index = np.arange(2000)
    pristine = cells.read(index, 0.0)
    assert 5e6 < np.median(1.0 / pristine) < 2e7
    cells.pulse(index, 1, 2.0, 1.9, 1e-6, 0.0)
    assert (cells.state["formed"] == 0).mean() > 0.99
    cells.pulse(index, -1, 3.5, 4.0, 1e-6, 0.0)  # the RESET direction forms nothing
    assert (cells.state["formed"] == 0).mean() > 0.99
    cells.pulse(index, 1, 0.3, 4.2, 1e-6, 0.0)  # nor does a closed transistor
    assert (cells.state["formed"] == 0).mean() > 0.99
    cells.pulse(index, 1, 2.0, 4.2, 1e-6, 0.0)
    assert (cells.state["formed"] == 1).all()
    assert (cells.state["form_count"] == 1).all()
    assert 5e3 < np.median(1.0 / cells.read(index, 0.0)) < 10e3


# --- effects ---------------------------------------------------------------------------------


def test_everything_off_is_exactly_ideal() -> None:
    cells = placed(64, 123e-6, effects=Effects.none())
    index = np.arange(64)
    np.testing.assert_array_equal(cells.read(index, 1e6), np.full(64, cells.read(0, 0.0)[0]))
    assert cells.read(0, 0.0)[0] == pytest.approx(123e-6, rel=1e-14)
    assert not cells.solve_noise(index, np.arange(5)).any()
    cells.pulse(index, 1, 2.5, 2.0, 2e-7, 1.0)
    assert np.ptp(cells.conductance(index, 1e9)) == 0.0


def test_cycle_and_device_spread_are_separate() -> None:
    index = np.arange(400)
    only_cycle = placed(400, 5e-6, effects=Effects.none().only("cycle_to_cycle"))
    only_device = placed(400, 5e-6, effects=Effects.none().only("device_to_device"))
    again = []
    for cells in (only_cycle, only_device):
        repeats = []
        for _ in range(8):
            cells.set_conductance(index, 5e-6)
            cells.pulse(index, 1, 2.4, 2.0, 1e-7, 0.0)
            repeats.append(cells.conductance(index, 0.0))
        again.append(np.array(repeats))
    assert np.ptp(again[1], axis=0).max() == 0.0  # the same cell always does the same
    assert again[1].std(axis=1).min() > 3e-6
    assert again[0].mean(axis=0).std() < 0.5 * again[0].std()  # no cell is special


def test_stuck_and_weak_cells() -> None:
    profile = changed(
        faults={"stuck_low_fraction": 0.1, "stuck_high_fraction": 0.2, "weak_fraction": 0.0}
    )
    index = np.arange(2000)
    cells = fresh(2000, profile=profile)
    cells.pulse(index, 1, 2.0, 4.2, 1e-5, 0.0)
    cells.pulse(index, -1, 3.5, 3.0, 1e-6, 1.0)
    siemens = cells.conductance(index, 1.0)
    assert np.mean(siemens == 2e-4) == pytest.approx(0.2, abs=0.03)
    assert np.mean(cells.state["formed"] == 0) == pytest.approx(0.3, abs=0.03)
    untouched = cells.conductance(index, 1.0) == fresh(2000, profile=profile).conductance(
        index, 0.0
    )
    assert untouched.mean() == pytest.approx(0.3, abs=0.03)
    healthy = fresh(2000, profile=profile, effects=Effects.all().without("stuck_cells"))
    healthy.pulse(index, 1, 2.0, 4.2, 1e-5, 0.0)
    assert (healthy.state["formed"] == 1).all()
    weak = placed(500, 5e-6, profile=changed(faults={"weak_fraction": 1.0}))
    strong = placed(500, 5e-6)
    for both in (weak, strong):
        both.pulse(np.arange(500), 1, 2.8, 2.0, 1e-6, 0.0)
    ratio = np.median(weak.state["siemens"]) / np.median(strong.state["siemens"])
    assert ratio == pytest.approx(0.7, abs=0.03)


def test_endurance_closes_the_window() -> None:
    worn, fresh_ = placed(500, 1.6e-4), placed(500, 1.6e-4)
    worn.state["cycle_count"] = 1000
    for cells in (worn, fresh_):
        cells.pulse(np.arange(500), -1, 3.5, 2.8, 2e-7, 0.0)
    assert np.median(worn.state["siemens"]) > 1.3 * np.median(fresh_.state["siemens"])


def test_effects_by_name() -> None:
    assert Effects.none().only("drift").drift
    assert not Effects.all().without("drift", "telegraph").telegraph
    with pytest.raises(ConfigError, match="Unknown effect drfit"):
        Effects.all().without("drfit")


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((99, 1, 2.0, 2.0, 1e-7, 0.0), "Cell 99 does not exist"),
        ((-1, 1, 2.0, 2.0, 1e-7, 0.0), "Cell -1"),
        ((0.5, 1, 2.0, 2.0, 1e-7, 0.0), "integers"),
        ((0, 0, 2.0, 2.0, 1e-7, 0.0), "polarity"),
        ((0, 1, -2.0, 2.0, 1e-7, 0.0), "v_gate_volts"),
        ((0, 1, 2.0, np.nan, 1e-7, 0.0), "v_line_volts"),
        ((0, 1, 2.0, 2.0, 0.0, 0.0), "width"),
        (([0, 1, 2], 1, [2.0, 2.1], 2.0, 1e-7, 0.0), "one value or 3"),
    ],
)
def test_pulses_that_make_no_sense_are_refused(arguments: tuple[float, ...], says: str) -> None:
    cells = placed(10, 5e-5)
    before = cells.state.copy()
    with pytest.raises(InputError, match=says):
        cells.pulse(*arguments)
    assert (cells.state == before).all()


def test_state_of_another_layout_is_refused() -> None:
    with pytest.raises(InputError, match="state_dtype"):
        CellArray(PROFILE, 1, np.zeros(3, np.dtype([("x", float)])))


def test_conductance_outside_the_bounds_is_refused() -> None:
    with pytest.raises(TargetError, match="must lie within"):
        fresh(2).set_conductance(0, 1e-2)
