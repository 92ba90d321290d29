"""Every algorithm on the simulated board: the same promises, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.programming import CellStatus, ProgramParams
from calibration.programming.choose import (
    ALGORITHMS,
    algorithm,
    make_programmer,
    name_of,
    read_menu,
    switched,
)
from calibration.programming.ispp import IsppParams
from calibration.programming.menu import PulseMenu
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import InputError, LimitError, NotFormedError, TargetError
from protocols.hardware import load_board

BOARD = load_board("reference")
CELLS = Cells.block(0, 0, 6, 8)
RECIPES = tuple(name for name in ALGORITHMS if name != "predictive")
LOW = np.array([200e-6, 166.4e-6, 107.4e-6])
HIGH = np.array([280e-6, 173.3e-6, 117.5e-6])
TARGET = np.tile((LOW + HIGH) / 2, 16)
TOLERANCE = np.tile((HIGH - LOW) / 2, 16)
BY_READING = {"count_in": "reading", "highest_siemens": 300e-6}


@contextmanager
def chip(seed: int = 1, **sim: object) -> Iterator[SimpleNamespace]:
    """A board whose cells stand at 135 uS, and every batch that is driven."""
    board = make_board(SimSettings(seed=seed, **sim), BOARD)  # type: ignore[arg-type]
    siemens = np.full((BOARD.rows, BOARD.columns), np.nan)
    siemens[CELLS.rows, CELLS.columns] = 135e-6
    board.set_conductances(siemens)
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    geometry = Geometry(BOARD.rows, BOARD.columns)
    macro = Macro(Board(link), geometry, Curves.nominal(BOARD), Limits.of(BOARD.limits))
    batches, drive = [], macro.pulse_read

    def pulse_read(batch, *, label=""):
        batches.append(batch)
        return drive(batch, label=label)

    macro.pulse_read = pulse_read  # type: ignore[method-assign]
    yield SimpleNamespace(board=board, macro=macro, batches=batches)
    board.close()


def params_of(name: str, **changes: object) -> ProgramParams:
    return algorithm(name).params(**{"tolerance_siemens": TOLERANCE, **BY_READING, **changes})


def programmed(made: SimpleNamespace, name: str, target=TARGET, cells=CELLS, **changes):
    wait = made.board.chip.advance
    return make_programmer(params_of(name, **changes), wait).run(made.macro, cells, target)


@pytest.mark.parametrize("name", RECIPES)
def test_cells_land_in_their_windows_and_everything_adds_up(name) -> None:
    with chip() as made:
        result = programmed(made, name)
    assert result.algorithm == name
    assert result.in_tolerance.mean() > 0.9
    within = np.abs(result.reached_siemens - TARGET) <= TOLERANCE
    np.testing.assert_array_equal(result.in_tolerance, within)
    assert result.rounds == len(made.batches) == result.pulses.max()
    assert result.round_trips == 1 + result.rounds
    np.testing.assert_array_equal(result.reads, 1 + result.pulses)
    flat = np.concatenate([b.cells.rows * 8 + b.cells.columns for b in made.batches])
    np.testing.assert_array_equal(np.bincount(flat, minlength=48), result.pulses)
    assert len(result.failures) == int((~result.in_tolerance).sum())


@pytest.mark.parametrize("name", RECIPES)
def test_analog_targets_hold_truly(name) -> None:
    target = np.random.default_rng(3).uniform(110e-6, 195e-6, 48)
    with chip(seed=2) as made:
        result = programmed(
            made,
            name,
            target,
            tolerance_siemens=4e-6,
            count_in="confirmed",
            settle_s=(0.0,) * 5,
        )
        truth = made.board.true_conductances()[CELLS.rows, CELLS.columns]
    assert result.in_tolerance.mean() > 0.85
    assert np.mean(np.abs(truth - target) <= 4e-6) > 0.75
    np.testing.assert_array_equal(result.reads, result.pulses + 8 * len(result.passes))


@pytest.mark.parametrize("name", RECIPES)
def test_no_limit_is_exceeded_and_a_low_one_refuses_before_the_first_pulse(name) -> None:
    with chip() as made:
        programmed(made, name)
        for batch in made.batches:
            made.macro.limits.check(batch)
        made.macro.limits = made.macro.limits.lowered({"reset.line_volts": 2.0})
        before = len(made.batches)
        with pytest.raises(LimitError, match="line_volts"):
            programmed(made, name)
        assert len(made.batches) == before


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=4)
@given(budget=st.integers(1, 12))
def test_no_cell_gets_more_than_its_budget(name, budget) -> None:
    with chip() as made:
        result = programmed(made, name, pulse_budget=budget)
    assert result.pulses.max() <= budget
    used_up = ~result.in_tolerance & (result.pulses == budget)
    assert set(result.status[used_up].tolist()) <= {CellStatus.BUDGET, *STUCK}


STUCK = (CellStatus.STUCK_LOW, CellStatus.STUCK_HIGH)


@pytest.mark.parametrize("name", RECIPES)
def test_stuck_cells_are_told_within_15_pulses(name) -> None:
    target = np.where(np.arange(48) % 2, 170e-6, 112e-6)
    with chip(seed=4, stuck_high_fraction=0.2) as made:
        truth = made.board.true_conductances()[CELLS.rows, CELLS.columns]
        stuck = truth == 200e-6
        result = programmed(made, name, target, tolerance_siemens=5e-6)
    assert stuck.sum() >= 4
    assert set(result.status[stuck].tolist()) == {CellStatus.STUCK_HIGH}
    assert result.pulses[stuck].max() <= 15
    assert result.in_tolerance[~stuck].mean() > 0.9


@pytest.mark.parametrize("name", RECIPES)
def test_only_pulses_of_the_menu_are_given(name) -> None:
    menu = PulseMenu.short()
    allowed = {
        (int(k), round(g, 6), round(v, 6), round(w, 12))
        for k, g, v, w in zip(
            menu.operation, menu.gate_volts, menu.line_volts, menu.width_s, strict=True
        )
    }
    with chip() as made:
        made.macro.limits = Limits.of(BOARD.limits)
        menu = menu.within(made.macro.limits.lowered({"set.gate_volts": 3.5}))
        programmed(made, name, menu=menu, pulse_budget=40)
    for b in made.batches:
        for k, g, v, w in zip(b.operation, b.gate_volts, b.line_volts, b.width_s, strict=True):
            assert (int(k), round(g, 6), round(v, 6), round(w, 12)) in allowed


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_pulses_also_without_its_neighbours(name) -> None:
    with chip() as one, chip() as two:
        first, second = programmed(one, name), programmed(two, name)
    np.testing.assert_array_equal(first.reached_siemens, second.reached_siemens)
    np.testing.assert_array_equal(first.sets, second.sets)


@pytest.mark.parametrize("name", RECIPES)
def test_bad_input_is_refused_before_a_pulse(name) -> None:
    with chip() as made:
        for bad in (np.nan, 1e-3, 0.0, -1e-4):
            target = TARGET.copy()
            target[5] = bad
            with pytest.raises(TargetError, match=r"cell \(0, 5\)"):
                programmed(made, name, target)
        with pytest.raises(InputError, match="empty"):
            programmed(made, name, TARGET[:0], CELLS[np.zeros(48, bool)], tolerance_siemens=1e-6)
        with pytest.raises(TargetError, match="confirm_samples="):
            programmed(made, name, tolerance_siemens=0.2e-6, count_in="confirmed")
        with pytest.raises(NotFormedError):
            programmed(made, name, TARGET[:4], Cells.block(20, 0, 1, 4), tolerance_siemens=5e-6)
        assert made.batches == []


def test_names_find_their_algorithms() -> None:
    for name, known in ALGORITHMS.items():
        if name in RECIPES:
            assert name_of(known.params()) == name
            assert make_programmer(known.params()).name == name
    with pytest.raises(InputError, match="ispp, fppv"):
        algorithm("magic")
    with pytest.raises(InputError, match="no programming algorithm"):
        name_of(ProgramParams())


def test_switching_keeps_what_all_share() -> None:
    own = IsppParams(pulse_budget=77, tolerance_siemens=3e-6)
    other = switched(own, "two_step")
    assert name_of(other) == "two_step"
    assert (other.pulse_budget, other.tolerance_siemens) == (77, 3e-6)
    assert switched(own, "ispp") is own


def test_menus_by_name_and_by_their_lists() -> None:
    assert read_menu(None) is None
    assert len(read_menu("short")) == len(PulseMenu.short())
    small = PulseMenu.short()[[0, 1]]
    assert len(read_menu(small.to_dict())) == 2
    with pytest.raises(InputError, match="default, short"):
        read_menu("long")
