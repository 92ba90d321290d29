"""What `hil compare` compares: maps of conductances by the name of a chip, a date or a run.

    C7                  the chip's last map
    C7@2026-03-01       its last map up to the end of that day (or up to a time, 2026-03-01T12:30)
    runs/2026-...-001   what a run read of the cells that it formed or programmed
    now                 what is in the socket, every cell looked at

A map is on record for every time that a chip was found changed (`hil.jobs.startup`), so that a chip
has one for each visit at which something was done to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.chip_compare import CompareParams, Comparison, compare_maps
from calibration.startup import ChipMap, StartupParams
from calibration.startup.fingerprint import Likeness, compare
from calibration.startup.identity import identify
from hil.bench import Bench
from hil.chip_store import ChipStore, Stored
from hil.config import BenchConfig
from hil.jobs.startup import IDENTITY, LINE_MAP, map_of
from hil.record import RunFolder
from protocols.errors import InputError, RecordError
from protocols.messages import Port

NOW = "now"
READINGS = (
    ("verify.json", "reading_siemens"),
    ("program.json", "reached_siemens"),
    ("forming.json", "conductance_siemens"),
)
"""Of a run: where its last readings of cells stand, the best first."""


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two.

    Attributes:
        name: as it was asked for.
        chip: id; `time` of the map, `operator` and temperature as recorded, in `facts`.
        siemens: (rows, columns), NaN where a cell was not looked at.
        chip_map: the fingerprint, None where only some cells were read.
        simulated: whether its figures come from a simulator.
    """

    name: str
    chip: str
    time: datetime
    siemens: FloatArray
    chip_map: ChipMap | None
    simulated: bool
    facts: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Compared:
    """Both, what differs, and whether they are the same chip; None where maps do not say."""

    a: Side
    b: Side
    comparison: Comparison
    likeness: Likeness | None

    @property
    def verdict(self) -> str:
        """In one sentence."""
        same = {"same": "The same chip", "other": "Another chip"}
        if self.likeness is None:
            whose = "Whether it is the same chip cannot be said: no whole map of both is on record"
        elif self.likeness.verdict in same:
            whose = f"{same[self.likeness.verdict]}: {self.likeness.sentence}"
        else:
            whose = f"Whether it is the same chip cannot be said: {self.likeness.sentence}"
        names = ", ".join(d.name for d in self.comparison.differing)
        return f"{whose}. What differs: {names or 'nothing that matters'}."

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the maps."""
        sides = {
            key: {"name": s.name, "chip": s.chip, "time": s.time.isoformat(), **s.facts}
            for key, s in (("a", self.a), ("b", self.b))
        }
        likeness = None if self.likeness is None else self.likeness.to_dict()
        return {
            **sides,
            "simulated": self.a.simulated or self.b.simulated,
            "verdict": self.verdict,
            "identity": likeness,
            **self.comparison.to_dict(),
        }


def compare_sides(a: Side, b: Side, params: CompareParams | None = None) -> Compared:
    """Compares two sides.

    Raises:
        InputError: arrays of different sizes.
    """
    likeness = None
    if a.chip_map is not None and b.chip_map is not None:
        likeness = compare(b.chip_map, a.chip_map, StartupParams())
    return Compared(a, b, compare_maps(a.siemens, b.siemens, params), likeness)


def find_side(config: BenchConfig, name: str) -> Side:
    """What a name stands for.

    Raises:
        InputError: a date that is none.
        RecordError: there is no such run or chip, or nothing of it is on record.
        PortError, LinkError: as `Bench.open`, for what is in the socket.
    """
    if name == NOW:
        return _now(config)
    if (Path(name) / "run.json").is_file():
        return _of_run(config, RunFolder.open(Path(name)), name)
    chip, at, date = name.partition("@")
    return _on_record(config, chip or config.chip.id, _until(date) if at else None, name)


def _now(config: BenchConfig) -> Side:
    with Bench.open(config) as bench:
        found = identify(bench.macro, bench.description, None, config.chip.id)
        facts = bench.conditions.facts()
        simulated = bench.is_simulated
    if found.chip_map.cells is None:
        raise RecordError(f"{NOW}: {found.skipped or 'no cell was looked at'}")
    when = datetime.now(UTC)
    cells = found.chip_map.cells.siemens
    return Side(NOW, config.chip.id, when, cells, found.chip_map, simulated, facts)


def _on_record(config: BenchConfig, chip: str, until: datetime | None, name: str) -> Side:
    for kept in reversed(_maps(config, chip)):
        if until is not None and kept.time > until:
            continue
        found = map_of(kept)
        if found.cells is not None:
            facts = {**kept.context, "board": kept.board, IDENTITY: kept.result.get(IDENTITY)}
            siemens = found.cells.siemens
            return Side(name, chip, kept.time, siemens, found, kept.simulated, facts)
    when = "" if until is None else f" up to {until:%Y-%m-%d %H:%M} UTC"
    raise RecordError(
        f"{name}: no map of chip {chip!r}{when} is on record in {config.chip.folder}; hil check"
        " with the chip in the socket makes one"
    )


def _maps(config: BenchConfig, chip: str) -> list[Stored]:
    section = config.chip.model_copy(update={"id": chip})
    store = ChipStore.of(config.model_copy(update={"chip": section}))
    return [store.load(path) for path in store.history(LINE_MAP)]


def _until(text: str) -> datetime:
    """The end of a day, or a time; without a zone it is this computer's."""
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no date; write it as 2026-03-01 or 2026-03-01T12:30"
        ) from error
    return found if "T" in text else found + timedelta(days=1, microseconds=-1)


def _of_run(config: BenchConfig, run: RunFolder, name: str) -> Side:
    chip = str(run.info.get("chip") or "")
    siemens = _readings(config, run)
    info = run.info
    facts = {k: info.get(k) for k in ("operator", "temperature_celsius", "temperature_source")}
    begun = datetime.fromisoformat(info["started"]).astimezone(UTC)
    kept = [each for each in _maps(config, chip) if each.time >= begun] if chip else []
    ended = info.get("ended")
    within = [k for k in kept if ended is None or k.time <= datetime.fromisoformat(ended)]
    chip_map = map_of(within[-1]) if within else None
    board = info.get("board")
    simulated = (
        board.get("port") != Port.STM32F407.name.lower()
        if isinstance(board, dict)
        else (config.is_simulated)
    )
    return Side(name, chip, begun, siemens, chip_map, simulated, facts)


def _readings(config: BenchConfig, run: RunFolder) -> FloatArray:
    description = config.load_description()
    out = np.full((description.rows, description.columns), np.nan)
    for file, key in reversed(READINGS):
        if not run.file(file).is_file():
            continue
        data = run.load_json(file)
        try:
            rows, columns = (np.asarray(data[k], np.int64) for k in ("rows", "columns"))
            out[rows, columns] = np.asarray(data[key], np.float64)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RecordError(
                f"{run.path / file}: no readings of this array's cells ({error!r:.80})"
            ) from error
    if not np.isfinite(out).any():
        raise RecordError(f"{run.path}: this {run.kind!r} run has no readings of cells")
    return out
