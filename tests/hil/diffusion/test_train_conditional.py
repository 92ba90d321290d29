"""Training of classes, of other dimensions and depths, and of autoencoders, in small."""

import dataclasses

import numpy as np
import pytest
import torch

from hil.diffusion import losses
from hil.diffusion.metrics import class_distances
from hil.diffusion.pictures import Pictures
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.sources import FiniteSource
from hil.diffusion.torch_network import TorchNetwork
from hil.diffusion.train import TrainConfig, train
from hil.diffusion.train_config import VaeConfig, circle
from hil.diffusion.train_vae import train_vae
from protocols.errors import InputError

SMALL = TrainConfig(
    name="two",
    data="points",
    score_steps=300,
    solve_steps=30,
    ticks=8,
    groups=4,
    batch=64,
    sde_share=0.25,
    radius_weight=0.0,
    moment_weight=0.0,
    spread_weight=1.0,
    check_samples=400,
)


def two_heaps(dimensions=2):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    centre = np.where(labels == 0, -0.6, 0.6)[:, None]
    return FiniteSource(
        centre + 0.1 * rng.normal(size=(200, dimensions)), None, labels, ("left", "right")
    )


def test_classes_are_told_apart():
    source = two_heaps()
    model = train(SMALL, None, source)
    assert (model.n_classes, model.class_names) == (2, ("left", "right"))
    assert model.training.metrics["class_w1_worst"] < 0.5
    x0 = initial_conditions(model, 1, 0, 400)
    left, right = (solve(model, x0, Solve(steps=100, label=k)) for k in (0, 1))
    assert left[:, 0].mean() < 0.0 < right[:, 0].mean()
    found = class_distances(np.concatenate([left, right]), np.repeat([0, 1], 400), source)
    swapped = class_distances(np.concatenate([right, left]), np.repeat([0, 1], 400), source)
    assert max(found.values()) < 0.5 * min(swapped.values())


def test_training_with_classes_repeats_bit_by_bit():
    config = dataclasses.replace(SMALL, score_steps=3, solve_steps=2)
    a, b = (train(config, None, two_heaps()) for _ in range(2))
    np.testing.assert_array_equal(a.class_offsets, b.class_offsets)
    masked = train(dataclasses.replace(config, masking=0.5), None, two_heaps())
    assert not np.array_equal(a.class_offsets, masked.class_offsets)


def test_all_labels_hidden_from_score_matching_leave_the_offsets_alone():
    config = dataclasses.replace(SMALL, score_steps=4, solve_steps=0, masking=0.999999)
    start = dataclasses.replace(config, score_steps=0)
    before, after = (train(c, None, two_heaps()) for c in (start, config))
    assert not np.array_equal(before.weights[0], after.weights[0])
    np.testing.assert_allclose(after.class_offsets, before.class_offsets, atol=1e-6)


@pytest.mark.parametrize(("dimensions", "hidden"), [(5, 1), (3, 3)])
def test_other_dimensions_and_depths(dimensions, hidden):
    config = dataclasses.replace(
        SMALL, score_steps=3, solve_steps=2, n_frequencies=4, hidden_layers=hidden
    )
    model = train(config, None, two_heaps(dimensions))
    assert model.dimensions == dimensions
    assert len(model.weights) == hidden + 1
    assert model.channels == 8
    network = TorchNetwork(
        [torch.tensor(np.column_stack(layer)) for layer in model.layers],
        torch.tensor(model.frequencies),
        model.output_gain,
    )
    x = torch.randn(1, 9, dimensions, dtype=torch.float64)
    tau = torch.rand(1, 9, dtype=torch.float64)
    offsets = torch.tensor(model.class_offsets[1])
    score, *entering = network.forward(
        [layer[None] for layer in network.layers],
        x,
        network.embedding(tau) + offsets,
        torch.full((1, 1, 1), 1e9, dtype=torch.float64),
    )
    assert len(entering) == hidden
    ours = model.score(x[0].numpy(), tau[0].numpy(), label=1)
    np.testing.assert_allclose(score[0].numpy(), ours, rtol=1e-9, atol=1e-12)


def test_a_batch_is_shared_by_the_classes():
    assert SMALL.fitting(0) == SMALL
    assert SMALL.fitting(3).batch == 66
    assert SMALL.fitting(10).batch == 160
    with pytest.raises(InputError, match="cannot be shared by 3 classes"):
        SMALL.per_class(3)
    for change in ({"masking": 1.0}, {"hidden_layers": 0}, {"n_frequencies": 0}):
        with pytest.raises(InputError, match="training needs"):
            dataclasses.replace(SMALL, **change)


def test_a_loss_that_runs_away_is_said():
    wild = dataclasses.replace(SMALL, score_steps=200, solve_steps=0, score_rate=1e30)
    with pytest.raises(InputError, match="loss is not finite at step"):
        train(wild, None, two_heaps())


def test_spread_distance_sees_place_width_and_tilt():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3, 500, 2, generator=generator)
    assert float(losses.spread_distance(a, a).max()) == pytest.approx(0.0, abs=1e-9)
    shear = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    for other in (a + 0.3, 1.3 * a, a @ shear):
        assert float(losses.spread_distance(other, a).min()) > 0.05


def test_offsets_beyond_their_share_of_the_converter_cost():
    assert float(losses.offset_range(torch.full((2, 3), 0.8))) == 0.0
    assert float(losses.offset_range(torch.full((1, 1), 1.8))) == pytest.approx(0.1)


# --- the autoencoder ---------------------------------------------------------------------------


def bars(n=240):
    """Pictures with a bright column (class 0) or row (class 1) at one of six places."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, n)
    images = np.zeros((n, 6, 6))
    for image, label, place in zip(images, labels, rng.integers(0, 6, n), strict=True):
        image[(slice(None), place) if label == 0 else (place, slice(None))] = 1.0
    return Pictures(images, labels, ("column", "row"))


def test_an_autoencoder_learns_pictures_and_places_classes():
    config = VaeConfig(centres=circle(2, 4.0), hidden=(32, 16), steps=500, batch=64)
    pictures, reports = bars(), []
    vae = train_vae(pictures, config, lambda *report: reports.append(report))
    assert [step for step, _, _ in reports] == list(range(1, 501))
    assert reports[-1][2] < 0.7 * reports[0][2]
    mean, spread = vae.encode(pictures.images)
    for label, centre in enumerate(config.centres):
        own = mean[pictures.labels == label] * config.scale
        np.testing.assert_allclose(own.mean(0), centre, atol=0.6)
    assert (spread > 0.0).all()
    error = np.abs(vae.decode(mean) - pictures.images).mean()
    assert error < 0.8 * np.abs(pictures.images.mean(0) - pictures.images).mean()


def test_an_autoencoder_repeats_and_needs_a_centre_per_class():
    config = VaeConfig(centres=circle(2, 4.0), hidden=(4,), steps=2, batch=8)
    a, b = (train_vae(bars(20), config) for _ in range(2))
    np.testing.assert_array_equal(a.decoder[0][0], b.decoder[0][0])
    with pytest.raises(InputError, match="3 centres for 2 classes"):
        train_vae(bars(20), VaeConfig())


def test_centres_lie_on_a_circle():
    found = np.array(circle(10, 7.5))
    np.testing.assert_allclose(np.hypot(*found.T), 7.5)
    np.testing.assert_allclose(found.sum(0), 0.0, atol=1e-12)
