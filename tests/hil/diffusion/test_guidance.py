"""Guidance as one network of twice the width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.diffusion.guidance import guided
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.tiled.fit import missing_on_loop, refuse_unfit
from protocols.errors import InputError, MappingError, ModelError
from protocols.hardware import load_board


def make(dimensions=2, width=14, layers=3, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    sizes = [dimensions, *[width] * (layers - 1), dimensions]
    shapes = [(sizes[k + 1], sizes[k]) for k in range(layers)]
    return ScoreModel(
        name="toy",
        weights=tuple(rng.normal(size=s) / np.sqrt(s[1]) for s in shapes),
        biases=tuple(rng.normal(size=s[0]) for s in shapes),
        frequencies=rng.normal(size=width // 2),
        class_offsets=rng.normal(size=(classes, width)),
        beta_min=0.01,
        beta_max=2.0,
    )


@settings(max_examples=40, deadline=None)
@given(
    weight=st.floats(0.0, 5.0),
    layers=st.integers(2, 5),
    half=st.integers(1, 8),
    dimensions=st.integers(1, 5),
    tau=st.floats(0.0, 1.0),
)
def test_the_score_is_the_guided_one(weight, layers, half, dimensions, tau):
    model = make(dimensions, 2 * half, layers)
    x = np.random.default_rng(1).normal(size=(6, dimensions))
    doubled = guided(model, weight)
    assert doubled.channels == 2 * model.channels
    for label in range(3):
        wanted = (1.0 + weight) * model.score(x, tau, label=label) - weight * model.score(x, tau)
        np.testing.assert_allclose(doubled.score(x, tau, label=label), wanted, atol=1e-9)
    np.testing.assert_allclose(doubled.score(x, tau), model.score(x, tau), atol=1e-9)


def test_hidden_layers_are_block_diagonal():
    doubled = guided(make(), 1.5)
    assert doubled.weights[1].shape == (28, 28)
    assert np.count_nonzero(doubled.weights[1]) == 2 * 14 * 14


def test_no_guidance_samples_as_the_model_does():
    model = make()
    start = initial_conditions(model, 1, 0, 50)
    how = Solve(steps=40, label=1)
    np.testing.assert_allclose(
        solve(guided(model, 0.0), start, how), solve(model, start, how), atol=1e-4
    )


def test_guidance_of_an_unconditional_model_is_refused():
    with pytest.raises(ModelError, match="unconditional; guidance needs a conditional model"):
        guided(make(classes=0), 1.5)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 100.0])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(InputError, match="guidance"):
        guided(make(), weight)


def test_the_reference_board_refuses_with_counts():
    board = load_board("reference")
    assert missing_on_loop(make(), board) == []
    refuse_unfit(make(), board)
    with pytest.raises(MappingError) as refused:
        refuse_unfit(guided(make(), 1.5), board)
    text = str(refused.value)
    assert "14 embedding channels (28 needed, 14 there)" in text
    assert "14 hidden units per layer (28 needed, 14 there)" in text
    assert "cells" not in text.split("It can be run stepped")[0]  # of cells there are enough
    assert "--stepped" in text


def test_a_small_board_is_short_of_cells_too():
    board = load_board("reference").model_copy(update={"rows": 32, "columns": 32})
    missing = missing_on_loop(guided(make(), 1.5), board)
    assert "29 rows of cells (61 needed, 32 there)" in missing
    assert "84 columns of cells (116 needed, 32 there)" in missing
    assert "884 cells (1908 needed, 1024 there)" in missing


def test_other_dimensions_and_depths_are_counted():
    missing = missing_on_loop(make(5, 14, 4), load_board("reference"))
    assert "3 integrators (5 needed, 2 there)" in missing
    assert "1 layers (4 needed, 3 there)" in missing
