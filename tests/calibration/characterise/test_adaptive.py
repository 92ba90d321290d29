"""Routines stop when they know enough, or when something is used up, and say which."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calibration.characterise import ROUTINES, Stop, formed
from calibration.characterise.disturb import DisturbParams
from calibration.characterise.endurance import EnduranceParams
from calibration.characterise.forming_yield import FormingYieldParams
from calibration.characterise.intervals import (
    Interval,
    bootstrap,
    mean_interval,
    quantile_interval,
    wilson,
)
from calibration.characterise.read_noise import ReadNoiseParams
from calibration.characterise.relaxation import RelaxationParams
from calibration.characterise.set_response import SetResponseParams
from calibration.characterise.sweeps import Pulse
from protocols.errors import InputError, LimitError, NotFormedError


def test_a_noisier_chip_takes_more_readings(make, planted) -> None:
    params = RelaxationParams(
        levels_siemens=(160e-6,), last_s=100.0, group=32, most_cells=256, least_spread=0.004
    )
    used = []
    for sigma in (0.002, 0.04):
        profile = planted(relaxation__sigma=sigma, relaxation__tail=0.0, relaxation__drift=0.0)
        chosen = dataclasses.replace(params, relative_half_width=0.1)
        found = ROUTINES["relaxation"].run(make(cells=256, profile=profile).rig, chosen)
        used.append(found.account)
    assert used[1].reads > 2 * used[0].reads
    assert used[0].stop is Stop.TIGHT


def test_a_wider_spread_takes_more_cells(make) -> None:
    params = SetResponseParams(group=8, least_cells=16, most_cells=80, threshold_half_width=0.008)
    same = {"device_to_device": False}
    few = ROUTINES["set_response"].run(make(cells=80, effects=same).rig, params)
    scale = {"set.device_log_width": 4.0, "set.cycle_log_width": 3.0}
    many = ROUTINES["set_response"].run(make(cells=80, profile_scale=scale).rig, params)
    assert few.account.stop is Stop.TIGHT
    assert many.account.cells > few.account.cells
    assert few.figures["gate_threshold_volts"].half_width <= 0.008


def test_cells_run_out_and_that_is_said(make) -> None:
    params = ReadNoiseParams(levels_siemens=(120e-6,), readings=64, relative_half_width=1e-3)
    found = ROUTINES["read_noise"].run(make(cells=60).rig, params)
    assert found.account.stop is Stop.CELLS
    assert found.account.cells == 60
    assert found.to_dict()["account"]["reason"] == "all cells that it may use are used"  # type: ignore[index]


def test_pulses_run_out_and_none_is_given_beyond(make) -> None:
    made = make(cells=8)
    params = EnduranceParams(cells=8, pulses_per_cell=90, slope_half_width=1e-6)
    found = ROUTINES["endurance"].run(made.rig, params)
    assert found.account.stop is Stop.PULSES
    assert found.account.most_pulses_of_a_cell == 90
    given = made.board.chip.cells.state["set_count"] + made.board.chip.cells.state["reset_count"]
    assert int(given.max()) == 90


def test_a_closed_window_ends_endurance(make) -> None:
    weak = Pulse(2.2, 2.8, 200e-9)  # a RESET that does next to nothing
    params = EnduranceParams(cells=8, reset=weak, cycles_per_round=20)
    found = ROUTINES["endurance"].run(make(cells=8).rig, params)
    assert found.account.stop is Stop.CLOSED
    assert found.account.most_pulses_of_a_cell == 40


def test_time_runs_out(make) -> None:
    params = RelaxationParams(
        levels_siemens=(160e-6,),
        last_s=100.0,
        group=16,
        most_s=150.0,
        relative_half_width=1e-3,
        least_spread=1e-6,
    )
    found = ROUTINES["relaxation"].run(make(cells=64).rig, params)
    assert found.account.stop is Stop.TIME
    assert found.account.rounds == 2


def test_over_a_limit_is_refused_before_a_pulse(make) -> None:
    made = make(cells=16)
    before = made.board.chip.cells.state["pulse_count"].copy()
    with pytest.raises(LimitError, match=r"3\.7 V"):
        ROUTINES["set_response"].run(made.rig, SetResponseParams(gate_volts=(2.0, 2.5, 3.7)))
    np.testing.assert_array_equal(made.board.chip.cells.state["pulse_count"], before)


def test_costs_are_upper_bounds(make) -> None:
    cases = {
        "forming_yield": FormingYieldParams(most_cells=64, group=64),
        "set_response": SetResponseParams(most_cells=32),
        "read_noise": ReadNoiseParams(most_cells=48, readings=64),
        "disturb": DisturbParams(looks=(1, 10), columns=4),
        "endurance": EnduranceParams(cells=8, pulses_per_cell=100),
    }
    for kind, params in cases.items():
        made = make(cells=96, formed=None if kind == "forming_yield" else 150e-6)
        found, cost = ROUTINES[kind].run(made.rig, params).account, params.cost(96)
        assert found.pulses <= cost.pulses, kind
        assert found.most_pulses_of_a_cell <= cost.pulses_per_cell, kind
        assert found.reads <= cost.reads + found.pulses, kind
        assert found.cells <= cost.cells, kind


def test_same_seed_same_figures(make) -> None:
    params = SetResponseParams(most_cells=32)
    one, two = (ROUTINES["set_response"].run(make(cells=32).rig, params) for _ in range(2))
    assert one.to_dict() == two.to_dict()


def test_unformed_cells_are_refused_with_what_to_do(make) -> None:
    rig = make(cells=32, formed=None).rig
    with pytest.raises(NotFormedError, match="hil form"):
        formed(rig.macro, rig.cells)
    with pytest.raises(InputError, match="at least 8 formed cells"):
        ROUTINES["set_response"].run(make(cells=4).rig, SetResponseParams())


@pytest.mark.parametrize("bad", [{"confidence": 0.3}, {"group": 0}, {"looks": (3, 1)}])
def test_parameters_out_of_range(bad) -> None:
    kind = DisturbParams if "looks" in bad else ReadNoiseParams
    with pytest.raises(InputError):
        kind(**bad)


# --- intervals -----------------------------------------------------------------------------------


def test_intervals_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    held = {"wilson": 0, "median": 0, "mean": 0, "bootstrap": 0}
    for _ in range(200):
        values = rng.lognormal(0.0, 0.5, 60)
        held["wilson"] += wilson(int((rng.random(60) < 0.2).sum()), 60).holds(0.2)
        held["median"] += quantile_interval(values).holds(1.0)
        held["mean"] += mean_interval(values).holds(float(np.exp(0.125)))
        spread = bootstrap(np.log(values), lambda v: float(v.std()), resamples=200)
        held["bootstrap"] += spread.holds(0.5)
    for name, count in held.items():
        least = 174 if name == "bootstrap" else 181  # see `bootstrap` for spreads of few cells
        assert count >= least, (name, count)


def test_intervals_of_too_little_say_nothing() -> None:
    nothing = np.array([1.0, 2.0])
    for one in (quantile_interval(nothing), mean_interval(nothing), wilson(0, 0)):
        assert not np.isfinite(one.half_width)
        assert one.to_dict()["value"] is None
    assert Interval(1.0, 0.5, 2.0, "V").half_width == 0.75
    assert quantile_interval(np.arange(101.0), 0.5).low == 40.0
