"""Curves of the cell kernels, compiled: lines between knots and a smooth limit.

The compiler caches by file and does not look into imports: after a change here, remove
`hil/sim/__pycache__` so that `cell_kernels` is compiled anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """numba's njit with a disk cache, for a type checker: the function keeps its type."""
    return cast(Function, numba.njit(cache=True)(function))


@compiled
def interpolate(x: float, at: F64, value: F64) -> float:  # pragma: no cover - compiled
    """Linear between knots, flat outside."""
    n = at.size
    if x <= at[0]:
        return float(value[0])
    if x >= at[n - 1]:
        return float(value[n - 1])
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if at[middle] <= x:
            low = middle
        else:
            high = middle
    share = (x - at[low]) / (at[high] - at[low])
    return float(value[low] + share * (value[high] - value[low]))


@compiled
def soft_limit(x: float, limit: float) -> float:  # pragma: no cover - compiled
    """Odd, slope 1 at zero, never beyond +-limit."""
    return float(x / np.sqrt(1.0 + (x / limit) ** 2))
