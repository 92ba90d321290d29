"""The file beside a model's own: its encoder and decoder, and the points that it was trained on.

An `.npz` of plain numbers, read as if a stranger had written it. Members, each part optional:

    points, spread, labels                  the finite set that the model's samples are judged by
    centres, encoder_weight_1.. and so on   encoder and decoder
    meta                                    a JSON text: format, class names, picture's shape, scale

Numbers are stored in single precision, which is what training works with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.network import Layer
from hil.diffusion.pictures import Vae
from hil.diffusion.sources import FiniteSource
from hil.diffusion.weight_files import packed
from protocols.errors import FileError, HilError, ModelError
from protocols.files import parse_json, replace_whole
from protocols.npz import read_npz

FORMAT = "model-companion/1"
MAX_BYTES = 64 * 2**20
MAX_LAYERS = 8
_MAX_MEMBERS = 4 * MAX_LAYERS + 8
_MAX_SIDE = 256
_MAX_CLASSES = 64
_POINT_MEMBERS = {"points", "spread", "labels"}
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Companion:
    """What stands beside a model: a finite source, an encoder with its decoder, or both."""

    source: FiniteSource | None = None
    vae: Vae | None = None


def save_companion(companion: Companion, path: Path) -> Path:
    """Writes the file, replacing an old one at once; ModelError when it cannot be written."""
    try:
        replace_whole(path, packed(_members(companion), ".npz"))
    except OSError as error:
        raise ModelError(f"{path}: the file cannot be written: {error}.") from error
    return path


def load_companion(path: Path) -> Companion:
    """Reads a file; ModelError, which names it, when it is missing, damaged or not one."""
    try:
        members = read_npz(path, MAX_BYTES, _MAX_MEMBERS)
        return _build(members)
    except FileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ModelError(
                f"{path}: there is no such file; the model beside it names it. Copy both, or train "
                "the model again."
            ) from None
        raise ModelError(f"{path}: not a readable companion of a model: {error}.") from error
    except HilError as error:
        raise ModelError(f"{path}: {error}") from error


def _members(companion: Companion) -> Arrays:
    source, vae = companion.source, companion.vae
    meta: dict[str, Any] = {"format": FORMAT}
    arrays: Arrays = {}
    if source is not None:
        meta["class_names"] = list(source.class_names)
        arrays["points"] = source.points.astype(np.float32)
        if source.spread is not None:
            arrays["spread"] = source.spread.astype(np.float32)
        if source.labels is not None:
            arrays["labels"] = source.labels.astype(np.int16)
    if vae is not None:
        meta |= {"shape": list(vae.shape), "scale": vae.scale}
        arrays["centres"] = vae.centres.astype(np.float32)
        for kind in ("encoder", "decoder"):
            for number, (weight, bias) in enumerate(getattr(vae, kind), start=1):
                arrays[f"{kind}_weight_{number}"] = weight.astype(np.float32)
                arrays[f"{kind}_bias_{number}"] = bias.astype(np.float32)
    return {"meta": np.array(json.dumps(meta, sort_keys=True)), **arrays}


def _build(members: Arrays) -> Companion:
    meta = _meta(members.pop("meta", None))
    source = _source(members, meta)
    vae = _vae(members, meta) if "centres" in members or "shape" in meta else None
    if members:
        raise FileError(f"unknown member {sorted(members)[0]!r:.80}")
    return Companion(source, vae)


def _meta(array: NDArray[Any] | None) -> Mapping[str, Any]:
    if array is None or array.dtype.kind != "U" or array.shape != ():
        raise FileError("the member 'meta' (one JSON text) is missing")
    meta = parse_json(str(array))
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise FileError(f"meta does not say format {FORMAT!r}")
    unknown = set(meta) - {"format", "class_names", "shape", "scale"}
    if unknown:
        raise FileError(f"unknown key {sorted(unknown)[0]!r:.80} in meta")
    return meta


def _source(members: Arrays, meta: Mapping[str, Any]) -> FiniteSource | None:
    found = {name: members.pop(name) for name in _POINT_MEMBERS & set(members)}
    if "points" not in found:
        if found:
            raise FileError(f"{sorted(found)[0]} without points")
        return None
    names = meta.get("class_names", [])
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or len(names) > _MAX_CLASSES:
        raise FileError(f"class_names is {names!r:.200}; up to {_MAX_CLASSES} texts are needed")
    labels = found.get("labels")
    if labels is not None and labels.dtype.kind not in "iu":
        raise FileError(f"labels have type {labels.dtype}; whole numbers are needed")
    return FiniteSource(
        points=_numbers(found["points"], "points", 2),
        spread=None if "spread" not in found else _numbers(found["spread"], "spread", 2),
        labels=None if labels is None else labels.astype(np.int64),
        class_names=tuple(names),
    )


def _vae(members: Arrays, meta: Mapping[str, Any]) -> Vae:
    shape, scale = meta.get("shape"), meta.get("scale")
    sides = isinstance(shape, list) and len(shape) == 2
    if not sides or not all(type(n) is int and 0 < n <= _MAX_SIDE for n in shape):  # type: ignore[union-attr]
        raise FileError(f"shape is {shape!r:.80}; rows and columns of a picture are needed")
    if type(scale) not in (int, float) or not (0.0 < scale < math.inf):  # type: ignore[operator]
        raise FileError(f"scale is {scale!r:.80}; a number above 0 is needed")
    if "centres" not in members:
        raise FileError("the centres of the classes are missing")
    return Vae(
        encoder=_layers(members, "encoder"),
        decoder=_layers(members, "decoder"),
        centres=_numbers(members.pop("centres"), "centres", 2),
        shape=(int(shape[0]), int(shape[1])),  # type: ignore[index]
        scale=float(scale),  # type: ignore[arg-type]
    )


def _layers(members: Arrays, kind: str) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for number in range(1, MAX_LAYERS + 1):
        names = f"{kind}_weight_{number}", f"{kind}_bias_{number}"
        if names[0] not in members:
            break
        if names[1] not in members:
            raise FileError(f"{names[1]} is missing")
        weight, bias = (members.pop(name) for name in names)
        layers.append((_numbers(weight, names[0], 2), _numbers(bias, names[1], 1)))
    return tuple(layers)


def _numbers(array: NDArray[Any], name: str, axes: int) -> FloatArray:
    if array.dtype.kind != "f" or array.ndim != axes:
        raise FileError(f"{name} has type {array.dtype} and shape {array.shape}")
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise FileError(f"{name} holds a value that is not finite")
    return values
