"""Where the noise of a stochastic solve comes from: a seed, a recording, or the board itself.

One interface for the software's sampler and for the run loop:

    SeededNoise    keyed draws: the same seed gives the same numbers, in any order and batching
    RecordedNoise  a file of standard normal numbers, for instance of a true-random generator
    BoardNoise     the board's own true-random generator; the software cannot draw from it

A recording is an `.npz` with one array `noise`: either (trajectories, ticks, coordinates), or one
long stream (values,) that is used up in that order, trajectory by trajectory.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.diffusion.keyed import FloatArray, Stream, normals
from protocols.errors import FileError, InputError
from protocols.files import replace_whole
from protocols.npz import read_npz

BOARD, SEEDED = "board", "seeded"
MEMBER = "noise"
MOST_BYTES = 1 << 30
LARGEST_DRAW = 10.0  # of a standard normal number: once in 10^23 draws
CHECKED_FROM, LARGEST_MEAN, SD_RANGE = 1000, 0.1, (0.9, 1.1)
"""A stream of this many values or more has to have mean 0 and standard deviation 1 about."""


class NoiseSource(Protocol):
    """Standard normal numbers for every trajectory, tick and coordinate of a run."""

    @property
    def name(self) -> str:
        """For reports and records."""
        ...

    def draws(self, first: int, n: int, dimensions: int, tick: int, ticks: int) -> FloatArray:
        """Numbers of trajectories first..first+n-1 in tick `tick` of `ticks`, (n, dimensions).

        Raises InputError when the source has no such numbers.
        """
        ...


@dataclass(frozen=True)
class SeededNoise:
    """Keyed draws of the software (`keyed`); a board draws its own numbers from the same seed."""

    seed: int

    @property
    def name(self) -> str:
        """For reports and records."""
        return f"seed {self.seed}"

    def draws(self, first: int, n: int, dimensions: int, tick: int, ticks: int) -> FloatArray:
        """See `NoiseSource`."""
        del ticks
        return normals(self.seed, Stream.SDE_NOISE, first, n, dimensions, row=tick)


@dataclass(frozen=True)
class BoardNoise:
    """The board's own generator: no two runs are alike, and the numbers stay on the board."""

    @property
    def name(self) -> str:
        """For reports and records."""
        return "the board's generator"

    def draws(self, first: int, n: int, dimensions: int, tick: int, ticks: int) -> FloatArray:
        """Always refused: see the class."""
        del first, n, dimensions, tick, ticks
        raise InputError(
            "the board's generator keeps its numbers on the board; give the software a seed or a "
            "recorded stream"
        )


class RecordedNoise:
    """A recorded stream; it is read when it is made, and checked to be standard normal numbers."""

    def __init__(self, path: str | Path) -> None:
        """Reads a recording.

        Raises FileError for a file that is none, or whose numbers are not those of a standard
        normal law.
        """
        self.path = Path(path)
        try:
            members = read_npz(self.path, MOST_BYTES, most_members=4)
            self._values = _checked(members)
        except FileError as error:
            raise FileError(f"{path}: not a recorded noise stream: {error}") from error

    @property
    def name(self) -> str:
        """For reports and records."""
        return f"recording {self.path.name}"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(trajectories, ticks, coordinates), or (values,) of one long stream."""
        return self._values.shape

    def draws(self, first: int, n: int, dimensions: int, tick: int, ticks: int) -> FloatArray:
        """See `NoiseSource`; InputError where the recording is too short or of another size."""
        table = self._table(dimensions, ticks)
        if first < 0 or first + n > len(table) or not 0 <= tick < ticks:
            raise InputError(
                f"{self.path}: the recording has noise for {len(table)} trajectories of {ticks} "
                f"ticks; number {first + n - 1} was asked for. Ask for fewer samples, or record "
                "a longer stream"
            )
        return np.asarray(table[first : first + n, tick], dtype=np.float64)

    def _table(self, dimensions: int, ticks: int) -> NDArray[np.float32]:
        """(trajectories, ticks, dimensions)."""
        values = self._values
        if values.ndim == 1:
            count = values.size // (ticks * dimensions)
            return values[: count * ticks * dimensions].reshape(count, ticks, dimensions)
        if values.shape[1:] != (ticks, dimensions):
            raise InputError(
                f"{self.path}: the recording has {values.shape[1]} ticks of {values.shape[2]} "
                f"coordinates; this solve has {ticks} ticks of {dimensions}"
            )
        return values


def record_noise(
    path: str | Path, source: NoiseSource, trajectories: int, ticks: int, dimensions: int
) -> Path:
    """Writes the numbers that `source` would give, as a recording; returns its path.

    Raises FileError when the file cannot be written.
    """
    table = [source.draws(0, trajectories, dimensions, k, ticks) for k in range(ticks)]
    return write_noise(path, np.stack(table, axis=1))


def write_noise(path: str | Path, values: ArrayLike) -> Path:
    """Writes standard normal numbers as a recording, see the module's docstring for the shapes.

    Raises FileError when they are not such numbers or the file cannot be written.
    """
    target, content = Path(path), io.BytesIO()
    array = np.asarray(values, dtype=np.float32)
    _checked({MEMBER: array})
    np.savez(content, allow_pickle=False, noise=array)
    try:
        replace_whole(target, content.getvalue())
    except OSError as error:
        raise FileError(f"{target}: the recording cannot be written: {error}") from error
    return target


def noise_source(text: str, seed: int) -> NoiseSource:
    """The source that an option names: "board", "seeded", or the file of a recording.

    Raises FileError for a file that is no recording.
    """
    if text == BOARD:
        return BoardNoise()
    return SeededNoise(seed) if text == SEEDED else RecordedNoise(text)


def _checked(members: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    if set(members) != {MEMBER}:
        raise FileError(
            f"its arrays are {', '.join(sorted(members)) or 'none'}; one named {MEMBER!r} is needed"
        )
    array = members[MEMBER]
    if array.dtype.kind != "f" or array.ndim not in (1, 3) or array.size == 0:
        raise FileError(
            f"type {array.dtype} and shape {array.shape}; floating-point numbers (trajectories, "
            "ticks, coordinates) or (values,) are needed"
        )
    values = array.astype(np.float32)
    bad = ~(np.abs(values) <= LARGEST_DRAW)  # true for NaN as well
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise FileError(
            f"value {list(at)} is {values[at]:g}; standard normal numbers within "
            f"+-{LARGEST_DRAW:g} are needed"
        )
    if values.size >= CHECKED_FROM:
        mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        if abs(mean) > LARGEST_MEAN or not SD_RANGE[0] <= sd <= SD_RANGE[1]:
            raise FileError(
                f"mean {mean:.3g} and standard deviation {sd:.3g}; numbers of mean 0 and standard "
                "deviation 1 are needed: scale the recording first"
            )
    return values
