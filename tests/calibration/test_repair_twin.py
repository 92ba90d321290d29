"""A twin from probes: planted deviations of the layers come back, noise does little harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.repair_twin import Probes, prediction_error, refine_twin
from calibration.twin import Twin
from hil.diffusion.model import load_model

MODEL = load_model("ring")
VPU = MODEL.volts_per_unit


def ideal() -> Twin:
    return Twin(
        weights=list(MODEL.weights),
        bias_volts=[bias * VPU for bias in MODEL.biases],
        output_gain=MODEL.output_gain,
        clamp_volts=MODEL.hidden_clamp_units * VPU,
    )


def chip(seed: int = 1, sd: float = 0.02) -> Twin:
    """What is on the chip: every weight and bias off."""
    rng, twin = np.random.default_rng(seed), ideal()
    return replace(
        twin,
        weights=[w + sd * np.abs(w).max() * rng.normal(size=w.shape) for w in twin.weights],
        bias_volts=[b + sd * VPU * rng.normal(size=b.shape) for b in twin.bias_volts],
    )


def probes_of(twin: Twin, count: int = 400, noise_volts: float = 0.0, seed: int = 4) -> Probes:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, 1.0, (count, 2)) * VPU
    embedding = MODEL.embedding(rng.uniform(0.0, 1.0, count)) * VPU
    first, second, output = (
        layer + noise_volts * rng.normal(size=layer.shape) for layer in twin.layers(x, embedding)
    )
    return Probes(x, embedding, (first, second, output))


def test_what_the_layers_have_is_found() -> None:
    truth = chip()
    found = refine_twin(ideal(), probes_of(truth), 0.05, VPU)
    test = probes_of(truth, seed=9)
    assert prediction_error(found, test) < 0.1 * prediction_error(ideal(), test)
    np.testing.assert_allclose(found.weights[2], truth.weights[2], atol=0.01)


def test_noise_leaves_the_prediction_better_than_the_read_back() -> None:
    truth = chip()
    found = refine_twin(ideal(), probes_of(truth, noise_volts=2e-3), 0.02, VPU)
    test = probes_of(truth, seed=9)
    assert prediction_error(found, test) < 0.5 * prediction_error(ideal(), test)


def test_few_noisy_probes_do_not_spoil_a_good_read_back() -> None:
    found = refine_twin(ideal(), probes_of(ideal(), 12, noise_volts=5e-3), 0.01, VPU)
    assert prediction_error(found, probes_of(ideal(), seed=9)) < 0.1


def test_a_unit_that_is_never_open_keeps_its_read_back() -> None:
    shut = ideal()
    biases = [bias.copy() for bias in shut.bias_volts]
    biases[0][3] = -50.0
    shut = replace(shut, bias_volts=biases)
    found = refine_twin(shut, probes_of(shut), 0.05, VPU)
    np.testing.assert_array_equal(found.weights[0][3], shut.weights[0][3])
    assert found.bias_volts[0][3] == pytest.approx(-50.0)


def test_probes_of_the_twin_itself_change_nothing() -> None:
    found = refine_twin(ideal(), probes_of(ideal()), 0.05, VPU)
    for one, other in zip(found.weights, ideal().weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    assert prediction_error(found, probes_of(ideal(), seed=9)) < 1e-9
    assert len(probes_of(ideal(), 7)) == 7
