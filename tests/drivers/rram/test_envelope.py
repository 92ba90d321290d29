"""Slew, energy and the time armed: in SI units, in codes, and in what the board is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Bound, Limits
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.transfer import Curves
from hil.boards import simulated, with_firmware
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.limits import CodeLimits
from protocols.codegen_c import limit_energy
from protocols.energy import ENERGY_UNIT, energy_code, energy_corner
from protocols.errors import ConfigError, LimitError, SafetyError
from protocols.hardware import load_board
from protocols.messages import Operation, SafeReason

REFERENCE = load_board("reference")
LIMITS = Limits.of(REFERENCE.limits)
CELLS = Cells.of([(0, 0), (1, 7)])
OK = {"gate_volts": 1.0, "line_volts": 1.0, "width_s": 1e-6}
EDGE_S, SIEMENS = 5e-9, 300e-6


@pytest.fixture(params=["sim", "native"])
def board(request, need_firmware):
    if request.param == "native":
        need_firmware("native")
        opened = with_firmware("native", SimSettings(), REFERENCE)
    else:
        opened = simulated(make_board(SimSettings(), REFERENCE))
    with Link(opened.stream, nonce=1) as link:
        link.behind = opened.simulated
        yield Board(link)
    opened.close()


def macro_of(board: Board, **values: float) -> Macro:
    limits = LIMITS.lowered({k.replace("__", "."): v for k, v in values.items()})
    return Macro(board, Geometry(128, 128), Curves.nominal(REFERENCE), limits)


@pytest.mark.parametrize("operation", Operation)
def test_what_the_description_leaves_out_follows_from_the_rest(operation):
    part = getattr(REFERENCE.limits, operation.name.lower())
    found = {name: LIMITS.bound(operation, name).value for name in ("gate_volts_per_s",)}
    assert found["gate_volts_per_s"] == pytest.approx(part.gate_volts / EDGE_S)
    assert LIMITS.bound(operation, "line_volts_per_s").value == part.line_volts / EDGE_S
    assert LIMITS.bound(operation, "energy_joules").value == pytest.approx(
        part.line_volts**2 * SIEMENS * part.width_s
    )


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [
        ("gate_volts_per_s", 0.9 / EDGE_S, "gate_volts_per_s is 2e+08 V/s, the limit is 1.8e+08"),
        ("line_volts_per_s", 0.9 / EDGE_S, "line_volts_per_s is 2e+08 V/s, the limit is 1.8e+08"),
        ("energy_joules", 2.9e-10, "energy_joules is 3e-10 J, the limit is 2.9e-10 J"),
    ],
)
def test_each_is_named_with_its_cell_its_value_and_its_source(name, limit, said):
    limits = LIMITS.lowered({f"reset.{name}": limit})
    limits.check(PulseBatch.set(CELLS, **OK))
    with pytest.raises(LimitError) as caught:
        limits.check(PulseBatch.reset(CELLS, **OK))
    assert str(caught.value).startswith(f"RESET of cell (0, 0): {said}")
    assert "set in the bench file" in str(caught.value)


def test_no_constructor_gets_around_the_hard_limits():
    high = {**LIMITS.bounds, "set.line_volts": Bound(4.0, "me")}
    with pytest.raises(LimitError, match="can be lowered, never raised"):
        replace(LIMITS, bounds=high)
    with pytest.raises(LimitError, match="never raised"):
        replace(LIMITS, bounds={**LIMITS.bounds, "arm_s": Bound(float("nan"), "me")})
    few = {k: v for k, v in LIMITS.bounds.items() if k != "arm_s"}
    with pytest.raises(ConfigError, match="missing or unknown: arm_s"):
        replace(LIMITS, bounds=few)
    with pytest.raises(TypeError):
        LIMITS.bounds["arm_s"] = Bound(1e9, "me")  # type: ignore[index]


@settings(max_examples=50)
@given(
    joules=st.floats(1e-13, 1e-8),
    gain=st.floats(0.98, 1.02),
    offset=st.floats(-6.0, 6.0),
    width_max=st.integers(1, 50_000),
    line=st.integers(1, 700),
    ticks=st.integers(1, 50_000),
)
def test_what_keeps_the_code_keeps_the_joules(joules, gain, offset, width_max, line, ticks):
    tick_s, step = 20e-9, 5.0 / 4095
    volts = [max(0.0, (code * gain + offset) * step) for code in range(701)]
    limit = energy_code(joules, SIEMENS, tick_s, volts, width_max)
    assert limit <= energy_corner(700, width_max)
    if ticks <= width_max and line**2 * ticks <= limit * ENERGY_UNIT:
        assert volts[line] ** 2 * SIEMENS * ticks * tick_s <= joules * (1 + 1e-6)


def test_a_description_with_less_energy_and_slew_is_compiled_in_alike():
    part = REFERENCE.limits.set.model_copy(
        update={"energy_joules": 5e-9, "line_volts_per_s": 2.0 / EDGE_S}
    )
    limits = REFERENCE.limits.model_copy(update={"set": part})
    description = REFERENCE.model_copy(update={"limits": limits})
    codes = CodeLimits.of(description, SimSettings()).of_operation(Operation.SET)
    assert codes.energy_max == limit_energy(part, description)
    assert codes.line_max < 2.0 / 5.0 * 4095
    worst_volts = (codes.line_max + 6) * 5.0 * 1.01 / 4095
    longest_s = codes.width_at(codes.line_max) * 20e-9
    assert worst_volts**2 * SIEMENS * longest_s <= 5e-9
    assert codes.width_at(0) == codes.width_max


def test_a_macro_and_its_board_keep_the_energy(board):
    macro = macro_of(board, set__energy_joules=1e-9, arm_s=20.0)
    macro.lower_board_limits()
    fine = PulseBatch.set(CELLS, gate_volts=1.0, line_volts=1.8, width_s=1e-6)
    over = PulseBatch.set(CELLS, gate_volts=1.0, line_volts=1.8, width_s=1.2e-6)
    with macro.armed(10.0):
        macro.pulse_read(fine)
        before = board.status().pulses
        with pytest.raises(LimitError, match=r"SET of cell \(0, 0\): energy_joules is 1\.16"):
            macro.pulse_read(over)
        behind = Macro(board, macro.geometry, macro.curves, LIMITS)
        behind._armed = 1
        with pytest.raises(LimitError, match="width_ticks of entry 0 is 60, the board's limit is"):
            behind.pulse_read(over)
        assert board.status().pulses == before
    with pytest.raises(LimitError, match="the board's limit is 20000"):
        board.arm(20.1)


def test_the_slew_reaches_the_board_as_an_amplitude(board):
    macro = macro_of(board, reset__line_volts_per_s=1.5 / EDGE_S)
    macro.lower_board_limits()
    over = PulseBatch.reset(CELLS, gate_volts=1.0, line_volts=1.51, width_s=1e-7)
    with macro.armed(10.0):
        with pytest.raises(LimitError, match=r"line_volts_per_s is 3\.02e"):
            macro.pulse_read(over)
        behind = Macro(board, macro.geometry, macro.curves, LIMITS)
        behind._armed = 1
        with pytest.raises(LimitError, match="line_code of entry 0 is 1236, the board's limit is"):
            behind.pulse_read(over)
        macro.pulse_read(PulseBatch.reset(CELLS, gate_volts=1.0, line_volts=1.5, width_s=1e-7))


def test_an_open_interlock_leaves_the_read_level(board):
    macro = macro_of(board)
    weak = PulseBatch.set(CELLS, gate_volts=0.1, line_volts=0.1, width_s=1e-7)
    with macro.armed(10.0):
        board.link.behind.open_interlock()
        with pytest.raises(SafetyError, match="the interlock is open; close it before driving"):
            macro.pulse_read(weak)
        assert np.isfinite(macro.read(CELLS)).all()
    board.link.behind.close_interlock()
    with pytest.raises(SafetyError, match=r"safe state \(interlock\); clear it"):
        board.arm(1.0)
    board.safe_clear(SafeReason.INTERLOCK)
    board.arm(1.0)


def test_a_short_arming_is_renewed_while_pulses_go_on(board):
    macro = macro_of(board, arm_s=2.0)
    macro.lower_board_limits()
    weak = PulseBatch.set(CELLS, gate_volts=0.1, line_volts=0.1, width_s=1e-7)
    with pytest.raises(LimitError, match="arming for 600 s is refused"), macro.armed(600.0):
        pass
    with macro.armed(600.0, renewing=True):
        for _ in range(4):
            macro.pulse_read(weak)
            assert board.status().armed_s <= 2.0
            board.advance(1.2)
            macro.read(CELLS)  # hears the board's time
    assert board.status().armed_s == 0.0
    with macro.armed(600.0, renewing=True):
        board.advance(1.99)
        board.keep_alive()
        macro.read(CELLS)
        assert np.isfinite(macro.pulse_read(weak)).all()
