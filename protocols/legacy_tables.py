"""The coefficient tables that are compiled into the published firmware.

The numbers stand in `legacy_tables.yaml`, with their source. A table is named by the one character
that follows `In` on the wire: `0` and `4` are unconditional, `1`-`3`, `a`-`g` and `A`-`I` are the
classes of three conditional models.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from protocols.errors import ConfigError, InputError

FREQUENCIES = 7
EMBEDDINGS = 14


@dataclass(frozen=True)
class LegacyTable:
    """One table.

    Attributes:
        name: the character on the wire.
        scale: fixed scale of the embedding voltages; None means 5 * v_bias.
        frequencies: W1 to W7 of the time embedding.
        class_offsets: c1 to c14, added before scaling.
    """

    name: str
    scale: float | None
    frequencies: tuple[float, ...]
    class_offsets: tuple[float, ...]


@cache
def legacy_tables() -> dict[str, LegacyTable]:
    """All tables by name.

    Raises:
        ConfigError: the file that comes with the project was damaged.
    """
    path = Path(__file__).with_name("legacy_tables.yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        tables = {str(name): _table(str(name), entry) for name, entry in data["tables"].items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: damaged ({error}); restore it from the repository") from error
    return tables


def legacy_table(name: str) -> LegacyTable:
    """The table with this name.

    Raises:
        InputError: the firmware has no such table. It would answer all the same and go on with the
            table that it had.
    """
    found = legacy_tables().get(name)
    if found is None:
        known = " ".join(sorted(legacy_tables()))
        raise InputError(
            f"the published firmware has no table {name!r} and would silently keep the last one;"
            f" its tables are {known}"
        )
    return found


def _table(name: str, entry: dict[str, object]) -> LegacyTable:
    scale, frequencies, offsets = entry["scale"], entry["frequencies"], entry["class_offsets"]
    if not isinstance(frequencies, list) or not isinstance(offsets, list):
        raise TypeError(f"table {name!r} has no lists")
    if (len(frequencies), len(offsets)) != (FREQUENCIES, EMBEDDINGS):
        raise ValueError(f"table {name!r} has {len(frequencies)} and {len(offsets)} entries")
    return LegacyTable(
        name,
        None if scale is None else float(str(scale)),
        tuple(float(value) for value in frequencies),
        tuple(float(value) for value in offsets),
    )
