"""The forming ramp."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration.forming import FormParams, form
from drivers.rram.geometry import Cells
from protocols.errors import InputError, LimitError

CELLS = Cells.block(0, 0, 16, 16)


def test_every_cell_forms_at_its_own_voltage(toy) -> None:
    result = form(toy, CELLS)
    assert result.formed.all()
    assert result.failures == []
    needed = toy.form_volts[CELLS.rows, CELLS.columns]
    assert np.all(result.volts >= needed - 1e-9)
    assert np.all(result.volts <= np.maximum(needed, 2.0) + 0.05 + 1e-9)
    np.testing.assert_array_equal(result.pulses, np.round((result.volts - 2.0) / 0.05) + 1)
    assert toy.calls == result.rounds + 1
    json.dumps(result.to_dict())


def test_a_formed_cell_gets_no_pulse(toy) -> None:
    toy.siemens[3, 4] = 90e-6
    result = form(toy, CELLS)
    k = 3 * 16 + 4
    assert result.pulses[k] == 0
    assert np.isnan(result.volts[k])
    assert all((3, 4) not in set(batch.cells) for batch, _ in toy.batches)


def test_a_cell_that_does_not_form_is_reported(toy) -> None:
    toy.form_volts[5, 6] = 9.0
    result = form(toy, CELLS, FormParams(stop_volts=4.0, tries_at_stop=3))
    assert result.formed.sum() == 255
    assert [(row, column) for row, column, _ in result.failures] == [(5, 6)]
    assert "no forming up to 4 V" in result.failures[0][2]
    assert result.pulses[5 * 16 + 6] == 41 + 2
    volts = [float(batch.line_volts.max()) for batch, _ in toy.batches]
    assert max(volts) == pytest.approx(4.0)
    assert volts == sorted(volts)


def test_over_the_limit_is_refused_before_a_pulse(toy) -> None:
    with pytest.raises(LimitError, match=r"line_volts is 4\.6"):
        form(toy, CELLS, FormParams(stop_volts=4.6))
    assert toy.batches == []


def test_progress_sees_every_round(toy) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done, total, message, conductance=None) -> None:
        seen.append((done, total))
        assert conductance.shape == (256,)
        assert message

    result = form(toy, CELLS, progress=progress)
    assert seen[-1] == (256, 256)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) >= result.rounds


def test_a_dry_run_drives_the_whole_ramp_on_paper(toy) -> None:
    toy.dry_run = True
    result = form(toy, CELLS)
    assert not result.formed.any()
    assert np.all(np.isfinite(result.conductance_siemens))
    assert toy.siemens.max() < 1e-6


@pytest.mark.parametrize("bad", [{"step_volts": 0.0}, {"start_volts": 5.0}, {"width_s": np.nan}])
def test_parameters_out_of_range(bad) -> None:
    with pytest.raises(InputError):
        FormParams(**bad)


def test_no_cells(toy) -> None:
    result = form(toy, CELLS[np.zeros(0, np.int64)])
    assert result.rounds == 0
    assert result.failures == []
