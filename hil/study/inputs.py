"""What a study reads besides its own file, and whether it is still the same.

A row is made of a model, a profile and a board description too. Their checksums are kept with the
study: a table whose rows come from two versions of a file would be of neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache

import numpy as np

from hil.diffusion.references import source_of
from hil.sim.profile import load_profile
from hil.study.axes import Point
from hil.study.config import StudyConfig
from hil.study.settings import bench_of, ideal_model
from protocols.errors import ConfigError
from protocols.hardware import load_board

_PLACES = ("folder",)
"""Of a model: where it lies, not what it is."""


def inputs_of(study: StudyConfig, points: Iterable[Point], source: str) -> dict[str, str]:
    """Checksum of every model, profile and board description that the points need, by its name.

    Every one of them is opened: what is missing or unknown is found out before the first point.

    Raises:
        ConfigError: no such task, profile or board description, or a value that no bench takes.
        ModelError, DataError: no such model, or nothing to judge its samples by.
    """
    kinds = {(p.task, p.model, p.profile): p for p in points}
    found: dict[str, str] = {}
    for point in kinds.values():
        config = bench_of(study, point, source)
        source_of(ideal_model(config.model))
        names = (config.model, config.sim.profile, config.description)
        for kind, name in zip(_CHECKSUMS, names, strict=True):
            found[f"{kind}:{name}"] = _checksum(kind, name)
    return dict(sorted(found.items()))


def check_inputs(inputs: str, where: str) -> None:
    """Refuse other files than those of the study (`inputs` as JSON). Raises ConfigError."""
    for name, wanted in json.loads(inputs).items():
        kind, _, file = name.partition(":")
        if _checksum(kind, file) != wanted:
            raise ConfigError(
                f"{where}: {kind} {file} is not the one that the study began with; put the same "
                "file in place, or give the study another name"
            )


@lru_cache(maxsize=64)
def _checksum(kind: str, name: str) -> str:
    return hashlib.sha256(_CHECKSUMS[kind](name)).hexdigest()[:16]


def _model_bytes(name: str) -> bytes:
    model = ideal_model(name)
    parts = []
    for each in fields(model):
        value = getattr(model, each.name)
        arrays = value if isinstance(value, tuple) else (value,)
        if each.name in _PLACES:
            continue
        parts += [
            array.tobytes() if isinstance(array, np.ndarray) else repr(array).encode()
            for array in arrays
        ]
    return b"\0".join(parts)


_CHECKSUMS: Mapping[str, Callable[[str], bytes]] = {
    "model": _model_bytes,
    "profile": lambda name: load_profile(name).model_dump_json(exclude={"reached"}).encode(),
    "board": lambda name: load_board(name).model_dump_json().encode(),
}
