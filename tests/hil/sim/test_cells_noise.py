"""Relaxation, drift and read noise of the simulated cells."""

from __future__ import annotations

import numpy as np
import pytest

from hil.sim.cells import CellArray, robust_ratio
from hil.sim.effects import Effects
from hil.sim.profile import load_profile

PROFILE = load_profile()


def placed(n: int, siemens: float, seed: int = 3, effects: Effects | None = None) -> CellArray:
    cells = CellArray(PROFILE, seed, CellArray.virgin_state(n), effects)
    cells.set_conductance(np.arange(n), siemens)
    return cells


def test_relaxation_depends_on_time_alone() -> None:
    asked_often, asked_once = placed(200, 45e-6), placed(200, 45e-6)
    index = np.arange(200)
    for now in (1e-3, 10.0, 1e3):
        asked_often.conductance(index, now)
    late = asked_once.conductance(index, 1e3)
    np.testing.assert_array_equal(asked_often.conductance(index, 1e3), late)
    np.testing.assert_allclose(asked_once.conductance(index, 0.0), 45e-6, rtol=1e-12)


def test_relaxation_grows_in_decades_and_shrinks_with_conductance() -> None:
    index = np.arange(4000)
    spread = {}
    for siemens in (45e-6, 166e-6):
        cells = placed(4000, siemens, effects=Effects.none().only("relaxation"))
        for now in (1e-2, 1.0, 1e2):
            moved = np.log(cells.conductance(index, now) / siemens)
            spread[siemens, now] = float(np.sqrt(np.mean(moved**2)))
    assert spread[45e-6, 1e-2] < spread[45e-6, 1.0] < spread[45e-6, 1e2]
    ratio = spread[45e-6, 1e2] / spread[45e-6, 1.0]
    assert 1.15 < ratio < 1.45  # sqrt(5/3) = 1.29 without the smooth limit
    assert spread[166e-6, 1e2] < 0.15 * spread[45e-6, 1e2]


def test_drift_alone_moves_every_cell_alike() -> None:
    cells = placed(50, 78e-6, effects=Effects.none().only("drift"))
    late = cells.conductance(np.arange(50), 1e3)
    assert np.ptp(late) == 0.0
    assert 0.7 * 78e-6 < late[0] < 78e-6


def test_read_noise_is_slow_and_has_the_profiled_size() -> None:
    effects = Effects.none().only("read_noise", "telegraph")
    cells = placed(4000, 78e-6, effects=effects)
    index = np.arange(4000)
    readings = np.array([cells.read(index, 1.0) for _ in range(40)])
    deviation = readings / 78e-6 - 1.0
    standard, robust = cells.read_noise_sigma(78e-6)
    assert deviation.std() == pytest.approx(float(standard), rel=0.2)
    measured_robust = 1.4826 * np.median(np.abs(deviation))
    assert measured_robust == pytest.approx(float(robust), rel=0.1)
    lag = (deviation[1:] * deviation[:-1]).sum() / (deviation**2).sum()
    assert lag == pytest.approx(PROFILE.read_noise.correlation, abs=0.05)


def test_averaging_reads_does_not_give_one_over_root_n() -> None:
    cells = placed(3000, 78e-6, effects=Effects.none().only("read_noise"))
    readings = np.array([cells.read(np.arange(3000), 1.0) for _ in range(9)]) / 78e-6 - 1.0
    gain = readings.std() / readings.mean(axis=0).std()
    assert 1.0 < gain < 2.0  # white noise would give 3


def test_solve_noise_has_the_law_of_the_read_noise() -> None:
    cells = placed(6000, 78e-6, effects=Effects.none().only("read_noise", "telegraph"))
    noise = cells.solve_noise(np.arange(6000), np.arange(500))
    assert noise.shape == (500, 6000)
    assert noise.dtype == np.float32
    standard, _robust = cells.read_noise_sigma(78e-6)
    assert float(noise.std()) == pytest.approx(float(standard), rel=0.25)
    part = cells.solve_noise([7, 3], [499, 0, 2])
    np.testing.assert_array_equal(part, noise[np.ix_([499, 0, 2], [7, 3])])


def test_robust_ratio_is_one_without_tails_and_falls_with_them() -> None:
    ratios = robust_ratio([0.0, 0.5, 1.0, 1.5])
    assert ratios[0] == pytest.approx(1.0, abs=1e-3)
    assert (np.diff(ratios) < 0).all()
