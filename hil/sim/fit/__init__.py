"""Fit a profile to a folder of measurements: `fit_profile(folder)`, `write_profile(profile, path)`.

The measurements are not part of the project; what is fitted to them is. The order: take from the
tables what they say directly (`start`), then replay the measured protocols on simulated cells
(`replay`) and correct the parameters until the same figures come out (`match`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hil.sim.fit.draft import first_draft
from hil.sim.fit.match import (
    match_depth_spreads,
    match_line_table,
    match_noise,
    match_reset_depth,
    match_set_table,
    match_spreads,
    simulate,
)
from hil.sim.fit.report import reached_figures
from hil.sim.fit.start import Tables, read_tables
from hil.sim.fit.write import write_profile
from hil.sim.profile import Profile, parse_profile

__all__ = ["fit_profile", "read_tables", "write_profile"]

ROUNDS = 14
COPIES = 4
SEED = 20210731  # of the simulated cells that are compared with the measured ones

Progress = Callable[[str, int, int], None]


def fit_profile(folder: Path, progress: Progress | None = None) -> Profile:
    """Fit the default technology to the tables in `folder`; some two minutes on one core.

    `progress(what, done, total)` is called as the fit goes. Deterministic: the same tables give
    the same profile. Raises DataError when a table is missing or damaged.
    """
    total = ROUNDS + 2
    tell = progress or _silent
    tell("reading the tables", 0, total)
    tables = read_tables(Path(folder))
    draft = first_draft(tables)
    for number in range(ROUNDS):
        tell("matching the replayed protocols", number + 1, total)
        improve(draft, tables, number)
    tell("comparing", ROUNDS + 1, total)
    profile = _rounded(draft)
    reached = reached_figures(tables, profile, SEED)
    return _rounded({**draft, "reached": reached})


def _silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def improve(draft: dict[str, Any], tables: Tables, number: int) -> None:
    """One round: replay the protocols with the draft and correct it in place."""
    simulated = simulate(tables, _rounded(draft), SEED + 100 * number, COPIES)
    match_set_table(draft, tables, simulated)
    match_line_table(draft, tables, simulated)
    match_reset_depth(draft, tables, simulated)
    match_spreads(draft, tables, simulated)
    match_depth_spreads(draft, tables, simulated)
    match_noise(draft, tables, simulated)


def _rounded(draft: dict[str, Any]) -> Profile:
    """The profile of a draft, with five significant digits: what the YAML file holds."""
    return parse_profile(_round(draft), "of the fit")


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_round(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.5g}")
    return value
