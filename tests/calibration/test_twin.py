"""The twin is the shipped network in volts, and its response holds its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.twin import Twin
from hil.diffusion.model import load_model

MODEL = load_model("ring")
VPU = MODEL.volts_per_unit


def twin(clamp_units: float = MODEL.hidden_clamp_units) -> Twin:
    return Twin(
        weights=MODEL.weights,
        bias_volts=[bias * VPU for bias in MODEL.biases],
        output_gain=MODEL.output_gain,
        clamp_volts=clamp_units * VPU,
    )


def points(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 1.2, (n, 2)), rng.uniform(0.0, 1.0, n)


@pytest.mark.parametrize("clamp_units", [MODEL.hidden_clamp_units, 0.3])
def test_outputs_are_those_of_the_model_network(clamp_units: float) -> None:
    x, tau = points(500)
    found = twin(clamp_units).outputs(x * VPU, MODEL.embedding(tau) * VPU)
    wanted = MODEL.with_layers(MODEL.layers)
    object.__setattr__(wanted, "hidden_clamp_units", clamp_units)
    np.testing.assert_allclose(found / VPU, wanted.score(x, tau, clamp=True), atol=1e-12)


def test_the_clamp_acts() -> None:
    x, tau = points(500)
    embedding = MODEL.embedding(tau) * VPU
    assert np.abs(twin(0.3).outputs(x * VPU, embedding) - twin().outputs(x * VPU, embedding)).max()


def test_an_embedding_that_closes_all_rectifiers_leaves_the_last_bias() -> None:
    x, _ = points(20)
    low = np.full((20, MODEL.channels), -50.0)
    found = twin().response(x * VPU, low)
    np.testing.assert_allclose(
        found.s_volts, np.tile(MODEL.output_gain * MODEL.biases[-1] * VPU, (20, 1)), atol=1e-15
    )
    assert np.all(found.by_embedding == 0.0)
    assert np.all(found.by_x == 0.0)
    assert np.all(found.hidden_volts == 0.0)


@pytest.mark.parametrize("clamp_units", [MODEL.hidden_clamp_units, 0.3])
@pytest.mark.parametrize("by", ["embedding", "x"])
def test_the_derivatives_are_the_finite_differences(clamp_units: float, by: str) -> None:
    x, tau = points(200, seed=3)
    network, at = twin(clamp_units), {"x": x * VPU, "embedding": MODEL.embedding(tau) * VPU}
    response = network.response(at["x"], at["embedding"])
    slope = response.by_embedding if by == "embedding" else response.by_x
    step, agreeing = 1e-7, []
    for channel in range(slope.shape[2]):
        moved = step * np.eye(slope.shape[2])[channel]
        ahead = network.outputs(**volts(at | {by: at[by] + moved}))
        behind = network.outputs(**volts(at | {by: at[by] - moved}))
        difference = (ahead - behind) / (2 * step)
        agreeing.append(np.isclose(difference, slope[:, :, channel], atol=1e-5).all(axis=1))
    assert slope.shape == (200, 2, at[by].shape[1])
    assert np.abs(slope).max() > 1.0
    # A kink within the step is the only place where the two may differ.
    assert np.mean(agreeing) > 0.999


def volts(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_volts": values for name, values in at.items()}


def test_another_last_layer_leaves_the_hidden_ones() -> None:
    x, tau = points(50)
    embedding = MODEL.embedding(tau) * VPU
    network = twin()
    other = network.with_last(2.0 * network.weights[-1], 2.0 * network.bias_volts[-1])
    first, second, output = network.layers(x * VPU, embedding)
    np.testing.assert_array_equal(other.layers(x * VPU, embedding)[0], first)
    np.testing.assert_array_equal(other.layers(x * VPU, embedding)[1], second)
    np.testing.assert_allclose(other.layers(x * VPU, embedding)[2], 2.0 * output)
