"""The planner's cell model: reading, keeping, and fitting it to a chip's own records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.cell_model import CellModel, MeasureParams, ResponseData, measure_response
from calibration.cell_model.kernel import after_reset, after_set, numbers
from calibration.programming.menu import PulseMenu
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.cell_params import cell_parameters
from hil.sim.cell_reference import reset_depth, set_aim
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.sim.profile import load_profile, profile_path
from protocols.errors import CalibrationError, LimitError, NotFormedError
from protocols.hardware import load_board

PROFILE = profile_path("rram_1t1r_180nm")
START = CellModel.from_profile(PROFILE)
BOARD = load_board("reference")
MENU = PulseMenu.short()[::2]


def chip(siemens: float | None = 150e-6, **settings: Any) -> Macro:
    board = make_board(SimSettings(seed=3, **settings), BOARD)
    if siemens is not None:
        board.set_conductances(np.full((BOARD.rows, BOARD.columns), siemens))
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    geometry = Geometry(BOARD.rows, BOARD.columns)
    return Macro(Board(link), geometry, Curves.nominal(BOARD), Limits.of(BOARD.limits))


CELLS = Cells.block(0, 0, 16, 128)


def test_the_typical_cell_is_the_profile_s() -> None:
    p = cell_parameters(load_profile(), 1, Effects.all())[0]
    flat, z = numbers(START), np.zeros(7)
    for gate, line, width in ((2.5, 2.0, 1e-7), (3.3, 0.7, 2e-7), (1.8, 2.0, 1e-6)):
        at = np.array([gate]), np.array([line]), np.array([np.log10(width)])
        found = np.exp(after_set(np.log(5e-6), gate, line, np.log10(width), z, flat))
        assert found == pytest.approx(float(set_aim(*at, p)[0]), rel=1e-9)
    for gate, line in ((3.5, 1.2), (2.6, 2.8)):
        at = np.array([gate]), np.array([line]), np.array([np.log10(2e-7)])
        depth = np.log(175e-6) - after_reset(np.log(2e-4), gate, line, np.log10(2e-7), z, flat)
        assert depth == pytest.approx(float(reset_depth(*at, p)[0]), rel=1e-9)


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    START.save(tmp_path / "model.json")
    assert CellModel.load(tmp_path / "model.json") == START
    assert CellModel.from_dict(json.loads(json.dumps(START.to_dict()))) == START


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "cannot be read"),
        ("[1]", "format"),
        ('{"format": "cell-model-1"}', "bounds"),
        ("x" * (1 << 21), "larger than"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(CalibrationError, match=told):
        CellModel.load(path)


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("set", "levels_siemens", [2e-6, 1e-6]),
        ("set", "device_gain", float("nan")),
        ("reset", "line_depth_ln", [0.0]),
        ("read_noise", "correlation", 1.0),
        ("relaxation", "onset_s", -1.0),
        ("drive", "skew", "much"),
    ],
)
def test_bad_values_are_refused_with_their_name(group: str, key: str, value: object) -> None:
    values = json.loads(json.dumps(START.to_dict()))
    values[group][key] = value
    with pytest.raises(CalibrationError, match=group):
        CellModel.from_dict(values)
    del values[group]
    with pytest.raises(CalibrationError, match=group):
        CellModel.from_dict(values)


def test_a_missing_profile_is_said(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="nowhere"):
        CellModel.from_profile(tmp_path / "nowhere.yaml")


def test_measuring_keeps_its_budget_and_the_limits() -> None:
    macro = chip()
    data = measure_response(macro, CELLS, MeasureParams(MENU, pulses_per_cell=7))
    assert np.unique(data.cell).size == int(0.05 * len(CELLS))
    assert set(data.pulses_per_cell.tolist()) == {7}
    assert set(np.unique(data.operation)) == {-1, 0, 1}
    strict = chip()
    strict.limits = strict.limits.lowered({"set.gate_volts": 3.0})
    with pytest.raises(LimitError, match="gate_volts"):
        measure_response(strict, CELLS, MeasureParams(MENU))
    assert not strict._given.any()


def test_an_unformed_chip_is_refused() -> None:
    with pytest.raises(NotFormedError, match="form them first"):
        measure_response(chip(None), CELLS, MeasureParams(MENU))


def test_too_few_rows_are_refused() -> None:
    data = measure_response(chip(), CELLS, MeasureParams(MENU, pulses_per_cell=1))
    with pytest.raises(CalibrationError, match="too few"):
        CellModel.fit(data, START)


def test_a_fit_finds_planted_shifts() -> None:
    macro = chip(profile_scale={"set.gate_volts": 1.05, "read_noise.sigma": 1.5})
    params = MeasureParams(MENU, pulses_per_cell=25, share_of_cells=0.04)
    model = CellModel.fit(measure_response(macro, CELLS, params), START)
    planted, found, start = (
        np.array(gates)[[7, 9, 11], :2]
        for gates in (
            1.05 * np.array(START.set.gate_volts),
            model.set.gate_volts,
            START.set.gate_volts,
        )
    )
    assert np.abs(start - planted).min() > 0.09
    assert np.abs(found - planted).max() < 0.04
    noise = model.read_noise.sigma[0] / START.read_noise.sigma[0]
    assert noise == pytest.approx(1.5, rel=0.25)
    depth = np.array(model.reset.line_depth_ln[8:12]) / np.array(START.reset.line_depth_ln[8:12])
    assert np.abs(depth - 1.0).max() < 0.2


def test_records_of_unequal_length_are_refused() -> None:
    good = np.ones(3)
    with pytest.raises(Exception, match="records"):
        ResponseData(np.arange(3), good, np.zeros(3, int), good, good, good, good[:2], good, good)
