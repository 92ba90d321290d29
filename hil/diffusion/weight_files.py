"""The members of a weight file in each of its formats, as plain arrays, bounded before unpacking.

    .npz           numpy's, without objects
    .safetensors   8 bytes of length, a JSON header, the numbers; `meta` stands in `__metadata__`
    .pt .pth       torch's, loaded with `weights_only`: tensors and a text, nothing is executed

All three hold the same members; which it is, the file's name says. The header of safetensors is
that of the format's description (huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import io
import json
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import FileError
from protocols.files import decoded, parse_json, read_bytes
from protocols.npz import checked_members, read_npz

Members = dict[str, NDArray[Any]]
MAX_FILE_BYTES = 4 * 2**20
MAX_MEMBERS = 72
META = "meta"
_LENGTH = struct.Struct("<Q")
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"}
_TORCH_PARTS = 4 * MAX_MEMBERS  # an archive of torch's has some members of its own
_TORCH_REFUSALS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError),
    *(OverflowError, AssertionError, pickle.UnpicklingError, struct.error, RecursionError),
    *(zipfile.BadZipFile, zlib.error),
)


def read_members(path: Path) -> Members:
    """What a weight file holds, by name; texts as arrays of one text.

    Raises:
        FileError: no such file, too large, damaged, or with something else than plain numbers.
    """
    reader = {".safetensors": _read_safetensors, ".pt": _read_torch, ".pth": _read_torch}.get(
        path.suffix
    )
    if reader is None:
        return read_npz(path, MAX_FILE_BYTES, MAX_MEMBERS)
    members = reader(read_bytes(path, MAX_FILE_BYTES))
    if len(members) > MAX_MEMBERS:
        raise FileError(f"{len(members)} members; at most {MAX_MEMBERS}")
    return members


def packed(arrays: Mapping[str, NDArray[Any]], suffix: str) -> bytes:
    """The bytes of a weight file of that suffix; equal arrays give equal bytes, torch's apart."""
    writers: dict[str, Callable[[Mapping[str, NDArray[Any]]], bytes]] = {
        ".safetensors": _safetensors,
        ".pt": _torch,
        ".pth": _torch,
    }
    return writers.get(suffix, _npz)(arrays)


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


# --- safetensors ---------------------------------------------------------------------------------


def _read_safetensors(content: bytes) -> Members:
    if len(content) < _LENGTH.size:
        raise FileError("damaged: no safetensors header")
    (length,) = _LENGTH.unpack_from(content)
    if length > len(content) - _LENGTH.size:
        raise FileError(f"damaged: a header of {length} bytes in a file of {len(content)}")
    start = _LENGTH.size + length
    head = parse_json(decoded(content[_LENGTH.size : start]))
    if not isinstance(head, dict):
        raise FileError("damaged: the safetensors header is no JSON object")
    texts = head.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise FileError("damaged: __metadata__ holds something else than texts")
    members: Members = {name: np.array(text) for name, text in texts.items()}
    at = 0
    for name, entry in sorted(head.items(), key=_begin):
        members[name], at = _tensor(name, entry, content, start, at)
    if at != len(content) - start:
        raise FileError(f"damaged: {len(content) - start - at} bytes belong to no tensor")
    return members


def _begin(item: tuple[str, Any]) -> int:
    entry = item[1]
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    whole = isinstance(offsets, list) and len(offsets) == 2
    if not whole or not all(type(n) is int and n >= 0 for n in offsets):  # type: ignore[union-attr]
        raise FileError(f"damaged: tensor {item[0]!r:.80} has no data_offsets")
    return int(offsets[0])  # type: ignore[index]


def _tensor(
    name: str, entry: dict[str, Any], content: bytes, start: int, at: int
) -> tuple[NDArray[Any], int]:
    """One tensor, and where the next one begins: they lie side by side without gaps."""
    begin, end = entry["data_offsets"]
    kind, shape = entry.get("dtype"), entry.get("shape")
    code = _TYPES.get(kind) if isinstance(kind, str) else None
    if code is None:
        raise FileError(f"tensor {name!r:.80} has type {kind!r:.80}; known are {', '.join(_TYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise FileError(f"damaged: tensor {name!r:.80} has no shape")
    size = math.prod(shape) * np.dtype(code).itemsize
    if begin != at or end - begin != size or end > len(content) - start:
        raise FileError(f"damaged: tensor {name!r:.80} takes {size} bytes, not {begin} to {end}")
    try:
        flat = np.frombuffer(content, code, math.prod(shape), start + begin)
        return flat.reshape(shape).copy(), end
    except (ValueError, OverflowError) as error:
        raise FileError(f"damaged: tensor {name!r:.80}: {error}") from error


def _safetensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    codes = {code: kind for kind, code in _TYPES.items()}
    head: dict[str, Any] = {}
    body = b""
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            head.setdefault("__metadata__", {})[name] = str(array)
            continue
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        head[name] = {
            "dtype": codes[array.dtype.newbyteorder("<").str],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(head, sort_keys=True).encode()
    text += b" " * (-len(text) % _LENGTH.size)  # numbers begin at a multiple of eight
    return _LENGTH.pack(len(text)) + text + body


# --- torch ---------------------------------------------------------------------------------------


def _read_torch(content: bytes) -> Members:
    import torch  # late: it takes seconds, and only these files need it

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:  # older files than this are refused
            checked_members(archive, MAX_FILE_BYTES, _TORCH_PARTS)
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(found, dict):
            raise FileError("a mapping of names to tensors is needed")
        return {str(name): _plain(str(name), value) for name, value in found.items()}
    except _TORCH_REFUSALS as error:
        why = " ".join(str(error).split())[:200]
        raise FileError(f"not a readable state dict of torch: {why}") from error


def _plain(name: str, value: object) -> NDArray[Any]:
    import torch

    if isinstance(value, str):
        return np.array(value)
    dense = isinstance(value, torch.Tensor) and value.layout == torch.strided
    if not isinstance(value, torch.Tensor) or not dense or value.device.type != "cpu":
        raise FileError(f"{name!r:.80} is no tensor of plain numbers")
    if value.numel() * value.element_size() > MAX_FILE_BYTES:  # a view may repeat what it shows
        raise FileError(f"{name!r:.80} has {value.numel()} numbers")
    if value.dtype == torch.bfloat16:
        value = value.float()
    return np.array(value.detach().numpy())


def _torch(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    import torch

    buffer = io.BytesIO()
    plain = {
        name: str(array) if array.dtype.kind == "U" else torch.from_numpy(np.array(array))
        for name, array in arrays.items()
    }
    torch.save(plain, buffer)
    return buffer.getvalue()
