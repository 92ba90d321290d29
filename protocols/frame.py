"""Frames: COBS, a CRC-32 and a closing zero around `session | sequence | code | payload`.

The drawing is in PROTOCOL.md, the vectors are in tests/golden. COBS is that of S. Cheshire and
M. Baker, "Consistent overhead byte stuffing", IEEE/ACM Transactions on Networking 7, 159 (1999),
from the `cobs` package; the CRC is `zlib.crc32`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from types import BuiltinFunctionType

from cobs import cobs

from protocols.errors import FrameError

RESPONSE_BIT = 0x80
_HEAD = struct.Struct("<HIB")
_CRC = struct.Struct("<I")
OVERHEAD_BYTES = _HEAD.size + _CRC.size
MAX_FRAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, decoded. `code` has bit 7 set in a response."""

    session: int
    sequence: int
    code: int
    payload: bytes


def cobs_in_c() -> bool:
    """Whether `cobs` runs its C core; where that is missing it silently is pure Python."""
    return isinstance(cobs.encode, BuiltinFunctionType)


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, its closing zero included.

    Raises:
        FrameError: a number that its field cannot hold, or a payload that no receiver takes.
    """
    try:
        body = _HEAD.pack(frame.session, frame.sequence, frame.code) + frame.payload
    except struct.error as error:
        raise FrameError(f"session, sequence or code does not fit into a frame: {error}") from error
    encoded: bytes = cobs.encode(body + _CRC.pack(zlib.crc32(body)))
    if len(encoded) > MAX_FRAME_BYTES:
        raise FrameError(
            f"a frame of {len(encoded)} bytes: a receiver takes at most {MAX_FRAME_BYTES}"
        )
    return encoded + b"\x00"


def decode(block: bytes) -> Frame:
    """The frame in the bytes between two zeros.

    Raises:
        FrameError: too short, not COBS, or a wrong CRC.
    """
    try:
        body = cobs.decode(block)
    except cobs.DecodeError as error:
        raise FrameError(f"{len(block)} bytes are not a COBS block: {error}") from error
    if len(body) < OVERHEAD_BYTES:
        raise FrameError(f"a frame has at least {OVERHEAD_BYTES} bytes, this one {len(body)}")
    (crc,) = _CRC.unpack_from(body, len(body) - _CRC.size)
    found = zlib.crc32(body[: -_CRC.size])
    if crc != found:
        raise FrameError(f"a frame's CRC is {crc:#010x}, its bytes give {found:#010x}")
    session, sequence, code = _HEAD.unpack_from(body)
    return Frame(session, sequence, code, body[_HEAD.size : -_CRC.size])


class Decoder:
    """Cuts a byte stream into frames; what cannot be read is dropped and counted.

    Memory is bounded: of a run without a zero that is longer than the longest frame nothing is
    kept, and it counts as one dropped frame when its zero comes.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._tail = bytearray()
        self._overlong = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete after `data` has arrived. Never raises."""
        frames: list[Frame] = []
        *blocks, rest = data.split(b"\x00")
        for block in blocks:
            self._extend(block)
            self._finish(frames)
        self._extend(rest)
        return frames

    def _extend(self, part: bytes) -> None:
        if len(self._tail) + len(part) > self._max:
            self._overlong = True
            self._tail.clear()
        elif not self._overlong:
            self._tail += part

    def _finish(self, frames: list[Frame]) -> None:
        block, overlong = bytes(self._tail), self._overlong
        self._tail.clear()
        self._overlong = False
        if overlong:
            self.dropped += 1
        elif block:
            try:
                frames.append(decode(block))
            except FrameError:
                self.dropped += 1
