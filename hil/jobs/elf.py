"""What a firmware image (ELF, 32 bits, little-endian) holds: segments and symbols.

After the System V ABI's chapters on object files. Only what a check before flashing needs is read,
and every offset is checked against the file: a damaged image is an error, never a surprise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protocols.errors import InputError

MACHINE_ARM = 40
MAX_BYTES = 1 << 24
_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT = struct.Struct("<8I")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_MAGIC = b"\x7fELF\x01\x01"  # 32 bits, little-endian
_EXECUTABLE, _LOAD, _SYMBOL_TABLE = 2, 1, 2


@dataclass(frozen=True)
class Segment:
    """One part of the image: where it is loaded, where it is when it runs, and its bytes."""

    load_address: int
    run_address: int
    data: bytes
    memory_bytes: int


@dataclass(frozen=True)
class Elf:
    """The segments that are loaded and the symbols with their addresses."""

    segments: tuple[Segment, ...]
    symbols: dict[str, int]

    def read(self, address: int, count: int) -> bytes:
        """Bytes of the image by their address when it runs; fewer where the image has fewer."""
        for segment in self.segments:
            at = address - segment.run_address
            if 0 <= at < len(segment.data):
                return segment.data[at : at + count]
        return b""


def read_elf(path: Path) -> Elf:
    """The image in a file.

    Raises:
        InputError: no such file, or not an executable for an ARM processor.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; not a firmware image")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the image cannot be read: {error.strerror}") from error
    try:
        return _parsed(data, path)
    except struct.error as error:
        raise InputError(f"{path}: the image is cut off or damaged: {error}") from error


def _parsed(data: bytes, path: Path) -> Elf:
    if not data.startswith(_MAGIC):
        raise InputError(f"{path}: not a 32-bit ELF file; flash the .elf of `make firmware`")
    (_, kind, machine, _, _, segments_at, sections_at, _, _, _, segments, _, sections, _) = (
        _HEADER.unpack_from(data)
    )
    if machine != MACHINE_ARM or kind != _EXECUTABLE:
        raise InputError(f"{path}: not an executable for an ARM processor")
    return Elf(
        tuple(_segments(data, segments_at, segments)),
        dict(_symbols(data, sections_at, sections)),
    )


def _segments(data: bytes, at: int, count: int) -> Iterator[Segment]:
    for number in range(count):
        kind, offset, run, load, size, memory, _, _ = _SEGMENT.unpack_from(
            data, at + number * _SEGMENT.size
        )
        if kind == _LOAD:
            yield Segment(load, run, _slice(data, offset, size), memory)


def _symbols(data: bytes, at: int, count: int) -> Iterator[tuple[str, int]]:
    sections = [_SECTION.unpack_from(data, at + number * _SECTION.size) for number in range(count)]
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind != _SYMBOL_TABLE or link >= count:
            continue
        table = _slice(data, offset, size)
        names = _slice(data, sections[link][4], sections[link][5])
        for start in range(0, size - size % _SYMBOL.size, _SYMBOL.size):
            name, value, *_ = _SYMBOL.unpack_from(table, start)
            end = names.find(b"\0", name)
            if name and end >= 0:
                yield names[name:end].decode("ascii", "replace"), value


def _slice(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        raise struct.error(f"{size} bytes at {offset} are not there")
    return data[offset : offset + size]
