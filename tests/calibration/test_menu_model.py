"""Menus that follow a model, the pulses that a measurement draws, and when a cell is given up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.cell_model import CellModel
from calibration.cell_model.design import Design
from calibration.cell_model.moves import GLOBAL, SIZE, moved
from calibration.programming.menu import PulseMenu
from calibration.programming.menu_model import menu_for, wide_menu
from calibration.programming.predictive_reach import FEWEST, Reach
from drivers.rram.limits import Limits
from hil.sim.profile import profile_path
from protocols.hardware import load_board
from protocols.messages import Operation

START = CellModel.from_profile(profile_path("rram_1t1r_180nm"))
LIMITS = Limits.of(load_board("reference").limits)
SET, RESET = int(Operation.SET), int(Operation.RESET)


def gates(menu: PulseMenu, width_s: float) -> np.ndarray:
    """Gate voltages of the SETs that the word line ends."""
    mine = (menu.operation == SET) & (menu.width_s == width_s) & (menu.gate_volts < 3.5)
    return np.asarray(menu.gate_volts[mine])


def test_a_menu_follows_the_thresholds_of_its_model() -> None:
    x = np.zeros(SIZE)
    x[[name for name, _ in GLOBAL].index("set_shift_volts")] = -0.4
    here, lower = menu_for(START, LIMITS), menu_for(moved(START, x), LIMITS)
    assert gates(lower, 1e-7).min() == pytest.approx(gates(here, 1e-7).min() - 0.4, abs=0.02)
    here.check(LIMITS)
    lower.check(LIMITS)
    assert len(here) < 600


def test_a_menu_is_fine_where_levels_change() -> None:
    menu = menu_for(START, LIMITS)
    table = np.array(START.set.gate_volts)[:, 0]
    level = np.interp(gates(menu, 1e-7), table, START.set.levels_siemens)
    inside = level[(level > 90e-6) & (level < 200e-6)]
    assert np.diff(np.log(inside)).max() < 0.035


def test_the_wide_menu_covers_lower_thresholds_within_the_limits() -> None:
    menu = wide_menu().within(LIMITS)
    assert gates(menu, 1e-7).min() < 0.7 * 2.17
    assert len(menu) < len(PulseMenu.short())


def test_moves_of_zero_change_nothing_and_curves_stay_monotone() -> None:
    same = moved(START, np.zeros(SIZE))
    assert np.allclose(same.set.gate_volts, START.set.gate_volts, atol=1e-9)
    assert np.allclose(same.reset.line_depth_ln, START.reset.line_depth_ln, atol=1e-9)
    wild = moved(START, np.random.default_rng(3).normal(0.0, 0.3, SIZE))
    assert (np.diff(np.array(wild.set.gate_volts), axis=0) > 0.0).all()
    assert (np.diff(wild.reset.gate_volts) > 0.0).all()
    assert (np.diff(wild.reset.gate_depth_ln) >= 0.0).all()


def test_a_measurement_returns_to_the_pulses_that_say_something() -> None:
    menu = wide_menu()
    design, rng = Design(menu, 0.35), np.random.Generator(np.random.Philox(1))
    sets = menu.of(Operation.SET)
    useful = sets[(menu.gate_volts[sets] > 2.2) & (menu.gate_volts[sets] < 2.8)]
    before = np.full(400, 20e-6)
    for number in (1, 3, 4):
        entry = design.draw(number, 400, rng)
        assert np.isin(entry, sets).all()
        after = np.where(np.isin(entry, useful), 120e-6, 20e-6)
        design.heard(entry, before, after)
    drawn = np.isin(design.draw(1, 4000, rng), useful).mean()
    assert drawn > 2.0 * useful.size / sets.size
    left_out = np.setdiff1d(sets, useful)
    assert np.isin(left_out, design.draw(1, 20000, rng)).mean() > 0.95


def test_a_cell_far_below_its_window_is_given_up_and_one_near_it_is_not() -> None:
    reach, cell, kind = Reach(2), np.arange(2), np.full(2, SET)
    edge = np.log(np.full(2, 200e-6))
    rng = np.random.Generator(np.random.Philox(2))
    told = []
    for _ in range(30):
        ln = np.log([140e-6, 195e-6]) + 0.015 * rng.standard_normal(2)
        told.append(reach.hopeless(cell, kind, ln, edge, 31))
    given_up = np.array(told)
    assert not given_up[: FEWEST - 1].any()
    assert given_up[FEWEST - 1, 0]
    assert not given_up[:, 1].any()
    assert reach.hopeless(cell, kind, edge - 0.02, edge, 31).all()  # the most tries


def test_the_spread_of_deep_resets_is_not_taken_for_hopeless() -> None:
    reach = Reach(1)
    one, edge = np.zeros(1, np.int64), np.log([12.5e-6])
    for _ in range(12):
        given_up = reach.hopeless(one, np.array([RESET]), np.log([20e-6]), edge, 100)
    assert not given_up.any()


def test_a_model_with_stronger_lines_gets_a_higher_bit_line() -> None:
    lines = tuple(1.4 * v for v in START.set.line_volts)
    strong = replace(START, set=replace(START.set, line_volts=lines))
    ended_by_gate = [
        m.line_volts[(m.operation == SET) & (m.gate_volts < 3.0)].min()
        for m in (menu_for(START, LIMITS), menu_for(strong, LIMITS))
    ]
    assert ended_by_gate[1] > ended_by_gate[0]
