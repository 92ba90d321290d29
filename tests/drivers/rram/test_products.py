"""Products: volts on the wire, amperes from it, nothing beyond the read level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.board import Board
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.transfer import ColumnCurves, Curves
from protocols.errors import InputError, LimitError
from protocols.hardware import load_board
from protocols.messages import MultiplyRequest, MultiplyResponse, MultiplyResponseEntry

REFERENCE = load_board("reference")
CURVES = Curves.nominal(REFERENCE)
LIMITS = Limits.of(REFERENCE.limits)
VOLTS_PER_CODE = 0.5 / 2048
AMPERES_PER_CODE = 60e-6 / 2048


class Chip:
    """Each column's code is 2048, its number, and what the codes of its vector differ from 2048."""

    def __init__(self, peer) -> None:
        self.asked: list[MultiplyRequest] = []
        peer.handlers[MultiplyRequest.CODE] = self.answer

    def answer(self, request):
        self.asked.append(request)
        codes = np.array([entry.code for entry in request.entries]).reshape(-1, request.inputs)
        columns = request.first_column + np.arange(request.columns)
        each = 2048 + (codes - 2048).sum(axis=1)[:, None] + columns
        sums = request.samples * np.clip(each, 0, 4095)
        entries = tuple(MultiplyResponseEntry(value) for value in sums.ravel().tolist())
        return MultiplyResponse(1000 * len(self.asked), entries)


@pytest.fixture
def chip(peer):
    peer.hello |= {"rows": 128, "columns": 128, "multiply_code_max": 1818, "read_code_max": 358}
    return Chip(peer)


@pytest.fixture
def make_macro(chip, link):
    link.open()  # again: the board is another one

    def make(**options) -> Macro:
        options = {"curves": CURVES, "limits": LIMITS} | options
        return Macro(Board(link), Geometry(128, 128), **options)

    return make


def test_volts_become_codes_and_codes_amperes(make_macro, chip):
    macro = make_macro()
    volts = np.array([[0.1, -0.2, 0.0], [0.25, 0.0, -0.05]])
    found = macro.multiply(4, 6, 2, volts, 3)
    (request,) = chip.asked
    assert [entry.code for entry in request.entries] == [2458, 1229, 2048, 3072, 2048, 1843]
    assert (request.first_row, request.first_column, request.samples) == (4, 6, 3)
    codes = np.array([[410 - 819], [1024 - 205]]) + np.array([6, 7])
    np.testing.assert_allclose(found, codes * AMPERES_PER_CODE, rtol=1e-12)
    assert macro.time_s == pytest.approx(1e-3)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_scale_multiplies_the_full_scale(make_macro, chip, scale):
    macro = make_macro()
    found = macro.multiply(0, 1, 1, [[0.0]], scale=scale)
    assert float(found[0, 0]) == pytest.approx(scale * AMPERES_PER_CODE)
    assert 1 << chip.asked[0].scale == scale
    assert macro.multiply_full_scale_amperes(scale) == pytest.approx(60e-6 * scale * 2047 / 2048)


def test_more_rows_than_a_frame_has_room_for_are_added_up(make_macro, chip):
    found = make_macro().multiply(0, 3, 2, np.full((2, 128), VOLTS_PER_CODE))
    assert {(r.first_row, r.inputs) for r in chip.asked} == {(0, 105), (105, 23)}
    np.testing.assert_allclose(found, AMPERES_PER_CODE * (128 + 2 * np.array([[3, 4]] * 2)))


def test_the_column_s_own_stage_is_taken_out(make_macro):
    columns = ColumnCurves(np.linspace(0.9, 1.1, 128), np.linspace(-1e-6, 1e-6, 128), 0.0)
    found = make_macro(curves=replace(CURVES, columns=columns)).multiply(0, 5, 1, [[0.1]])
    raw = AMPERES_PER_CODE * (410 + 5)
    expected = (raw - columns.offset_amperes[5]) / columns.gain[5]
    assert float(found[0, 0]) == pytest.approx(float(expected))


def test_conversions_at_an_end_are_counted(make_macro):
    macro = make_macro()
    macro.multiply(0, 0, 2, [[0.4] * 6, [-0.4] * 6, [0.0] * 6], 4)
    assert macro.saturated == 4


@pytest.mark.parametrize("volts", [0.46, -0.46, np.nan, np.inf])
def test_nothing_beyond_the_read_level_is_sent(make_macro, chip, volts):
    macro = make_macro()
    with pytest.raises(LimitError, match=r"input 1 of vector 1 is .*Nothing was driven"):
        macro.multiply(0, 0, 2, [[0.1, 0.1], [0.1, volts]])
    assert chip.asked == []


@pytest.mark.parametrize(("lowest", "source"), [(0.3, "bench file"), (0.45, "firmware")])
def test_the_lower_limit_counts_and_is_reached(make_macro, chip, lowest, source):
    macro = make_macro(limits=LIMITS.lowered({"read_volts": lowest}))
    level = min(lowest, macro.limits.bounds["read_volts"].value)
    macro.multiply(0, 0, 1, [[level, -level]])
    codes = [entry.code - 2048 for entry in chip.asked[0].entries]
    assert codes[0] == -codes[1] > 0
    assert codes[0] * VOLTS_PER_CODE <= level * (1 + 1e-9)
    with pytest.raises(LimitError, match=source):
        macro.multiply(0, 0, 1, [[level + 0.002, 0.0]])


def test_the_board_s_own_limit_of_products_counts(peer, make_macro, link):
    peer.hello["multiply_code_max"] = 1000
    link.open()
    macro = make_macro()
    macro.multiply(0, 0, 1, [[1000 * VOLTS_PER_CODE]])
    with pytest.raises(LimitError, match="set in the firmware"):
        macro.multiply(0, 0, 1, [[1001 * VOLTS_PER_CODE]])


@pytest.mark.parametrize(
    ("corner", "columns", "shape", "words"),
    [
        ((127, 0), 1, (1, 2), r"cell \(128, 0\) is outside"),
        ((0, 127), 2, (1, 1), r"cell \(0, 128\) is outside"),
        ((-1, 0), 1, (1, 1), "rows count from 0"),
        ((0, 0), 0, (1, 1), "at least one column"),
        ((0, 0), 1, (1, 0), r"vectors \(n, inputs\)"),
        ((0, 0), 1, (3,), r"vectors \(n, inputs\)"),
    ],
)
def test_blocks_that_are_none(make_macro, chip, corner, columns, shape, words):
    with pytest.raises(InputError, match=words):
        make_macro().multiply(*corner, columns, np.zeros(shape))
    assert chip.asked == []


def test_scales_that_are_none(make_macro):
    with pytest.raises(InputError, match="scale 3: products have 1, 2, 4, 8"):
        make_macro().multiply(0, 0, 1, [[0.0]], scale=3)


def test_no_vectors_are_no_currents(make_macro, chip):
    assert make_macro().multiply(0, 0, 7, np.zeros((0, 3))).shape == (0, 7)
    assert chip.asked == []
