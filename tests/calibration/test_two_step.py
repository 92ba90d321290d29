"""Gate-controlled two-step programming: how a cell's gate follows what the cell reads."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.programming.levels import LevelTable
from calibration.programming.two_step import TwoStep, TwoStepParams
from drivers.rram.geometry import Cells
from protocols.errors import InputError
from protocols.messages import Operation

CELLS = Cells.block(0, 0, 4, 4)
SET = LevelTable((25e-6, 250e-6), (1.2, 2.1))  # what the toy's cells do
RESET = LevelTable((25e-6, 250e-6), (3.0, 2.0))


def run(toy, target, **changes):
    own = {"set_levels": SET, "reset_levels": RESET, "reset_line_volts": 1.0}
    shared = {"count_in": "reading", "tolerance_siemens": 3e-6}
    return TwoStep(TwoStepParams(**own | shared | changes)).run(toy, CELLS, target)


def test_cells_below_their_target_need_one_pulse_with_the_right_table(toy) -> None:
    toy.siemens[:] = 60e-6
    result = run(toy, np.linspace(120e-6, 200e-6, 16))
    assert result.in_tolerance.all()
    assert result.pulses.max() == 1
    assert result.resets.sum() == 0


def test_a_table_that_is_off_is_corrected_by_what_the_cell_read(toy) -> None:
    toy.siemens[:] = 60e-6
    low = LevelTable((25e-6, 250e-6), (1.05, 1.95))  # 0.15 V too low for these cells
    result = run(toy, np.full(16, 180e-6), set_levels=low)
    gates = [float(b.gate_volts[0]) for b, _ in toy.batches if b.operation[0] == Operation.SET]
    assert gates[1] - gates[0] == pytest.approx(0.15, abs=0.02)
    assert result.in_tolerance.all()
    assert result.pulses.max() <= 4


def test_close_to_the_target_the_gate_moves_in_fine_steps(toy) -> None:
    toy.siemens[:] = 60e-6
    low = LevelTable((25e-6, 250e-6), (1.15, 2.05))  # 12.5 uS low: 7 % of the target
    run(toy, np.full(16, 180e-6), set_levels=low, fine_step_volts=0.01)
    gates = [float(b.gate_volts[0]) for b, _ in toy.batches]
    assert gates[1] - gates[0] == pytest.approx(0.01)


@pytest.mark.parametrize(
    "bad",
    [
        {"fine_step_volts": 0.0},
        {"fine_step_volts": 0.5},
        {"coarse_fraction": 1.0},
        {"set_width_s": -1e-7},
        {"lowest_gate_volts": 5.0},
    ],
)
def test_parameters_out_of_range(bad) -> None:
    with pytest.raises(InputError):
        TwoStepParams(**bad)
