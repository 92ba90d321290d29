"""Each routine finds what was planted in the simulated chip, within its own interval."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration.characterise import ROUTINES, Stop
from calibration.characterise.current_voltage import CurrentVoltageParams
from calibration.characterise.disturb import DisturbParams
from calibration.characterise.endurance import EnduranceParams
from calibration.characterise.forming_yield import FormingYieldParams
from calibration.characterise.log_time import log_times
from calibration.characterise.read_noise import ReadNoiseParams
from calibration.characterise.relaxation import RelaxationParams
from calibration.characterise.reset_response import ResetResponseParams
from calibration.characterise.retention import RetentionParams
from calibration.characterise.set_response import SetResponseParams
from calibration.characterise.sweeps import GATE, LINE, REPEAT, WIDTH, SweepParams, crossing
from calibration.characterise.telegraph import TelegraphParams
from hil.sim.cells import CellArray
from hil.sim.effects import Effects
from hil.sim.profile import load_profile
from hil.sim.read_law import QUANTUM_SIEMENS

STRAIGHT = dict.fromkeys(("line_resistance", "dac_error", "adc_error", "settling"), False)


def test_forming_yield_and_voltage(make) -> None:
    made = make(cells=320, formed=None, stuck_low_fraction=0.1)
    params = FormingYieldParams(most_cells=320, yield_half_width=0.001)
    found = ROUTINES["forming_yield"].run(made.rig, params)
    assert found.figures["yield"].holds(0.9)
    assert found.figures["yield"].half_width < 0.05
    assert found.figures["forming_volts_median"].holds(3.1259 * 1.0)
    assert found.account.stop is Stop.CELLS
    assert found.account.most_pulses_of_a_cell == 46  # the whole ramp, on the stuck ones
    state = made.board.chip.cells.state["pulse_count"]
    assert int(state.sum()) == found.account.pulses


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("set_response", SetResponseParams(most_cells=96)),
        ("reset_response", ResetResponseParams(most_cells=96)),
    ],
)
def test_response_thresholds_are_those_of_the_typical_cell(make, kind, params) -> None:
    """What thousands of cells of another die do, driven without a board, is the truth."""
    found = ROUTINES[kind].run(make(cells=96, seed=5, effects=STRAIGHT).rig, params)
    truth = population(kind.removesuffix("_response"), params)
    for name, volts in truth.items():
        assert found.figures[name].holds(volts), name
    assert found.figures["gate_threshold_volts"].half_width < 0.03


def population(direction: str, params: SweepParams) -> dict[str, float]:
    """Thresholds of 4,000 cells that are driven and read without converters and lines."""
    array = CellArray(load_profile(), 99, CellArray.virgin_state(4000), Effects.all())
    cells, now = np.arange(4000), 0.0
    array.set_conductance(cells, 150e-6)
    asked = 1 if direction == "set" else -1
    after: dict[int, list[tuple[float, float]]] = {GATE: [], LINE: [], WIDTH: [], REPEAT: []}
    for owner, pulse in params.points():
        for sign, one in ((-asked, params.prepare), (asked, pulse)):
            now += 1e-3
            array.pulse(cells, sign, one.gate_volts, one.line_volts, one.width_s, now)
        volts = pulse.gate_volts if owner == GATE else pulse.line_volts
        after[owner].append((volts, float(np.median(array.read(cells, now + 5e-5)))))
    level, found = params.threshold_siemens, {}
    for owner, name in ((GATE, "gate_threshold_volts"), (LINE, "line_threshold_volts")):
        volts_of, median = np.array(after[owner]).T
        found[name] = crossing(volts_of, median, level)
    return found


def test_a_shifted_technology_shows_its_own_threshold(make) -> None:
    kind, params = ROUTINES["reset_response"], ResetResponseParams(most_cells=96)
    scale = {"reset.gate_volts": 1.06}
    found = kind.run(make(cells=96, profile_scale=scale).rig, params)
    usual = kind.run(make(cells=96).rig, params).figures["gate_threshold_volts"]
    moved = found.figures["gate_threshold_volts"]
    assert moved.low > usual.high
    assert moved.value / usual.value == pytest.approx(1.06, abs=0.02)


def test_read_noise_and_what_averaging_gains(make, planted) -> None:
    profile = planted(read_noise__sigma=0.02, read_noise__tail=0.0, read_noise__correlation=0.7)
    params = ReadNoiseParams(levels_siemens=(100e-6, 160e-6), most_cells=96, readings=160)
    made = make(cells=96, profile=profile, effects={"relaxation": False, "drift": False})
    found = ROUTINES["read_noise"].run(made.rig, params)
    for level in ("100uS", "160uS"):
        assert found.figures[f"robust_{level}"].holds(0.02)
        assert found.figures[f"sd_{level}"].half_width < 0.002
    assert found.figures["lag_one"].holds(0.7)
    lags = np.arange(1, 8)
    expected = np.sqrt((1 + 2 * np.sum((1 - lags / 8) * 0.7**lags)) / 8)
    assert found.figures["mean_of_8"].value == pytest.approx(expected, abs=0.03)
    assert found.figures["mean_of_8"].low > 8**-0.5  # far from what independent readings would do


def test_telegraph_share_and_step(make) -> None:
    settings = {"telegraph_fraction": 0.25, "telegraph_step": 0.06}
    made = make(cells=128, seed=11, **settings)
    params = TelegraphParams(most_cells=128, share_half_width=0.01, readings=384, pause_s=0.3)
    found = ROUTINES["telegraph"].run(made.rig, params)
    truth = made.board.machine.array.law.traps(made.rig.cells.flat(made.rig.macro.geometry))[0]
    assert found.figures["share"].holds(float(truth.mean()))
    assert np.mean(found.arrays["two_levels"] == truth) > 0.95
    assert found.figures["step_median"].value == pytest.approx(0.06, rel=0.1)


def test_no_telegraph_noise_is_no_telegraph_noise(make) -> None:
    found = ROUTINES["telegraph"].run(make(cells=64).rig, TelegraphParams(most_cells=64))
    assert found.figures["share"].value < 0.03
    assert found.figures["share"].low < 0.005


def test_current_voltage_law(make) -> None:
    params = CurrentVoltageParams(most_cells=96, ratio_half_width=0.004)
    found = ROUTINES["current_voltage"].run(make(cells=96, seed=3).rig, params)
    for level in ("45uS", "80uS", "120uS"):
        siemens = found.figures[f"at_{level}"].value
        planted = 2.717 / (1.0 + siemens / QUANTUM_SIEMENS)
        assert found.figures[f"b_{level}"].holds(planted), level


def test_an_ohmic_chip_is_ohmic(make) -> None:
    params = CurrentVoltageParams(levels_siemens=(60e-6, 120e-6), most_cells=48)
    made = make(cells=48, effects={"read_nonlinearity": False})
    found = ROUTINES["current_voltage"].run(made.rig, params)
    for level in ("60uS", "120uS"):
        assert found.figures[f"ratio_{level}"].holds(1.0)
        assert found.figures[f"ratio_{level}"].half_width < 0.02


@pytest.mark.parametrize("fraction", [0.0, 0.4])
def test_disturb(make, fraction) -> None:
    """What the victims truly moved, by the simulator's back door, is what is found."""
    made = make(cells=160, half_select_fraction=fraction, seed=4)
    params = DisturbParams(looks=(5, 20), columns=8, most_columns=8)
    found = ROUTINES["disturb"].run(made.rig, params)
    reset, set_ = found.figures["shift_reset"], found.figures["shift_set"]
    if fraction == 0.0:
        assert reset.half_width < 0.02
        assert reset.holds(0.0)
        assert set_.holds(0.0)
    else:
        assert reset.high < -0.3  # source line at 1.12 V on cells that were not asked for
        assert set_.low > 0.0


def test_relaxation_drift_and_spread(make, planted) -> None:
    profile = planted(
        relaxation__sigma=0.03, relaxation__tail=0.0, relaxation__drift=-0.02, read_noise__tail=0.0
    )
    levels = (100e-6, 160e-6)
    params = RelaxationParams(
        levels_siemens=levels, last_s=1000.0, group=144, most_cells=288, relative_half_width=0.12
    )
    found = ROUTINES["relaxation"].run(make(cells=288, seed=1, profile=profile).rig, params)
    for level in ("100uS", "160uS"):
        assert found.figures[f"drift_{level}"].holds(-0.02)
        assert found.figures[f"sd_{level}"].holds(0.03)
        assert found.figures[f"robust_{level}"].holds(0.03)
    assert found.account.bench_s > 1000.0


def test_retention_share(make, planted) -> None:
    profile = planted(
        relaxation__sigma=0.02, relaxation__tail=0.0, relaxation__drift=0.0, read_noise__sigma=1e-4
    )
    params = RetentionParams(levels_siemens=(160e-6,), group=160, most_cells=160, last_s=10_000.0)
    found = ROUTINES["retention"].run(make(cells=160, seed=1, profile=profile).rig, params)
    siemens = found.figures["at_160uS"].value
    reach = found.arrays["tolerance_siemens"][0] / siemens
    rng = np.random.default_rng(0)
    moved = np.expm1(0.02 * np.sqrt(3.0) * rng.standard_normal(200_000))
    assert found.figures["left_160uS"].holds(float(np.mean(np.abs(moved) < reach)))
    ahead = np.expm1(0.02 * np.sqrt(7.499) * rng.standard_normal(200_000))
    assert found.figures["ten_years_160uS"].holds(float(np.mean(np.abs(ahead) < reach)))


def test_endurance_slope(make, planted) -> None:
    profile = planted(endurance__depth_loss_per_decade=0.15, endurance__onset_cycles=1.0)
    params = EnduranceParams(cells=16, pulses_per_cell=600)
    made = make(cells=16, profile=profile, effects={"device_to_device": False})
    found = ROUTINES["endurance"].run(made.rig, params)
    typical = 2.8944 * 0.15  # depth of the RESET at a word line of 3.5 V, times the loss
    assert found.figures["loss_per_decade_ln"].holds(typical)
    assert found.figures["loss_per_decade_ln"].half_width < 0.15


def test_every_result_has_a_json_form(make) -> None:
    params = SetResponseParams(most_cells=16, group=16)
    found = ROUTINES["set_response"].run(make(cells=16).rig, params)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["kind"] == "set_response"
    assert data["account"]["stop"] in {"cells", "tight"}
    assert data["figures"]["gate_threshold_volts"]["unit"] == "V"
    assert set(ROUTINES) >= {"set_response", "read_noise", "endurance"}
    assert len(log_times(1.0, 1000.0, 2)) == 7
