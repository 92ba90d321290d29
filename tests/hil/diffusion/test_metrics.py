"""Metrics on distributions whose distances are known."""

import json

import numpy as np
import pytest
from scipy import stats

from hil.diffusion import metrics
from hil.diffusion.data import ring
from protocols.errors import DataError

RNG_SEED = 12


def _ring(n, radius=0.7, sd=0.04, seed=RNG_SEED):
    rng = np.random.default_rng(seed)
    r, angle = radius + sd * rng.standard_normal(n), 2 * np.pi * rng.random(n)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)


def test_kl_of_two_bins_by_hand():
    a = np.array([[0.05, 0.05], [0.05, 0.25]])  # 3/4 and 1/4 in the bins [0, .16) and [.16, .32)
    b = np.array([[0.05, 0.05], [0.25, 0.25]])
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert metrics.kl_1d(a, b) == pytest.approx(expected, abs=1e-6)


def test_kl_is_generated_against_data():
    inside, spread = _ring(20_000), _ring(20_000, sd=0.2)
    # Generated mass where there is no data costs far more than the reverse.
    assert metrics.kl_1d(spread, inside) > 2 * metrics.kl_1d(inside, spread)


def test_kl_2d_moves_outliers_to_the_edge():
    reference = _ring(5000)
    far = np.vstack([_ring(4999, seed=1), [[50.0, 0.0]]])
    edge = np.vstack([_ring(4999, seed=1), [[1.2, 0.0]]])
    assert metrics.kl_2d(far, reference) == metrics.kl_2d(edge, reference)


def test_kl_without_one_sample_in_range_is_infinite():
    assert metrics.kl_1d(np.full((10, 2), 99.0), _ring(100)) == np.inf


def test_sliced_w1_of_a_shift():
    points = _ring(4000)
    # A shift by d moves each projection by d |cos|, 2/pi of it on average over directions.
    assert metrics.sliced_w1(points + np.array([0.1, 0.0]), points) == pytest.approx(
        0.2 / np.pi, rel=2e-3
    )


@pytest.mark.parametrize("sizes", [(300, 300), (300, 700), (1, 17)])
def test_sliced_w1_is_exact(sizes):
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((sizes[0], 2)), rng.standard_normal((sizes[1], 2)) + 0.3
    expected = np.mean([stats.wasserstein_distance(a @ d, b @ d) for d in metrics._directions().T])
    assert metrics.sliced_w1(a, b) == pytest.approx(expected, rel=1e-9)


def test_kuiper_against_known_cases():
    n = 1000
    even = 2 * np.pi * (np.arange(n) + 0.5) / n
    circle = np.stack([np.cos(even), np.sin(even)], axis=1)
    assert metrics.angle_kuiper(circle) == pytest.approx(1 / n, rel=1e-6)
    half = circle[circle[:, 1] > 0]  # half of the circle is empty
    assert metrics.angle_kuiper(half) == pytest.approx(0.5, abs=0.01)
    turned = half @ np.array([[0.0, 1.0], [-1.0, 0.0]])  # independent of where the circle is cut
    assert metrics.angle_kuiper(turned) == pytest.approx(metrics.angle_kuiper(half), abs=1e-9)


def test_data_against_data_is_small_and_grows_with_error():
    row = metrics.data_row(20_000)
    thick = metrics.evaluate(_ring(20_000, sd=0.1))
    off = metrics.evaluate(_ring(20_000, radius=0.6))
    assert row.kl_1d < 5e-4
    assert row.sliced_w1 < 5e-3
    assert row.angle_kuiper < 2.2 / np.sqrt(20_000)
    for worse in (thick, off):
        assert worse.kl_1d > 10 * row.kl_1d
        assert worse.kl_2d > 5 * row.kl_2d
        assert worse.sliced_w1 > 3 * row.sliced_w1
    assert thick.radius_sd == pytest.approx(0.1, rel=0.02)
    assert off.radius_mean == pytest.approx(0.6, rel=0.01)


def test_reference_set_is_fixed_and_protected():
    reference = metrics.reference_set()
    assert reference.shape == (50_000, 2)
    assert reference is metrics.reference_set()
    with pytest.raises(ValueError, match="read-only"):
        reference[0, 0] = 1.0


def test_metrics_become_json():
    figures = metrics.evaluate(ring(1000, 3)).to_dict()
    assert set(json.loads(json.dumps(figures))) == {
        "kl_1d",
        "kl_2d",
        "sliced_w1",
        "radius_mean",
        "radius_sd",
        "angle_kuiper",
        "samples",
    }
    assert "ring" in metrics.table({"ring": metrics.evaluate(ring(1000, 3))})


@pytest.mark.parametrize("shape", [(10,), (10, 3), (0, 2)])
def test_refuses_other_shapes(shape):
    with pytest.raises(DataError, match="shape"):
        metrics.evaluate(np.zeros(shape))


def test_refuses_a_diverged_solve():
    points = ring(100, 3)
    points[[4, 7], 0] = np.nan
    with pytest.raises(DataError, match="2 of 100 samples"):
        metrics.evaluate(points)
