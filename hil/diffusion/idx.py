"""EMNIST's IDX files, read from a folder that the user names. Nothing is downloaded.

An IDX file is two zero bytes, a type (8: unsigned bytes), the number of axes, each axis' length as
a big-endian 32-bit number, then the values (LeCun, the MNIST database, "File formats"). EMNIST
(Cohen et al. 2017) keeps that format, plain or gzipped; its pictures lie on their side, axes
swapped.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.pictures import Pictures
from protocols.errors import DataError, FileError
from protocols.files import read_bytes

MAX_BYTES = 1 << 30
"""The largest EMNIST file (byclass, training pictures) unpacks to 547 MB."""
IMAGES, LABELS = 3, 1
_UNSIGNED_BYTE = 8
_GZIP = b"\x1f\x8b"
_SIDE = 28
Bytes = NDArray[np.uint8]


def read_idx(path: Path, axes: int, most_bytes: int = MAX_BYTES) -> Bytes:
    """The array of unsigned bytes in an IDX file with that many axes.

    Raises:
        DataError: no such file, too large, damaged, or another kind of IDX file; names it.
    """
    try:
        content = _unpacked(read_bytes(path, most_bytes), most_bytes)
        return _array(content, axes)
    except FileError as error:
        raise DataError(f"{path}: {error}.") from error


def _unpacked(content: bytes, most_bytes: int) -> bytes:
    if content[:2] != _GZIP:
        return content
    engine = zlib.decompressobj(wbits=31)
    try:
        plain = engine.decompress(content, most_bytes + 1)
    except zlib.error as error:
        raise FileError(f"damaged: not a whole gzip file ({error})") from error
    if len(plain) > most_bytes:
        raise FileError(f"unpacks to more than {most_bytes} bytes")
    if not engine.eof or engine.unused_data:
        raise FileError("damaged: the gzip file ends early or goes on after its end")
    return plain


def _array(content: bytes, axes: int) -> Bytes:
    head = 4 + 4 * axes
    magic = struct.pack(">HBB", 0, _UNSIGNED_BYTE, axes)
    if content[:4] != magic:
        raise FileError(
            f"the magic number is 0x{content[:4].hex() or '-'}; 0x{magic.hex()} (unsigned bytes, "
            f"{axes} axes) is needed. Is it another file of the set, or still packed?"
        )
    if len(content) < head:
        raise FileError(f"damaged: {len(content)} bytes, the header alone has {head}")
    shape = struct.unpack(f">{axes}I", content[4:head])
    claimed = 1
    for length in shape:
        claimed *= length  # of Python's whole numbers: no overflow
    if claimed != len(content) - head:
        raise FileError(
            f"damaged: its header says {' x '.join(map(str, shape))} values, there are "
            f"{len(content) - head}"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def emnist(
    folder: Path, split: str, part: str, classes: Sequence[int], names: Sequence[str], side: int
) -> Pictures:
    """Pictures of some classes of EMNIST, upright, reduced to `side` x `side`, values from 0 to 1.

    28 x 28 pixels are averaged two by two and cut at the centre, as the published network's were.

    Args:
        folder: holds emnist-SPLIT-PART-images-idx3-ubyte and .. -labels-idx1-ubyte, also with .gz.
        split: of the set, for instance "byclass".
        part: "train" or "test".
        classes: numbers of the split's labels, which become classes 0, 1, ..
        names: what they are called.
        side: of a picture, even, at most 14.

    Raises:
        DataError: the folder or a file is missing or wrong, or a class has no picture.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name the one with EMNIST's IDX files.")
    paths = [
        _find(folder, f"emnist-{split}-{part}-{kind}")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    images, labels = read_idx(paths[0], IMAGES), read_idx(paths[1], LABELS)
    if images.shape[1:] != (_SIDE, _SIDE):
        raise DataError(f"{paths[0]}: pictures of {images.shape[1:]} pixels; 28 x 28 are needed.")
    if len(images) != len(labels):
        raise DataError(f"{paths[1]}: {len(labels)} labels for {len(images)} pictures.")
    return Pictures(*_chosen(images, labels, classes, side, paths[1]), tuple(names))


def _find(folder: Path, name: str) -> Path:
    for suffix in ("", ".gz"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise DataError(
        f"{folder}: holds neither {name} nor {name}.gz. EMNIST's files have to be put there by "
        "hand (the set is called 'EMNIST', its format 'binary'); nothing is downloaded."
    )


def _chosen(
    images: Bytes, labels: Bytes, classes: Sequence[int], side: int, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    place = np.full(256, -1, dtype=np.int64)
    place[list(classes)] = np.arange(len(classes))
    own = place[labels]
    for label, number in enumerate(classes):
        if not (own == label).any():
            raise DataError(f"{path}: no label is {number}; is it another split of EMNIST?")
    kept = np.flatnonzero(own >= 0)
    upright = images[kept].swapaxes(1, 2).astype(np.float32)
    halves = upright.reshape(len(kept), _SIDE // 2, 2, _SIDE // 2, 2).mean((2, 4))
    cut = (_SIDE // 2 - side) // 2
    inside = slice(cut, cut + side)
    return np.asarray(halves[:, inside, inside] / 255.0, dtype=np.float64), own[kept]
