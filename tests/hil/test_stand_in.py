"""`board: instruments`: instruments and a switch matrix where a board's front end would be."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from calibration.characterise.common import Rig
from calibration.characterise.read_noise import ReadNoiseParams
from calibration.characterise.read_noise import run as read_noise
from calibration.forming import FormParams, form
from calibration.programming.ispp import Ispp, IsppParams
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from hil.bench import Bench
from hil.cli.app import run
from hil.config import BenchConfig
from hil.instruments import Instruments, simulated_roles
from hil.sim.board import make_board
from hil.stand_in import StandInBoard
from protocols.errors import (
    BoardError,
    ChipBusyError,
    InstrumentLost,
    LimitError,
    NoInstrument,
    SafetyError,
)
from protocols.hardware import load_board
from protocols.messages import SafeReason

CELLS = Cells.block(0, 0, 4, 4)


@pytest.fixture
def config(tmp_path):
    drawn = load_board("reference").model_copy(update={"rows": 4, "columns": 4, "name": "bare"})
    path = tmp_path / "bare.yaml"
    path.write_text(yaml.safe_dump(drawn.model_dump(mode="json")))
    return BenchConfig(
        board="instruments",
        description=str(path),
        chip={"id": "bare-1", "folder": tmp_path / "chips"},
        runs=tmp_path / "runs",
        curves=tmp_path / "curves",
    )


@pytest.fixture
def bench(config):
    with Bench.open(config) as opened:
        yield opened


def roles(bench: Bench) -> Instruments:
    assert isinstance(bench.simulated, StandInBoard)
    stand_in = bench.simulated.machine.instruments
    return stand_in.instruments


def test_a_small_array_is_formed_and_programmed_by_ispp(bench) -> None:
    formed = form(bench.macro, CELLS)
    assert formed.formed.all()
    targets = np.linspace(100e-6, 180e-6, 16)
    params = IsppParams(tolerance_siemens=8e-6 * np.ones(16), settle_s=(0.0,))
    done = Ispp(params, bench.wait).run(bench.macro, CELLS, targets)
    assert done.in_tolerance.sum() >= 13  # some move away again, as behind any front end
    truth = bench.simulated.true_conductances().ravel()
    np.testing.assert_allclose(truth, targets, atol=20e-6)
    assert int(bench.simulated.chip.cells.state["pulse_count"].sum()) == int(
        done.pulses.sum() + formed.pulses.sum()
    )
    # tens of milliseconds a pulse with its read: slow by nature
    assert bench.board.status().time_s > 0.04 * done.pulses.sum()


def test_a_routine_characterises_through_it(bench) -> None:
    form(bench.macro, CELLS)
    params = ReadNoiseParams(
        levels_siemens=(150e-6,), group=4, most_cells=4, readings=12, settle_s=0.5
    )
    found = read_noise(Rig(bench.macro, CELLS, wait_for=bench.wait), params)
    assert found.account.cells == 4
    assert found.account.reads >= 4 * 12


def test_a_read_is_that_of_the_board(bench) -> None:
    bench.simulated.set_conductances(np.full((4, 4), 120e-6))
    seen = bench.macro.read(CELLS, samples=4)
    np.testing.assert_allclose(seen, 120e-6, rtol=0.06)


def test_half_the_matrix_is_another_cell(bench) -> None:
    targets = np.arange(16).reshape(4, 4) * 8e-6 + 40e-6
    bench.simulated.set_conductances(targets)
    seen = bench.macro.read(CELLS, samples=4).reshape(4, 4)
    assert np.abs(seen / bench.simulated.true_conductances() - 1.0).max() < 0.2
    assert seen[3, 0] > seen[0, 3]  # rows are rows


def test_limits_hold_before_an_instrument_is_told(bench) -> None:
    pulse = PulseBatch.set(CELLS[[0]], gate_volts=2.0, line_volts=4.0, width_s=1e-6)
    with bench.macro.armed(10.0), pytest.raises(LimitError, match=r"line_volts is 4 V"):
        bench.macro.pulse_read(pulse)
    stand_in = bench.simulated.machine.instruments
    with pytest.raises(LimitError, match="line_volts is 4 V"):
        stand_in.pulse(pulse)
    assert not bench.simulated.chip.cells.state["pulse_count"].any()
    with pytest.raises(SafetyError, match="armed"):
        bench.macro.pulse_read(
            PulseBatch.set(CELLS[[0]], gate_volts=2.0, line_volts=2.0, width_s=1e-6)
        )


def test_a_long_batch_does_not_outlast_its_arming(bench) -> None:
    many = CELLS[np.tile(np.arange(16), 6)]
    with bench.macro.armed(2.0):  # the pulses take longer than that
        before = bench.board.status().time_s
        bench.macro.pulse_read(PulseBatch.form(many, gate_volts=2.0, line_volts=2.0, width_s=1e-6))
        assert bench.board.status().time_s > before + 2.0
        bench.wait(2.5)  # a silent host is another matter
        with pytest.raises(SafetyError):
            bench.macro.pulse_read(
                PulseBatch.form(CELLS[[0]], gate_volts=2.0, line_volts=2.0, width_s=1e-6)
            )


def test_what_instruments_cannot_do_is_refused(bench) -> None:
    with pytest.raises(BoardError, match="cannot do that"):
        bench.macro.multiply(0, 0, 4, np.full((1, 4), 0.1))


def test_disarming_leaves_nothing_connected(bench) -> None:
    with bench.macro.armed(10.0):
        bench.macro.pulse_read(
            PulseBatch.form(CELLS[[5]], gate_volts=2.0, line_volts=3.0, width_s=1e-3)
        )
        assert bench.simulated.nodes.pads.held
    assert not bench.simulated.nodes.pads.held


def test_an_unplugged_instrument_is_named_and_the_rest_is_off(bench) -> None:
    found = roles(bench)
    found.smu.unplug()
    with pytest.raises(InstrumentLost, match="source-measure unit"):
        bench.macro.read(CELLS)
    assert not bench.simulated.nodes.pads.held
    assert bench.simulated.machine.safety.reason == SafeReason.FAULT


def test_a_source_measure_unit_alone_forms_but_makes_no_short_pulse(config) -> None:
    with Bench.open(config.with_changes(stand_in={"pulser": False})) as bench:
        assert form(bench.macro, CELLS[[0, 1]], FormParams(width_s=1e-3)).formed.all()
        short = PulseBatch.set(CELLS[[0]], gate_volts=2.0, line_volts=2.0, width_s=1e-6)
        with bench.macro.armed(10.0), pytest.raises(LimitError, match="shorter than"):
            bench.macro.pulse_read(short)


def test_an_absent_instrument_is_named(config) -> None:
    sim = config.sim.model_copy(
        update={
            "board_faults": config.sim.board_faults.model_copy(
                update={"absent_instruments": ("matrix",)}
            )
        }
    )
    with pytest.raises(NoInstrument, match="matrix"):
        Bench.open(config.with_changes(sim=sim))


def test_the_chip_keeps_what_was_done_to_it(config) -> None:
    with Bench.open(config) as bench:
        formed = form(bench.macro, CELLS[[0, 1, 2]])
    assert formed.formed.all()
    with Bench.open(config) as bench:
        assert (bench.macro.read(CELLS[[0, 1, 2]]) > 10e-6).all()
        assert bench.is_simulated


def test_the_start_up_checks_say_what_they_leave_out(config, tmp_path, capsys) -> None:
    text = {
        "board": "instruments",
        "description": config.description,
        "chip": {"id": "bare-1", "folder": str(tmp_path / "chips")},
        "runs": str(tmp_path / "runs"),
    }
    path = tmp_path / "bench.yaml"
    path.write_text(yaml.safe_dump(text))
    assert run(["check", "--bench", str(path)]) == 0
    assert "cannot do that" in capsys.readouterr().out


def test_instruments_of_the_bench_file_make_it_a_real_chip(config, monkeypatch) -> None:
    drawn = config.load_description()
    there = make_board(config.sim, drawn)
    there.set_conductances(np.full((4, 4), 140e-6))
    closed = []

    def connected(section, roles) -> Instruments:
        assert set(roles) == {"matrix", "smu", "supply", "pulser"}
        assert section.smu.address == "TCPIP::192.0.2.1::INSTR"
        found = simulated_roles(there)
        monkeypatch.setattr(found.pulser, "close", lambda: closed.append("pulser"))
        return found

    monkeypatch.setattr("hil.instruments.connect_all", connected)
    named = {"smu": {"address": "TCPIP::192.0.2.1::INSTR"}}
    with Bench.open(config.with_changes(instruments=named)) as bench:
        assert not bench.is_simulated
        assert bench.simulated is None
        np.testing.assert_allclose(bench.macro.read(CELLS, 2), 140e-6, rtol=0.1)
        before = bench.board.status().time_s
        bench.wait(0.05)
        assert bench.board.status().time_s >= before + 0.05
        with pytest.raises(ChipBusyError):
            Bench.open(config.with_changes(instruments=named))
    assert closed == ["pulser"]
