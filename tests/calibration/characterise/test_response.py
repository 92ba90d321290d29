"""The response routine around its measurement and its fit, both replaced by simple ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from calibration.cell_model import CellModel, MeasureParams, ResponseData
from calibration.characterise import ROUTINES, Stop, response
from calibration.characterise.response import ResponseParams
from drivers.rram.geometry import Cells
from hil.report.characterise import draw
from hil.sim.profile import DEFAULT_PROFILE, profile_path
from protocols.messages import Operation

PULSES = 20


class Cell:
    """Rows whose spread between cells is planted; remembers what it was asked."""

    def __init__(self, spread: float) -> None:
        self.spread = spread
        self.asked: list[tuple[Cells, MeasureParams]] = []

    def measure(self, macro: Any, cells: Cells, params: MeasureParams, *_more: Any) -> ResponseData:
        self.asked.append((cells, params))
        rng = np.random.default_rng(len(self.asked))
        flat = np.repeat(cells.flat(macro.geometry), PULSES)
        n = flat.size
        own = np.repeat(self.spread * rng.standard_normal(len(cells)), PULSES)
        kinds = np.tile([int(Operation.SET), int(Operation.RESET)], n // 2)
        level = np.where(kinds == int(Operation.SET), 150e-6, 40e-6) * np.exp(own)
        time_s = np.arange(n) * 1e-3
        volts = np.full(n, 2.0)
        return ResponseData(
            flat, level[::-1], kinds, volts, volts, np.full(n, 2e-7), level, time_s, time_s + 1e-4
        )


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> CellModel:
    """A model that any fit gives back."""
    model = CellModel.from_profile(profile_path(DEFAULT_PROFILE))
    monkeypatch.setattr(CellModel, "fit", classmethod(lambda _cls, _records, start: start))
    return model


@pytest.mark.parametrize(("spread", "stop"), [(0.05, Stop.TIGHT), (1.0, Stop.CELLS)])
def test_more_spread_takes_more_cells(make, monkeypatch, start, spread, stop) -> None:
    cell = Cell(spread)
    monkeypatch.setattr(response, "measure_response", cell.measure)
    params = ResponseParams(start=start, group=32, most_cells=96)
    found = ROUTINES["response"].run(make(cells=128).rig, params)
    assert found.account.stop is stop
    assert found.account.cells == (32 if stop is Stop.TIGHT else 96)
    assert found.account.pulses == found.account.cells * PULSES
    assert found.account.most_pulses_of_a_cell == PULSES
    assert found.model is start
    assert found.figures["ln_after_set"].holds(float(np.log(150e-6)))
    assert found.figures["ln_after_reset"].holds(float(np.log(40e-6)))
    for cells, asked in cell.asked:
        assert asked.pulses_per_cell == 50
        assert asked.share_of_cells == 1.0
        assert len(cells) == 32
    assert len({asked.seed for _, asked in cell.asked}) == len(cell.asked)
    result = json.loads(json.dumps(found.to_dict()))
    figure = draw(result, found.arrays, simulated=True)
    assert len(figure.axes) == 4


def test_without_a_start_nothing_is_fitted(make, monkeypatch) -> None:
    monkeypatch.setattr(response, "measure_response", Cell(0.05).measure)
    found = ROUTINES["response"].run(make(cells=64).rig, ResponseParams(group=32))
    assert found.model is None
    assert found.notes == ()
