"""The gates of whole lines: what a gate code leaves of a line's current, and what it may be."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.stream import MemoryStream
from hil.sim.board import make_board
from hil.sim.chip_faults import LEAK_SIEMENS, SUBTLE, ChipFaults
from hil.sim.config import SimSettings
from hil.sim.transistors import Transistors
from protocols.errors import InputError, LimitError
from protocols.hardware import load_board
from protocols.messages import ArrayLine, LineCheckRequestEntry, LineProbe, Operation

BOARD = load_board("reference")
READ_CODE = 164  # 0.2 V


def opened(**faults) -> Board:
    board = make_board(SimSettings.ideal(chip_faults=ChipFaults(**faults)), BOARD)
    link = Link(MemoryStream(board.receive), nonce=1)
    link.open()
    return Board(link)


def current(board: Board, kind: ArrayLine, line: int, gate: int) -> float:
    entry = LineCheckRequestEntry(kind, line, LineProbe.CURRENT, gate)
    return float(board.line_check(READ_CODE, [entry], 64).codes[0]) / 64


def test_a_gate_code_opens_and_closes_a_line():
    board = opened()
    most = board.identity.limits[Operation.SET].gate_code_max
    for kind in (ArrayLine.BIT_LINE, ArrayLine.SOURCE_LINE):
        read = current(board, kind, 7, 0)
        assert read > 100
        assert current(board, kind, 7, most) == pytest.approx(read, abs=1.0)
        assert current(board, kind, 7, 1) == 0
        rising = [current(board, kind, 7, gate) for gate in range(1, most, 100)]
        assert rising == sorted(rising)


def test_a_gate_code_over_the_limit_of_a_set_is_refused():
    board = opened()
    most = board.identity.limits[Operation.SET].gate_code_max
    with pytest.raises(LimitError, match=str(most)):
        current(board, ArrayLine.SOURCE_LINE, 0, most + 1)


def test_a_leaky_row_leaks_whatever_the_gates():
    board, sound = opened(leaky_row=5), opened()
    scales = BOARD.converters
    volts = READ_CODE * scales.pulse_full_scale_volts / BOARD.code_max
    leak = LEAK_SIEMENS * volts / scales.read_full_scale_amperes * BOARD.code_max
    assert current(board, ArrayLine.BIT_LINE, 5, 1) == pytest.approx(leak, abs=1.0)
    assert current(board, ArrayLine.BIT_LINE, 6, 1) == 0
    more = current(board, ArrayLine.SOURCE_LINE, 9, 0) - current(sound, ArrayLine.SOURCE_LINE, 9, 0)
    assert more == pytest.approx(leak / BOARD.columns, abs=1.0)


def test_transistors_at_the_gate_of_reads_change_nothing():
    law = Transistors(BOARD, SimSettings())
    columns = np.arange(BOARD.columns)
    siemens = np.full(BOARD.columns, 100e-6)
    np.testing.assert_allclose(law.behind(siemens, columns, law.open_volts), siemens)
    half = law.behind(siemens, columns, 0.9)
    assert (half < 0.5 * siemens).all()
    assert abs(law.threshold_volts.mean() - 0.8) < 0.005
    assert law.threshold_volts.std() == pytest.approx(0.01, rel=0.3)


def test_the_two_are_planted_by_name():
    faults = ChipFaults.parse("leaky_row=3,weak_word_line", BOARD.rows, BOARD.columns)
    assert faults.planted == SUBTLE
    assert 0 <= faults.weak_word_line < BOARD.columns
    with pytest.raises(InputError, match="no line 128"):
        make_board(SimSettings(chip_faults=ChipFaults(weak_word_line=128)), BOARD)
