"""Random draws addressed by (seed, stream, row, item), so that order and batching change nothing.

Philox-4x64-10 (Salmon et al., SC11) is a function from a 256-bit counter and a 128-bit key to four
64-bit words. Here the key is (seed, stream) and the counter is (block of items, row), so item i of
row k is the same number however many items are asked for at once. Normals are made by the
Box-Muller transform, not by a rejection method, to keep that property.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from protocols.errors import InputError

FloatArray = NDArray[np.float64]

_WORDS_PER_COUNTER = 4
_MAX_SEED = 2**64 - 1
_ROWS_PER_PAIR = 2**32


class Stream(IntEnum):
    """Separates draws that share a seed; a number, once used, keeps its meaning."""

    DATA = 1
    INITIAL_CONDITION = 2
    SDE_NOISE = 3
    PROJECTION = 4
    WEIGHT_ERROR = 5
    DATA_SPREAD = 6


def uniforms(
    seed: int, stream: Stream, first: int, n: int, per_item: int, row: int = 0
) -> FloatArray:
    """Uniform numbers in the open interval (0, 1), shape (n, per_item), for items first..first+n-1.

    `per_item` is 2 or 4 (it divides a Philox block). Raises InputError for a seed outside
    0..2**64-1 or a negative first, n or row.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(f"seed {seed} is outside 0..2**64-1; choose another seed.")
    if min(first, n, row) < 0:
        raise InputError(
            f"draws are numbered from 0: first={first}, n={n} and row={row} may not be negative."
        )
    counter, skipped = divmod(first * per_item, _WORDS_PER_COUNTER)
    bits = np.random.Philox(
        counter=np.array([counter, row, 0, 0], dtype=np.uint64),
        key=np.array([seed, int(stream)], dtype=np.uint64),
    )
    words = bits.random_raw(skipped + n * per_item)[skipped:]
    # 53 bits, centred in their cells: never 0 or 1, so that a logarithm is always finite.
    return np.asarray(((words >> np.uint64(11)) + 0.5).reshape(n, per_item) * 2.0**-53)


def normal_pairs(seed: int, stream: Stream, first: int, n: int, row: int = 0) -> FloatArray:
    """Two standard normal numbers per item, shape (n, 2); arguments as for `uniforms`."""
    u = uniforms(seed, stream, first, n, 2, row)
    radius = np.sqrt(-2.0 * np.log(u[:, 0]))
    angle = (2.0 * np.pi) * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def normals(
    seed: int, stream: Stream, first: int, n: int, dimensions: int, row: int = 0
) -> FloatArray:
    """`dimensions` standard normal numbers per item, shape (n, dimensions).

    The first two are those of `normal_pairs`; each further pair has rows of its own. `row` is below
    2**32. Other arguments as for `uniforms`.
    """
    if not (dimensions >= 1 and 0 <= row < _ROWS_PER_PAIR):
        raise InputError(f"normals: dimensions={dimensions} or row={row} is out of range.")
    pairs = [
        normal_pairs(seed, stream, first, n, row + k * _ROWS_PER_PAIR)
        for k in range((dimensions + 1) // 2)
    ]
    return np.concatenate(pairs, axis=1)[:, :dimensions]
