"""Weights to conductances of tiles, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.mapping import MappingOptions
from calibration.mapping_knowledge import ChipKnowledge
from drivers.rram.geometry import Cells, Geometry
from hil.tiled.network import fitted_to_chip, lay_out
from hil.tiled.tiling import MacroShape, tile_network
from protocols.errors import MappingError

MACROS = [MacroShape("a", 16, 16), MacroShape("b", 9, 21)]
SHAPES = [(7, 5), (7, 7), (5, 7)]


def weights(shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    anchor=st.sampled_from(["top", "centre", "bottom"]),
    scheme=st.sampled_from(["differential", "single_ended"]),
    spread=st.floats(1e-3, 1e3),
)
def test_the_targets_are_the_network_that_was_mapped(seed, anchor, scheme, spread):
    options = MappingOptions(scheme=scheme, anchor=anchor)
    wanted = [spread * each for each in weights(seed=seed)]
    arms = 2 if scheme == "differential" else 1
    network = lay_out(wanted, tile_network(SHAPES, MACROS, arms=arms), options)
    low, high = options.window
    for placement in network.placements.values():
        assert low <= placement.target_siemens.min()
        assert placement.target_siemens.max() <= high
    for found, want in zip(network.weights_from(network.targets()), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12 * spread)


def test_the_largest_weight_of_every_output_uses_the_whole_window():
    network = lay_out(weights(), tile_network(SHAPES, [MacroShape("a", 32, 32)]))
    placement = network.placements["a"]
    low, high = placement.window_siemens
    for number, tile in enumerate(network.tiling.on("a")):
        for output in range(tile.outputs):
            mine = (placement.layer == number) & (placement.output == output)
            assert np.ptp(placement.target_siemens[mine]) == pytest.approx(high - low)


def test_an_output_without_weights_is_laid_out_as_nothing():
    wanted = weights()
    wanted[1][3] = 0.0
    network = lay_out(wanted, tile_network(SHAPES, MACROS))
    assert np.abs(network.weights_from(network.targets())[1][3]).max() == 0.0


def test_wrong_weights_are_refused():
    tiling = tile_network(SHAPES, MACROS)
    with pytest.raises(MappingError, match="Weights of shapes"):
        lay_out(weights()[:2], tiling)
    broken = weights()
    broken[0][0, 0] = np.nan
    with pytest.raises(MappingError, match="not a finite number"):
        lay_out(broken, tiling)
    with pytest.raises(MappingError, match="single_ended"):
        lay_out(weights(), tiling, MappingOptions(scheme="single_ended"))
    network = lay_out(weights(), tiling)
    with pytest.raises(MappingError, match="macro 'a'"):
        network.weights_from({"a": np.ones(3), "b": np.ones(3)})


def _sigma(siemens):
    return 0.01 * siemens


def test_a_stuck_cell_is_made_up_for_by_its_partner():
    network = lay_out(weights(), tile_network(SHAPES, MACROS))
    placement = network.placements["a"]
    arm = int(np.argmin(placement.target_siemens))  # of the pair that uses the whole window
    other = int(placement.partner()[arm])
    cell = placement.cells[other]
    known = ChipKnowledge.blank("a", Geometry(16, 16)).with_stuck(cell, [150e-6])
    fitted = fitted_to_chip(network, {"a": known}, _sigma)
    target = fitted.placements["a"].target_siemens
    assert target[other] == pytest.approx(150e-6)
    assert fitted.placements["a"].fixed[other]
    wanted = placement.target_siemens[other] - placement.target_siemens[arm]
    assert target[other] - target[arm] == pytest.approx(wanted, abs=1e-9)


def test_too_many_dead_cells_are_refused_with_the_macro():
    network = lay_out(weights(), tile_network(SHAPES, MACROS))
    cells = Cells.block(0, 0, 16, 16)
    known = ChipKnowledge.blank("a", Geometry(16, 16)).with_stuck(cells, np.full(256, 1e-9))
    with pytest.raises(MappingError, match="Too few good cells on macro 'a'"):
        fitted_to_chip(network, {"a": known}, _sigma)
