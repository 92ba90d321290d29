"""Arrays in a zip (`.npz`), read as if a stranger had written it.

`numpy.load` believes a member's header: one that claims terabytes has them allocated. Here every
length is compared with the bytes that are there before anything is made of them; members are stored
or deflated, of plain numbers or texts, each name once.
"""

from __future__ import annotations

import ast
import math
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from protocols.errors import FileError

_MAGIC = b"\x93NUMPY"
_LENGTH = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
_LONGEST_HEADER = 10_000
_HEADER_KEYS = {"descr", "fortran_order", "shape"}
_PLAIN_KINDS = "biufcSUmMV"
_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OF_A_ZIP = (
    *(OSError, ValueError, LookupError, EOFError, RuntimeError, OverflowError, struct.error),
    *(zipfile.BadZipFile, zlib.error),
)


def read_npz(path: Path, most_bytes: int, most_members: int = 1 << 16) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by name.

    Args:
        path: a regular file.
        most_bytes: that the file may have, and that all members together may unpack to.
        most_members: that it may have.

    Raises:
        FileError: no such file, not a zip, too large, damaged, or not plain numbers or texts.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileError("not a file")
        if found.st_size > most_bytes:
            raise FileError(f"{found.st_size} bytes; at most {most_bytes} are allowed")
        with zipfile.ZipFile(path) as archive:
            infos = checked_members(archive, most_bytes, most_members)
            return {name: _member(archive, info, name) for name, info in infos.items()}
    except FileNotFoundError as error:
        raise FileError("there is no such file") from error
    except _OF_A_ZIP as error:
        raise FileError(f"not a readable .npz: {error}") from error


def checked_members(
    archive: zipfile.ZipFile, most_bytes: int, most_members: int
) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive without `.npy`, before any of them is unpacked.

    Raises:
        FileError: too many, too large, one twice, encrypted, or packed by another method.
    """
    infos = archive.infolist()
    names = {info.filename.removesuffix(".npy"): info for info in infos}
    if len(infos) > most_members or len(names) != len(infos):
        raise FileError(f"{len(infos)} members; at most {most_members}, each once")
    total = sum(info.file_size for info in infos)
    there = archive.fp.seek(0, os.SEEK_END) if archive.fp is not None else 0
    if any(info.compress_size > there for info in infos):  # as much is asked for to read it
        raise FileError(f"damaged: a member claims to be larger than the file's {there} bytes")
    if total > most_bytes:
        raise FileError(f"unpacks to {total} bytes; at most {most_bytes} are allowed")
    for name, info in names.items():
        if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
            raise FileError(f"member {name!r:.80} is encrypted or packed in an unknown way")
    return names


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    try:
        return array_of(archive.read(info))
    except FileError as error:
        raise FileError(f"member {name!r:.80}: {error}") from error
    except _OF_A_ZIP as error:
        raise FileError(f"member {name!r:.80} is damaged: {error}") from error


def array_of(content: bytes) -> NDArray[Any]:
    """The array in the bytes of an `.npy` file.

    Raises:
        FileError: damaged, of another length than its header says, or not plain values.
    """
    version = content[len(_MAGIC)] if content[: len(_MAGIC)] == _MAGIC and len(content) > 8 else 0
    length = _LENGTH.get(version)
    if length is None or len(content) < len(_MAGIC) + 2 + length.size:
        raise FileError("damaged: not an .npy array")
    at = len(_MAGIC) + 2 + length.size
    (size,) = length.unpack_from(content, len(_MAGIC) + 2)
    if size > min(_LONGEST_HEADER, len(content) - at):
        raise FileError(f"damaged: a header of {size} bytes")
    shape, fortran, dtype = _header(content[at : at + size])
    claimed, there = math.prod(shape) * dtype.itemsize, len(content) - at - size
    if claimed != there:
        raise FileError(
            f"type {dtype} and shape {shape} take {claimed} bytes, there are {there}; at most what"
            " is there is read"
        )
    flat = np.frombuffer(content, dtype, offset=at + size)
    try:
        return flat.reshape(shape, order="F" if fortran else "C").copy()
    except (ValueError, OverflowError) as error:
        raise FileError(f"damaged: shape {shape!r:.80}: {error}") from error


def _header(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type. Types with objects or of no bytes are refused."""
    try:
        found = ast.literal_eval(text.decode("latin-1").strip())
        if not isinstance(found, dict) or set(found) != _HEADER_KEYS:
            raise FileError("damaged: its header is none")
        dtype = npy.descr_to_dtype(found["descr"])
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, MemoryError) as error:
        raise FileError(f"damaged: its header is none ({error!s:.80})") from error
    shape, fortran = found["shape"], found["fortran_order"]
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or type(fortran) is not bool:
        raise FileError("damaged: its header has no shape or order")
    if dtype.hasobject or not dtype.itemsize or dtype.kind not in _PLAIN_KINDS:
        raise FileError(f"type {dtype} is refused: plain numbers or texts are allowed")
    return shape, fortran, dtype
