"""The JART cells: qualitative facts of valence-change cells behind a transistor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.sim import jart
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.sim.jart import CellModel
from hil.sim.physics import PhysicsCells
from hil.sim.profile import load_profile
from protocols.errors import ConfigError
from tests.hil.sim.board_host import REFERENCE

PROFILE = load_profile()
NOMINAL = CellModel()
N = 600
ALL = np.arange(N)
QUIET = Effects.all().without("read_noise", "relaxation")


def cells(n: int = N, seed: int = 1, effects: Effects | None = None, **more: Any) -> PhysicsCells:
    return PhysicsCells(PROFILE, seed, PhysicsCells.virgin_state(n), effects, **more)


def after(direction: int, gate: float, line: float, width_s: float, siemens: float) -> float:
    """Conductance of the nominal cell after one pulse."""
    n = jart.vacancies(siemens, NOMINAL.radius_m)
    done = jart.pulse(direction, gate, line, width_s, n, NOMINAL)
    return float(jart.conductance(done, NOMINAL.radius_m))


# --- the model -------------------------------------------------------------------------------


def test_conductance_and_vacancies_are_inverse_and_current_rises() -> None:
    for siemens in (6e-6, 20e-6, 100e-6, 240e-6, 400e-6):
        n = jart.vacancies(siemens, NOMINAL.radius_m)
        assert jart.conductance(n, NOMINAL.radius_m) == pytest.approx(siemens, rel=1e-9)
    for sign in (-1.0, 1.0):
        amperes = [abs(jart.current(sign * v, 0.05, 45e-9)) for v in np.linspace(0.0, 2.5, 40)]
        assert np.all(np.diff(amperes) > 0)


def test_kirchhoff_holds_at_the_solved_voltage() -> None:
    for direction, gate, line in ((1, 2.3, 2.0), (-1, 3.5, 1.2), (-1, 2.5, 2.8)):
        volts, amperes = jart.cell_volts(direction, gate, line, 0.05, line, NOMINAL)
        follows = gate if direction > 0 else gate - volts
        through = jart.transistor(follows, line - volts, NOMINAL.gain, NOMINAL.threshold)
        assert through == pytest.approx(amperes, rel=2e-3)
        assert 0.0 < volts < line


@pytest.mark.parametrize(
    "pulse",
    [(1, 2.3, 2.0, 1e-7, 6e-6), (-1, 3.5, 1.3, 2e-7, 160e-6), (1, 2.0, 2.0, 1e-5, 30e-6)],
)
def test_the_steps_are_small_enough(pulse: tuple[int, float, float, float, float]) -> None:
    coarse = after(*pulse)
    direction, gate, line, width_s, siemens = pulse
    fine = NOMINAL._replace(step_ln=0.005)
    n = jart.pulse(direction, gate, line, width_s, jart.vacancies(siemens, NOMINAL.radius_m), fine)
    assert coarse == pytest.approx(jart.conductance(n, NOMINAL.radius_m), rel=0.05)


def test_set_is_abrupt_in_voltage_and_limited_by_the_gate() -> None:
    lines = [after(1, 2.3, v, 1e-7, 6e-6) for v in (0.8, 1.0, 1.2, 1.8, 2.0, 2.5)]
    assert max(lines[:2]) < 6.1e-6 < 100e-6 < min(lines[3:])
    assert max(lines[3:]) / min(lines[3:]) < 1.3  # the gate limits, not the bit line
    gates = [after(1, v, 2.0, 1e-7, 6e-6) for v in np.arange(1.6, 2.7, 0.1)]
    assert np.all(np.diff(gates) > 0)
    assert gates[0] < 30e-6
    assert gates[-1] > 240e-6
    assert after(1, 0.9, 2.0, 1e-7, 6e-6) == pytest.approx(6e-6)  # the transistor is off


def test_set_forgets_where_it_started_and_never_lowers() -> None:
    ends = [after(1, 2.3, 2.0, 1e-7, start) for start in (6e-6, 20e-6, 60e-6)]
    assert max(ends) / min(ends) < 1.02
    assert after(1, 2.0, 2.0, 1e-7, 180e-6) == pytest.approx(180e-6, rel=1e-3)


def test_reset_is_gradual_and_limits_itself() -> None:
    volts = np.arange(0.7, 2.01, 0.05)
    ends = np.array([after(-1, 3.5, v, 2e-7, 160e-6) for v in volts])
    assert np.all(np.diff(ends) < 1e-9)
    assert ends[0] == pytest.approx(160e-6, rel=0.01)
    assert ends[-1] < 10e-6
    again, now = [], 160e-6
    for _ in range(6):
        now = after(-1, 3.5, 1.15, 2e-7, now)
        again.append(now)
    steps = -np.diff(np.log([160e-6, *again]))
    assert np.all(np.diff(steps) < 0)  # each of the same pulses does less


def test_gate_limits_the_voltage_in_reset() -> None:
    ends = [after(-1, gate, 2.8, 2e-7, 160e-6) for gate in (2.0, 2.6, 3.0, 3.5, 4.0)]
    assert ends[0] == pytest.approx(160e-6, rel=1e-3)
    assert ends[-1] < 10e-6
    assert np.all(np.diff(ends) < 1e-9)


def test_longer_pulses_do_more_in_both_directions() -> None:
    widths = (1e-7, 1e-6, 1e-5)
    assert np.all(np.diff([after(1, 2.2, 2.0, w, 6e-6) for w in widths]) > 2e-6)
    assert np.all(np.diff([after(-1, 3.5, 1.1, w, 160e-6) for w in widths]) < -2e-6)


# --- the cells -------------------------------------------------------------------------------


def test_cells_form_by_the_ramp_of_the_profile() -> None:
    made = cells()
    for volts in np.arange(2.0, 4.01, 0.05):
        made.pulse(ALL, 1, 2.0, float(volts), 1e-6, 0.0)
    assert made.state["formed"].all()
    assert (made.read(ALL, 1e-3) > 20e-6).all()
    assert (made.read(ALL, 1e-3) < 200e-6).all()
    never = cells()
    never.pulse(ALL, -1, 3.5, 2.8, 2e-7, 0.0)
    never.pulse(ALL, 1, 0.9, 4.0, 1e-6, 0.0)
    assert not never.state["formed"].any()


def test_spreads_are_those_of_an_array() -> None:
    made, cycles = cells(effects=QUIET), []
    for k in range(12):
        made.set_conductance(ALL, 6e-6, float(k))
        made.pulse(ALL, 1, 2.25, 2.0, 1e-7, float(k))
        cycles.append(made.conductance(ALL, float(k)))
    rows = np.array(cycles)
    device = rows.mean(axis=0).std() / rows.mean()
    cycle = rows.std(axis=0).mean() / rows.mean()
    assert 0.02 < device < 0.08
    assert 0.01 < cycle < 0.05
    made.pulse(ALL, -1, 3.5, 1.4, 2e-7, 99.0)
    assert 0.15 < np.log(made.conductance(ALL, 99.0)).std() < 0.6
    none = cells(effects=QUIET.without("device_to_device", "cycle_to_cycle"))
    none.set_conductance(ALL, 6e-6)
    none.pulse(ALL, 1, 2.25, 2.0, 1e-7, 0.0)
    assert np.unique(none.conductance(ALL, 0.0)).size == 1


def test_low_conductances_read_noisier_and_settle_further() -> None:
    noise, settling = [], []
    for siemens in (10e-6, 60e-6, 200e-6):
        made = cells()
        made.set_conductance(ALL, siemens, 0.0)
        noise.append(np.log(made.read(ALL, 0.0) / siemens).std())
        settling.append(np.log(made.conductance(ALL, 3600.0) / siemens).std())
    assert np.all(np.diff(noise) < 0)
    assert np.all(np.diff(settling) < 0)
    assert 0.02 < noise[0] < 0.1
    assert 0.001 < noise[2] < 0.02
    still = cells(effects=QUIET)
    still.set_conductance(ALL, 60e-6, 0.0)
    np.testing.assert_allclose(still.read(ALL, 1e6), 60e-6)


def test_readings_are_correlated_and_solves_have_the_same_size() -> None:
    made = cells(effects=Effects.all().without("relaxation"))
    made.set_conductance(ALL, 20e-6)
    readings = np.log(np.stack([made.read(ALL, 1.0) for _ in range(40)]) / 20e-6)
    lag = np.mean(readings[1:] * readings[:-1]) / np.mean(readings**2)
    assert lag == pytest.approx(0.7, abs=0.05)
    assert made.solve_noise(ALL, np.arange(40)).std() == pytest.approx(readings.std(), rel=0.1)


def test_a_pulse_that_does_nothing_leaves_no_trace() -> None:
    made = cells(effects=QUIET)
    made.set_conductance(ALL, 150e-6)
    before = made.state.copy()
    made.pulse(ALL, 1, 1.8, 2.0, 1e-7, 5.0)
    made.pulse(ALL, -1, 3.5, 0.3, 2e-7, 6.0)
    np.testing.assert_array_equal(made.state["siemens"], before["siemens"])
    np.testing.assert_array_equal(made.state["program_pulse"], before["program_pulse"])
    assert (made.state["pulse_count"] == before["pulse_count"] + 2).all()


def test_batches_and_order_change_nothing() -> None:
    def history(parts: list[np.ndarray]) -> np.ndarray:
        made = cells(40)
        for part in parts:
            made.set_conductance(part, 30e-6)
        for step in range(4):
            for part in parts:
                made.pulse(part, 1, 2.0 + 0.1 * step, 2.0, 1e-7, step)
                made.read(part, step + 0.1)
                made.pulse(part, -1, 3.5, 1.1, 2e-7, step + 0.2)
        return made.state.copy()

    whole = history([np.arange(40)])
    np.testing.assert_array_equal(whole, history([np.array([k]) for k in range(39, -1, -1)]))


def test_swapped_lines_turn_set_into_reset() -> None:
    made = cells(effects=QUIET, swapped=True)
    made.set_conductance(ALL, 100e-6)
    made.pulse(ALL, 1, 3.5, 1.4, 2e-7, 0.0)
    assert np.median(made.conductance(ALL, 0.0)) < 30e-6


def test_weak_and_stuck_cells_are_the_profiles() -> None:
    settings = SimSettings(
        cells="physics", stuck_high_fraction=0.1, stuck_low_fraction=0.1, weak_fraction=0.2
    )
    small = REFERENCE.model_copy(update={"rows": 30, "columns": 30})
    made = Chip.open(None, settings, small).cells
    index = np.arange(900)
    made.state["formed"], made.state["siemens"] = 1, 6e-6
    made.pulse(index, 1, 2.3, 2.0, 1e-7, 0.0)
    reached = made.conductance(index, 0.0)
    assert np.mean(reached == 200e-6) == pytest.approx(0.1, abs=0.03)
    assert np.mean(reached < 10e-6) == pytest.approx(0.1, abs=0.03)
    alive = reached[(reached > 10e-6) & (reached != 200e-6)]
    assert np.mean(alive < 0.8 * np.median(alive)) == pytest.approx(0.2, abs=0.05)


def test_a_chip_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    small = REFERENCE.model_copy(update={"rows": 8, "columns": 8})
    Chip.open(tmp_path / "a.chip", SimSettings(cells="physics"), small).close()
    with pytest.raises(ConfigError, match="cells 'physics'"):
        Chip.open(tmp_path / "a.chip", SimSettings(), small)
    with pytest.raises(ConfigError, match="swap_polarity"):
        Chip.open(tmp_path / "a.chip", SimSettings(cells="physics", swap_polarity=True), small)
