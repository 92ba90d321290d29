"""The predictive algorithm as a contender: with the fitted profile, or with what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from _chips import ChipOnBoard, ChipShop, FormedChip
from _programming_tasks import PATIENT, Contender, Task

from calibration.cell_model import CellModel, MeasureParams, measure_response
from calibration.programming import Programmer
from calibration.programming.choose import ALGORITHMS
from calibration.programming.menu import PulseMenu
from calibration.programming.menu_model import menu_for, wide_menu
from hil.sim.profile import DEFAULT_PROFILE, profile_path
from protocols.messages import Operation

NAME = "predictive"
CHARACTERISATION = {"pulses_per_cell": 50, "share_of_cells": 0.05}


def predictive(
    *, short: bool = False, patient: bool = False, guard: float = 0.0
) -> dict[str, Contender]:
    """The algorithm with the model of the fitted profile; empty where there is none.

    `patient` gives it the pulses that the measured algorithms have; `guard` is its
    `guard_fraction`.
    """
    if NAME not in ALGORITHMS:
        return {}
    menu = PulseMenu.short() if short else PulseMenu.default()
    own: dict[str, Any] = {"guard_fraction": guard}
    if patient:
        own |= {**PATIENT, "limit_tries": PATIENT["pulse_budget"]}
    return {NAME: _contender(_start(), menu, own)}


def unlike(name: str, shop: ChipShop, chip: FormedChip) -> Contender:
    """The algorithm with a model fitted to a chip's own characterisation (counted apart)."""
    del name
    return _measured(shop, chip, wide_menu())


def predictive_of(kind: str, shop: ChipShop, chip: FormedChip) -> Contender | None:
    """The algorithm for one kind of cells; None where it does not exist."""
    if NAME not in ALGORITHMS:
        return None
    if kind == "fitted":
        return predictive(short=True)[NAME]
    if kind == "empirical":
        return _measured(shop, chip, _measured_menu(chip), fixed=True)
    return _measured(shop, chip, wide_menu())


def _measured(
    shop: ChipShop, chip: FormedChip, menu: PulseMenu, *, fixed: bool = False
) -> Contender:
    """Measured with `menu`; programmed with it when it is `fixed`, else with the fit's own."""
    with shop.copy(chip) as copy:
        limits = copy.macro.limits
        params = MeasureParams(menu=menu.within(limits), **CHARACTERISATION)  # type: ignore[arg-type]
        data = measure_response(copy.macro, chip.cells, params, copy.wait)
    model = CellModel.fit(data, start=_start())
    return _contender(model, menu if fixed else menu_for(model, limits))


def _measured_menu(chip: FormedChip) -> PulseMenu:
    """The pulses that empirical cells answer, as far as they do something."""
    from hil.sim.empirical import measured_rows

    points = measured_rows(chip.settings.data_folder).programming
    kinds = [int(Operation.SET if point.polarity > 0 else Operation.RESET) for point in points]
    columns = [
        [getattr(p, name) for p in points] for name in ("gate_volts", "line_volts", "width_s")
    ]
    return PulseMenu(np.array(kinds), *(np.array(column) for column in columns))


def _start() -> CellModel:
    return CellModel.from_profile(profile_path(DEFAULT_PROFILE))


def _contender(
    model: CellModel, menu: PulseMenu, more: Mapping[str, Any] | None = None
) -> Contender:
    def make(task: Task, chip: ChipOnBoard) -> Programmer:
        known = ALGORITHMS[NAME]
        allowed = menu.within(chip.macro.limits)
        own: dict[str, Any] = {"model": model, "menu": allowed, **(more or {})}
        return known.programmer(task.params(known.params, **own), chip.wait)

    return Contender(NAME, make)
