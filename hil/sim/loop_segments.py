"""When the held values of a solve change: ticks, cut where a noise is redrawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNITS_PER_S = 1_000_000_000
"""Times of a board are counted in nanoseconds."""


class Segments(NamedTuple):
    """One entry per step of the integration."""

    tick: NDArray[np.int64]
    noise_tick: NDArray[np.int64]
    length_s: NDArray[np.float64]
    ends_tick: NDArray[np.bool_]


def segments_of(
    tick_units: int, ticks: int, noise_hold_units: int, units_per_s: float = UNITS_PER_S
) -> Segments:
    """Ticks, cut where the noise is redrawn; `noise_hold_units` 0 is no noise."""
    edges = np.arange(ticks + 1, dtype=np.int64) * tick_units
    if noise_hold_units:
        redrawn = np.arange(0, int(edges[-1]), noise_hold_units, dtype=np.int64)
        edges = np.union1d(edges, redrawn)
    starts = edges[:-1]
    return Segments(
        tick=starts // tick_units,
        noise_tick=starts // noise_hold_units if noise_hold_units else np.zeros_like(starts),
        length_s=np.diff(edges) / units_per_s,
        ends_tick=edges[1:] % tick_units == 0,
    )
