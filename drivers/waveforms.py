"""The tables of a run, tick by tick, in SI units; as codes with every channel's range checked."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.transfer import Curves
from protocols.errors import InputError, LimitError
from protocols.messages import WaveClassRequest, WaveLoadRequestEntry

Floats = NDArray[np.float64]
CHANNELS = 14
NOISE_SIGMAS = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Waveforms:
    """What is driven at each of n ticks, held over the tick.

    `drift` (word f) and `score` (word g2), shape (n,), `noise` (n,) per standard deviation and
    `offset` (n, 2) of the two noise channels are fractions of full scale; `embedding_volts` is
    (n, 14); `class_offset_volts` (14,) is added to the embedding of every tick.
    """

    tick_s: float
    drift: Floats
    score: Floats
    noise: Floats
    offset: Floats
    embedding_volts: Floats
    class_offset_volts: Floats = field(default_factory=lambda: np.zeros(CHANNELS))

    def __post_init__(self) -> None:
        ticks = np.asarray(self.drift).shape[0] if np.ndim(self.drift) else 0
        if ticks < 1 or not np.isfinite(self.tick_s) or self.tick_s <= 0:
            raise InputError("waveforms need at least one tick and a tick time above 0 s")
        shapes = {
            "drift": (ticks,),
            "score": (ticks,),
            "noise": (ticks,),
            "offset": (ticks, 2),
            "embedding_volts": (ticks, CHANNELS),
            "class_offset_volts": (CHANNELS,),
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, _table(getattr(self, name), shape, name))

    @property
    def ticks(self) -> int:
        """How many ticks there are."""
        return int(self.drift.size)

    @property
    def duration_s(self) -> float:
        """Ticks times their length."""
        return self.ticks * self.tick_s

    def encode(self, curves: Curves) -> WaveCodes:
        """The tables as codes.

        Raises:
            LimitError: a channel leaves its converter's range, alone, with the class offset, or
                with noise of four standard deviations; names channel and tick.
        """
        word, per_tick = curves.word, ("tick", "channel")
        drift = word.to_code(self.drift, "drift word f", per_tick)
        score = word.to_code(self.score, "score word g2", per_tick)
        noise = curves.noise.to_code(self.noise, "noise per standard deviation", per_tick)
        offset = word.to_code(self.offset, "noise offset", per_tick)
        _check_noise(noise, offset, word.code_max)
        embedding = curves.embedding.to_code(self.embedding_volts, "embedding", per_tick)
        shift = curves.class_offset.to_code(self.class_offset_volts, "class offset", ("channel",))
        _check_sum(embedding + shift, curves.embedding.code_max)
        columns = zip(
            drift.tolist(),
            score.tolist(),
            noise.tolist(),
            map(tuple, offset.tolist()),
            map(tuple, embedding.tolist()),
            strict=True,
        )
        entries = tuple(WaveLoadRequestEntry(*row) for row in columns)
        return WaveCodes(entries, tuple(shift.tolist()))


@dataclass(frozen=True, slots=True)
class WaveCodes:
    """Waveforms as they go to the board."""

    entries: tuple[WaveLoadRequestEntry, ...]
    class_offset: tuple[int, ...]

    @property
    def crc(self) -> int:
        """CRC-32 of the records as sent, tick by tick, then the class offsets."""
        records = b"".join(entry.pack() for entry in self.entries)
        return zlib.crc32(records + WaveClassRequest(self.class_offset).pack())


def _table(values: ArrayLike, shape: Sequence[int], name: str) -> Floats:
    table = np.array(values, dtype=np.float64)
    if table.shape != tuple(shape):
        raise InputError(f"waveforms: {name} has shape {table.shape}, {tuple(shape)} is needed")
    if not np.isfinite(table).all():
        at = np.argwhere(~np.isfinite(table))[0].tolist()
        raise InputError(f"waveforms: {name} at {at} is not a finite number")
    table.flags.writeable = False
    return table


def _check_noise(noise: NDArray[np.int64], offset: NDArray[np.int64], code_max: int) -> None:
    reach = NOISE_SIGMAS * noise[:, None]
    outside = (offset - reach < 0) | (offset + reach > code_max)
    if outside.any():
        tick, channel = np.argwhere(outside)[0].tolist()
        raise LimitError(
            f"noise channel {channel} at tick {tick}: offset code {offset[tick, channel]} with"
            f" {NOISE_SIGMAS:g} standard deviations of {noise[tick]} codes leaves 0 to {code_max};"
            " lower the noise or raise the board's noise gain. Nothing was loaded"
        )


def _check_sum(codes: NDArray[np.int64], code_max: int) -> None:
    outside = (codes < 0) | (codes > code_max)
    if outside.any():
        tick, channel = np.argwhere(outside)[0].tolist()
        raise LimitError(
            f"embedding channel {channel} at tick {tick} with its class offset is code"
            f" {codes[tick, channel]}, outside 0 to {code_max}; lower the volts per unit. Nothing"
            " was loaded"
        )
