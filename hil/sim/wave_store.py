"""The store of a run's waveforms: begun, loaded in any order, checked by CRC, committed.

The CRC is `zlib.crc32` over the records as sent, in the order of the ticks, then the class offsets
(zeros if none were sent). A class offset that would take a channel out of its DAC's range is
refused when offset and records meet, whichever comes last.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from hil.sim.loop_drive import Waves
from hil.sim.refusal import RefusedError
from protocols.messages import Part, WaveClassRequest, WaveLoadRequest

CHANNELS = 14
_EMBEDDING_FIELD = 4
_RECORD = np.dtype(
    [
        ("drift", "<u2"),
        ("score", "<u2"),
        ("noise", "<u2"),
        ("offset", "<u2", 2),
        ("embedding", "<u2", CHANNELS),
    ]
)


class WaveStore:
    """Waveforms of one run. Nothing in it outlives `begin`."""

    def __init__(self, code_max: int) -> None:
        self.committed = False
        self.ticks = 0
        self.tick_us = 0
        self._code_max = code_max
        self.begin(0, 0)

    def begin(self, ticks: int, tick_us: int) -> None:
        """Empty the store and fix its length and tick."""
        self.committed = False
        self.ticks, self.tick_us = ticks, tick_us
        self._records: NDArray[np.void] = np.zeros(ticks, _RECORD)
        self._loaded = np.zeros(ticks, bool)
        self._class = np.zeros(CHANNELS, np.int64)
        self._class_payload = bytes(2 * CHANNELS)

    def load(self, request: WaveLoadRequest) -> None:
        """Store consecutive ticks."""
        self._require_begun()
        entries = request.entries
        if request.first + len(entries) > self.ticks:
            limit = max(self.ticks - len(entries), 0)
            raise RefusedError("out_of_range", 0, 0, request.first, 0, limit)
        records = np.frombuffer(request.pack()[request.STRUCT.size :], _RECORD)
        self._check_embedding(records["embedding"], self._class, _EMBEDDING_FIELD)
        part = slice(request.first, request.first + len(entries))
        self._records[part] = records
        self._loaded[part] = True
        self.committed = False

    def set_class(self, request: WaveClassRequest) -> None:
        """Fix the offsets that are added to the embedding codes of every tick."""
        self._require_begun()
        offset = np.array(request.offset, np.int64)
        loaded = np.where(self._loaded[:, None], self._records["embedding"], 0)
        self._check_embedding(loaded, np.where(self._loaded[:, None], offset, 0), 0)
        self._class = offset
        self._class_payload = request.pack()
        self.committed = False

    def commit(self, announced: int) -> None:
        """Declare the store complete.

        Raises:
            RefusedError: ticks are missing, or the CRC is another.
        """
        self._require_begun()
        if not self._loaded.all():
            raise RefusedError("not_ready", Part.WAVEFORMS)
        found = zlib.crc32(self._class_payload, zlib.crc32(self._records.tobytes()))
        if found != announced:
            raise RefusedError("crc_mismatch", announced, found)
        self.committed = True

    def waves(self) -> Waves:
        """The codes of the committed store, class offsets added."""
        if not self.committed:
            raise RefusedError("not_ready", Part.WAVEFORMS)
        records = self._records
        return Waves(
            tick_s=self.tick_us * 1e-6,
            drift=records["drift"].astype(np.int64),
            score=records["score"].astype(np.int64),
            noise=records["noise"].astype(np.int64),
            offset=records["offset"].astype(np.int64),
            embedding=records["embedding"].astype(np.int64) + self._class,
        )

    def _require_begun(self) -> None:
        if self.ticks == 0:
            raise RefusedError("not_ready", Part.WAVEFORMS)

    def _check_embedding(
        self, embedding: NDArray[np.uint16], offset: NDArray[np.int64], field: int
    ) -> None:
        codes = embedding.astype(np.int64) + offset
        bad = np.argwhere((codes < 0) | (codes > self._code_max))
        if bad.size:
            tick, channel = bad[0]
            value = int(codes[tick, channel])
            raise RefusedError("out_of_range", field, int(tick), value, 0, self._code_max)
