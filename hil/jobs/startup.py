"""Start-up checks of a bench: before every job that drives pulses, and alone with `hil check`.

They run each time, because nobody can know whether the chip was changed meanwhile, and cost about
a second of board time; 3.5 s more where every cell is looked at, which is when the chip has changed
since it was here last, or its lines do not say whose they are. What they ask is no part of a job's
course: a run that is resumed checks again before it goes on. The map of a chip, its fingerprint, is
kept with it, in `chips/ID/characterisation/*-line_map.json` (and `.npz`), whenever a line has
changed. A map that could not be told from another chip's is kept as well, but never compared with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from calibration.startup import ChipMap, StartupParams, StartupResult, check_startup
from calibration.startup.fingerprint import SAME, UNKNOWN
from calibration.startup.identity import FIRST, Identified
from hil.bench import Bench
from hil.chip_store import ChipStore, Stored
from hil.record import RunFolder
from hil.recorded_link import RecordedLink
from protocols.errors import InputError, RecordError

LINE_MAP = "line_map"
"""Under which the chip's store keeps the map."""
IDENTITY = "identity"
"""In the result: "first", "same", "unknown", or "accepted" by the operator."""
ACCEPTED = "accepted"
DRIVING = frozenset({"form", "program", "demo", "characterise", "repair", "retrim", "selftest"})
"""Kinds of runs that drive pulses; `verify` does with `retrim` alone."""
_log = logging.getLogger(__name__)


def before_driving(
    bench: Bench,
    run: RunFolder,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    on_record: bool,
) -> None:
    """The checks, if a run of this kind drives pulses; its folder keeps what they found.

    Args:
        bench: the open bench.
        run: its folder.
        kind, parameters: of the run.
        on_record: whether the chip is the one of the bench file, whose map is kept.

    Raises:
        CalibrationError: the board is at fault.
        ChipError: the chip is, or its bonds, or it is another one.
        RecordError: the recorded map is damaged.
    """
    if kind not in DRIVING and not parameters.get("retrim"):
        return
    found = check_bench(bench, on_record=on_record)
    run.update(startup=found.to_dict())
    for skipped in found.skipped:
        _log.warning("start-up check left out: %s", skipped)
    found.require()


def check_bench(
    bench: Bench,
    params: StartupParams | None = None,
    *,
    on_record: bool = True,
    accept: bool = False,
) -> StartupResult:
    """The checks on an open bench; a new map of the chip is kept if nothing was found.

    With `accept` the chip in the socket is the one of the bench file because the operator says so,
    and its map is kept as that.

    Raises:
        RecordError: the recorded map is damaged, or the new one cannot be written.
    """
    store = ChipStore.of(bench.config, bench.conditions) if on_record else None
    before = None if store is None or accept else recorded_map(store)
    with aside(bench):
        found = check_startup(
            bench.macro, bench.description, params, expected=before, chip=bench.config.chip.id
        )
    if store is not None and found.identified is not None and not found.findings:
        keep_map(bench, store, found.identified, accepted=accept)
    return found


def keep_map(
    bench: Bench, store: ChipStore, found: Identified, *, accepted: bool = False
) -> Stored | None:
    """Keeps the map of a chip where it is new; that of another chip is never kept.

    Raises:
        RecordError: it cannot be written.
    """
    if found.verdict not in (FIRST, SAME, UNKNOWN) or not found.moved:
        return None
    identity = ACCEPTED if accepted else found.verdict
    return store.save(
        LINE_MAP,
        {**found.chip_map.to_dict(), IDENTITY: identity},
        found.chip_map.arrays(),
        board=f"{bench.board.identity.serial:x}",
        simulated=bench.is_simulated,
    )


def recorded_map(store: ChipStore) -> ChipMap | None:
    """The last map that is surely of this chip; None where none was kept yet.

    Raises:
        RecordError: it is damaged.
    """
    for path in reversed(store.history(LINE_MAP)):
        kept = store.load(path)
        if kept.result.get(IDENTITY) != UNKNOWN:
            return map_of(kept)
    return None


def map_of(kept: Stored) -> ChipMap:
    """The map in a record.

    Raises:
        RecordError: it is damaged.
    """
    try:
        return ChipMap.from_record(kept.result, kept.arrays())
    except InputError as error:
        raise RecordError(f"{kept.path}: holds no map of lines; move it away") from error


def aside(bench: Bench) -> AbstractContextManager[None]:
    """What is asked within is no part of the job: always sent, never kept in the journal."""
    return bench.link.aside() if isinstance(bench.link, RecordedLink) else nullcontext()
