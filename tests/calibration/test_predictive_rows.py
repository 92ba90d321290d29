"""Tables that follow measured rows: a chip that answers otherwise than its model says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from calibration.cell_model import CellModel, ResponseData
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive_plan import Planner, planner_of
from calibration.programming.predictive_rows import follow
from calibration.programming.predictive_tables import U_NODES, build_tables
from hil.sim.profile import DEFAULT_PROFILE, profile_path
from protocols.errors import CalibrationError
from protocols.messages import Operation

MODEL = CellModel.from_profile(profile_path(DEFAULT_PROFILE))
MENU = PulseMenu.join(
    [
        PulseMenu.grid(Operation.SET, gate_volts=(2.4, 2.9), line_volts=2.0, width_s=1e-7),
        PulseMenu.grid(Operation.RESET, gate_volts=2.6, line_volts=2.8, width_s=2e-7),
    ]
)
MIDDLE = U_NODES.size // 2


def rows_of(entry: int, before: float, after: np.ndarray) -> ResponseData:
    full = [np.full(after.size, getattr(MENU, n)[entry]) for n in ("gate_volts", "line_volts")]
    zero, width = np.zeros(after.size), np.full(after.size, MENU.width_s[entry])
    kind = np.full(after.size, MENU.operation[entry])
    return ResponseData(
        np.arange(after.size), np.full(after.size, before), kind, *full, width, after, zero, zero
    )


def mixed(rows: ResponseData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tables = build_tables(MODEL, MENU)
    found = follow(tables, MODEL, MENU, rows, lambda ln: np.full(ln.shape, 0.01))
    return tables.after, found.after, tables.grid


def test_many_rows_overrule_the_model_where_they_were_measured() -> None:
    spread = np.exp(np.random.default_rng(1).normal(np.log(60e-6), 0.05, 400))
    old, new, grid = mixed(rows_of(0, 10e-6, spread))
    here = int(np.searchsorted(grid, np.log(10e-6)))
    assert new[0, here, MIDDLE] == pytest.approx(np.log(60e-6), abs=0.02)
    assert abs(old[0, here, MIDDLE] - np.log(60e-6)) > 0.1
    far = int(np.searchsorted(grid, np.log(200e-6)))
    np.testing.assert_allclose(new[0, far], old[0, far], atol=2e-3)
    np.testing.assert_allclose(new[1:, here], old[1:, here], atol=0.1)
    assert (np.diff(new, axis=2) >= -1e-6).all()


def test_a_pulse_that_did_nothing_is_expected_to_do_nothing() -> None:
    old, new, grid = mixed(rows_of(1, 10e-6, np.full(400, 10e-6)))
    here = int(np.searchsorted(grid, np.log(10e-6)))
    assert old[1, here, MIDDLE] > np.log(100e-6)
    np.testing.assert_allclose(new[1, here, 6:-6], grid[here], atol=1e-5)


def test_a_planner_follows_the_rows_of_its_model_and_they_survive_a_file() -> None:
    rows = rows_of(0, 10e-6, np.full(50, 60e-6))
    model = replace(MODEL, records=rows)
    again = CellModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.records is not None
    assert len(again.records) == 50
    np.testing.assert_allclose(again.records.siemens_after, rows.siemens_after, rtol=1e-4)
    with_rows, without = planner_of(model, MENU).tables, Planner(MODEL, MENU).tables
    assert np.abs(with_rows.after[0] - without.after[0]).max() > 0.1
    assert (with_rows.prior[1:] < without.prior[1:]).all()


@pytest.mark.parametrize("damage", ["pulse", "pulses", "before_nanosiemens"])
def test_damaged_rows_are_refused(damage: str) -> None:
    values = json.loads(json.dumps(replace(MODEL, records=rows_of(0, 1e-5, np.ones(5))).to_dict()))
    values["records"][damage] = [99, 98, 97]
    with pytest.raises(CalibrationError, match="measured rows"):
        CellModel.from_dict(values)
