"""Plain JSON of what the project holds: numpy values, dataclasses, enums, paths, bytes.

JSON has no NaN and no infinity; a figure that is not finite becomes `null`, which every reader of
these files shows as "no figure".
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

_BARE = (str, bool, int, type(None))


def plain(value: object) -> Any:
    """`value` as dictionaries, lists, strings, numbers and None alone.

    Raises TypeError for an object that has no plain form (a function, a socket, ...).
    """
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, _BARE):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return _plain_container(value)


def _plain_container(value: object) -> Any:
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no plain JSON form")


def _key(key: object) -> str:
    if isinstance(key, Enum):
        return key.name.lower()
    if isinstance(key, str | int):
        return str(key)
    raise TypeError(f"a key of type {type(key).__name__} has no plain JSON form")


def to_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON text without NaN or infinity; keys keep their order."""
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)
