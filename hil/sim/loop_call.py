"""Calls into the compiled kernel of the loop: arrays checked, threads, no interpreter lock held.

`Problem` mirrors `struct loop_problem` of `loop_kernel.h`. An array gets into it only by `Call.put`
or `Call.put_in_place`, which check its type and shape: the C side does not.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from hil.sim.loop_build import library
from protocols.errors import InputError, KernelError

F64 = NDArray[np.float64]
_INTEGER, _WORD, _NUMBER, _ARRAY = (
    ctypes.c_int64,
    ctypes.c_uint64,
    ctypes.c_double,
    ctypes.c_void_p,
)

_BLOCK = 64
"""Threads share the work in multiples of so many trajectories: whole vectors of lanes."""

_WORTH_A_THREAD = 20_000
"""Trajectories times segments below which a second thread costs more than it brings."""


class Problem(ctypes.Structure):
    """`struct loop_problem`; the meaning of each member is there."""

    _fields_ = (
        ("layers", _INTEGER),
        ("widths", _ARRAY),
        ("weights", _ARRAY),
        ("variance", _ARRAY),
        ("cells", _INTEGER),
        ("slot", _ARRAY),
        ("gain", _ARRAY),
        ("base", _ARRAY),
        ("deviation", _ARRAY),
        ("saturation", _NUMBER),
        ("ceiling", _NUMBER),
        ("output_gain", _NUMBER),
        ("output_clamp", _NUMBER),
        ("state_clamp", _NUMBER),
        ("saturates", _INTEGER),
        ("has_ceiling", _INTEGER),
        ("noise", _NUMBER),
        ("noise_seed", _WORD),
        ("noise_stream", _WORD),
        ("rate", _ARRAY),
        ("pull", _ARRAY),
        ("embedding", _ARRAY),
        ("embedding_width", _INTEGER),
        ("constant", _ARRAY),
        ("noisy", _INTEGER),
        ("coded", _INTEGER),
        ("wave_seed", _WORD),
        ("wave_stream", _WORD),
        ("noise_sd", _ARRAY),
        ("offset_codes", _ARRAY),
        ("noise_rate", _ARRAY),
        ("noise_gain", _ARRAY),
        ("noise_offset", _ARRAY),
        ("noise_bow", _ARRAY),
        ("noise_lag", _ARRAY),
        ("code_max", _NUMBER),
        ("code_zero", _NUMBER),
        ("first_segment", _INTEGER),
        ("last_segment", _INTEGER),
        ("tick", _ARRAY),
        ("noise_tick", _ARRAY),
        ("length_s", _ARRAY),
        ("ends_tick", _ARRAY),
        ("count", _INTEGER),
        ("trajectory", _ARRAY),
        ("x", _ARRAY),
        ("traced", _INTEGER),
        ("trace_points", _INTEGER),
        ("trace_every", _INTEGER),
        ("traces", _ARRAY),
    )


class Call:
    """One problem for the kernel, with the arrays that it points to."""

    def __init__(self, widths: Sequence[int], *, single: bool = False) -> None:
        """`widths` are the dimensions, the hidden widths, and the dimensions again."""
        if len(widths) < 2 or widths[0] != widths[-1] or min(widths) < 1:
            raise InputError(f"a network of widths {list(widths)} is no score of a state")
        self.real: DTypeLike = np.float32 if single else np.float64
        self._single = single
        self.widths = tuple(int(width) for width in widths)
        self.problem = Problem(layers=len(widths) - 1)
        self._kept: dict[str, NDArray[Any]] = {}
        self.put("widths", self.widths, np.int64, (len(widths),))

    @property
    def weights(self) -> int:
        """Weights of all layers, biases among them."""
        return sum((a + 1) * b for a, b in pairwise(self.widths))

    @property
    def outputs(self) -> int:
        """Outputs of all layers."""
        return sum(self.widths[1:])

    def set(self, **values: Any) -> None:
        """Numbers of the problem."""
        for name, value in values.items():
            setattr(self.problem, name, value)

    def put(self, name: str, values: ArrayLike, kind: DTypeLike, shape: tuple[int, ...]) -> None:
        """An array of the problem, as `kind` and in C order.

        Raises:
            InputError: its shape is not `shape`.
        """
        array = np.ascontiguousarray(values, kind)
        self._check(name, array, shape)
        self._point(name, array)

    def put_in_place(self, name: str, array: F64, shape: tuple[int, ...]) -> None:
        """An array of doubles that the kernel writes to. Raises InputError as `put`."""
        self._check(name, array, shape)
        if array.dtype != np.float64 or not array.flags.c_contiguous or not array.flags.writeable:
            raise InputError(f"{name} must be a writeable array of doubles in C order")
        self._point(name, array)

    def put_segments(
        self, tick: ArrayLike, noise_tick: ArrayLike, length_s: ArrayLike, ends: ArrayLike
    ) -> None:
        """When held values change; all are (segments,)."""
        count = np.size(tick)
        self.put("tick", tick, np.int64, (count,))
        self.put("noise_tick", noise_tick, np.int64, (count,))
        self.put("length_s", length_s, np.float64, (count,))
        self.put("ends_tick", ends, np.uint8, (count,))

    def put_trajectories(self, x: F64, numbers: ArrayLike) -> None:
        """State (n, dimensions), changed in place, and the numbers that key its draws."""
        n = x.shape[0]
        self.put_in_place("x", x, (n, self.widths[0]))
        self.put("trajectory", numbers, np.int64, (n,))
        kept = self._kept["trajectory"]
        if n and (kept.min() < 0 or kept.max() >= 1 << 32):
            raise InputError("Trajectory numbers must lie in 0 to 2**32 - 1.")
        self.problem.count = n

    def solve(self, first_segment: int, last_segment: int, threads: int | None = None) -> int:
        """Integrate over the segments; the number of noise words that were cut off.

        `threads` None takes `usable_threads()`; no result depends on it.
        """
        self._check_segments(first_segment, last_segment)
        problem = self.problem
        problem.first_segment, problem.last_segment = first_segment, last_segment
        count = int(problem.count)
        work = count * (last_segment - first_segment)
        most = usable_threads() if threads is None else max(threads, 1)
        parts = _parts(count, min(most, 1 + work // _WORTH_A_THREAD))
        if len(parts) == 1:
            found = [self._solve((0, count))]
        else:
            found = list(_pool(len(parts)).map(self._solve, parts))
        if min(found, default=0) < 0:
            raise KernelError(f"there is no memory to solve a network of widths {self.widths}")
        return sum(found)

    def layer_outputs(self, segment: int, noise: F64) -> F64:
        """Outputs (n, all outputs) for the state as it is; `noise` is added before the stages."""
        self._check_segments(segment, segment + 1)
        self.problem.first_segment = segment
        shape = (int(self.problem.count), self.outputs)
        out, added = np.empty(shape), np.ascontiguousarray(noise, np.float64)
        self._check("noise", added, shape)
        function = library(self._single).loop_outputs
        if function(ctypes.byref(self.problem), _address(added), _address(out)) != 0:
            raise KernelError(f"there is no memory to evaluate a network of widths {self.widths}")
        return out

    def _solve(self, part: tuple[int, int]) -> int:
        """Trajectories from one number to another; ctypes lets go of the interpreter in C."""
        first, last = (_INTEGER(number) for number in part)
        return int(library(self._single).loop_solve(ctypes.byref(self.problem), first, last))

    def _check_segments(self, first: int, last: int) -> None:
        """The segments' ticks index the words: all have to be there."""
        kept = self._kept
        ticks, segments = len(kept["rate"]), len(kept["tick"])
        if not 0 <= first <= last <= segments:
            raise InputError(f"segments {first} to {last} of {segments} cannot be solved")
        part = kept["tick"][first:last]
        if part.size and (part.min() < 0 or part.max() >= ticks):
            raise InputError(f"a segment lies in a tick that is not among the {ticks} given")

    def _check(self, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise InputError(f"{name} has shape {array.shape}; {shape} is needed")

    def _point(self, name: str, array: NDArray[Any]) -> None:
        self._kept[name] = array
        setattr(self.problem, name, _address(array))


def normals(
    seed: int, stream: int, trajectories: ArrayLike, b: int = 0, c: int = 0, *, single: bool = True
) -> F64:
    """Four normals (n, 4) of each counter (trajectory, b, c, stream), as the kernel draws them."""
    call = Call((1, 1), single=single)
    numbers = np.atleast_1d(np.asarray(trajectories, np.int64))
    call.put_trajectories(np.zeros((numbers.size, 1)), numbers)
    out = np.empty((numbers.size, 4))
    library(single).loop_normals(
        ctypes.byref(call.problem), _WORD(seed), _WORD(b), _WORD(c), _WORD(stream), _address(out)
    )
    return out


def usable_threads() -> int:
    """Processors that this process may use; OMP_NUM_THREADS, where set, is the most."""
    allowed = len(os.sched_getaffinity(0))
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(wanted)) if wanted.isdecimal() and int(wanted) > 0 else allowed


def _parts(count: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of trajectories, several per thread so that none waits long for another."""
    blocks = -(-count // _BLOCK)
    pieces = 1 if threads == 1 else min(blocks, 8 * threads)
    edges = [min(blocks * k // max(pieces, 1) * _BLOCK, count) for k in range(pieces + 1)]
    return [(a, b) for a, b in pairwise(edges) if a < b] or [(0, 0)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="loop")


# The threads of a pool do not follow into a forked process.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return _ARRAY(array.ctypes.data)
