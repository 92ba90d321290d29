"""Line resistance out of the spread of cells: right within its stated spread, or not resolved."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.front_end.averaging import averaged
from calibration.front_end.line_resistance import LineParams, far_and_near, run, set_alike
from calibration.front_end.params import FrontEndParams
from drivers.rram.geometry import Cells
from drivers.rram.lines import Lines
from drivers.transfer import Curves
from protocols.errors import CalibrationError, InputError
from tests.calibration.front_end.conftest import BOARD


def spread(seed: int, sd: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 200e-6 * np.exp(sd * rng.standard_normal((128, 128)))


def measured(rig, seed: int, ohm: float, cells: Cells):
    one = rig(line_resistance_ohm=ohm, effects=("line_resistance",))
    one.board.set_conductances(spread(seed))
    return run(one.macro(Curves.nominal(BOARD)), cells)


BLOCK = Cells(*(a.ravel() for a in np.indices((40, 40))))


def test_the_planted_resistance_is_found_within_its_spread(rig):
    z, common = [], []
    for seed in range(8):
        found = measured(rig, seed, 5.0, BLOCK)
        z += ((found.ohm - 5.0) / found.sd_ohm).tolist()
        common.append(found.common_ohm)
        assert found.resolved
    assert np.sqrt(np.mean(np.square(z))) < 1.6
    assert np.mean(common) == pytest.approx(5.0, rel=0.1)


def test_the_whole_array_resolves_the_default(rig):
    one = rig(line_resistance_ohm=0.5, effects=("line_resistance",))
    one.board.set_conductances(spread(3))
    found = run(one.macro(Curves.nominal(BOARD)), Cells.all(one.bench.geometry))
    assert found.resolved
    assert abs(found.common_ohm - 0.5) < 3 * found.common_sd_ohm
    assert found.common_sd_ohm < 0.1
    assert found.to_dict()["bit_line"]["sd_ohm"] > 0


def test_no_lines_are_not_found_in_the_noise(rig):
    found = [measured(rig, seed, 0.0, BLOCK) for seed in range(6)]
    assert sum(one.resolved for one in found) <= 1
    assert all(one.at_most_ohm < 3.0 for one in found)


def test_outliers_do_not_decide(rig):
    siemens = spread(5)
    siemens[::7, ::5] = 60e-6
    one = rig(line_resistance_ohm=5.0, effects=("line_resistance",))
    one.board.set_conductances(siemens)
    found = run(one.macro(Curves.nominal(BOARD)), BLOCK)
    assert abs(found.common_ohm - 5.0) < 4 * found.common_sd_ohm + 0.5


def test_what_cannot_tell_is_refused(rig):
    one = rig()
    macro = one.macro(Curves.nominal(BOARD))
    with pytest.raises(CalibrationError, match="0 of 1600 cells conduct"):
        run(macro, BLOCK)
    one.board.set_conductances(spread(1))
    row = Cells(np.zeros(60, np.int64), np.arange(60))
    with pytest.raises(CalibrationError, match="one row or one column"):
        run(macro, row)
    with pytest.raises(InputError, match="samples"):
        LineParams(samples=0)


# --- averaging ---------------------------------------------------------------------------------


def quantised(noise: float, seed: int = 1):
    rng = np.random.default_rng(seed)
    true = rng.uniform(100, 4000, 200)

    def ask(samples: int) -> np.ndarray:
        draws = rng.standard_normal((true.size, samples))
        return np.rint(true[:, None] + noise * draws).sum(axis=1).astype(np.int64)

    return true, ask


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2, 0.3, 0.5, 2.0])
def test_the_stated_error_of_a_mean_holds(noise):
    true, ask = quantised(noise)
    means = averaged(ask, FrontEndParams())
    rms = float(np.sqrt(np.mean((means.codes - true) ** 2)))
    assert 0.6 * rms < means.sd < 1.7 * rms


def test_rounds_end_when_the_mean_is_known():
    calls = {noise: averaged(quantised(noise)[1], FrontEndParams()) for noise in (0.5, 1.0, 8.0)}
    conversions = [calls[noise].conversions for noise in (0.5, 1.0, 8.0)]
    assert conversions == sorted(conversions)
    assert conversions[-1] == 16 * 64
    assert averaged(quantised(0.0)[1], FrontEndParams()).conversions == 2 * 64


def test_cells_that_were_set_alike_tell_the_lines_and_readings_lose_them(rig):
    one = rig(line_resistance_ohm=0.5, effects=("line_resistance", "device_to_device"))
    one.board.set_conductances(np.full((128, 128), 135e-6))
    macro, cells = one.macro(Curves.nominal(BOARD)), Cells.all(one.bench.geometry)
    some = far_and_near(cells, 0.1)
    assert 1600 < len(some) <= 1638
    way = some.rows + some.columns
    assert not np.any((way > 80) & (way < 180))
    set_alike(macro, some)
    found = run(macro, some).common_ohm
    assert found == pytest.approx(0.5, abs=0.15)
    truth = one.board.true_conductances()[some.rows, some.columns]
    shown = macro.read(some, 64)
    macro.lines = Lines(0.5, 0.5)
    own = macro.read(some, 64)
    gain = np.median(own / truth)  # of the read path, which nobody has measured here
    assert np.allclose(own, gain * truth, rtol=3e-3)
    assert np.all(shown < own)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_of_the_cells_is_a_share(share):
    with pytest.raises(InputError, match="share"):
        far_and_near(BLOCK, share)
