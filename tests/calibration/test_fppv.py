"""Fixed-pulse programming: the pulses it gives, and the level table behind them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.programming.fppv import Fppv, FppvParams
from calibration.programming.levels import LevelTable, reset_gate_200ns, set_gate_100ns
from drivers.rram.geometry import Cells
from protocols.errors import InputError
from protocols.messages import Operation

ONE = Cells.of([(3, 4)])
TOY = LevelTable((25e-6, 250e-6), (1.2, 2.1))  # what the toy's cells do


def run(toy, target: float, **changes):
    toy.siemens[:] = 120e-6
    own = {"levels": TOY, "erase_line_volts": 1.4, "erase_stop_volts": 2.0}
    shared = {"count_in": "reading", "tolerance_siemens": 3e-6}
    return Fppv(FppvParams(**own | shared | changes)).run(toy, ONE, np.array([target]))


def test_the_first_pulse_erases_and_the_second_jumps_to_the_level(toy) -> None:
    result = run(toy, 160e-6)
    first, second = (batch for batch, _ in toy.batches[:2])
    assert (first.operation[0], first.line_volts[0]) == (Operation.RESET, 1.4)
    assert second.operation[0] == Operation.SET
    assert second.gate_volts[0] == pytest.approx(TOY.volts_for(np.array([160e-6]))[0])
    assert result.in_tolerance.all()
    assert result.pulses[0] == 2


def test_as_published_the_pulses_never_change(toy) -> None:
    toy.scatter = 20e-6
    run(toy, 160e-6, gate_step_volts=0.0, pulse_budget=60)
    sets = {float(b.gate_volts[0]) for b, _ in toy.batches if b.operation[0] == Operation.SET}
    assert len(sets) == 1
    assert len(toy.batches) > 2


def test_a_step_moves_the_gate_of_a_cell_towards_its_level(toy) -> None:
    shifted = LevelTable((25e-6, 250e-6), (1.35, 2.25))  # 0.15 V too high for these cells
    result = run(toy, 160e-6, levels=shifted, gate_step_volts=0.05)
    gates = [float(b.gate_volts[0]) for b, _ in toy.batches if b.operation[0] == Operation.SET]
    assert result.in_tolerance.all()
    for before, after in pairwise(gates):
        assert after == pytest.approx(before - 0.05)
    assert gates[-1] == pytest.approx(gates[0] - 0.15)


@given(st.floats(20e-6, 240e-6))
def test_a_table_and_its_inverse(siemens) -> None:
    for table in (set_gate_100ns(), TOY):
        volts = table.volts_for(np.array([siemens]))
        assert table.siemens_for(volts)[0] == pytest.approx(max(siemens, table.siemens[0]))
    falling = reset_gate_200ns()
    inside = np.clip(siemens, falling.siemens[0], falling.siemens[-1])
    assert falling.siemens_for(falling.volts_for(np.array([siemens])))[0] == pytest.approx(inside)


@pytest.mark.parametrize(
    ("siemens", "volts"),
    [
        ((1e-6,), (1.0,)),
        ((1e-6, 2e-6), (1.0,)),
        ((2e-6, 1e-6), (1.0, 2.0)),
        ((1e-6, 2e-6, 3e-6), (1.0, 2.0, 1.5)),
        ((1e-6, 2e-6), (1.0, float("nan"))),
        ((-1e-6, 2e-6), (1.0, 2.0)),
    ],
)
def test_tables_that_are_none(siemens, volts) -> None:
    with pytest.raises(InputError):
        LevelTable(siemens, volts)


@pytest.mark.parametrize(
    "bad",
    [
        {"gate_step_volts": -0.1},
        {"set_width_s": 0.0},
        {"lowest_gate_volts": 4.0},
        {"erase_line_volts": 3.3},
    ],
)
def test_parameters_out_of_range(bad) -> None:
    with pytest.raises(InputError):
        FppvParams(**bad)
