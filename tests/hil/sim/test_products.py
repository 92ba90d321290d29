"""Products of a block with vectors: every effect on and off, and what does not change them."""

from __future__ import annotations

import numpy as np
import pytest

from hil.sim.board import make_board
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.converters import Dac
from hil.sim.machine import Machine
from hil.sim.product_path import MOMENT, moment
from hil.sim.read_law import QUANTUM_SIEMENS
from protocols.hardware import load_board

BOARD = load_board("reference")
CORNER, INPUTS, COLUMNS = (3, 7), 12, 10
ROWS = slice(CORNER[0], CORNER[0] + INPUTS)
PLACES = slice(CORNER[1], CORNER[1] + COLUMNS)
LSB = 60e-6 / 2048
IDEAL = SimSettings.ideal().effects


def machine_of(settings: SimSettings, low: float = 20e-6, high: float = 180e-6) -> Machine:
    board = make_board(settings, BOARD)
    siemens = np.random.default_rng(1).uniform(low, high, (BOARD.rows, BOARD.columns))
    board.set_conductances(siemens)
    board.machine.siemens = siemens
    return board.machine


def with_effects(*names: str, **options) -> SimSettings:
    return SimSettings.ideal(effects=IDEAL | dict.fromkeys(names, True), **options)


def vectors(count: int, most: int = 300) -> np.ndarray:
    rng = np.random.default_rng(2)
    return 2048 + rng.integers(-most, most + 1, (count, INPUTS))


def currents(machine: Machine, codes: np.ndarray, scale: int = 0, samples: int = 1) -> np.ndarray:
    sums = machine.front_end.products.multiply(CORNER, COLUMNS, codes, scale, samples)
    return (sums / samples - 2048) * LSB * 2**scale


def expected(machine: Machine, codes: np.ndarray) -> np.ndarray:
    return 0.5 * (codes - 2048) / 2048 @ machine.siemens[ROWS, PLACES]


@pytest.mark.parametrize("scale", [0, 1, 2, 3])
def test_with_every_effect_off_only_the_rounding_is_left(scale):
    machine = machine_of(SimSettings.ideal())
    codes = vectors(20, 120)
    error = currents(machine, codes, scale) - expected(machine, codes)
    assert np.abs(error).max() <= 0.501 * LSB * 2**scale
    assert machine.front_end.products.saturated == 0


def test_ends_of_the_converter_are_ends_and_counted():
    machine = machine_of(SimSettings.ideal())
    codes = np.array([[3866] * INPUTS, [230] * INPUTS])
    found = currents(machine, codes, 0)
    assert (found[0] == 2047 * LSB).all()
    assert (found[1] == -2048 * LSB).all()
    assert machine.front_end.products.saturated == 2 * COLUMNS


def test_every_vector_takes_its_time():
    machine = machine_of(SimSettings.ideal())
    before = machine.chip.now_ns
    currents(machine, vectors(3), 0, 4)
    timing = BOARD.timing
    wanted_s = 3 * (timing.vector_s + COLUMNS * 4 * timing.read_s)
    assert (machine.chip.now_ns - before) * 1e-9 == pytest.approx(wanted_s)
    before = machine.chip.now_ns
    assert currents(machine, vectors(0)).shape == (0, COLUMNS)
    assert machine.chip.now_ns == before


def test_rows_have_errors_of_their_own_and_columns_those_of_their_stage():
    settings = with_effects(
        "dac_error", "adc_error", dac_bow_sd_codes=0.0, adc_gain_sd=0.0, adc_offset_sd_codes=0.0,
        tia_gain_sd=0.02, tia_offset_sd_amperes=1e-6,
    )  # fmt: skip
    machine = machine_of(settings)
    codes = vectors(20, 120)
    rows = Dac.ROW + np.arange(CORNER[0], CORNER[0] + INPUTS)
    converters, stage = machine.converters, machine.front_end._tia
    gain, offset = converters.dac_gain[rows], converters.dac_offset_codes[rows]
    assert np.unique(gain).size == INPUTS
    volts = 0.5 * ((codes - 2048) * (1 + gain) + offset) / 2048
    wanted = volts @ machine.siemens[ROWS, PLACES]
    wanted = wanted * (1 + stage.gain[PLACES]) + stage.offset_amperes[PLACES]
    assert np.abs(currents(machine, codes, 1) - wanted).max() <= 1.01 * LSB


def test_the_read_noise_of_a_column_is_that_of_its_cells_together():
    machine = machine_of(with_effects("read_noise"))
    codes = np.tile(vectors(1), (400, 1))
    found = currents(machine, codes, 1)
    siemens = machine.siemens[ROWS, PLACES]
    sigma = machine.chip.cells.read_noise_sd(siemens) * siemens
    volts = 0.5 * (codes[0] - 2048) / 2048
    wanted = np.sqrt((volts**2) @ sigma**2)
    np.testing.assert_allclose(np.std(found, axis=0), np.hypot(wanted, 0.58 * LSB), rtol=0.15)
    assert np.abs(np.corrcoef(found.T) - np.eye(COLUMNS)).max() < 0.25


def test_noise_is_held_for_the_conversions_of_a_column():
    codes = np.tile(vectors(1), (100, 1))
    many, once = (
        np.std(currents(machine_of(with_effects("read_noise")), codes, 1, samples), axis=0)
        for samples in (16, 1)
    )
    assert many.mean() == pytest.approx(once.mean(), rel=0.1)


def test_the_same_request_at_the_same_time_gives_the_same_codes():
    codes = vectors(5)
    a, b = (currents(machine_of(SimSettings(seed=4)), codes, 1, 2) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_a_cell_conducts_more_at_a_higher_voltage():
    machine = machine_of(with_effects("read_nonlinearity"), 20e-6, 40e-6)
    size = np.array([410, 819, 1639])  # 0.1, 0.2 and 0.4 V
    codes = np.full((6, INPUTS), 2048)
    codes[:, 0] = 2048 + np.concatenate([size, -size])
    found = currents(machine, codes)[:, :3]
    siemens = machine.siemens[CORNER[0], CORNER[1] : CORNER[1] + 3]
    b = 2.717 / (1 + siemens / QUANTUM_SIEMENS)
    volts = 0.5 * (codes[:, :1] - 2048) / 2048
    wanted = siemens * np.sinh(b * volts) * 0.2 / np.sinh(b * 0.2)
    np.testing.assert_allclose(found, wanted, atol=0.6 * LSB)


def test_lines_are_in_series_with_their_cells():
    machine = machine_of(with_effects("line_resistance", line_resistance_ohm=20.0))
    codes = vectors(20, 120)
    rows, columns = np.mgrid[ROWS, PLACES]
    siemens = machine.siemens[ROWS, PLACES]
    reached = siemens / (1 + siemens * 20.0 * (rows + columns + 2))
    wanted = 0.5 * (codes - 2048) / 2048 @ reached
    assert np.abs(currents(machine, codes) - wanted).max() <= 0.51 * LSB


def test_an_open_bit_line_is_an_input_that_is_not_there():
    settings = SimSettings.ideal(chip_faults={"open_bit_line": CORNER[0] + 2})
    machine = machine_of(settings)
    codes = vectors(5, 120)
    without = codes.copy()
    without[:, 2] = 2048
    assert np.abs(currents(machine, codes) - expected(machine, without)).max() <= 0.51 * LSB


def test_a_pulse_is_seen_by_the_next_product():
    machine = machine_of(SimSettings.ideal())
    codes = np.full((1, INPUTS), 2048 + 100)
    before = currents(machine, codes)
    index = machine.array.flat(np.array([CORNER[0]]), np.array([CORNER[1] + 4]))
    machine.chip.cells.set_conductance(index, 150e-6, machine.chip.now_s)
    changed = currents(machine, codes) - before
    step = 150e-6 - machine.siemens[CORNER[0], CORNER[1] + 4]
    assert changed[0, 4] == pytest.approx(step * 100 / 2048 * 0.5, abs=LSB)
    assert not np.delete(changed[0], 4).any()


def test_what_relaxes_goes_on_relaxing_and_asking_changes_nothing():
    settings = with_effects("relaxation", "drift")
    codes = np.full((1, INPUTS), 2048 + 150)
    asked, silent = machine_of(settings), machine_of(settings)
    first = currents(asked, codes)
    for _ in range(5):
        asked.chip.advance(1800.0)
        currents(asked, codes)
    silent.chip.advance_ns(asked.chip.now_ns - silent.chip.now_ns)
    late = currents(asked, codes)
    np.testing.assert_array_equal(late, currents(silent, codes))
    assert np.abs(late - first).max() > LSB


def test_traps_are_seen_as_they_are():
    settings = with_effects("two_state", telegraph_fraction=1.0, telegraph_step=0.5)
    machine = machine_of(settings)
    codes = np.full((1, INPUTS), 2048 + 200)
    seen = np.array([currents(machine, codes, 1)[0] for _ in range(60)])
    assert (np.std(seen, axis=0) > 3 * LSB).all()


def test_a_moment_is_never_ahead_and_never_far_behind():
    for now_s in (1e-7, 1e-3, 0.5, 3.0, 1e4, 1e6):
        at_s = moment(10.0, 10.0 + now_s)
        assert 10.0 + now_s / MOMENT <= at_s * (1 + 1e-9)
        assert at_s <= (10.0 + now_s) * (1 + 1e-12)
    assert moment(5.0, 5.0) == 5.0


def test_nothing_of_it_is_a_read_of_a_cell():
    settings = SimSettings()
    machine = Machine(BOARD, settings, Chip.open(None, settings, BOARD))
    currents(machine, vectors(4))
    assert not machine.chip.cells.state["read_count"].any()
