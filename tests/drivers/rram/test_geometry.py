"""Cells: order, selection, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.rram.geometry import Cells, Geometry
from protocols.errors import InputError

SMALL = Geometry(4, 6)


def test_of_and_iteration():
    cells = Cells.of([(1, 2), (3, 0), (1, 2)])
    assert len(cells) == 3
    assert list(cells) == [(1, 2), (3, 0), (1, 2)]
    assert list(Cells.of([])) == []


def test_block_is_row_by_row():
    assert list(Cells.block(1, 2, 2, 3)) == [(1, 2), (1, 3), (1, 4), (2, 2), (2, 3), (2, 4)]


def test_flat_index_is_row_times_columns_plus_column():
    assert Cells.of([(0, 5), (1, 0), (3, 5)]).flat(SMALL).tolist() == [5, 6, 23]
    assert Cells.all(SMALL).flat(SMALL).tolist() == list(range(SMALL.cells))


@pytest.mark.parametrize(
    ("which", "rows"),
    [
        (1, [1]),
        (-1, [3]),
        (slice(1, 3), [1, 2]),
        ([0, 2, 0], [0, 2, 0]),
        (np.array([True, False, False, True]), [0, 3]),
        (np.zeros(4, bool), []),
        ([], []),
    ],
)
def test_selection(which, rows):
    cells = Cells.of([(row, 9) for row in range(4)])
    assert cells[which].rows.tolist() == rows


def test_equality_and_immutability():
    cells = Cells.of([(0, 1)])
    assert cells == Cells.of([(0, 1)])
    assert cells != Cells.of([(1, 0)])
    assert cells != "cells"
    with pytest.raises(ValueError, match="read-only"):
        cells.rows[0] = 3
    with pytest.raises(TypeError):
        hash(cells)


def test_the_given_array_stays_the_callers():
    rows = np.array([1, 2])
    cells = Cells(rows, np.array([0, 0]))
    rows[0] = 9
    assert cells.rows.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([[1]], [[1]], r"shape \(1, 1\)"),
        ([1.0], [1.0], "whole numbers"),
        ([-1], [0], "row -1: rows count from 0"),
        ([0], [-2], "column -2"),
        ([0, 1], [0], "2 rows and 1 columns"),
    ],
)
def test_what_are_no_cells(rows, columns, words):
    with pytest.raises(InputError, match=words):
        Cells(np.array(rows), np.array(columns))


@pytest.mark.parametrize("cell", [(4, 0), (0, 6)])
def test_cells_outside_the_array_are_named(cell):
    with pytest.raises(InputError, match=rf"cell \({cell[0]}, {cell[1]}\) is outside .* 4 x 6"):
        Cells.of([(0, 0), cell]).flat(SMALL)


def test_an_array_without_cells():
    with pytest.raises(InputError, match="0 x 3"):
        Geometry(0, 3)
