"""Other technologies about a profile: valid, within the board's reach, and what they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hil.sim.cells import CellArray
from hil.sim.chip import Chip
from hil.sim.config import SimSettings, parse_settings
from hil.sim.perturb import (
    GROUPS,
    TRIPLE_CYCLE_SPREAD,
    effective_profile,
    factors,
    perturbed,
    scaled,
    tripled_spread,
)
from hil.sim.profile import Profile, load_profile
from protocols.errors import ConfigError, InputError
from tests.hil.sim.board_host import REFERENCE

PROFILE = load_profile()
HIGHEST_TARGET = 205e-6


def rises(values: object) -> bool:
    return all(b > a for a, b in pairwise(values))  # type: ignore[call-overload]


def gate_for(profile: Profile, column: int) -> float:
    """Word line that reaches the highest analog target at one width."""
    table = np.array(profile.set.gate_volts)
    return float(np.interp(HIGHEST_TARGET, profile.set.levels_siemens, table[:, column]))


@given(seed=st.integers(0, 2**64 - 1), extent=st.floats(0.0, 0.3))
@hypothesis_settings(max_examples=200, deadline=None)
def test_every_perturbed_profile_is_valid_and_within_reach(seed: int, extent: float) -> None:
    profile = perturbed(PROFILE, seed, extent)
    limits = REFERENCE.limits
    for column in range(4):
        assert rises(row[column] for row in profile.set.gate_volts)
        assert 0.8 < gate_for(profile, column) < 0.97 * limits.set.gate_volts
    for axis in ("gate", "line"):
        assert rises(getattr(profile.reset, f"{axis}_volts"))
    assert np.interp(200e-6, profile.set.line_levels_siemens, profile.set.line_volts) < 2.0
    deep = 1.9  # 26 uS
    gate = np.interp(deep, profile.reset.gate_depth_ln, profile.reset.gate_volts)
    line = np.interp(deep, profile.reset.line_depth_ln, profile.reset.line_volts)
    assert gate < limits.reset.gate_volts
    assert line < limits.reset.line_volts
    assert profile.forming.line_volts[-1] < limits.form.line_volts


@given(seed=st.integers(0, 2**64 - 1))
@hypothesis_settings(max_examples=50, deadline=None)
def test_factors_lie_within_the_extent_and_are_keyed(seed: int) -> None:
    found = factors(seed, 0.3)
    assert tuple(found) == GROUPS
    assert all(0.7 <= f <= 1.3 for f in found.values())
    assert 0.9 <= found["forming"] <= 1.1
    assert found == factors(seed, 0.3)
    half = factors(seed, 0.15)
    assert all(half[name] - 1 == pytest.approx(0.5 * (found[name] - 1)) for name in GROUPS)


def test_seeds_differ_and_use_the_whole_extent() -> None:
    table = np.array([list(factors(seed).values()) for seed in range(300)])
    wide = [k for k, name in enumerate(GROUPS) if name != "forming"]
    assert table[:, wide].min(axis=0).max() < 0.72
    assert table[:, wide].max(axis=0).min() > 1.28
    assert np.abs(np.corrcoef(table.T) - np.eye(len(GROUPS))).max() < 0.25


def test_no_extent_is_the_profile_itself() -> None:
    same = perturbed(PROFILE, 3, 0.0)
    for part in ("set", "reset", "drive", "read_noise", "relaxation", "forming"):
        before, after = getattr(PROFILE, part).model_dump(), getattr(same, part).model_dump()
        for key, value in before.items():
            np.testing.assert_allclose(after[key], value, rtol=1e-12)
    with pytest.raises(InputError, match="extent"):
        perturbed(PROFILE, 3, 0.4)


def test_a_threshold_moves_as_overdrive_and_a_slope_stretches() -> None:
    by, profile = factors(11), perturbed(PROFILE, 11)
    off, table = 0.8, np.array(PROFILE.set.gate_volts)
    made = np.array(profile.set.gate_volts)
    assert made[0, 0] - off == pytest.approx(by["set_threshold"] * (table[0, 0] - off))
    np.testing.assert_allclose(made - made[0], by["set_slope"] * (table - table[0]))
    onset = [np.interp(0.0, p.reset.line_depth_ln, p.reset.line_volts) for p in (PROFILE, profile)]
    assert onset[1] == pytest.approx(by["reset_line_threshold"] * onset[0], rel=0.01)
    depth = PROFILE.reset.gate_depth_ln[-1] * by["reset_depth"]
    assert profile.reset.gate_depth_ln[-1] == pytest.approx(depth)


def test_scaling_by_name() -> None:
    made = scaled(PROFILE, {"set.cycle_gain": 2.0, "read_noise.sigma": 0.5})
    assert made.set.cycle_gain == 2.0 * PROFILE.set.cycle_gain
    np.testing.assert_allclose(made.read_noise.sigma, 0.5 * np.array(PROFILE.read_noise.sigma))
    assert scaled(PROFILE, {}) is PROFILE
    for name in ("name", "set", "set.no_such", "no.such", "set.cycle_gain.deeper", ""):
        with pytest.raises(ConfigError, match=r"set\.cycle_gain"):
            scaled(PROFILE, {name: 2.0})
    with pytest.raises(ConfigError, match="highest_siemens"):
        scaled(PROFILE, {"bounds.lowest_siemens": 1e4})


def test_the_negative_control_triples_the_cycle_spread_alone() -> None:
    made = tripled_spread(PROFILE)
    assert made == scaled(PROFILE, TRIPLE_CYCLE_SPREAD)
    for law in ("set", "reset"):
        before, after = getattr(PROFILE, law).model_dump(), getattr(made, law).model_dump()
        for key, value in before.items():
            cycle = key.startswith("cycle_") and key != "cycle_correlation"
            np.testing.assert_allclose(after[key], np.multiply(value, 3.0 if cycle else 1.0))


# --- through the settings --------------------------------------------------------------------


def test_settings_make_the_profile_of_a_chip() -> None:
    chosen = SimSettings(
        perturb_seed=5,
        profile_scale={"set.cycle_gain": 3.0},
        stuck_low_fraction=0.01,
        weak_fraction=0.02,
    )
    profile = effective_profile(chosen)
    plain = perturbed(PROFILE, 5)
    assert profile.set.cycle_gain == pytest.approx(3.0 * plain.set.cycle_gain)
    assert profile.set.gate_volts == plain.set.gate_volts
    assert profile.faults.stuck_low_fraction == 0.01
    assert profile.faults.stuck_high_fraction == PROFILE.faults.stuck_high_fraction
    assert profile.faults.weak_fraction == 0.02
    assert effective_profile(SimSettings()) == PROFILE


def test_stuck_and_weak_fractions_reach_the_cells() -> None:
    chip = Chip.open(None, SimSettings(stuck_high_fraction=0.05, stuck_low_fraction=0.1), REFERENCE)
    index = np.arange(len(chip.cells))
    chip.cells.set_conductance(index, 50e-6)
    found = chip.cells.conductance(index, 0.0)
    assert np.mean(found == 200e-6) == pytest.approx(0.05, abs=0.01)
    assert np.mean(found < 1e-6) == pytest.approx(0.1, abs=0.01)


def test_swapped_polarity_turns_set_into_reset() -> None:
    swapped = Chip.open(None, SimSettings(swap_polarity=True), REFERENCE).cells
    index = np.arange(100)
    swapped.set_conductance(index, 150e-6)
    swapped.pulse(index, 1, 3.5, 1.5, 2e-7, 0.0)
    assert np.median(swapped.conductance(index, 0.0)) < 50e-6
    same = CellArray(PROFILE, 1, CellArray.virgin_state(100))
    same.set_conductance(index, 150e-6)
    same.pulse(index, -1, 3.5, 1.5, 2e-7, 0.0)
    np.testing.assert_array_equal(same.state, swapped.state[:100])


def test_another_technology_is_another_chip_file(tmp_path) -> None:
    small = REFERENCE.model_copy(update={"rows": 8, "columns": 8})
    Chip.open(tmp_path / "a.chip", SimSettings(perturb_seed=1), small).close()
    Chip.open(tmp_path / "a.chip", SimSettings(perturb_seed=1), small).close()
    for other in ({"perturb_seed": 2}, {}, {"perturb_seed": 1, "weak_fraction": 0.1}):
        with pytest.raises(ConfigError, match="profile_fingerprint"):
            Chip.open(tmp_path / "a.chip", SimSettings(**other), small)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cells", "magic"),
        ("profile_scale", {"set.cycle_gain": 50.0}),
        ("perturb_extent", 0.5),
        ("stuck_low_fraction", 1.5),
        ("weak_fraction", float("nan")),
        ("perturb_seed", -1),
    ],
)
def test_settings_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        parse_settings({key: value}, "bench.yaml")
