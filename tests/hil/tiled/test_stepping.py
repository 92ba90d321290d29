"""Stepped solves against the same equations written down another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hil.diffusion.noise_source import SeededNoise
from hil.diffusion.sampler import initial_conditions
from hil.tiled.stepping import Stepped, layer_outputs, solve_stepped
from hil.waveforms import Mode
from protocols.errors import InputError, ModelError
from tests.hil.tiled.conftest import make_model


def exact(model):
    return lambda layer, x: x @ model.weights[layer].T


@pytest.mark.parametrize(("dimensions", "width", "layers"), [(2, 14, 3), (5, 8, 2), (9, 6, 5)])
def test_layers_of_any_depth_are_those_of_the_model(dimensions, width, layers):
    model = make_model(dimensions, width, layers, classes=3)
    x = np.random.default_rng(0).normal(size=(7, dimensions))
    found = layer_outputs(model, exact(model), x, model.injected(0.3, 2))
    for have, want in zip(found, model.layer_outputs(x, 0.3, label=2), strict=True):
        np.testing.assert_allclose(have, want, atol=1e-12)


def _heun(model, x, ticks, label, noise=None):
    """Heun's method on held ticks, written with the model's own score."""
    dt = model.capture_time / ticks
    for k in range(ticks):
        tau = model.tau((k + 0.5) * dt)
        beta = model.schedule.beta(tau)
        c = 0.5 if noise is None else model.noise.score_coefficient(tau)
        push = 0.0
        if noise is not None:
            density = model.noise.density(beta, model.kg, tau)
            push = density / np.sqrt(dt) * noise.draws(0, len(x), x.shape[1], k, ticks)

        def rate(state, tau=tau, beta=beta, c=c):
            score = model.score(state, tau, label=label)
            return beta * (0.5 * model.kf * state + c * model.kg * score)

        first = rate(x) + push
        x = x + 0.5 * dt * (first + rate(x + dt * first) + push)
    return x


def test_a_solve_is_heuns_method_on_held_ticks():
    model = make_model(classes=2)
    start = initial_conditions(model, 3, 0, 20)
    labels = np.repeat([1, 0], 10)
    found = solve_stepped(model, exact(model), start, Stepped(Mode.ODE, 12, labels))
    np.testing.assert_allclose(found[:10], _heun(model, start[:10], 12, 1), atol=1e-12)
    np.testing.assert_allclose(found[10:], _heun(model, start[10:], 12, 0), atol=1e-12)


def test_an_sde_solve_adds_the_models_held_noise():
    model = make_model()
    start, noise = initial_conditions(model, 3, 0, 20), SeededNoise(5)
    how = Stepped(Mode.SDE, 12, noise=noise)
    found = solve_stepped(model, exact(model), start, how)
    np.testing.assert_allclose(found, _heun(model, start, 12, None, noise), atol=1e-12)


def test_a_batch_gives_what_its_samples_give_alone():
    model = make_model()
    start = initial_conditions(model, 3, 0, 6)
    how = Stepped(Mode.SDE, 8, noise=SeededNoise(5))
    whole = solve_stepped(model, exact(model), start, how)
    part = solve_stepped(model, exact(model), start[4:], replace(how, first=4))
    np.testing.assert_allclose(part, whole[4:], atol=1e-12)


def test_every_tick_is_told():
    model, seen = make_model(), []
    start = initial_conditions(model, 3, 0, 2)
    solve_stepped(
        model, exact(model), start, Stepped(Mode.ODE, 5), lambda tick, x: seen.append(tick)
    )
    assert seen == [1, 2, 3, 4, 5]


def test_wrong_requests_are_refused(model):
    with pytest.raises(InputError, match="at least one"):
        Stepped(Mode.ODE, 0)
    with pytest.raises(InputError, match="noise source"):
        Stepped(Mode.SDE, 5)
    with pytest.raises(InputError, match=r"\(n, 3\) is needed"):
        solve_stepped(model, exact(model), np.zeros((4, 2)), Stepped(Mode.ODE, 5))
    one = Stepped(Mode.ODE, 5, np.zeros(4, dtype=np.int64))
    with pytest.raises(ModelError, match="unconditional"):
        solve_stepped(model, exact(model), np.zeros((4, 3)), one)
    with pytest.raises(InputError, match="4 samples"):
        solve_stepped(
            model, exact(model), np.zeros((4, 3)), Stepped(Mode.ODE, 5, np.zeros(3, np.int64))
        )
