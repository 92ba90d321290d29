"""Coarse-and-fine programming: the two phases, on the simulated board."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from calibration.programming.coarse_fine import CoarseFine, CoarseFineParams
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import InputError
from protocols.hardware import load_board
from protocols.messages import Operation

BOARD = load_board("reference")
CELLS = Cells.block(0, 0, 4, 8)


@pytest.fixture(scope="module")
def done() -> SimpleNamespace:
    board = make_board(SimSettings(seed=3), BOARD)
    siemens = np.full((BOARD.rows, BOARD.columns), np.nan)
    siemens[CELLS.rows, CELLS.columns] = 60e-6
    board.set_conductances(siemens)
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    geometry = Geometry(BOARD.rows, BOARD.columns)
    macro = Macro(Board(link), geometry, Curves.nominal(BOARD), Limits.of(BOARD.limits))
    history: list[list[tuple[int, float, float, float]]] = [[] for _ in range(32)]
    drive = macro.pulse_read

    def pulse_read(batch, *, label=""):
        got = drive(batch, label=label)
        for k, (row, column) in enumerate(batch.cells):
            pulse = (int(batch.operation[k]), batch.gate_volts[k], batch.line_volts[k], got[k])
            history[8 * row + column].append(pulse)
        return got

    macro.pulse_read = pulse_read  # type: ignore[method-assign]
    params = CoarseFineParams(tolerance_siemens=4e-6, count_in="reading")
    result = CoarseFine(params).run(macro, CELLS, np.full(32, 165e-6))
    return SimpleNamespace(result=result, history=history, params=params)


def test_cells_end_inside(done) -> None:
    assert done.result.in_tolerance.mean() > 0.9
    assert done.result.pulses.mean() < 30


def test_a_cell_is_erased_then_climbs_by_gate_steps(done) -> None:
    step, near = done.params.gate_step_volts, 165e-6 * (1 - done.params.near_fraction)
    for history in done.history:
        assert history[0][0] == Operation.RESET
        gates = []
        for operation, gate, line, after in history[1:]:
            if operation == Operation.SET and line == done.params.set_line_volts:
                gates.append(gate)
            if after > near:
                break
        np.testing.assert_allclose(np.diff(gates), step)


def test_the_fine_phase_creeps_along_the_lines(done) -> None:
    p = done.params
    fine = [h for history in done.history for h in history if h[2] < 2.0]
    assert fine
    for operation, gate, line, _ in fine:
        set_, reset = p.fine_set_gate_volts, p.fine_reset_gate_volts
        assert gate == (set_ if operation == Operation.SET else reset)
        steps = (line - 0.4) / 0.1
        assert steps == pytest.approx(round(steps), abs=1e-6)


@pytest.mark.parametrize("bad", [{"near_fraction": 0.0}, {"fine_width_s": 0.0}])
def test_parameters_out_of_range(bad) -> None:
    with pytest.raises(InputError):
        CoarseFineParams(**bad)
