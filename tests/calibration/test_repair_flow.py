"""The fit of drive and last layer: derivatives, what it takes out, bounds, what it leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.repair_flow import Drive, Fit, FitParams, Shooting, end_error, fit_flow
from calibration.repair_unknowns import Flow, Reach, Unknowns, nominal_drive
from calibration.twin import Twin
from hil.diffusion.model import load_model
from hil.software_flow import software_flow
from hil.waveforms import LoopTiming, Mode

MODEL = load_model("ring")
VPU = MODEL.volts_per_unit
TIMING = LoopTiming(5e-3, 200)
ONE = np.ones(MODEL.channels)
REACH = Reach((0.5, 1.5), (0.5, 1.5), np.full(200, 0.1), (-0.2 * ONE, 0.2 * ONE))
FLOW = software_flow(MODEL, TIMING, Mode.ODE, 200, 4.0)
WORDS_ONLY = FitParams(embedding_sd_volts=1e-9)


def ideal() -> Twin:
    return Twin(
        weights=list(MODEL.weights),
        bias_volts=[bias * VPU for bias in MODEL.biases],
        output_gain=MODEL.output_gain,
        clamp_volts=MODEL.hidden_clamp_units * VPU,
    )


def perturbed(seed: int, sd: float = 0.02) -> Twin:
    """Additive errors of each layer's largest weight."""
    rng, twin = np.random.default_rng(seed), ideal()
    noisy = [w + sd * np.abs(w).max() * rng.normal(size=w.shape) for w in twin.weights]
    return replace(twin, weights=noisy)


def scaled(layer: int, factor: float) -> Twin:
    twin = ideal()
    weights = [w * factor if k == layer else w for k, w in enumerate(twin.weights)]
    biases = [b * factor if k == layer else b for k, b in enumerate(twin.bias_volts)]
    return replace(twin, weights=weights, bias_volts=biases)


def dead_weight(layer: int, output: int) -> Twin:
    """The largest weight of an output is missing, as with a stuck cell."""
    twin = ideal()
    weights = [w.copy() for w in twin.weights]
    weights[layer][output, np.argmax(np.abs(weights[layer][output]))] = 0.0
    return replace(twin, weights=weights)


def test_the_ideal_network_ends_where_the_software_does() -> None:
    """But for the rectifiers' clamp, which the software does not have."""
    assert end_error(ideal(), FLOW, nominal_drive(FLOW)) < 0.05
    free = replace(ideal(), clamp_volts=100.0)
    assert end_error(free, FLOW, nominal_drive(FLOW)) < 0.01


@pytest.mark.parametrize("mode", list(Mode))
def test_derivatives_of_the_ends_are_finite_differences(mode: Mode) -> None:
    flow = software_flow(MODEL, TIMING, mode, 40, 4.0)
    params = FitParams(degree=1, embedding_degree=1, last_sd=0.1)
    unknowns, shooting = Unknowns(perturbed(1), flow, REACH, params, None), Shooting(flow, 4)
    at = 0.1 * unknowns.sd * np.random.default_rng(2).normal(size=unknowns.count)
    slopes = unknowns.slopes(at, 4)
    _, slope = shooting.derivatives(unknowns.twin(at), unknowns.drive(at), slopes, last=True)

    def ends(coefficients: np.ndarray) -> np.ndarray:
        return shooting.ends(unknowns.twin(coefficients), unknowns.drive(coefficients))

    for k in range(0, unknowns.count, 5):
        step = 1e-5 * unknowns.sd[k] * np.eye(unknowns.count)[k]
        found = (ends(at + step) - ends(at - step)) / (2e-5 * unknowns.sd[k])
        # The adjoint is that of the midpoint rule to first order in the step.
        assert np.median(np.abs(found - slope[:, :, k])) < 0.03 * np.abs(found).max() + 1e-9


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_a_scaled_last_layer_is_taken_out_by_the_words(factor: float) -> None:
    found = fit_flow(scaled(2, factor), FLOW, REACH, replace(WORDS_ONLY, word_sd=0.3))
    assert found.error_after < found.error_before / 2
    assert (found.drive.score.mean() > 1.0) == (factor < 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_embedding_and_words_take_out_most_of_programming_errors(seed: int) -> None:
    words = fit_flow(perturbed(seed), FLOW, REACH, WORDS_ONLY)
    found = fit_flow(perturbed(seed), FLOW, REACH, FitParams())
    assert found.error_after < found.error_before / 3
    assert found.error_after < words.error_after / 1.3


def test_a_free_last_layer_takes_out_more_of_a_stuck_cell() -> None:
    broken = dead_weight(2, 0)
    drive_only = fit_flow(broken, FLOW, REACH, FitParams())
    found = fit_flow(broken, FLOW, REACH, FitParams(last_sd=0.1))
    assert found.error_after < found.error_before / 5
    assert found.error_after < drive_only.error_after / 1.5


def test_the_fit_holds_on_other_solutions() -> None:
    fit = fit_flow(perturbed(5), FLOW, REACH, FitParams())
    many = software_flow(MODEL, TIMING, Mode.ODE, 1000, 4.0)
    others = replace(many, start_volts=many.start_volts[200:], end_volts=many.end_volts[200:])
    before = end_error(perturbed(5), others, nominal_drive(others))
    assert end_error(fit.twin, others, fit.drive) < before / 2


def assert_bounded(drive: Drive, reach: Reach) -> None:
    low, high = reach.embedding_volts
    assert np.all((drive.embedding_volts >= low) & (drive.embedding_volts <= high))
    assert np.all(np.abs(drive.offset_volts) <= reach.offset_volts[:, None])
    for word, (least, most) in ((drive.drift, reach.drift), (drive.score, reach.score)):
        assert np.all((word >= least) & (word <= most))


@pytest.mark.parametrize("twin", [scaled(2, 0.3), scaled(0, 2.0), dead_weight(1, 3)])
def test_words_and_embedding_stay_within_the_converters(twin: Twin) -> None:
    tight = Reach((0.95, 1.05), (0.95, 1.05), np.full(200, 1e-4), (-0.101 * ONE, 0.101 * ONE))
    found = fit_flow(twin, FLOW, tight, FitParams(iterations=6))
    assert_bounded(found.drive, tight)
    assert found.error_after <= found.error_before
    bound = Unknowns(twin, FLOW, tight, FitParams(), None)
    wild = 100.0 * bound.sd * np.random.default_rng(0).normal(size=bound.count)
    assert_bounded(bound.drive(wild), tight)


def test_the_last_layer_stays_within_its_range() -> None:
    twin = dead_weight(2, 0)
    now = np.column_stack([twin.weights[2], twin.bias_volts[2] / VPU])
    bounds = (now - 0.05, now + 0.05)
    bounds[0][1], bounds[1][1] = now[1], now[1]  # no cell of the second output can move
    found = fit_flow(twin, FLOW, REACH, FitParams(last_sd=0.5, iterations=6), last_range=bounds)
    layer = np.column_stack([found.twin.weights[2], found.twin.bias_volts[2] / VPU])
    assert np.all((layer >= bounds[0] - 1e-12) & (layer <= bounds[1] + 1e-12))
    np.testing.assert_array_equal(layer[1], now[1])
    assert np.abs(layer[0] - now[0]).max() > 0.01


def test_a_fit_goes_on_from_an_earlier_one() -> None:
    first = fit_flow(perturbed(7), FLOW, REACH, FitParams())
    again = fit_flow(perturbed(7), FLOW, REACH, FitParams(), first.coefficients)
    assert again.error_before == pytest.approx(first.error_before)
    assert again.error_after <= first.error_after
    assert again.iterations < first.iterations


def test_a_start_that_does_harm_is_given_up() -> None:
    count = len(fit_flow(ideal(), FLOW, REACH, FitParams(iterations=0)).coefficients)
    wild = 3.0 * np.random.default_rng(1).normal(size=count)
    found = fit_flow(perturbed(7), FLOW, REACH, FitParams(), wild)
    assert found.error_after < found.error_before / 2


def test_noise_of_the_sde_is_that_of_the_software() -> None:
    """The twin of the ideal network with the software's noise ends where the software ends."""
    flow = software_flow(MODEL, TIMING, Mode.SDE, 300, 4.0)
    free = replace(ideal(), clamp_volts=100.0)
    assert end_error(free, flow, nominal_drive(flow), stride=1) < 0.06
    silent = replace(flow, noise_volts=np.zeros_like(flow.noise_volts))
    assert end_error(free, silent, nominal_drive(flow), stride=1) > 0.15


def test_it_repeats_to_the_last_bit() -> None:
    one, two = (fit_flow(perturbed(3), FLOW, REACH, FitParams(iterations=3)) for _ in range(2))
    assert isinstance(one, Fit)
    np.testing.assert_array_equal(one.coefficients, two.coefficients)


def test_the_flow_says_its_length_and_size() -> None:
    assert isinstance(FLOW, Flow)
    assert FLOW.ticks == 200
    assert FLOW.size_volts == pytest.approx(0.7 * VPU, rel=0.03)
