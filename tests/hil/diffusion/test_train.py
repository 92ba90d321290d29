"""Training in small: it learns, it repeats, and its noise is what it says."""

import dataclasses

import numpy as np
import pytest
import torch

from hil.diffusion import losses
from hil.diffusion.metrics import evaluate
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.torch_network import TorchNetwork, WeightNoise, perturb
from hil.diffusion.train import TrainConfig, train, train_ring
from protocols.errors import InputError

SMALL = TrainConfig(
    score_steps=150, solve_steps=20, ticks=10, groups=4, batch=64, check_samples=500
)


def test_training_lowers_the_loss_and_improves_the_samples():
    reports = []
    model = train_ring(SMALL, lambda *report: reports.append(report))
    steps, totals, values = zip(*reports, strict=True)
    assert steps == tuple(range(1, 171))
    assert set(totals) == {170}
    assert values[149] < 0.9 * values[0]
    x0 = initial_conditions(model, 1, 0, 2000)
    after = evaluate(solve(model, x0, Solve(steps=100)))
    assert after.kl_1d < 0.8 * evaluate(x0).kl_1d
    assert after.radius_sd < 0.95 * evaluate(x0).radius_sd
    assert model.training.steps == 170
    assert model.training.metrics["samples"] == 500


def test_solving_through_lowers_its_own_loss():
    values = []
    config = dataclasses.replace(SMALL, score_steps=0, solve_steps=60, ticks=8)
    train(config, lambda _step, _total, loss: values.append(loss))
    assert values[-1] < 0.9 * values[0]


def test_training_repeats_bit_by_bit_and_leaves_torch_alone():
    config = dataclasses.replace(SMALL, score_steps=3, solve_steps=2)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    a, b = train(config), train(config)
    other = train(dataclasses.replace(config, seed=1))
    assert all((x == y).all() for x, y in zip(a.weights, b.weights, strict=True))
    assert not (a.weights[0] == other.weights[0]).all()
    assert (torch.random.get_rng_state() == state).all()
    assert torch.get_num_threads() == threads


def test_torch_and_numpy_networks_agree():
    config = dataclasses.replace(SMALL, score_steps=2, solve_steps=0)
    model = train(config)
    network = TorchNetwork(
        [torch.tensor(np.column_stack(layer)) for layer in model.layers],
        torch.tensor(model.frequencies),
        model.output_gain,
    )
    x, tau = torch.randn(1, 9, 2, dtype=torch.float64), torch.rand(1, 9, dtype=torch.float64)
    for limit, clamp in ((1e9, False), (model.hidden_clamp_units, True)):
        score, _, _ = network.forward(
            [layer[None] for layer in network.layers],
            x,
            network.embedding(tau),
            torch.full((1, 1, 1), limit, dtype=torch.float64),
        )
        ours = model.score(x[0].numpy(), tau[0].numpy(), clamp=clamp)
        np.testing.assert_allclose(score[0].numpy(), ours, rtol=1e-9, atol=1e-12)


def test_additive_error_follows_the_largest_weight():
    layer = torch.tensor([[2.0, 0.0, 9.0], [-4.0, 1.0, 0.0]])  # biases in the last column
    noise = WeightNoise(additive=0.02, multiplicative=0.0, spread=False)
    copies = perturb(layer, 20_000, noise, torch.Generator().manual_seed(0))
    np.testing.assert_allclose((copies - layer).std(0).numpy(), 0.08, rtol=0.03)


def test_additive_error_may_follow_a_sigma_of_the_weight():
    layer = torch.tensor([[2.0, 0.0, 0.0], [-4.0, 1.0, 0.0]])
    noise = WeightNoise(
        multiplicative=0.0, spread=False, sigma_of_weight=lambda w: 0.01 + 0.1 * w.abs()
    )
    copies = perturb(layer, 20_000, noise, torch.Generator().manual_seed(0))
    expected = 4.0 * (0.01 + 0.1 * layer.abs() / 4.0)
    np.testing.assert_allclose((copies - layer).std(0).numpy(), expected.numpy(), rtol=0.03)


def test_multiplicative_error_is_limited_and_spares_zeros():
    layer = torch.tensor([[1.0, 0.0, -2.0]])
    noise = WeightNoise(additive=0.0, multiplicative=0.1, multiplicative_limit=0.2)
    copies = perturb(layer, 20_000, noise, torch.Generator().manual_seed(0))
    eps = (copies[:, 0, 0] - 1.0).numpy()
    assert np.abs(eps).max() <= 0.2
    assert eps.std() == pytest.approx(0.093, rel=0.05)  # normal inside, uniform for the 4.6 % out
    assert (copies[:, 0, 1] == 0.0).all()


def test_distances_vanish_for_equal_laws_and_see_differences():
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(200, 64, 2, generator=generator) for _ in range(2))
    same = losses.energy_distance(a, b)
    assert abs(float(same.mean())) < 3 * float(same.std()) / 200**0.5
    assert float(losses.energy_distance(a, b + 0.5).mean()) > 0.05
    assert float(losses.radius_distance(a, a).mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.radius_distance(2.0 * a, a).mean()) > 0.05
    assert float(losses.moment_distance(a, a).max()) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.moment_distance(a.abs(), a).mean()) > 0.1


def test_moments_see_a_ring_that_is_not_round():
    angle = 2 * np.pi * torch.arange(400) / 400
    radius = 0.7 + 0.04 * torch.cos(2 * np.pi * 0.61803 * torch.arange(400))
    ring = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)[None]
    shifted = ring + torch.tensor([0.03, 0.0])
    oval = ring * torch.tensor([1.03, 1 / 1.03])
    for other in (shifted, oval):
        assert float(losses.moment_distance(other, ring)) > 0.02


def test_penalties_start_where_they_say():
    inside, beyond = torch.full((1, 1, 1), 1.39), torch.full((1, 1, 1), 1.6)
    small = torch.ones(1, 1, 2)
    assert float(losses.saturation([inside, inside], small, 1.5)) == 0.0
    assert float(losses.saturation([beyond, inside], small, 1.5)) == pytest.approx(0.2, rel=1e-5)
    modest, large = torch.tensor([[1.0, 0.5]]), torch.tensor([[4.0, 5.0]])
    assert float(losses.dynamic_range([modest], 0.1)) == pytest.approx(0.1)
    assert float(losses.dynamic_range([large], 0.1)) > 1.6


@pytest.mark.parametrize("change", [{"score_steps": -1}, {"groups": 0}, {"batch": 1}])
def test_refuses_impossible_sizes(change):
    with pytest.raises(InputError, match="training needs"):
        dataclasses.replace(SMALL, **change)
