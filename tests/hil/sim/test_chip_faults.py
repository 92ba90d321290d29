"""Planted analog faults: where they are, what they do to the physics, and that off is off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hil.sim.board import make_board
from hil.sim.chip import Chip
from hil.sim.chip_faults import KINDS, ChipFaults, Wiring
from hil.sim.config import SimSettings, parse_settings
from hil.sim.converters import Converters, Dac
from protocols.errors import ConfigError, InputError
from protocols.hardware import load_board
from protocols.messages import ArrayLine, LineProbe, Operation

BOARD = load_board("reference")
READ = 163


def board_with(text: str = "", **settings):
    faults = ChipFaults.parse(text, BOARD.rows, BOARD.columns)
    return make_board(SimSettings(chip_faults=faults, **settings), BOARD)


def placed(text: str = "", siemens: float = 100e-6):
    """A board all of whose cells stand at one conductance."""
    board = board_with(text)
    board.set_conductances(np.full((BOARD.rows, BOARD.columns), siemens))
    return board


def cell(row: int, column: int) -> np.ndarray:
    return np.array([row * BOARD.columns + column])


def reading(board, row: int, column: int) -> float:
    return float(board.machine.front_end.read(cell(row, column), READ, 4)[0]) / 4.0


def pulse(board, row: int, column: int, operation: Operation = Operation.RESET) -> None:
    code = np.array([2400])
    board.machine.front_end.pulse_read(
        cell(row, column), np.array([int(operation)]), code + 600, code, np.array([50]), READ
    )


def line(board, kind, number, probe, probed=0) -> float:
    asked = np.array([[kind, number, probe, probed]])
    return float(board.machine.front_end.lines.check(asked, READ, 4)[0]) / 4.0


def test_without_a_fault_nothing_of_it_takes_part():
    assert ChipFaults().planted == ()
    assert Wiring.of(ChipFaults(), BOARD) is None
    converters = Converters.of(BOARD, SimSettings())
    codes = np.arange(9)
    assert converters._taken(Dac.BIT_LINE, codes) is codes


def test_every_kind_has_a_place_of_its_own_from_the_seed():
    for kind in KINDS:
        some = [getattr(ChipFaults.parse(f"{kind},seed={n}", 128, 128), kind) for n in range(20)]
        again = getattr(ChipFaults.parse(f"{kind},seed=3,dead_row=1", 128, 128), kind)
        assert kind == "dead_row" or again == some[3]
        if kind not in ("reversed_polarity", "absent"):
            assert len(set(some)) > 10
    assert ChipFaults(open_bit_line=0, read_voltage=0.1).planted == (
        "open_bit_line",
        "read_voltage",
    )


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("open_row=5", "open_bit_line", 5),
        ("swapped_word_line=3:17", "swapped_word_line", (3, 17)),
        ("stuck_bit=bit_line:9:1", "stuck_bit", ("bit_line", 9, 1)),
        ("mains=2e-6, mains_hertz=60", "mains", 2e-6),
        ("absent", "absent", True),
    ],
)
def test_faults_are_read_from_text(text, kind, value):
    assert getattr(ChipFaults.parse(text, 128, 128), kind) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("open_fuse=3", "known are"),
        ("open_bit_line=many", "open_bit_line"),
        ("swapped_bit_line=4:4", "two different lines"),
        ("stuck_bit=heater:1:0", "no DAC channel"),
        ("mains=0", "mains"),
        ("seed=x,mains", "whole number"),
    ],
)
def test_what_is_no_fault_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        ChipFaults.parse(text, 128, 128)


@pytest.mark.parametrize(
    "fault", [{"dead_row": 200}, {"bridged_word_line": 127}, {"swapped_bit_line": (1, 128)}]
)
def test_a_line_that_the_array_does_not_have_is_refused(fault):
    settings = SimSettings(chip_faults=ChipFaults(**fault))
    with pytest.raises(InputError, match="has no line"):
        make_board(settings, BOARD)


def test_settings_refuse_an_unknown_fault_and_a_reversal_of_measured_cells():
    with pytest.raises(ConfigError, match="open_door"):
        parse_settings({"chip_faults": {"open_door": 1}}, "bench.yaml")
    content = {"cells": "empirical", "chip_faults": {"reversed_polarity": True}}
    with pytest.raises(ConfigError, match="reversed_polarity"):
        parse_settings(content, "bench.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "open_bit_line=5",
        "open_source_line=7",
        "open_word_line=7",
        "grounded_bit_line=5",
        "dead_row=5",
    ],
)
def test_a_cell_behind_a_broken_line_is_neither_read_nor_pulsed(text):
    board = placed(text)
    assert reading(board, 5, 7) < 10
    assert reading(board, 6, 8) > 1000
    pulse(board, 5, 7)
    assert board.chip.cells.state["pulse_count"][cell(5, 7)] == 1  # the placing alone


def test_swapped_bit_lines_exchange_rows_and_swapped_word_lines_reach_nothing():
    board = board_with("swapped_bit_line=2:9")
    targets = np.full((BOARD.rows, BOARD.columns), np.nan)
    targets[2, 4] = 100e-6
    board.set_conductances(targets)
    assert reading(board, 9, 4) > 1000
    assert reading(board, 2, 4) < 20
    other = placed("swapped_word_line=4:8")
    assert reading(other, 2, 4) < 10
    assert reading(other, 2, 5) > 1000


def test_joined_bit_lines_add_up_and_share_their_pulses():
    board = placed("bridged_bit_line=2")
    assert reading(board, 2, 4) == pytest.approx(2 * reading(board, 7, 4), rel=0.2)
    pulse(board, 3, 4)
    count = board.chip.cells.state["pulse_count"].reshape(BOARD.rows, BOARD.columns)
    assert count[2, 4] == count[3, 4] == 2
    assert count[4, 4] == 1


def test_reversed_polarity_turns_a_set_into_a_reset():
    right, wrong = placed(siemens=30e-6), placed("reversed_polarity", siemens=30e-6)
    for board in (right, wrong):
        pulse(board, 5, 5, Operation.SET)
    assert right.true_conductances()[5, 5] > 35e-6
    assert wrong.true_conductances()[5, 5] < 31e-6


def test_a_stuck_bit_keeps_its_value():
    settings = SimSettings.ideal(chip_faults=ChipFaults(stuck_bit=("bit_line", 4, 1)))
    converters = Converters.of(BOARD, settings)
    given = converters.unipolar(Dac.BIT_LINE, np.array([0, 16, 40, 255])) * 4095
    np.testing.assert_allclose(given, [16, 16, 56, 255], atol=1e-9)
    other = converters.unipolar(Dac.WORD_LINE, np.array([0, 16]))
    np.testing.assert_allclose(other * 4095, [0, 16])


def test_references_and_stages():
    good, high = placed(), placed("read_voltage=0.2")
    assert reading(high, 5, 5) == pytest.approx(1.2 * reading(good, 5, 5), rel=0.05)
    assert reading(placed("adc_reference=-0.2"), 5, 5) < 0.85 * reading(good, 5, 5)
    assert reading(placed("railed_stage=5"), 3, 5) == BOARD.code_max
    hum = placed("mains=3e-6")
    seen = [reading(hum, 5, 5) for _ in range(60)]
    still = [reading(good, 5, 5) for _ in range(60)]
    assert np.ptp(seen) > 300 > np.ptp(still)


def test_ends_of_lines():
    bit, far, near = ArrayLine.BIT_LINE, LineProbe.FAR_BIT_LINE, LineProbe.NEAR
    opened, grounded = board_with("open_bit_line=5"), board_with("grounded_bit_line=5")
    for board in (opened, grounded):
        assert line(board, bit, 5, far, 5) < 10
        assert line(board, bit, 6, far, 6) > 100
    assert line(opened, bit, 5, near) > 100
    assert line(grounded, bit, 5, near) < 10
    swapped = board_with("swapped_bit_line=5:9")
    assert line(swapped, bit, 5, far, 9) > 100
    assert line(swapped, bit, 5, far, 5) < 10
    joined = board_with("bridged_bit_line=5")
    assert line(joined, bit, 6, far, 5) > 100
    assert line(joined, bit, 7, far, 6) < 10
    turned = board_with("reversed_polarity")
    assert line(turned, bit, 5, LineProbe.FAR_SOURCE_LINE, 5) > 100
    assert line(turned, ArrayLine.WORD_LINE, 5, LineProbe.FAR_WORD_LINE, 5) > 100


def test_the_current_of_a_line_is_that_of_its_cells():
    board = board_with()
    true = board.true_conductances()
    volts, scale = READ / 4095 * 5.0, 4095 / BOARD.converters.read_full_scale_amperes
    for kind, sums in (
        (ArrayLine.BIT_LINE, true.sum(axis=1)),
        (ArrayLine.SOURCE_LINE, true.sum(0)),
    ):
        found = [line(board, kind, n, LineProbe.CURRENT) for n in range(0, 128, 9)]
        np.testing.assert_allclose(found, sums[::9] * volts * scale, rtol=0.03, atol=4)
    assert not board.chip.cells.state["read_count"].any()


def test_another_chip_leaves_the_expected_one_alone(tmp_path: Path):
    path, settings = tmp_path / "cells.chip", SimSettings()
    with Chip.open(path, settings, BOARD) as chip:
        mine = chip.cells.conductance(np.arange(20), 0.0)
    before = path.read_bytes()
    faults = ChipFaults(other_chip=77)
    with Chip.open(path, settings.model_copy(update={"chip_faults": faults}), BOARD) as chip:
        assert not np.allclose(chip.cells.conductance(np.arange(20), 0.0), mine)
        chip.advance(1.0)
    assert path.read_bytes() == before
