"""Predictive programming: its belief, its choices, and what it does on a simulated board."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration.cell_model import CellModel, MeasureParams, measure_response
from calibration.programming import CellStatus, ProgramResult
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive import Predictive, PredictiveParams
from calibration.programming.predictive_belief import within
from calibration.programming.predictive_plan import planner_of
from calibration.programming.predictive_tables import FIGURES, U_NODES
from calibration.programming.predictive_value import phi, u_of
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from hil.sim.profile import profile_path
from protocols.errors import InputError, LimitError, TargetError
from protocols.hardware import load_board
from protocols.messages import Operation

MODEL = CellModel.from_profile(profile_path("rram_1t1r_180nm"))
MENU = PulseMenu.short()[::2]

BOARD = load_board("reference")
CELLS = Cells.block(0, 0, 12, 128)
WINDOWS = ((2857.0, 5000.0), (5770.0, 6010.0), (8510.0, 9310.0))


def chip(siemens: float = 135e-6, **settings: Any) -> tuple[SimBoard, Macro]:
    board = make_board(SimSettings(seed=5, **settings), BOARD)
    board.set_conductances(np.full((BOARD.rows, BOARD.columns), siemens))
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    geometry = Geometry(BOARD.rows, BOARD.columns)
    return board, Macro(Board(link), geometry, Curves.nominal(BOARD), Limits.of(BOARD.limits))


def asked(**changes: Any) -> tuple[np.ndarray, PredictiveParams]:
    ohm = np.array(WINDOWS)[np.arange(len(CELLS)) % len(WINDOWS)]
    low, high = 1.0 / ohm[:, 1], 1.0 / ohm[:, 0]
    shared: dict[str, Any] = {
        "model": MODEL,
        "menu": MENU,
        "count_in": "reading",
        "tolerance_siemens": 0.5 * (high - low),
        "highest_siemens": 300e-6,
    }
    return 0.5 * (low + high), PredictiveParams(**{**shared, **changes})


def program(macro: Macro, **changes: Any) -> ProgramResult:
    targets, params = asked(**changes)
    return Predictive(params).run(macro, CELLS, targets)


def test_the_normal_between_two_values_against_brute_force() -> None:
    draws = np.random.default_rng(1).normal(0.4, 1.3, 2_000_000)
    for low, high in ((-0.5, 0.7), (1.0, 9.0), (-30.0, -1.0), (0.2, 0.9)):
        kept = draws[(draws > low) & (draws < high)]
        step, left = within(0.4, 1.3**2, low, high, 4.0)
        assert step == pytest.approx(kept.mean() - 0.4, abs=5e-3)
        assert left == pytest.approx(kept.var(), abs=1e-2)
    step, left = within(0.0, 1.0, 50.0, 60.0, 4.0)
    assert step == 4.0
    assert 0.0 < left < 1.0


def test_the_distribution_function() -> None:
    assert phi(0.0) == pytest.approx(0.5, abs=1e-6)
    assert phi(1.6449) == pytest.approx(0.95, abs=1e-5)
    assert phi(-3.0) == pytest.approx(0.00135, abs=1e-5)


def test_the_tables_are_quantiles_that_read_back() -> None:
    tables = planner_of(MODEL, MENU).tables
    assert np.all(np.diff(tables.after, axis=2) >= 0.0)
    assert np.all((tables.loading**2).sum(axis=2) <= 1.1)
    k = int(MENU.snap(Operation.SET, 2.5, 2.0, 1e-7)[0])
    row = tables.after[k, 60]
    for j in (3, 16, 29):
        assert u_of(float(row[j]), row) == pytest.approx(U_NODES[j], abs=0.2)
    assert tables.loading.shape[2] == FIGURES


def test_windows_below_10_kohm_take_few_pulses() -> None:
    board, macro = chip()
    result = program(macro)
    assert result.in_tolerance.mean() >= 0.997
    assert result.pulses.mean() <= 3.6
    assert result.round_trips == result.rounds + 1
    assert result.reads.sum() == result.pulses.sum() + len(CELLS)
    assert board.chip.cells.state["pulse_count"].max() <= 201


def test_the_same_seed_gives_the_same_pulses() -> None:
    first, second = (program(chip()[1]) for _ in range(2))
    np.testing.assert_array_equal(first.pulses, second.pulses)
    np.testing.assert_array_equal(first.reached_siemens, second.reached_siemens)


def test_stuck_cells_are_reported_within_15_pulses() -> None:
    board, macro = chip(stuck_high_fraction=0.02)
    result = program(macro)
    before = np.abs(board.true_conductances()[CELLS.rows, CELLS.columns] - 200e-6) < 1e-9
    _, low = chip()[0], asked()[0]
    stuck = before & (low < 180e-6)
    assert stuck.sum() >= 10
    assert not result.in_tolerance[stuck].any()
    assert (result.status[stuck] == CellStatus.STUCK_HIGH).all()
    assert result.pulses[stuck].max() <= 15


def test_a_fitted_model_needs_fewer_pulses_on_another_technology() -> None:
    other = {"set.gate_volts": 1.06, "reset.line_volts": 1.1}
    blind = program(chip(profile_scale=other)[1])
    macro = chip(profile_scale=other)[1]
    data = measure_response(
        macro,
        Cells.block(12, 0, 6, 128),
        MeasureParams(MENU, pulses_per_cell=24),
    )
    knowing = program(macro, model=CellModel.fit(data, MODEL))
    assert knowing.pulses.mean() < 4.2
    assert blind.pulses.mean() > 1.3 * knowing.pulses.mean()


def test_cells_learn_from_each_other() -> None:
    other = {"set.gate_volts": 1.03}
    alone = program(chip(profile_scale=other)[1], learn=False)
    together = program(chip(profile_scale=other)[1])
    assert together.pulses.mean() < alone.pulses.mean()


def test_bad_input_is_refused_before_a_pulse() -> None:
    macro = chip()[1]
    targets, params = asked()
    wrong = targets.copy()
    wrong[7] = np.nan
    with pytest.raises(TargetError, match="0, 7"):
        Predictive(params).run(macro, CELLS, wrong)
    with pytest.raises(InputError, match="needs a cell model"):
        Predictive(asked(model=None)[1]).run(macro, CELLS, targets)
    with pytest.raises(InputError, match="no RESET"):
        asked(menu=MENU[MENU.of(Operation.SET)])
    macro.limits = macro.limits.lowered({"reset.line_volts": 2.0})
    with pytest.raises(LimitError, match="line_volts"):
        Predictive(params).run(macro, CELLS, targets)
    assert not macro._given.any()
