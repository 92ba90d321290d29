"""Forming, programming and verifying a whole network on the simulated board, over the wire."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from calibration.forming import form
from calibration.mapping import Placement, map_network
from calibration.programming import SETTLE_LONG_S, CellStatus, ProgramResult
from calibration.programming.ispp import Ispp, IsppParams
from calibration.verify import verify
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import NotFormedError
from protocols.hardware import load_board

BOARD = load_board("reference")
GEOMETRY = Geometry(BOARD.rows, BOARD.columns)


def bench(seed: int = 1, **settings: object) -> SimpleNamespace:
    board = make_board(SimSettings(seed=seed, **settings), BOARD)  # type: ignore[arg-type]
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    macro = Macro(Board(link), GEOMETRY, Curves.nominal(BOARD), Limits.of(BOARD.limits))
    return SimpleNamespace(board=board, link=link, macro=macro)


def network() -> Placement:
    rng = np.random.default_rng(7)
    sizes = ((14, 2), (14, 14), (2, 14))
    return map_network(
        [rng.laplace(0.0, 0.5, size) for size in sizes],
        [rng.normal(0.0, 0.3, size[0]) for size in sizes],
        geometry=GEOMETRY,
        loop=BOARD.loop,
        converters=BOARD.converters,
    )


@pytest.fixture(scope="module")
def programmed() -> SimpleNamespace:
    made, placement = bench(), network()
    formed = form(made.macro, placement.cells)
    before = made.link.stats.round_trips
    programmer = Ispp(IsppParams(settle_s=SETTLE_LONG_S), made.board.chip.advance)
    result = programmer.run(made.macro, placement.cells, placement.target_siemens)
    trips = made.link.stats.round_trips - before
    return SimpleNamespace(
        made=made, placement=placement, formed=formed, result=result, trips=trips
    )


def truth(made: SimpleNamespace, cells: Cells) -> np.ndarray:
    return np.asarray(made.board.true_conductances()[cells.rows, cells.columns])


def test_all_cells_form_and_no_other_cell_is_touched(programmed) -> None:
    assert programmed.formed.formed.all()
    assert 30 <= programmed.formed.rounds <= 45
    state = programmed.made.board.chip.cells.state["pulse_count"]
    used = np.zeros(GEOMETRY.cells, bool)
    used[programmed.placement.cells.flat(GEOMETRY)] = True
    assert np.all(state[~used] == 0)
    assert np.all(state[used] > 0)


def test_nearly_all_cells_are_in_tolerance(programmed) -> None:
    result: ProgramResult = programmed.result
    assert result.in_tolerance.mean() >= 0.93
    assert result.pulses.mean() < 45
    assert result.pulses.max() <= 200
    off = np.abs(truth(programmed.made, result.cells) - result.target_siemens)
    assert np.mean(off <= result.tolerance_siemens) >= 0.80
    assert np.sqrt(np.mean(off**2)) < 4e-6


def test_every_cell_is_accounted_for(programmed) -> None:
    result: ProgramResult = programmed.result
    failed = result.status != CellStatus.IN_TOLERANCE
    assert len(result.failures) == int(failed.sum())
    beyond = np.abs(result.error_siemens) > result.tolerance_siemens
    np.testing.assert_array_equal(failed, beyond)
    state = programmed.made.board.chip.cells.state
    flat = result.cells.flat(GEOMETRY)
    np.testing.assert_array_equal(
        state["pulse_count"][flat], result.pulses + programmed.formed.pulses
    )


def test_round_trips_are_rounds(programmed) -> None:
    result: ProgramResult = programmed.result
    passes = len(result.passes) - 1
    assert result.round_trips == result.rounds + passes + 1
    assert programmed.trips == result.round_trips + 2 * passes  # arm and disarm
    assert result.pulses.sum() > 10 * result.rounds


def test_the_weights_are_those_of_the_network(programmed) -> None:
    placement = programmed.placement
    wanted = placement.weights_from(placement.target_siemens)[0]
    found = placement.weights_from(truth(programmed.made, placement.cells))[0]
    for w, g in zip(wanted, found, strict=True):
        assert np.sqrt(np.mean((g - w) ** 2)) < 0.05 * np.abs(w).max()


def test_verify_reads_the_same_cells_again(programmed) -> None:
    result: ProgramResult = programmed.result
    again = verify(programmed.made.macro, result.cells, result.target_siemens)
    assert again.in_tolerance.mean() > result.in_tolerance.mean() - 0.1
    assert np.median(np.abs(again.reading_siemens - result.reached_siemens)) < 1e-6


def test_the_same_seed_gives_the_same_pulses() -> None:
    cells = Cells.block(0, 0, 6, 8)
    targets = np.random.default_rng(0).uniform(100e-6, 200e-6, 48)
    runs = []
    for _ in range(2):
        made = bench(seed=5)
        form(made.macro, cells)
        runs.append(Ispp().run(made.macro, cells, targets))
    np.testing.assert_array_equal(runs[0].reached_siemens, runs[1].reached_siemens)
    np.testing.assert_array_equal(runs[0].sets, runs[1].sets)
    np.testing.assert_array_equal(runs[0].status, runs[1].status)


def test_cells_that_were_never_formed_are_told() -> None:
    cells = Cells.block(0, 0, 2, 2)
    made = bench()
    with pytest.raises(NotFormedError, match="None of the 4 cells"):
        Ispp().run(made.macro, cells, np.full(4, 150e-6))
    form(made.macro, cells[[0, 1, 2]])
    result = Ispp().run(made.macro, cells, np.full(4, 150e-6))
    assert result.status[3] == CellStatus.UNFORMED
    assert result.pulses[3] == 0
