"""The journals of a wear account, each row checked before it is used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hil.wear_cells import Ints


@dataclass(frozen=True)
class ReadScale:
    """Conductance of a reading: siemens = slope * code + offset."""

    slope: float
    offset: float


@dataclass(frozen=True)
class Entry:
    """One journal in the account: how far it is booked, and whether it may still grow.

    Paths are kept relative to the account, so that a folder with both can be moved.
    """

    id: str
    path: Path
    scale: ReadScale
    booked: int
    pulses: int
    closed: bool
    unknown: Ints


def entry_of(row: Sequence[Any], folder: Path, cells: int) -> Entry | None:
    """A row of the table `journal` of an account in `folder`; None for a damaged one.

    Args:
        row: id, path, slope, offset, booked, pulses, closed, unknown.
        folder: that paths are relative to.
        cells: of the chip; the numbers of pulses with an unknown outcome are below it.
    """
    key, path, slope, offset, *counts, blob = row
    sound = all(isinstance(v, float) and math.isfinite(v) for v in (slope, offset))
    sound &= all(isinstance(v, int) and v >= 0 for v in counts)
    sound &= isinstance(key, str) and isinstance(path, str) and "\0" not in path
    if not sound or not isinstance(blob, bytes) or len(blob) % 4:
        return None
    unknown = np.frombuffer(blob, "<i4").astype(np.int64)
    if np.any((unknown < 0) | (unknown >= cells)):
        return None
    booked, pulses, closed = counts
    scale = ReadScale(slope, offset)
    return Entry(key, folder / path, scale, booked, pulses, bool(closed), unknown)
