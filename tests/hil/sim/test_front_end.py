"""Pulses and reads: conversion, errors, virtual time, and batches against one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from hil.sim.config import SimSettings
from hil.sim.converters import Converters, Dac
from protocols import messages as m
from tests.hil.sim.board_host import READ_CODE, REFERENCE, Host, RefusedByBoardError, open_host

SET, RESET, FORM = int(m.Operation.SET), int(m.Operation.RESET), int(m.Operation.FORM)
MICRO = 1e-6


def uniform(siemens: float) -> np.ndarray:
    return np.full((128, 128), siemens)


def ideal_host(siemens: float = 150 * MICRO, **changes: object) -> Host:
    host = open_host(SimSettings.ideal(**changes))
    host.board.set_conductances(uniform(siemens))
    return host


def test_an_ideal_read_is_the_nominal_conversion() -> None:
    rng = np.random.default_rng(1)
    siemens = rng.uniform(10 * MICRO, 250 * MICRO, (128, 128))
    host = ideal_host()
    host.board.set_conductances(siemens)
    cells = [(3, 7), (127, 127), (0, 0), (64, 1)]
    volts = READ_CODE / 4095 * 5.0
    expected = [round(siemens[cell] * volts / 60e-6 * 4095) for cell in cells]
    assert host.read(*cells) == expected
    assert host.read(*cells, samples=64) == [64 * code for code in expected]


def test_the_read_converter_saturates_and_counts() -> None:
    host = ideal_host(250 * MICRO)
    entries = (m.ReadRequestEntry(0, 0),)
    assert host(m.ReadRequest(350, 3, entries)).entries[0].sum == 3 * 4095
    assert host.board.machine.front_end.saturated == 3


def test_set_and_reset_go_the_right_way_and_forming_forms() -> None:
    host = open_host()
    host(m.ArmRequest(600_000))
    before = host.read((0, 0))[0]
    form = host.pulse_read((0, 0, FORM, 1638, 3600, 5000))[0]
    assert form > before + 300
    reset = host.pulse_read((0, 0, RESET, 3000, 2300, 10))[0]
    assert reset < form / 2
    back = host.pulse_read((0, 0, SET, 2000, 1700, 50))[0]
    assert back > 2 * reset
    state = host.board.chip.cells.state[0]
    assert (state["reset_count"], state["pulse_count"]) == (1, 3)


@pytest.mark.parametrize("half_select", [0.0, 0.3])
def test_a_batch_equals_the_same_pulses_one_by_one(half_select: float) -> None:
    rng = np.random.default_rng(5)
    cells = rng.integers(0, 3, (60, 2))  # many repeats
    pulses = [
        (int(r), int(c), int(k), int(g), int(v), int(w))
        for (r, c), k, g, v, w in zip(
            cells,
            rng.integers(0, 2, 60),
            rng.integers(1500, 2800, 60),
            rng.integers(1000, 2500, 60),
            rng.integers(5, 50, 60),
            strict=True,
        )
    ]
    frames = {}
    for size in (1, 7, 19):
        host = open_host(half_select_fraction=half_select)
        host.board.set_conductances(uniform(150 * MICRO))
        host(m.ArmRequest(600_000))
        machine = host.board.machine
        start = machine.chip.now_ns
        codes = []
        for at in range(0, 60, size):
            part = np.array(pulses[at : at + size])
            index = machine.array.flat(part[:, 0], part[:, 1])
            codes += machine.front_end.pulse_read(index, *part[:, 2:].T, READ_CODE).tolist()
        frames[size] = (codes, machine.chip.now_ns - start, machine.chip.cells.state.copy())
    for size in (7, 19):
        assert frames[size][0] == frames[1][0]
        assert frames[size][1] == frames[1][1]
        np.testing.assert_array_equal(frames[size][2], frames[1][2])


def test_repeated_cells_of_a_read_are_successive_reads() -> None:
    together, apart = open_host(), open_host()
    for host in (together, apart):
        host.board.set_conductances(uniform(60 * MICRO))
    index = np.array([5, 5, 9, 5])
    a = together.board.machine.front_end.read(index, READ_CODE, 2)
    b = [apart.board.machine.front_end.read(index[k : k + 1], READ_CODE, 2)[0] for k in range(4)]
    assert a.tolist() == b
    assert together.board.chip.cells.state["read_count"][5] == 6


def test_virtual_time_is_the_sum_of_the_primitives() -> None:
    host = ideal_host()
    machine = host.board.machine
    start = machine.chip.now_ns
    part = np.array([0, 1]), np.array([SET, SET]), np.array([1, 1]), np.array([1, 1])
    machine.front_end.pulse_read(*part, np.array([10, 1000]), READ_CODE)
    assert machine.chip.now_ns - start == 2 * (20_000 + 50_000) + 200 + 20_000
    start = machine.chip.now_ns
    host.read((0, 0), (0, 1), samples=4)
    request, response = 3 + 2 * 4 + 13, 1 + 8 + 2 * 4 + 13
    line_s = 2 * 50e-6 + 10 * (request + response) / 921_600
    assert machine.chip.now_ns - start == pytest.approx(8 * 50_000 + line_s * 1e9, abs=2)


def test_a_read_that_would_not_fit_its_answer_is_refused() -> None:
    host = ideal_host()
    assert len(host.read(*[(0, 0)] * 52)) == 52
    with pytest.raises(RefusedByBoardError, match="bad_length") as caught:
        host.read(*[(0, 0)] * 53)
    assert caught.value.arguments == {"length": 3 + 4 * 53, "expected": 3 + 4 * 52}


def test_line_resistance_is_in_series_with_the_cell() -> None:
    effects = {"line_resistance": True}
    host = open_host(
        SimSettings.ideal(line_resistance_ohm=5.0, effects=SimSettings.ideal().effects | effects)
    )
    host.board.set_conductances(uniform(200 * MICRO))
    near, far = host.read((0, 0), (127, 127))
    volts = READ_CODE / 4095 * 5.0
    for code, ohm in ((near, 10.0), (far, 1280.0)):
        assert code == round(volts / (1 / (200 * MICRO) + ohm) / 60e-6 * 4095)


def test_half_select_disturbs_the_column_of_the_pulse_and_nothing_else() -> None:
    effects = SimSettings.ideal().effects | {"half_select": True}
    host = open_host(SimSettings.ideal(half_select_fraction=0.5, effects=effects))
    host.board.set_conductances(uniform(200 * MICRO))
    host(m.ArmRequest(1000))
    host.pulse_read((4, 9, RESET, 3500, 2900, 100))
    change = host.board.true_conductances() / (200 * MICRO) - 1
    assert change[4, 9] < -0.5
    others = np.delete(np.arange(128), 4)
    assert (change[others, 9] < -0.01).all()
    assert np.abs(np.delete(change, 9, axis=1)).max() < 1e-9


def test_errors_of_the_converters_belong_to_the_board() -> None:
    a, b = (Converters.of(REFERENCE, SimSettings(board_seed=seed)) for seed in (1, 2))
    again = Converters.of(REFERENCE, SimSettings(board_seed=1, seed=99))
    np.testing.assert_array_equal(a.dac_gain, again.dac_gain)
    assert (a.dac_gain != b.dac_gain).all()
    many = np.concatenate(
        [Converters.of(REFERENCE, SimSettings(board_seed=s)).dac_gain for s in range(60)]
    )
    assert many.std() == pytest.approx(0.002, rel=0.1)
    assert np.abs(many).max() <= 0.006
    ideal = Converters.of(REFERENCE, SimSettings.ideal())
    codes = np.arange(4096)
    np.testing.assert_allclose(ideal.unipolar(Dac.BIT_LINE, codes), codes / 4095)
    np.testing.assert_allclose(ideal.bipolar(Dac.DRIFT, codes), (codes - 2048) / 2048)


def test_conversion_noise_is_that_of_the_settings() -> None:
    effects = SimSettings.ideal().effects | {"front_end_noise": True}
    host = open_host(SimSettings(effects=effects, adc_noise_sd_codes=20.0))
    host.board.set_conductances(uniform(150 * MICRO))
    codes = host.board.machine.front_end.read(np.arange(4000), READ_CODE, 1)
    assert codes.std() == pytest.approx(20, rel=0.05)
    assert codes.mean() == pytest.approx(
        150 * MICRO * READ_CODE / 4095 * 5.0 / 60e-6 * 4095, abs=4 * 20 / 4000**0.5
    )


def test_a_short_pulse_does_not_reach_its_voltage() -> None:
    front_end = open_host().board.machine.front_end
    one = np.array([SET])
    _, short = front_end._volts(one, one, np.array([2000]), np.array([1]))
    _, long = front_end._volts(one, one, np.array([2000]), np.array([1000]))
    assert short[0] / long[0] == pytest.approx(1 - np.exp(-20 / 5), rel=1e-9)
