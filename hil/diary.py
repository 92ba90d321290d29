"""The diary of a chip: who did what to it and when, which cells it lost and why.

Nearly all of it is gathered from what is there anyway: run folders and their journals, sessions
without a run, results kept with the chip, its map of bad cells. Only what nobody else writes down
has a file of its own, in the chip's folder: notes, and touch-downs (each time that probes or a
socket take hold of the pads).

    chips/C7/diary/2026-03-01T09-30-00.123456Z-note.json
    chips/C7/diary/2026-03-01T09-31-00.123456Z-touch_down.json
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from calibration.mapping_knowledge import CellKind
from hil.chip_store import ChipStore, Stored
from hil.conditions import EVENT, conditions
from hil.config import BenchConfig
from hil.jobs.mapping import load_knowledge
from hil.jobs.startup import LINE_MAP
from hil.journal import Journal
from hil.record import RunFolder
from hil.wear_keeper import OWN_JOURNALS
from protocols.errors import HilError, InputError, RecordError

DIARY_FOLDER = "diary"
NOTE, TOUCH_DOWN = "note", "touch_down"
LONGEST_NOTE = 4000
FAILURE_FILES = ("forming.json", "program.json")
"""Of a run: what became of its cells, the last word last."""

__all__ = ["Diary", "Entry", "LostCell", "add_note", "add_touch_down", "read_diary"]


@dataclass(frozen=True)
class Entry:
    """One thing that was done.

    Attributes:
        time: when it began.
        what: kind of run, "session", kind of result, "note" or "touch-down".
        operator: who, "" where nobody said.
        text: how it ended, what was found, or the note.
        status: of a run, "" otherwise.
        pulses: acknowledged ones, None where nothing can be driven.
        temperature_celsius, temperature_source: as in the record.
        record: where it is written.
    """

    time: datetime
    what: str
    operator: str
    text: str
    status: str = ""
    pulses: int | None = None
    temperature_celsius: float | None = None
    temperature_source: str = ""
    record: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "time": self.time.isoformat()}


@dataclass(frozen=True)
class LostCell:
    """A cell that is no good any more, what is the matter, and which run said so last."""

    row: int
    column: int
    kind: str
    why: str = ""
    record: str = ""


@dataclass(frozen=True)
class Diary:
    """All of a chip's diary, oldest entry first; `missing` says what could not be read."""

    chip: Mapping[str, str]
    simulated: bool
    entries: tuple[Entry, ...] = ()
    lost: tuple[LostCell, ...] = ()
    touch_downs: int = 0
    missing: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "chip": dict(self.chip),
            "simulated": self.simulated,
            "touch_downs": self.touch_downs,
            "pulses": sum(e.pulses or 0 for e in self.entries),
            "entries": [e.to_dict() for e in self.entries],
            "lost": [dict(each.__dict__) for each in self.lost],
            "missing": list(self.missing),
        }


# --- writing --------------------------------------------------------------------------------------


def of_chip(config: BenchConfig, chip: str | None) -> BenchConfig:
    """The bench with another chip in its socket, as far as records go.

    Raises:
        RecordError: nothing is on record of that chip.
    """
    if chip is None or chip == config.chip.id:
        return config
    if not (config.chip.folder / chip).is_dir() and not _runs_of(config, chip):
        raise RecordError(f"{config.chip.folder}: nothing is on record of a chip {chip!r}")
    section = {"id": chip, "folder": config.chip.folder}
    return config.with_changes(f"chip {chip}", chip=section)


def add_note(config: BenchConfig, text: str) -> Stored:
    """Keeps a note on the bench's chip, dated now and signed by the bench's operator.

    Raises:
        InputError: it is empty, or longer than `LONGEST_NOTE`.
        RecordError: it cannot be written.
    """
    said = text.strip()
    if not said or len(said) > LONGEST_NOTE:
        raise InputError(f"a note has 1 to {LONGEST_NOTE} characters, this one {len(said)}")
    return _written(config).save(NOTE, {"text": said}, simulated=config.is_simulated)


def add_touch_down(config: BenchConfig, text: str = "") -> Stored:
    """Counts one touch-down of probes or socket on the bench's chip.

    Raises:
        RecordError: it cannot be written.
    """
    kept = {"text": text.strip()}
    return _written(config).save(TOUCH_DOWN, kept, simulated=config.is_simulated)


def _written(config: BenchConfig) -> ChipStore:
    chip = config.chip
    facts = conditions(config).facts()
    return ChipStore(chip.folder / chip.id / DIARY_FOLDER, chip.id, context=facts)


# --- reading --------------------------------------------------------------------------------------


def read_diary(config: BenchConfig, chip: str | None = None) -> Diary:
    """The diary of a chip, by default the bench's.

    Raises:
        RecordError: nothing is on record of the chip.
    """
    config = of_chip(config, chip)
    missing: list[str] = []
    runs = _runs_of(config, config.chip.id)
    notes = list(_kept(_written(config), (NOTE, TOUCH_DOWN), missing))
    entries = [_run_entry(run, missing) for run in runs]
    entries += _sessions(config, missing)
    entries += [_note_entry(each) for each in notes]
    entries += [_result_entry(each) for each in _results(config, missing)]
    return Diary(
        chip=_chip_facts(config, runs),
        simulated=config.is_simulated,
        entries=tuple(sorted(entries, key=lambda each: each.time)),
        lost=tuple(_lost(config, runs, missing)),
        touch_downs=sum(each.kind == TOUCH_DOWN for each in notes),
        missing=tuple(missing),
    )


def _runs_of(config: BenchConfig, chip: str) -> list[RunFolder]:
    """Oldest first."""
    return [run for run in reversed(RunFolder.all(config.runs)) if run.info.get("chip") == chip]


def _chip_facts(config: BenchConfig, runs: list[RunFolder]) -> Mapping[str, str]:
    """The bench file's words on this chip; where it has none, those of the last run that had."""
    said = config.chip.facts()
    for run in reversed(runs):
        record = run.info.get("chip_record")
        if isinstance(record, dict) and record.get("id") == config.chip.id:
            said = {str(k): str(v) for k, v in record.items()} | said
            break
    return said


def _run_entry(run: RunFolder, missing: list[str]) -> Entry:
    info = run.info
    path, pulses = run.file("journal.sqlite"), None
    if path.is_file():
        pulses = _pulses(path, missing)
    found = info.get("startup") or {}
    identity = found.get("identity") if isinstance(found, dict) else None
    parts = [str(info.get("reason") or ""), *_identity_words(identity), *_failure_words(run)]
    return Entry(
        time=datetime.fromisoformat(info["started"]).astimezone(UTC),
        what=run.kind,
        text="; ".join(filter(None, parts)),
        status=run.status,
        pulses=pulses,
        record=run.path.name,
        **_context(info),
    )


def _identity_words(identity: object) -> Iterator[str]:
    if isinstance(identity, dict):
        if identity.get("verdict") == "unknown":
            yield "the chip could not be told from another one"
        if identity.get("not_formed_now"):
            yield f"{identity['not_formed_now']} cells that were formed are not any more"


def _failure_words(run: RunFolder) -> Iterator[str]:
    for name in FAILURE_FILES:
        if many := len(_failures(run, name)):
            yield f"{many} cells failed ({name.removesuffix('.json')})"


def _failures(run: RunFolder, name: str) -> list[tuple[int, int, str]]:
    """What a run said of cells that failed; nothing where it has no such file."""
    if not run.file(name).is_file():
        return []
    try:
        listed = run.load_json(name).get("failures") or []
        return [(int(row), int(column), str(why)) for row, column, why in listed]
    except (RecordError, TypeError, ValueError):
        return []


def _pulses(path: Path, missing: list[str]) -> int | None:
    try:
        with Journal.open_read(path, check=False) as reader:
            return reader.counts()[1]
    except RecordError as error:
        missing.append(str(error))
        return None


def _sessions(config: BenchConfig, missing: list[str]) -> Iterator[Entry]:
    """What was driven outside of a run: the chip keeps a journal of its own of it."""
    for path in sorted((config.chip.folder / config.chip.id / OWN_JOURNALS).glob("*.sqlite")):
        try:
            with Journal.open_read(path, check=False) as reader:
                events, intents = reader.events(EVENT), reader.intents()
                pulses = reader.counts()[1]
        except RecordError as error:
            missing.append(str(error))
            continue
        begun = [event.wall_s for event in events] + [intent.wall_s for intent in intents[:1]]
        if begun:
            yield Entry(
                time=datetime.fromtimestamp(min(begun), UTC),
                what="session",
                text="pulses outside of a run",
                pulses=pulses,
                record=f"{OWN_JOURNALS}/{path.name}",
                **_context(events[-1].data if events else {}),
            )


def _note_entry(kept: Stored) -> Entry:
    text = str(kept.result.get("text", ""))
    what = kept.kind.replace("_", "-")
    return Entry(kept.time, what, text=text, record=kept.path.name, **_context(kept.context))


def _result_entry(kept: Stored) -> Entry:
    text = "kept with the chip"
    if kept.kind == LINE_MAP:
        text = f"map kept ({kept.result.get('identity', 'lines only')})"
    what = "chip map" if kept.kind == LINE_MAP else kept.kind.replace("_", " ")
    return Entry(kept.time, what, text=text, record=kept.path.name, **_context(kept.context))


def _results(config: BenchConfig, missing: list[str]) -> Iterator[Stored]:
    store = ChipStore.of(config)
    names = [path.name.partition("Z-")[2] for path in store.folder.glob("*Z-*.json")]
    kinds = {name.removesuffix(".json") for name in names}
    yield from _kept(store, tuple(sorted(kinds)), missing)


def _kept(store: ChipStore, kinds: tuple[str, ...], missing: list[str]) -> Iterator[Stored]:
    for kind in kinds:
        for path in store.history(kind):
            try:
                yield store.load(path)
            except RecordError as error:
                missing.append(str(error))


def _context(facts: Mapping[str, Any]) -> dict[str, Any]:
    celsius = facts.get("temperature_celsius")
    return {
        "operator": str(facts.get("operator") or ""),
        "temperature_celsius": float(celsius) if isinstance(celsius, int | float) else None,
        "temperature_source": str(facts.get("temperature_source") or ""),
    }


def _lost(config: BenchConfig, runs: list[RunFolder], missing: list[str]) -> Iterator[LostCell]:
    """Bad cells as the chip's map has them, with what the last run said that named them."""
    try:
        known = load_knowledge(config)
    except HilError as error:
        missing.append(str(error))
        return
    if known is None or not known.bad.any():
        return
    said: dict[tuple[int, int], tuple[str, str]] = {}
    for run in runs:
        for name in FAILURE_FILES:
            for row, column, why in _failures(run, name):
                said[row, column] = why, run.path.name
    for row, column in zip(*(part.tolist() for part in known.bad.nonzero()), strict=True):
        kind = CellKind(int(known.kind[row, column])).name.lower()
        low, high = (v[row, column] for v in (known.lowest_siemens, known.highest_siemens))
        yield LostCell(row, column, kind, *said.get((row, column), (_range(low, high), "")))


def _range(low: float, high: float) -> str:
    """What the chip's map says of a cell that no run's list of failures names."""
    if low == high:
        return f"stands at {low * 1e6:.3g} uS"
    parts = [f"not below {low * 1e6:.3g} uS"] if low > 0.0 else []
    return " and ".join(parts + [f"not above {high * 1e6:.3g} uS"] * bool(np.isfinite(high)))
