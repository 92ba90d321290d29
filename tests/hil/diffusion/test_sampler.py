"""The samplers: against an exact solution, against the network in double precision, and keyed."""

import dataclasses

import numpy as np
import pytest

from hil.diffusion.model import InitialLaw, NoiseLaw, ScoreModel, load_model
from hil.diffusion.sampler import (
    BLOCK,
    Solve,
    euler_maruyama,
    euler_ode,
    held_loop,
    initial_conditions,
    solve,
    trajectories,
)
from protocols.errors import InputError, ModelError


def linear_model(slope, **changes):
    """A network that computes s = -slope x: x and -x through both rectifiers, no embedding."""
    first, second, last = np.zeros((14, 2)), np.zeros((14, 14)), np.zeros((2, 14))
    lift = 10.0  # keeps every unit above 0 whatever the embedding adds
    for axis in (0, 1):
        first[axis, axis] = 1.0
        second[axis, axis] = 1.0
        last[axis, axis] = -slope
    model = ScoreModel(
        name="linear",
        weights=(first, second, last),
        biases=(np.full(14, lift), np.zeros(14), np.zeros(2)),
        frequencies=np.zeros(7),  # then e is 0 for the sines and 1 for the cosines
        class_offsets=np.zeros((0, 14)),
        beta_min=0.2,
        beta_max=1.0,
        output_gain=1.0,
    )
    model = dataclasses.replace(model, biases=(*model.biases[:2], np.full(2, slope * lift)))
    return dataclasses.replace(model, **changes)


@pytest.fixture(scope="module")
def ring():
    return load_model("ring")


def test_ode_against_the_exact_solution():
    model = linear_model(3.0, kf=1.2, kg=0.8)
    x0 = np.array([[1.0, -0.5], [0.2, 2.0]])
    growth = (1.2 * 0.5 - 0.8 * 0.5 * 3.0) * float(model.schedule.integral(1.0))
    exact = x0 * np.exp(growth)
    np.testing.assert_allclose(solve(model, x0, Solve(steps=4000)), exact, rtol=2e-3)
    held = solve(model, x0, Solve(steps=400, heun=True))
    np.testing.assert_allclose(held, exact, rtol=2e-3)


def test_offset_is_a_rate():
    model = linear_model(0.0, kf=1e-12)
    x = solve(model, np.zeros((1, 2)), Solve(steps=100, offset=(0.3, -0.1)))
    np.testing.assert_allclose(x, [[0.3, -0.1]], rtol=1e-4)


def test_sde_variance_against_the_exact_one():
    # Growth off, no score: the variance is scale^2 kg times the integral of beta.
    model = linear_model(0.0, kf=1e-12, kg=0.5, noise=NoiseLaw(scale=0.7))
    x = euler_maruyama(model, np.zeros((40_000, 2)), seed=5, steps=50)
    held_integral = np.mean(model.schedule.beta(1.0 - np.arange(50) / 50))
    np.testing.assert_allclose(x.var(axis=0), 0.49 * 0.5 * held_integral, rtol=0.03)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.02


def test_single_precision_is_enough(ring):
    x0 = initial_conditions(ring, 3, 0, 400)
    x, steps = x0.copy(), 200
    for k in range(steps):
        tau = 1.0 - k / steps
        beta = float(ring.schedule.beta(tau))
        x = x + (0.5 * ring.kf * beta * x + 0.5 * ring.kg * beta * ring.score(x, tau)) / steps
    np.testing.assert_allclose(euler_ode(ring, x0, steps), x, atol=3e-5)


@pytest.mark.parametrize("how", [Solve(steps=20), Solve(steps=20, sde=True, heun=True, clamp=True)])
def test_batching_changes_no_bit(ring, how):
    n = BLOCK + 300
    x0 = initial_conditions(ring, 3, 0, n)
    together = solve(ring, x0, how)
    for first, count in ((0, 1), (5, 7), (BLOCK - 3, 10), (n - 40, 40)):
        part = solve(ring, x0[first : first + count], dataclasses.replace(how, first=first))
        np.testing.assert_array_equal(part, together[first : first + count])


def test_same_seed_same_samples_other_seed_other(ring):
    x0 = initial_conditions(ring, 3, 0, 50)
    a, b, c = (euler_maruyama(ring, x0, seed, steps=20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.01


def test_initial_conditions_follow_the_model_law(ring):
    wide = dataclasses.replace(ring, initial=InitialLaw(sd=2.0))
    points = initial_conditions(wide, 8, 0, 20_000)
    assert points.std() == pytest.approx(2.0, rel=0.02)
    np.testing.assert_array_equal(initial_conditions(wide, 8, 777, 5), points[777:782])


def test_trajectories_start_and_end_where_they_should(ring):
    x0 = initial_conditions(ring, 3, 0, 30)
    how = Solve(steps=40, sde=True, seed=4)
    paths = trajectories(ring, x0, how, every=4)
    assert paths.shape == (30, 11, 2)
    np.testing.assert_array_equal(paths[:, 0], x0)
    np.testing.assert_array_equal(paths[:, -1], solve(ring, x0, how))
    assert trajectories(ring, x0, how, every=7).shape == (30, 6, 2)


def test_capture_time_ends_the_solve():
    model = linear_model(0.0, kf=1.0, capture_time=0.5)
    exact = np.exp(0.5 * (model.schedule.integral(1.0) - model.schedule.integral(0.5)))
    assert solve(model, [[1.0, 0.0]], Solve(steps=2000))[0, 0] == pytest.approx(exact, rel=1e-3)


def test_clamp_limits_hidden_units(ring):
    x = np.array([[30.0, -30.0]])
    first, second, _ = ring.layer_outputs(x, 0.5, clamp=True)
    assert first.max() == ring.hidden_clamp_units
    assert second.max() <= ring.hidden_clamp_units
    assert ring.layer_outputs(x, 0.5)[0].max() > ring.hidden_clamp_units
    assert (first >= 0.0).all()


def test_class_offset_is_added_to_the_embedding(ring):
    offsets = np.arange(28.0).reshape(2, 14) / 100
    model = dataclasses.replace(ring, class_offsets=offsets)
    np.testing.assert_allclose(model.injected(0.3, 1) - model.embedding(0.3), offsets[1])
    x0 = initial_conditions(model, 3, 0, 20)
    a, b = (solve(model, x0, Solve(steps=10, label=label)) for label in (0, 1))
    assert np.abs(a - b).max() > 1e-3
    with pytest.raises(ModelError, match="class 2 does not exist"):
        model.injected(0.3, 2)


def test_embedding_has_sines_first(ring):
    e = ring.embedding(np.array([0.0, 0.25]))
    assert e.shape == (2, 14)
    np.testing.assert_allclose(e[0], [0.0] * 7 + [1.0] * 7)
    np.testing.assert_allclose(e[1, 0], np.sin(2 * np.pi * ring.frequencies[0] * 0.25))


def test_score_with_other_weights(ring):
    x = np.array([[0.3, 0.4], [1.0, -1.0]])
    doubled = [*ring.layers[:2], (2 * ring.weights[2], 2 * ring.biases[2])]
    np.testing.assert_allclose(ring.score(x, 0.4, doubled), 2 * ring.score(x, 0.4))
    np.testing.assert_allclose(ring.with_layers(doubled).score(x, 0.4), 2 * ring.score(x, 0.4))
    tau = np.array([0.4, 0.9])  # one tau per point
    np.testing.assert_allclose(ring.score(x, tau)[1], ring.score(x[1], 0.9))


def test_bad_arguments(ring):
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        solve(ring, np.zeros(3), Solve())
    with pytest.raises(InputError, match="steps=0"):
        solve(ring, np.zeros((1, 2)), Solve(steps=0))
    with pytest.raises(InputError, match="every=0"):
        trajectories(ring, np.zeros((1, 2)), Solve(steps=2), every=0)
    assert solve(ring, np.zeros((0, 2)), Solve(steps=2)).shape == (0, 2)


def test_held_loop_is_the_clamped_second_order_solve(ring):
    x0 = initial_conditions(ring, 3, 0, 20)
    expected = solve(ring, x0, Solve(steps=200, heun=True, clamp=True))
    np.testing.assert_array_equal(held_loop(ring, x0), expected)
