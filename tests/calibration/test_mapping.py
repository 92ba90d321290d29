"""Weights to conductances and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.mapping import MappingOptions, Placement, map_network
from calibration.weight_error import expected_weight_error
from drivers.rram.geometry import Geometry
from protocols.errors import MappingError
from protocols.hardware import BoardDescription, load_board

SIZES = ((14, 2), (14, 14), (2, 14))
BOARD = load_board("reference")
MACRO = Geometry(BOARD.rows, BOARD.columns)


def network(seed: int = 0, scale: float = 1.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [scale * rng.laplace(0.0, 0.5, size) for size in SIZES]
    return weights, [scale * rng.normal(0.0, 0.4, size[0]) for size in SIZES]


def place(
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    board: BoardDescription = BOARD,
    geometry: Geometry = MACRO,
    **options: object,
) -> Placement:
    return map_network(
        weights,
        biases,
        geometry=geometry,
        loop=board.loop,
        converters=board.converters,
        options=MappingOptions(**options),  # type: ignore[arg-type]
    )


def wide_feedback() -> BoardDescription:
    """A board whose feedback resistor reaches far enough for the single-ended scheme."""
    parts = BOARD.converters.model_copy(update={"feedback_ohm_per_code": 60.0})
    return BOARD.model_copy(update={"converters": parts})


@pytest.mark.parametrize("anchor", ["top", "centre", "bottom"])
@pytest.mark.parametrize("seed", range(5))
def test_the_targets_hold_the_weights_exactly(anchor: str, seed: int) -> None:
    weights, biases = network(seed)
    placement = place(weights, biases, anchor=anchor)
    got_w, got_b = placement.weights_from(placement.target_siemens)
    for want, got in zip([*weights, *biases], [*got_w, *got_b], strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    low, high = placement.window_siemens
    assert placement.target_siemens.min() >= low - 1e-18
    assert placement.target_siemens.max() <= high + 1e-18


@given(
    st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=6, max_size=6),
    st.sampled_from(["top", "centre", "bottom"]),
)
@settings(max_examples=60, deadline=None)
def test_any_finite_layer_fits_its_window_or_is_refused(values: list[float], anchor: str) -> None:
    weights, biases = [np.array(values[:4]).reshape(2, 2)], [np.array(values[4:])]
    if max(abs(v) for v in values) > 11.05:  # 135 uS at the largest feedback resistor
        with pytest.raises(MappingError, match="feedback"):
            place(weights, biases, anchor=anchor)
        return
    placement = place(weights, biases, anchor=anchor)
    low, high = placement.window_siemens
    assert np.all(placement.target_siemens >= low * (1 - 1e-12))
    assert np.all(placement.target_siemens <= high * (1 + 1e-12))
    (got_w,), (got_b,) = placement.weights_from(placement.target_siemens)
    largest = max(1e-3, max(abs(v) for v in values))
    np.testing.assert_allclose(got_w, weights[0], atol=1e-11 * largest)
    np.testing.assert_allclose(got_b, biases[0], atol=1e-11 * largest)


def test_block_diagonal_and_the_number_of_cells() -> None:
    placement = place(*network())
    assert len(placement) == 564
    corners = [(b.first_row, b.first_column, b.inputs, b.columns) for b in placement.blocks]
    assert corners == [(0, 0, 3, 28), (3, 28, 15, 28), (18, 56, 15, 4)]
    assert len(set(placement.cells)) == 564
    spaced = place(*network(), first_row=5, first_column=7, row_spacing=2, column_spacing=3)
    corners = [(b.first_row, b.first_column) for b in spaced.blocks]
    assert corners == [(5, 7), (10, 38), (27, 69)]


def test_feedback_is_the_smallest_code_that_fits() -> None:
    weights, biases = network(3)
    placement = place(weights, biases)
    step = BOARD.converters.feedback_ohm_per_code
    for block, w, b in zip(placement.blocks, weights, biases, strict=True):
        code = block.feedback_ohm / step
        assert code == pytest.approx(round(code), abs=1e-9)
        largest = max(np.abs(w).max(), np.abs(b).max())
        assert largest <= block.feedback_ohm * 135e-6 * (1 + 1e-12)
        assert largest > (block.feedback_ohm - step) * 135e-6


def test_the_bias_row_counts_volts_per_unit() -> None:
    weights, biases = network(1)
    placement = place(weights, biases, volts_per_unit=0.05)
    block = placement.blocks[0]
    k = int(np.flatnonzero((placement.layer == 0) & (placement.input == 2))[0])
    pair = placement.target_siemens[k] - placement.target_siemens[placement.partner()[k]]
    driven = block.feedback_ohm * pair * placement.sign[k] * BOARD.loop.bias_volts
    assert driven == pytest.approx(biases[0][placement.output[k]] * 0.05, rel=1e-12)


def test_one_arm_stays_at_the_anchor() -> None:
    for anchor, edge in (("top", 1), ("bottom", 0)):
        placement = place(*network(), anchor=anchor)
        pair = np.stack([placement.target_siemens, placement.target_siemens[placement.partner()]])
        kept = pair.max(axis=0) if edge else pair.min(axis=0)
        np.testing.assert_allclose(kept, placement.window_siemens[edge], rtol=1e-12)


def test_single_ended_uses_the_reference() -> None:
    weights, biases = network(2)
    placement = place(weights, biases, wide_feedback(), scheme="single_ended")
    assert len(placement) == 282
    assert all(block.reference_siemens == pytest.approx(50e-6) for block in placement.blocks)
    assert placement.target_siemens.min() >= 20e-6
    assert placement.target_siemens.max() <= 80e-6
    got_w, got_b = placement.weights_from(placement.target_siemens)
    for want, got in zip([*weights, *biases], [*got_w, *got_b], strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    assert np.all(placement.partner() == -1)


def test_a_zero_layer_is_mapped_to_equal_arms() -> None:
    weights, biases = network()
    weights[1][:], biases[1][:] = 0.0, 0.0
    placement = place(weights, biases)
    got_w, got_b = placement.weights_from(placement.target_siemens)
    assert np.all(got_w[1] == 0.0)
    assert np.all(got_b[1] == 0.0)
    assert placement.blocks[1].feedback_ohm == BOARD.converters.feedback_ohm_per_code


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(bad: float) -> None:
    weights, biases = network()
    weights[1][3, 4] = bad
    with pytest.raises(MappingError, match="Layer 1: 1 weights or biases are not finite"):
        place(weights, biases)


def test_what_does_not_fit_says_what_is_missing() -> None:
    weights, biases = network()
    with pytest.raises(MappingError, match="1 rows are missing"):
        place(weights, biases, geometry=Geometry(32, 128))
    with pytest.raises(MappingError, match="3 rows and 10 columns are missing"):
        place(weights, biases, geometry=Geometry(30, 50))
    with pytest.raises(MappingError, match=r"resistor of .* the largest is 8.19e\+04 ohm"):
        place(*network(scale=10.0))
    with pytest.raises(MappingError, match="rectifiers"):
        place([np.ones((13, 2)), np.ones((2, 13))], [np.ones(13), np.ones(2)])
    with pytest.raises(MappingError, match="Layer 1 takes 13 inputs"):
        place([np.ones((14, 2)), np.ones((2, 13))], [np.ones(14), np.ones(2)])
    with pytest.raises(MappingError, match="weights \\(14, 2\\) and biases \\(13,\\)"):
        place([np.ones((14, 2))], [np.ones(13)])
    with pytest.raises(MappingError, match="1 to 3"):
        place([], [])


@pytest.mark.parametrize(
    "options",
    [
        {"window_siemens": (200e-6, 100e-6)},
        {"window_siemens": (float("nan"), 1e-4)},
        {"volts_per_unit": 0.0},
        {"first_row": -1},
        {"scheme": "triple"},
        {"anchor": "side"},
        {"scheme": "single_ended", "reference_siemens": 90e-6},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(MappingError):
        MappingOptions(**options)  # type: ignore[arg-type]


def test_file_round_trip(tmp_path: Path) -> None:
    placement = place(*network())
    path = tmp_path / "placement.json"
    placement.save(path)
    again = Placement.load(path)
    assert again.to_dict() == placement.to_dict()
    assert again.blocks == placement.blocks
    again.check_fits(MACRO)
    with pytest.raises(MappingError, match="missing"):
        again.check_fits(Geometry(33, 59))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scheme": "other"}, "scheme"),
        ({"extra": 1}, "extra: no such key"),
        ({"target_siemens": [1.0]}, "564 targets"),
        ({"sign": [2] * 564}, "sign"),
        ({"layer": [7] * 564}, "layer must lie"),
        ({"rows": [0] * 564}, "cells of layer 0 are not those of its block"),
        ({"volts_per_unit": float("nan")}, "volts_per_unit"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object], text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**place(*network()).to_dict(), **change}))
    with pytest.raises(MappingError, match=text) as caught:
        Placement.load(path)
    assert "bad.json" in str(caught.value)


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read"):
        Placement.load(tmp_path / "absent.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(MappingError, match="not a text"):
        Placement.load(tmp_path / "x.json")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(MappingError):
        Placement.load(tmp_path / "deep.json")


def test_expected_weight_error_is_that_of_drawn_deviations() -> None:
    placement = place(*network(4))

    def sigma(siemens: np.ndarray) -> np.ndarray:
        return 4e-6 - 0.01 * siemens

    report = expected_weight_error(placement, sigma)
    rng, exact = np.random.default_rng(1), placement.weights_from(placement.target_siemens)
    squares = [0.0, 0.0, 0.0]
    for _ in range(300):
        noise = sigma(placement.target_siemens) * rng.standard_normal(len(placement))
        weights, biases = placement.weights_from(placement.target_siemens + noise)
        for index in range(3):
            dw = weights[index] - exact[0][index]
            db = biases[index] - exact[1][index]
            squares[index] += (np.sum(dw**2) + np.sum(db**2)) / (dw.size + db.size) / 300
    for layer, square in zip(report.layers, squares, strict=True):
        assert layer.rms == pytest.approx(np.sqrt(square), rel=0.05)
        assert layer.worst >= layer.rms
    assert report.relative == max(layer.relative for layer in report.layers)
    with pytest.raises(MappingError):
        expected_weight_error(placement, lambda g: -g)
