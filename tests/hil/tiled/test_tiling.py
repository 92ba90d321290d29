"""Cutting networks into tiles: everything that fits is placed, everything else is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.tiled.tiling import MacroShape, Tile, Tiling, tile_network
from protocols.errors import MappingError

SIDE = st.integers(1, 40)
NETWORKS = st.lists(SIDE, min_size=2, max_size=5).map(
    lambda sizes: [(sizes[k + 1], sizes[k]) for k in range(len(sizes) - 1)]
)
MACROS = st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=5).map(
    lambda sizes: [MacroShape(f"m{k}", *size) for k, size in enumerate(sizes)]
)


@settings(max_examples=150, deadline=None)
@given(shapes=NETWORKS, macros=MACROS, arms=st.sampled_from([1, 2]))
def test_what_has_enough_cells_fits_and_only_that(shapes, macros, arms):
    needed = sum(a * b for a, b in shapes)
    held = sum(macro.rows * (macro.columns // arms) for macro in macros)
    if needed > held:
        with pytest.raises(MappingError, match=f"{(needed - held) * arms} cells are missing"):
            tile_network(shapes, macros, arms=arms)
        return
    tiling = tile_network(shapes, macros, arms=arms)
    for layer, shape in enumerate(shapes):
        seen = np.zeros(shape, dtype=int)
        for tile in tiling.of_layer(layer):
            seen[tile.output_range, tile.input_range] += 1
        assert (seen == 1).all()
    for macro in tiling.used:
        cells = np.zeros((macro.rows, macro.columns), dtype=int)
        for tile in tiling.on(macro.name):
            rows = slice(tile.first_row, tile.first_row + tile.inputs)
            cells[rows, tile.first_column : tile.first_column + tile.columns] += 1
        assert cells.max() == 1
        assert cells.sum() == sum(t.inputs * t.columns for t in tiling.on(macro.name))
    assert tiling.cells == needed * arms


def test_layers_of_half_a_macro_are_stacked_in_its_columns():
    macros = [MacroShape("a", 128, 128), MacroShape("b", 128, 128)]
    tiling = tile_network([(64, 64)] * 3, macros)
    assert [(t.macro, t.first_row, t.first_column) for t in tiling.tiles] == [
        ("a", 0, 0),
        ("a", 64, 0),
        ("b", 0, 0),
    ]


def test_a_layer_that_is_too_wide_is_cut_into_equal_parts():
    tiling = tile_network([(104, 64)], [MacroShape("a", 128, 128)])
    assert [(t.outputs, t.inputs) for t in tiling.tiles] == [(52, 64), (52, 64)]


def test_what_is_missing_is_said_in_cells_rows_and_boards():
    macros = [MacroShape("a", 128, 128), MacroShape("b", 128, 128)]
    with pytest.raises(MappingError) as refused:
        tile_network([(128, 64), (128, 128), (64, 128)], macros)
    text = str(refused.value)
    assert "65536 cells" in text
    assert "32768 cells are missing" in text
    assert "256 rows of 128 columns" in text
    assert "2 more boards of 128 x 128" in text


def test_a_bench_without_macros_is_refused():
    with pytest.raises(MappingError, match="none"):
        tile_network([(2, 2)], [])


def test_macros_of_the_same_name_are_refused():
    with pytest.raises(MappingError, match="not unique"):
        tile_network([(2, 2)], [MacroShape("a", 4, 4), MacroShape("a", 4, 4)])


def test_empty_layers_and_macros_are_refused():
    with pytest.raises(MappingError, match="none may be empty"):
        tile_network([(0, 2)], [MacroShape("a", 4, 4)])
    with pytest.raises(MappingError, match="has no cells"):
        MacroShape("a", 0, 4)


@pytest.mark.parametrize(
    ("tiles", "reason"),
    [
        ((), "do not hold each"),
        ((Tile(0, 0, 2, 0, 1, "a", 0, 0),), "do not hold each"),
        ((Tile(0, 0, 2, 0, 2, "a", 0, 0), Tile(0, 0, 1, 0, 1, "a", 2, 0)), "do not hold each"),
        ((Tile(0, 0, 2, 0, 2, "b", 0, 0),), "does not have"),
        ((Tile(0, 0, 2, 0, 2, "a", 3, 0),), "share cells, or lie outside"),
        ((Tile(0, 0, 1, 0, 2, "a", 0, 0), Tile(0, 1, 1, 0, 2, "a", 1, 0)), "share cells"),
        ((Tile(0, 0, 3, 0, 2, "a", 0, 0),), "outside its layer"),
    ],
)
def test_tilings_that_are_none_are_refused(tiles, reason):
    with pytest.raises(MappingError, match=reason):
        Tiling(((2, 2),), (MacroShape("a", 4, 8),), tiles)
