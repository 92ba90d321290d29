"""Keyed random numbers: every draw is a pure function of its key.

Philox4x32-10 (J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as
easy as 1, 2, 3", SC'11, doi 10.1145/2063384.2063405) turns a 64-bit key and a 128-bit counter
into four 32-bit words. Here the key is the seed and the counter is `(a, b, c, stream)`, so a draw
never depends on what was drawn before it: order, batching, resume and replay change nothing.

The compiled functions are the ones to use. `*_reference` are the same equations in plain numpy;
the tests hold the compiled ones against them.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import InputError

U32 = NDArray[np.uint32]
F64 = NDArray[np.float64]

# Multipliers and Weyl constants of Philox4x32, table 2 and section 3.3 of the paper.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROUNDS = 10
_TWO_PI = 2.0 * np.pi
_STEP = 2.0**-32  # a 32-bit word w stands for the uniform (w + 1/2) * 2**-32, never 0 nor 1


@numba.njit(cache=True, inline="always")
def philox_words(
    key: int, c0: int, c1: int, c2: int, c3: int
) -> Any:  # pragma: no cover - compiled
    """The four output words (as u64) of counter (c0, c1, c2, c3) under the 64-bit `key`."""
    k0, k1 = np.uint64(key) & _LOW, np.uint64(key) >> _SHIFT
    x0, x1, x2, x3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    for _ in range(_ROUNDS):
        p0, p1 = _M0 * x0, _M1 * x2
        x0, x1, x2, x3 = (p1 >> _SHIFT) ^ x1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ x3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return x0, x1, x2, x3


@numba.njit(cache=True, inline="always")
def normal_pair(word_a: int, word_b: int) -> tuple[float, float]:  # pragma: no cover - compiled
    """Two standard normals from two words (Box and Muller, Ann. Math. Stat. 29, 610, 1958)."""
    radius = np.sqrt(-2.0 * np.log((np.float64(word_a) + 0.5) * _STEP))
    angle = _TWO_PI * ((np.float64(word_b) + 0.5) * _STEP)
    return radius * np.cos(angle), radius * np.sin(angle)


@numba.njit(cache=True, inline="always")
def normals4(
    key: int, c0: int, c1: int, c2: int, c3: int
) -> tuple[float, float, float, float]:  # pragma: no cover - compiled
    """Four independent standard normals of one counter."""
    w0, w1, w2, w3 = philox_words(key, c0, c1, c2, c3)
    n0, n1 = normal_pair(w0, w1)
    n2, n3 = normal_pair(w2, w3)
    return n0, n1, n2, n3


@numba.njit(cache=True, nogil=True)
def _fill_words(
    key: Any, a: U32, b: U32, c: U32, stream: Any, out: U32
) -> None:  # pragma: no cover - compiled
    for i in range(a.size):
        w0, w1, w2, w3 = philox_words(key, a[i], b[i], c[i], stream)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = w0, w1, w2, w3


@numba.njit(cache=True, nogil=True)
def _fill_uniforms(
    key: Any, a: U32, b: U32, c: U32, stream: Any, out: F64
) -> None:  # pragma: no cover - compiled
    for i in range(a.size):
        w0, w1, w2, w3 = philox_words(key, a[i], b[i], c[i], stream)
        words = (w0, w1, w2, w3)
        for lane in range(out.shape[1]):
            out[i, lane] = (np.float64(words[lane]) + 0.5) * _STEP


@numba.njit(cache=True, nogil=True)
def _fill_normals_1(
    key: Any, a: U32, b: U32, c: U32, stream: Any, out: F64
) -> None:  # pragma: no cover - compiled
    for i in range(a.size):
        w0, w1, _w2, _w3 = philox_words(key, a[i], b[i], c[i], stream)
        out[i, 0] = normal_pair(w0, w1)[0]


@numba.njit(cache=True, nogil=True)
def _fill_normals(
    key: Any, a: U32, b: U32, c: U32, stream: Any, out: F64
) -> None:  # pragma: no cover - compiled
    for i in range(a.size):
        lanes = normals4(key, a[i], b[i], c[i], stream)
        for lane in range(out.shape[1]):
            out[i, lane] = lanes[lane]


def _counters(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> tuple[tuple[int, ...], list[U32]]:
    """Broadcast the counter words, check that each fits 32 bits, flatten."""
    parts = np.broadcast_arrays(*(np.asarray(part) for part in (a, b, c)))
    flat = []
    for name, part in zip("abc", parts, strict=True):
        if part.dtype.kind not in "iub":
            raise InputError(f"Counter word {name} must be an integer array, got {part.dtype}.")
        checked = part.dtype.kind in "ub" and part.dtype.itemsize <= 4
        if part.size and not checked and (part.min() < 0 or part.max() > 0xFFFFFFFF):
            raise InputError(f"Counter word {name} must lie in 0 to 2**32 - 1.")
        flat.append(np.ascontiguousarray(part, dtype=np.uint32).ravel())
    return parts[0].shape, flat


def _key(seed: int) -> np.uint64:
    if not 0 <= int(seed) < 2**64:
        raise InputError(f"A seed must lie in 0 to 2**64 - 1, got {seed}.")
    return np.uint64(seed)


def _stream(stream: int) -> np.uint64:
    if not 0 <= int(stream) < 2**32:
        raise InputError(f"A stream number must lie in 0 to 2**32 - 1, got {stream}.")
    return np.uint64(stream)


def _lanes(lanes: int) -> int:
    if not 1 <= lanes <= 4:
        raise InputError(f"One counter holds 1 to 4 draws, asked for {lanes}.")
    return lanes


def words(seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0) -> U32:
    """The four 32-bit words of each counter (a, b, c, stream): shape broadcast(a, b, c) + (4,)."""
    shape, (fa, fb, fc) = _counters(a, b, c)
    out = np.empty((fa.size, 4), np.uint32)
    _fill_words(_key(seed), fa, fb, fc, _stream(stream), out)
    return out.reshape((*shape, 4))


def uniform_lanes(
    seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0, lanes: int = 4
) -> F64:
    """Uniforms in the open interval (0, 1): shape broadcast(a, b, c) + (lanes,), 1 to 4 lanes."""
    shape, (fa, fb, fc) = _counters(a, b, c)
    out = np.empty((fa.size, _lanes(lanes)))
    _fill_uniforms(_key(seed), fa, fb, fc, _stream(stream), out)
    return out.reshape((*shape, lanes))


def uniforms(seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0) -> F64:
    """One uniform in (0, 1) per counter (a, b, c, stream): shape broadcast(a, b, c)."""
    return uniform_lanes(seed, stream, a, b, c, 1)[..., 0]


def normal_lanes(
    seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0, lanes: int = 4
) -> F64:
    """Independent standard normals: shape broadcast(a, b, c) + (lanes,), 1 to 4 lanes.

    Lane 0 equals `normals` of the same counter. The largest possible value is 6.76, because a
    normal is made of 32-bit uniforms.
    """
    shape, (fa, fb, fc) = _counters(a, b, c)
    out = np.empty((fa.size, _lanes(lanes)))
    fill: Any = _fill_normals_1 if lanes == 1 else _fill_normals
    fill(_key(seed), fa, fb, fc, _stream(stream), out)
    return out.reshape((*shape, lanes))


def normals(seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0) -> F64:
    """One standard normal per counter (a, b, c, stream): shape broadcast(a, b, c)."""
    return normal_lanes(seed, stream, a, b, c, 1)[..., 0]


# --- the same in plain numpy, for the tests --------------------------------------------------


def words_reference(
    seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0
) -> U32:
    """`words` in plain numpy: the reference that the compiled one is held against, bit for bit."""
    shape, counters = _counters(a, b, c)
    x0, x1, x2 = (part.astype(np.uint64) for part in counters)
    x3 = np.full_like(x0, _stream(stream))
    k0, k1 = _key(seed) & _LOW, _key(seed) >> _SHIFT
    for _ in range(_ROUNDS):
        p0, p1 = _M0 * x0, _M1 * x2
        x0, x1, x2, x3 = (p1 >> _SHIFT) ^ x1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ x3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return np.stack([x0, x1, x2, x3], axis=-1).astype(np.uint32).reshape((*shape, 4))


def uniform_lanes_reference(
    seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0
) -> F64:
    """`uniform_lanes` (four lanes) in plain numpy."""
    return np.asarray((words_reference(seed, stream, a, b, c) + 0.5) * _STEP, np.float64)


def normal_lanes_reference(
    seed: int, stream: int, a: ArrayLike, b: ArrayLike = 0, c: ArrayLike = 0
) -> F64:
    """`normal_lanes` (four lanes) in plain numpy."""
    u = uniform_lanes_reference(seed, stream, a, b, c)
    radius = np.sqrt(-2.0 * np.log(u[..., 0::2]))
    angle = _TWO_PI * u[..., 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(u.shape)
