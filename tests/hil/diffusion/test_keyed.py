"""Keyed draws: the same item is the same number however it is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hil.diffusion.data import draw, ring
from hil.diffusion.keyed import Stream, normal_pairs, uniforms
from protocols.errors import DataError, InputError


@given(
    first=st.integers(0, 10_000),
    n=st.integers(0, 40),
    per_item=st.sampled_from([2, 4]),
    row=st.integers(0, 1000),
)
def test_items_do_not_depend_on_batching(first, n, per_item, row):
    together = uniforms(5, Stream.DATA, first, n, per_item, row)
    singly = [uniforms(5, Stream.DATA, first + k, 1, per_item, row) for k in range(n)]
    assert together.shape == (n, per_item)
    assert all((one[0] == together[k]).all() for k, one in enumerate(singly))


def test_first_numbers_are_frozen():
    # A changed stream would silently change every recorded run.
    np.testing.assert_allclose(
        uniforms(1, Stream.DATA, 0, 1, 4)[0],
        [0.07515115109591125, 0.9837951334859096, 0.9474135472691851, 0.697646409167135],
        rtol=1e-12,
    )


def test_seed_stream_and_row_separate():
    sets = [
        normal_pairs(1, Stream.DATA, 0, 5000),
        normal_pairs(2, Stream.DATA, 0, 5000),
        normal_pairs(1, Stream.SDE_NOISE, 0, 5000),
        normal_pairs(1, Stream.DATA, 0, 5000, row=1),
    ]
    for i, a in enumerate(sets):
        for b in sets[i + 1 :]:
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05


def test_normals_are_normal():
    pairs = normal_pairs(4, Stream.INITIAL_CONDITION, 0, 50_000)
    assert stats.kstest(pairs.ravel(), "norm").pvalue > 0.001
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.02


@pytest.mark.parametrize(("seed", "first"), [(-1, 0), (2**64, 0), (0, -1)])
def test_refuses_bad_addresses(seed, first):
    with pytest.raises(InputError):
        uniforms(seed, Stream.DATA, first, 1, 2)


def test_ring_has_the_published_law():
    points = ring(50_000, 9)
    radius = np.hypot(*points.T)
    assert stats.kstest(radius, "norm", args=(0.7, 0.04)).pvalue > 0.001
    angle = np.arctan2(points[:, 1], points[:, 0])
    assert stats.kstest(angle, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 0.001
    np.testing.assert_array_equal(ring(10, 9, first=100), points[100:110])


def test_unknown_data_set_is_named():
    with pytest.raises(DataError, match=r"'spiral'.*ring"):
        draw("spiral", 10, 0)
