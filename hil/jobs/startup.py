"""Start-up checks of a bench: before every job that drives pulses, and alone with `hil check`.

They run each time, because nobody can know whether the chip was changed meanwhile, and cost about
a second of board time. What they ask is no part of a job's course: a run that is resumed checks
again before it goes on. The map of a chip's lines is kept with the chip, in
`chips/ID/characterisation/*-line_map.json`, whenever a line has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from calibration.startup import LineMap, StartupParams, StartupResult, check_startup
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.record import RunFolder
from hil.recorded_link import RecordedLink
from protocols.errors import RecordError

LINE_MAP = "line_map"
"""Under which the chip's store keeps the map."""
DRIVING = frozenset({"form", "program", "demo", "characterise", "repair", "retrim", "selftest"})
"""Kinds of runs that drive pulses; `verify` does with `retrim` alone."""
MOVED = 0.06
"""Relative change of any line from which on a new map is kept."""
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
    bench: Bench, params: StartupParams | None = None, *, on_record: bool = True
) -> StartupResult:
    """The checks on an open bench; a new map of the chip is kept if nothing was found.

    Raises:
        RecordError: the recorded map is damaged, or the new one cannot be written.
    """
    store = ChipStore.of(bench.config) if on_record else None
    before = None if store is None else recorded_map(store)
    with aside(bench):
        found = check_startup(
            bench.macro, bench.description, params, expected=before, chip=bench.config.chip.id
        )
    now = found.line_map
    if store is not None and now is not None and not found.findings and _moved(now, before):
        store.save(
            LINE_MAP,
            now.to_dict(),
            board=f"{bench.board.identity.serial:x}",
            simulated=bench.is_simulated,
        )
    return found


def recorded_map(store: ChipStore) -> LineMap | None:
    """The last map of a chip; None where none was kept yet.

    Raises:
        RecordError: it is damaged.
    """
    kept = store.latest(LINE_MAP)
    if kept is None:
        return None
    try:
        rows, columns = (
            np.asarray(kept.result[key], np.float64) for key in ("rows_siemens", "columns_siemens")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{kept.path}: holds no map of lines; move it away") from error
    if rows.ndim != 1 or columns.ndim != 1 or not np.isfinite([rows.sum(), columns.sum()]).all():
        raise RecordError(f"{kept.path}: holds no map of lines; move it away")
    return LineMap(rows, columns)


def _moved(now: LineMap, before: LineMap | None) -> bool:
    if before is None:
        return True
    pairs = ((now.rows, before.rows), (now.columns, before.columns))
    if any(a.shape != b.shape for a, b in pairs):
        return True
    return any(bool((abs(a - b) > MOVED * b).any()) for a, b in pairs)


def aside(bench: Bench) -> AbstractContextManager[None]:
    """What is asked within is no part of the job: always sent, never kept in the journal."""
    return bench.link.aside() if isinstance(bench.link, RecordedLink) else nullcontext()
