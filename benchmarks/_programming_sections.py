"""The sections of the programming benchmark: which chips, which tasks, which algorithms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from _chips import ChipShop, FormedChip
from _programming_network import network_rows, network_size
from _programming_predictive import predictive, predictive_of, unlike
from _programming_reach import out_of_reach, reach_figures
from _programming_tasks import (
    THREE_BIT_OHM,
    TWO_BIT_OHM,
    Contender,
    Outcome,
    Task,
    as_measured,
    figures,
    own_defaults,
    run,
)
from numpy.typing import NDArray

from calibration.forming import FormParams
from hil.sim.config import SimSettings
from hil.sim.perturb import TRIPLE_CYCLE_SPREAD
from protocols.hardware import load_board

Rows = dict[str, dict[str, float]]

SLOW_CHIPS = 2
"""Chips on which algorithms that need tens of pulses per cell are run in the slow sections."""
STUCK, WEAK = 0.005, 0.02  # half of the stuck cells low, half high
GUARD = 0.12  # of the analog tolerance: what calibrated boards and lines may still be off by
LARGE = 512
WARM = 300
_MEASURED_FORMING = FormParams(stop_volts=4.0)  # no higher voltage was measured
FORMED_SIEMENS = 135e-6  # median of the measured formed cells


@dataclass(frozen=True)
class Setting:
    """How much is run, and what is planted.

    Attributes:
        chips, rows: how many chips, and rows of 128 cells of each.
        tripled, swapped: the negative controls.
        data: folder of the measurements, for empirical cells.
    """

    chips: int
    rows: int
    quick: bool = False
    tripled: bool = False
    swapped: bool = False
    data: str | None = None

    def chip(self, seed: int, **changes: Any) -> SimSettings:
        """Settings of one simulated chip."""
        scale = {"profile_scale": TRIPLE_CYCLE_SPREAD} if self.tripled else {}
        return SimSettings(
            seed=seed, board_seed=seed, swap_polarity=self.swapped, **scale, **changes
        )

    def made(self, shop: ChipShop, seed: int, rows: int, **changes: Any) -> FormedChip:
        """A formed chip; where polarities are swapped nothing forms, so the back door does it."""
        if self.swapped:
            return shop.placed(self.chip(seed, **changes), rows, FORMED_SIEMENS)
        return shop.formed(self.chip(seed, **changes), rows)


def _compare(
    setting: Setting,
    shop: ChipShop,
    contenders: Mapping[str, Contender],
    task: Callable[[FormedChip], Task],
    slow: tuple[str, ...] = (),
    calibrated: bool = False,
) -> dict[str, list[Outcome]]:
    """Every contender on every chip; the slow ones on the first few. `calibrated` boards and lines
    are known (not where polarities are swapped: no SET raises a cell there)."""
    found: dict[str, list[Outcome]] = {name: [] for name in contenders}
    for seed in range(1, setting.chips + 1):
        chip = setting.made(shop, seed, setting.rows)
        if calibrated and not setting.swapped:
            chip = shop.calibrated(chip)
        for name, contender in contenders.items():
            if name in slow and seed > SLOW_CHIPS:
                continue
            found[name].append(run(shop, chip, task(chip), contender, time.process_time))
    return found


def _rows(outcomes: Mapping[str, list[Outcome]]) -> Rows:
    return {name: figures(found) for name, found in outcomes.items()}


def two_bit(setting: Setting, shop: ChipShop) -> Rows:
    """The measured comparison: windows below 10 kohm."""
    contenders = {**as_measured(), **own_defaults("two_step"), **predictive(short=True)}
    return _rows(_compare(setting, shop, contenders, lambda chip: _windows(TWO_BIT_OHM, chip)))


def three_bit(setting: Setting, shop: ChipShop) -> Rows:
    """Eight windows, most of them below the read noise of their level."""
    measured = {name: c for name, c in as_measured().items() if name != "fppv"}
    contenders = {**measured, **own_defaults("two_step"), **predictive(short=True, patient=True)}
    found = _compare(
        setting,
        shop,
        contenders,
        lambda chip: _windows(THREE_BIT_OHM, chip),
        slow=("ispp", "coarse_fine"),
    )
    chips = [setting.made(shop, seed, setting.rows) for seed in range(1, setting.chips + 1)]
    short = [out_of_reach(shop, chip, _windows(THREE_BIT_OHM, chip)) for chip in chips]
    rows = _rows(found)
    rows["predictive"] |= reach_figures(found["predictive"], short)
    return rows


def _windows(ohm: tuple[tuple[float, float], ...], chip: FormedChip) -> Task:
    return Task.windows("windows", ohm, len(chip.cells))


def analog(setting: Setting, shop: ChipShop) -> Rows:
    """Uniform targets of the cells themselves, finished by averages, on calibrated boards."""
    names = ("ispp", "fppv", "coarse_fine", "two_step")
    found = _compare(
        setting,
        shop,
        {**own_defaults(*names), **predictive(guard=GUARD)},
        lambda chip: Task.analog(len(chip.cells), chip.settings.seed),
        slow=("ispp", "fppv", "coarse_fine"),
        calibrated=True,
    )
    return _rows(found)


def network(setting: Setting, shop: ChipShop) -> Rows:
    """The shipped network with the bench's own defaults."""
    seeds = range(1, min(setting.chips, 3) + 1)
    rows = network_size(shop)
    chips = [setting.made(shop, seed, rows) for seed in seeds]
    contenders = {**own_defaults("ispp", "two_step"), **predictive()}
    return network_rows(shop, chips, contenders)


def unknown(setting: Setting, shop: ChipShop) -> Rows:
    """Other technologies, with bad cells: characterised first, then programmed."""
    found: dict[str, list[Outcome]] = {"fitted": [], "predictive": [], "two_step": []}
    short: list[NDArray[np.bool_]] = []
    bad = {"stuck_low_fraction": STUCK, "stuck_high_fraction": STUCK, "weak_fraction": WEAK}
    for seed in range(1, min(setting.chips, 5) + 1):
        known = shop.formed(setting.chip(seed), setting.rows)
        strange = shop.formed(setting.chip(seed, perturb_seed=seed, **bad), setting.rows)
        for name, made in predictive(short=True).items():
            task = _windows(TWO_BIT_OHM, known)
            found["fitted"].append(run(shop, known, task, made, time.process_time))
            task = _windows(TWO_BIT_OHM, strange)
            short.append(out_of_reach(shop, strange, task))
            fitted = unlike(name, shop, strange)
            found[name].append(run(shop, strange, task, fitted, time.process_time))
        blind = own_defaults("two_step")["two_step"]
        task = _windows(TWO_BIT_OHM, strange)
        found["two_step"].append(run(shop, strange, task, blind, time.process_time))
    rows = _rows(found)
    rows["predictive"] |= reach_figures(found["predictive"], short)
    return rows


def other(setting: Setting, shop: ChipShop) -> Rows:
    """Cells of other equations, and of none."""
    rows = {}
    kinds: dict[str, dict[str, Any]] = {"fitted": {}, "physics": {"cells": "physics"}}
    if setting.data:
        kinds["empirical"] = {"cells": "empirical", "data_folder": setting.data}
    for kind, changes in kinds.items():
        outcomes: dict[str, list[Outcome]] = {kind: []}
        for seed in range(1, min(setting.chips, 3) + 1):
            forming = _MEASURED_FORMING if kind == "empirical" else FormParams(step_volts=0.1)
            chip = shop.formed(setting.chip(seed, **changes), setting.rows, forming)
            made = predictive_of(kind, shop, chip)
            if made is None:
                continue
            task = _windows(TWO_BIT_OHM, chip)
            outcomes[kind].append(run(shop, chip, task, made, time.process_time))
        rows |= _rows({name: found for name, found in outcomes.items() if found})
    return rows


def large(setting: Setting, shop: ChipShop) -> Rows:
    """One chip of 512 x 512 cells on a board of that size: host time.

    The cells are put at a formed conductance by the back door. Host time is processor time.
    """
    del shop
    size = LARGE // 4 if setting.quick else LARGE
    description = load_board("reference").model_copy(update={"rows": size, "columns": size})
    rows: Rows = {}
    for name, made in {**own_defaults("two_step"), **predictive(short=True)}.items():
        with ChipShop(description) as of_size:
            chip = of_size.placed(setting.chip(1), size, FORMED_SIEMENS)
            _warm_up(of_size, chip, made)
            task = _windows(TWO_BIT_OHM, chip)
            outcome = run(of_size, chip, task, made, time.process_time)
        pulses = int(outcome.result.pulses.sum())
        planning_us = 1e6 * outcome.planning_s / max(pulses, 1)
        rows[name] = {**figures([outcome]), "planning_us": planning_us}
    return rows


def _warm_up(shop: ChipShop, chip: FormedChip, made: Contender) -> None:
    """Compilers and the planner's tables are not what is measured."""
    few = replace(chip, cells=chip.cells[np.arange(WARM)])
    run(shop, few, _windows(TWO_BIT_OHM, few), made, time.process_time)


SECTIONS: Mapping[str, Callable[[Setting, ChipShop], Rows]] = {
    "two_bit": two_bit,
    "three_bit": three_bit,
    "analog": analog,
    "network": network,
    "unknown": unknown,
    "other": other,
    "large": large,
}
