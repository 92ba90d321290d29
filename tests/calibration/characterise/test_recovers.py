"""Each routine finds what was planted in the simulated chip (`test_coverage` has the rest)."""

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
from calibration.characterise.reset_response import ResetResponseParams
from calibration.characterise.set_response import SetResponseParams
from calibration.characterise.telegraph import TelegraphParams

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
    made = make(cells=128, **settings)
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
    made = make(cells=160, half_select_fraction=fraction)
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
