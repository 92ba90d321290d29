"""Simulated instruments: they keep the promises of the interfaces, and see what the board does."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.instruments.interfaces import ROLES
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.instruments import simulated_instruments
from hil.sim.instruments.matrix import GATE, GROUND, PULSER, SMU
from protocols.errors import (
    ComplianceError,
    InputError,
    InstrumentLost,
    InstrumentTimeout,
    LimitError,
)
from protocols.hardware import load_board
from protocols.resistor_board import OPEN_SITE, nominal_siemens

BOARD = load_board("reference").model_copy(update={"rows": 8, "columns": 8})


@pytest.fixture
def board():
    return make_board(SimSettings(), BOARD)


@pytest.fixture
def bench(board):
    return simulated_instruments(board)


def columns(row: int, column: int) -> tuple[int, int, int]:
    """Columns of the matrix: bit line, source line, word line."""
    return 1 + row, 9 + column, 17 + column


def closed(matrix, row, column, driving, *, reset=False) -> None:
    bit, source, word = columns(row, column)
    matrix.open_all()
    matrix.close_path(driving, source if reset else bit)
    matrix.close_path(GROUND, bit if reset else source)
    matrix.close_path(GATE, word)


def gate(supply, volts) -> None:
    supply.set("gate", volts, 1e-3)
    supply.output("gate", True)


def test_each_has_the_interface_of_its_role(bench) -> None:
    assert set(bench) == set(ROLES)
    for role, one in bench.items():
        assert isinstance(one, ROLES[role])
        with one as inside:
            assert inside.identity.maker == "simulated"
            inside.safe()
            inside.safe()
        one.close()
        with pytest.raises(InstrumentLost, match="closed"):
            one._there()


def test_an_absent_one_is_left_out() -> None:
    faults = {"absent_instruments": ("scope", "matrix")}
    found = simulated_instruments(make_board(SimSettings(board_faults=faults), BOARD))
    assert sorted(found) == ["pulser", "smu", "supply", "thermometer"]


def test_readings_repeat_from_run_to_run_and_differ_from_reading_to_reading(bench) -> None:
    other = simulated_instruments(make_board(SimSettings(), BOARD))
    first = [bench["thermometer"].celsius() for _ in range(3)]
    assert first == [other["thermometer"].celsius() for _ in range(3)]
    assert len(set(first)) == 3
    assert np.abs(np.array(first) - 25.0).max() < 1.0


# --- sources ------------------------------------------------------------------------------------


def test_no_output_without_a_limit(bench) -> None:
    for switch in (
        lambda: bench["supply"].output("logic", True),
        lambda: bench["smu"].output(True),
        lambda: bench["pulser"].output(True),
        lambda: bench["pulser"].burst(),
    ):
        with pytest.raises(ComplianceError):
            switch()


def test_what_is_over_the_range_is_refused(bench) -> None:
    with pytest.raises(LimitError):
        bench["supply"].set("logic", 40.0, 0.1)
    with pytest.raises(LimitError):
        bench["smu"].source_volts(0.1, 1.0)
    with pytest.raises(LimitError):
        bench["smu"].sweep(np.array([0.1, 30.0]), 1e-3)
    shape = {"low_volts": 0.0, "width_s": 1e-6, "edge_s": 5e-9, "load_ohms": 1e6}
    with pytest.raises(LimitError):
        bench["pulser"].configure(high_volts=12.0, **shape)
    with pytest.raises(InputError):
        bench["matrix"].close_path(5, 1)
    with pytest.raises(InputError):
        bench["supply"].set("nothing", 1.0, 0.1)


def test_the_supply_reads_its_rails_back(bench, board) -> None:
    supply = bench["supply"]
    with pytest.raises(InputError, match="swap its leads"):
        supply.set("negative", -5.0, 0.4)
    supply.set("negative", 5.0, 0.4)
    supply.output("negative", True)
    volts, amperes = supply.measure("negative")
    assert volts == pytest.approx(5.0, rel=0.02)
    assert 0.02 < amperes < 0.25
    supply.safe()
    assert supply.measure("negative")[0] == pytest.approx(0.0, abs=0.05)
    supply.close()
    assert board.nodes.rail("negative")[0] == pytest.approx(5.0, rel=0.02)


# --- at the array -------------------------------------------------------------------------------


def test_the_smu_measures_resistors_through_the_matrix(bench, board) -> None:
    board.nodes.fit("resistor board")
    smu, nominal = bench["smu"], nominal_siemens(8, 8)
    for row, column in ((0, 0), (3, 5), (7, 6)):
        closed(bench["matrix"], row, column, SMU)
        smu.source_volts(0.2, 1e-3)
        smu.output(True)
        got = smu.measure()
        smu.output(False)
        assert got.amperes / 0.2 == pytest.approx(nominal[row, column], rel=0.01)
        assert not got.in_compliance
    closed(bench["matrix"], *OPEN_SITE, SMU)
    smu.source_volts(0.2, 1e-3)
    smu.output(True)
    assert abs(smu.measure().amperes) < 5e-9


def test_a_short_reaches_the_compliance(bench, board) -> None:
    board.nodes.fit("resistor board")
    smu = bench["smu"]
    closed(bench["matrix"], 2, 1, SMU)
    smu.source_volts(0.2, 1e-4)
    smu.output(True)
    got = smu.measure()
    assert got.in_compliance
    assert got.amperes == pytest.approx(1e-4, rel=0.01)
    assert got.volts < 0.05
    with pytest.raises(ComplianceError, match="point 1"):
        smu.sweep(np.array([0.005, 0.2]), 1e-4)


def test_the_gate_opens_the_transistor(bench, board) -> None:
    board.set_conductances(np.full((8, 8), 150e-6))
    closed(bench["matrix"], 1, 2, SMU)
    smu, currents = bench["smu"], []
    for volts in (0.0, 1.0, 3.6):
        gate(bench["supply"], volts)
        currents.append(float(smu.sweep(np.array([0.1]), 1e-3)[0]))
    assert currents[0] < 1e-8
    assert currents[0] < currents[1] < currents[2]
    assert currents[2] / 0.1 == pytest.approx(150e-6, rel=0.2)


def test_a_pulse_forms_the_cell_that_is_connected_and_no_other(bench, board) -> None:
    closed(bench["matrix"], 4, 6, PULSER)
    gate(bench["supply"], 2.0)
    pulser = bench["pulser"]
    shape = {"low_volts": 0.0, "edge_s": 5e-9, "load_ohms": 1e6}
    pulser.configure(high_volts=4.4, width_s=1e-3, **shape)
    pulser.output(True)
    pulser.burst()
    formed = board.chip.cells.state["formed"].reshape(8, 8)
    assert formed[4, 6]
    assert formed.sum() == 1
    before = board.true_conductances()[4, 6]
    closed(bench["matrix"], 4, 6, PULSER, reset=True)
    gate(bench["supply"], 4.0)
    pulser.configure(high_volts=2.5, width_s=1e-6, **shape)
    pulser.burst(2)
    assert board.true_conductances()[4, 6] < 0.5 * before


def test_nothing_flows_where_a_path_is_open(bench, board) -> None:
    board.set_conductances(np.full((8, 8), 150e-6))
    smu, matrix = bench["smu"], bench["matrix"]
    gate(bench["supply"], 3.6)
    closed(matrix, 1, 2, SMU)
    matrix.open_all()
    for paths in ([(SMU, 2)], [(SMU, 2), (GATE, 19)], [(GROUND, 11), (GATE, 19)]):
        matrix.open_all()
        for path in paths:
            matrix.close_path(*path)
        smu.source_volts(0.1, 1e-3)
        smu.output(True)
        assert abs(smu.measure().amperes) < 5e-9


def test_a_leaky_row_leaks_with_its_gates_closed() -> None:
    board = make_board(SimSettings(chip_faults={"leaky_row": 3}), BOARD)
    smu = simulated_instruments(board)["smu"]
    amperes = []
    for row in (2, 3):
        board.nodes.connect("smu", f"pad:BL{row}")
        smu.source_volts(0.1, 1e-3)
        smu.output(True)
        amperes.append(smu.measure().amperes)
        smu.output(False)
    assert abs(amperes[0]) < 5e-9
    assert amperes[1] == pytest.approx(4e-6, rel=0.02)


# --- the oscilloscope ---------------------------------------------------------------------------


def test_a_scope_that_sees_nothing_says_so(bench) -> None:
    scope = bench["scope"]
    with pytest.raises(InputError, match="arming"):
        scope.arm()
    scope.configure("1", 5.0, 1e-6, "1", 1.0)
    with pytest.raises(InputError, match="armed"):
        scope.waveform("1")
    scope.arm()
    with pytest.raises(InstrumentTimeout, match="pad:BL0"):
        scope.waveform("1")
    with pytest.raises(InputError, match="channel"):
        scope.configure("5", 5.0, 1e-6, "1", 1.0)


def test_an_unplugged_instrument_is_lost(bench) -> None:
    for one in bench.values():
        one.unplug()
        one.close()
    with pytest.raises(InstrumentLost, match="thermometer"):
        bench["thermometer"].celsius()
    with pytest.raises(InstrumentLost, match="unknown"):
        bench["supply"].measure("logic")
