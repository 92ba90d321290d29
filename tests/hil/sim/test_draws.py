"""Keyed draws: published test vectors, the numpy reference, and what keys promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim import draws
from protocols.errors import InputError

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)

# Known-answer vectors of Random123 (kat_vectors, philox4x32 10): counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        0xFFFFFFFFFFFFFFFF,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_published_vectors(
    counter: tuple[int, int, int, int], key: int, result: tuple[int, ...]
) -> None:
    a, b, c, stream = counter
    assert tuple(draws.words(key, stream, a, b, c)) == result
    assert tuple(draws.words_reference(key, stream, a, b, c)) == result


@given(seed=U64, stream=U32, a=U32, b=U32, c=U32)
def test_compiled_words_equal_the_reference(seed: int, stream: int, a: int, b: int, c: int) -> None:
    compiled = draws.words(seed, stream, a, b, c)
    np.testing.assert_array_equal(compiled, draws.words_reference(seed, stream, a, b, c))


def test_uniforms_equal_the_reference_bit_for_bit() -> None:
    a, b = np.arange(500)[:, None], np.arange(7)
    compiled = draws.uniform_lanes(11, 3, a, b, 5)
    np.testing.assert_array_equal(compiled, draws.uniform_lanes_reference(11, 3, a, b, 5))
    assert compiled.shape == (500, 7, 4)
    assert 0.0 < compiled.min() < compiled.max() < 1.0
    np.testing.assert_array_equal(draws.uniforms(11, 3, a, b, 5), compiled[..., 0])


def test_normals_equal_the_reference() -> None:
    a, b = np.arange(2000), 9
    compiled = draws.normal_lanes(2**63 + 5, 4, a, b)
    reference = draws.normal_lanes_reference(2**63 + 5, 4, a, b)
    np.testing.assert_allclose(compiled, reference, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(draws.normals(2**63 + 5, 4, a, b), compiled[:, 0])
    np.testing.assert_array_equal(draws.normal_lanes(2**63 + 5, 4, a, b, lanes=2), compiled[:, :2])


def test_normals_are_normal_and_independent() -> None:
    x = draws.normal_lanes(3, 1, np.arange(100_000))
    assert np.abs(x.mean(axis=0)).max() < 0.013
    assert np.abs(x.std(axis=0) - 1.0).max() < 0.01
    assert np.abs((x**4).mean(axis=0) - 3.0).max() < 0.12
    assert np.abs(np.corrcoef(x.T) - np.eye(4)).max() < 0.013
    assert abs(float((x[1:, 0] * x[:-1, 0]).mean())) < 0.013


def test_order_and_batching_change_nothing() -> None:
    a = np.arange(1000)
    whole = draws.normals(5, 6, a, 1, 2)
    order = np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(draws.normals(5, 6, a[order], 1, 2), whole[order])
    parts = [draws.normals(5, 6, part, 1, 2) for part in np.array_split(a, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_every_part_of_the_key_matters() -> None:
    base = draws.words(1, 2, 3, 4, 5)
    for key in (
        (9, 2, 3, 4, 5),
        (1, 9, 3, 4, 5),
        (1, 2, 9, 4, 5),
        (1, 2, 3, 9, 5),
        (1, 2, 3, 4, 9),
    ):
        assert not np.array_equal(draws.words(*key), base)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: draws.normals(-1, 0, 0), "seed"),
        (lambda: draws.normals(2**64, 0, 0), "seed"),
        (lambda: draws.normals(0, 2**32, 0), "stream"),
        (lambda: draws.normals(0, 0, -1), "Counter word a"),
        (lambda: draws.normals(0, 0, 0, 2**32), "Counter word b"),
        (lambda: draws.normals(0, 0, 0.5), "integer"),
        (lambda: draws.normal_lanes(0, 0, 0, lanes=5), "1 to 4"),
    ],
)
def test_keys_that_do_not_fit_are_refused(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
