"""What a reading adds: I-V and telegraph noise, each exactly off when it is switched off."""

from __future__ import annotations

import numpy as np
import pytest

from hil.sim.config import SimSettings
from hil.sim.read_law import QUANTUM_SIEMENS, ReadLaw

SIEMENS = np.array([5e-6, 50e-6, 200e-6])
INDEX = np.arange(2000)


def test_the_reference_voltage_changes_nothing() -> None:
    law = ReadLaw(SimSettings())
    np.testing.assert_array_equal(law.over_voltage(SIEMENS, 0.2, 0.2), SIEMENS)


def test_the_current_is_a_hyperbolic_sine() -> None:
    law = ReadLaw(SimSettings(read_nonlinearity_per_volt=3.0))
    found = law.over_voltage(SIEMENS, 0.4, 0.2) * 0.4 / (SIEMENS * 0.2)
    b = 3.0 / (1.0 + SIEMENS / QUANTUM_SIEMENS)
    np.testing.assert_allclose(found, np.sinh(0.4 * b) / np.sinh(0.2 * b), rtol=1e-12)
    assert found[0] > found[1] > found[2] > 2.0  # the best conductor is the most ohmic


@pytest.mark.parametrize(
    "settings",
    [
        SimSettings(effects={"read_nonlinearity": False, "two_state": False}),
        SimSettings.ideal(telegraph_fraction=0.5),
        SimSettings(read_nonlinearity_per_volt=0.0),
    ],
)
def test_off_is_exactly_off(settings: SimSettings) -> None:
    law = ReadLaw(settings)
    np.testing.assert_array_equal(law.over_voltage(SIEMENS, 0.4, 0.2), SIEMENS)
    siemens = np.full(INDEX.size, 1e-4)
    np.testing.assert_array_equal(law.telegraph(INDEX, siemens, np.array(3.0)), siemens)


def test_telegraph_cells_have_two_levels_about_the_same_mean() -> None:
    law = ReadLaw(SimSettings(telegraph_fraction=0.1, telegraph_step=0.04))
    has, filled, length_s = law.traps(INDEX)
    assert has.mean() == pytest.approx(0.1, abs=0.02)
    assert 1e-3 <= length_s.min() <= length_s.max() <= 1.0
    times = np.arange(4000) * 1.7  # longer than any slot
    cell = int(np.flatnonzero(has)[0])
    index = np.full(times.size, cell)
    found = law.telegraph(index, np.ones(times.size), times)
    levels = np.unique(np.round(found, 9))
    assert levels.size == 2
    assert levels[1] - levels[0] == pytest.approx(0.04)
    assert found.mean() == pytest.approx(1.0, abs=0.003)
    assert np.mean(found > 1.0) == pytest.approx(filled[cell], abs=0.03)


def test_a_state_lasts_for_its_slot_and_reading_has_no_effect() -> None:
    law = ReadLaw(SimSettings(telegraph_fraction=1.0, telegraph_step=0.1))
    _, _, length_s = law.traps(np.array([7]))
    times = (np.arange(50) + 0.5)[:, None] * length_s + np.array([-0.4, 0.4]) * length_s
    found = law.telegraph(np.full(100, 7), np.ones(100), times.ravel()).reshape(50, 2)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert np.unique(found).size == 2
    again = law.telegraph(np.full(100, 7), np.ones(100), times.ravel()).reshape(50, 2)
    np.testing.assert_array_equal(found, again)
