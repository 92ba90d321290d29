"""Products of tiles, put together again, on macros that multiply exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.mapping import MappingOptions
from hil.tiled.calibration import calibrate_tiles, fit_lines
from hil.tiled.network import lay_out
from hil.tiled.products import RANGES, ProductOptions, layer_sum, tile_products
from hil.tiled.tiling import MacroShape, tile_network
from protocols.errors import CalibrationError
from tests.hil.tiled.conftest import IdealMacro, cells_of

SIDE = st.integers(1, 24)


def build(shapes, macros, scheme="differential", seed=0):
    rng = np.random.default_rng(seed)
    wanted = [rng.normal(size=shape) for shape in shapes]
    arms = 2 if scheme == "differential" else 1
    tiling = tile_network(shapes, macros, arms=arms)
    return wanted, lay_out(wanted, tiling, MappingOptions(scheme=scheme))


def products_of(network):
    return {
        name: tile_products(network, name, placement.target_siemens)
        for name, placement in network.placements.items()
    }


def multiply(network, macros, layer, x, options):
    parts = []
    for name, tiles in products_of(network).items():
        for each in tiles:
            if each.tile.layer == layer:
                inputs = x[:, each.tile.input_range]
                parts.append((each.tile, each.multiply(macros[name], inputs, options)))
    return layer_sum(network.tiling.shapes[layer], parts, len(x))


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(SIDE, min_size=2, max_size=4),
    macro_sizes=st.lists(st.tuples(SIDE, st.integers(2, 24)), min_size=1, max_size=3),
    scheme=st.sampled_from(["differential", "single_ended"]),
    centred=st.booleans(),
    seed=st.integers(0, 99),
)
def test_whatever_fits_recombines_to_the_exact_product(sizes, macro_sizes, scheme, centred, seed):
    shapes = [(sizes[k + 1], sizes[k]) for k in range(len(sizes) - 1)]
    shape_list = [MacroShape(f"m{k}", *size) for k, size in enumerate(macro_sizes)]
    arms = 2 if scheme == "differential" else 1
    held = sum(each.rows * (each.columns // arms) for each in shape_list)
    while sum(a * b for a, b in shapes) > held:  # make room: more macros like the last
        shape_list.append(MacroShape(f"m{len(shape_list)}", 24, 24))
        held += 24 * (24 // arms)
    wanted, network = build(shapes, shape_list, scheme, seed)
    macros = {name: IdealMacro(cells_of(network, name)) for name in network.placements}
    rng = np.random.default_rng(seed)
    for layer, weight in enumerate(wanted):
        x = rng.normal(size=(5, weight.shape[1])) * rng.choice([1e-3, 1.0, 1e3], size=(5, 1))
        found = multiply(network, macros, layer, x, ProductOptions(centred=centred))
        scale = np.abs(weight).max() * np.abs(x).sum(axis=1, keepdims=True)
        assert np.all(np.abs(found - x @ weight.T) <= 1e-9 * scale)


def test_zero_vectors_and_no_vectors_give_zeros():
    wanted, network = build([(4, 10)], [MacroShape("a", 16, 16)])
    macros = {"a": IdealMacro(cells_of(network, "a"))}
    found = multiply(network, macros, 0, np.zeros((3, 10)), ProductOptions())
    np.testing.assert_allclose(found, np.zeros((3, 4)), atol=1e-12)
    same = np.full((1, 10), 0.7)  # nothing but common mode: all of it in code
    np.testing.assert_allclose(
        multiply(network, macros, 0, same, ProductOptions()), same @ wanted[0].T, atol=1e-12
    )


def test_taking_out_the_common_mode_needs_a_smaller_range():
    _, network = build([(8, 64)], [MacroShape("a", 64, 16)])
    x = np.abs(np.random.default_rng(3).normal(size=(20, 64)))
    ranges = {}
    for centred in (False, True):
        macro = IdealMacro(cells_of(network, "a"))
        multiply(network, {"a": macro}, 0, x, ProductOptions(centred=centred))
        ranges[centred] = max(scale for _, _, scale, _ in macro.calls)
    assert ranges[True] < ranges[False] == RANGES[-1]


def test_a_saturated_conversion_is_repeated_and_never_used():
    wanted, network = build([(4, 12)], [MacroShape("a", 16, 16)])
    macro = IdealMacro(cells_of(network, "a"), column_gain=3.0)  # far more than was expected
    tiles = products_of(network)["a"]
    x = np.random.default_rng(1).normal(size=(6, 12))
    found = tiles[0].multiply(macro, x, ProductOptions(volts=0.4, centred=False))
    assert macro.saturated > 0
    np.testing.assert_allclose(found, 3.0 * x @ wanted[0].T, rtol=1e-9, atol=1e-9)


def test_a_short_circuit_is_said_with_its_place():
    _, network = build([(4, 12)], [MacroShape("a", 16, 16)])
    macro = IdealMacro(cells_of(network, "a"))
    macro.siemens[0, 1] = 1.0
    tile = products_of(network)["a"][0]
    x = np.random.default_rng(1).normal(size=(6, 12))
    with pytest.raises(CalibrationError, match=r"macro 'a'.*short circuit"):
        tile.multiply(macro, x, ProductOptions())


@pytest.mark.parametrize("scheme", ["differential", "single_ended"])
def test_calibration_finds_gain_and_offset(scheme):
    wanted, network = build([(6, 20)], [MacroShape("a", 20, 12)], scheme)
    siemens = cells_of(network, "a")
    macro = IdealMacro(siemens, column_gain=1.03, row_offset_volts=1e-3)
    options = ProductOptions()
    tiles, found = calibrate_tiles(macro, products_of(network)["a"], options, seed=1)
    np.testing.assert_allclose(found[0].gain, 1.03, atol=0.002)
    x = np.random.default_rng(2).normal(size=(50, 20))
    if scheme == "differential":
        measured = tiles[0].multiply(macro, x, options)
        error = np.abs(measured - x @ wanted[0].T).max() / np.abs(x @ wanted[0].T).max()
        assert error < 0.002
        assert np.abs(found[0].offset_amperes).max() > 0.0
    assert found[0].to_dict()["macro"] == "a"


def test_calibration_refuses_outputs_that_do_not_follow():
    _, network = build([(6, 20)], [MacroShape("a", 20, 12)])
    macro = IdealMacro(cells_of(network, "a"))
    macro.siemens[:, 4:6] = macro.siemens[:, 4:6][:, ::-1]  # two columns exchanged
    with pytest.raises(CalibrationError, match="1 of 6 outputs do not follow"):
        calibrate_tiles(macro, products_of(network)["a"], ProductOptions(), seed=1)


def test_lines_through_noise_stay_near_a_gain_of_one():
    rng = np.random.default_rng(0)
    wanted = 1e-9 * rng.normal(size=(30, 3))
    measured = 1e-6 * rng.normal(size=(30, 3))  # nothing but noise, a thousand times as large
    gain, offset, residual = fit_lines(wanted, measured)
    assert np.abs(gain - 1.0).max() < 0.02
    assert np.abs(offset).max() < 1e-6
    assert residual.min() > 100.0
