"""From a wanted last layer to cells and targets: which arm moves, what stays, what is in reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.placement import Placement
from calibration.repair import RepairParams, RepairResult, last_range, plan_cure
from calibration.twin import Twin
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.network import place
from protocols.errors import InputError

MODEL = load_model("ring")
VPU = MODEL.volts_per_unit
PLACEMENT = place(MODEL, BenchConfig())
READING = PLACEMENT.target_siemens
PARAMS = RepairParams()
LAST = len(PLACEMENT.blocks) - 1


def twin_of(siemens: np.ndarray, placement: Placement = PLACEMENT) -> Twin:
    weights, biases = placement.weights_from(siemens)
    return Twin(weights, [bias * VPU for bias in biases], MODEL.output_gain, 0.15)


def moved(twin: Twin, output: int, into: int, by: float) -> Twin:
    weights = twin.weights[-1].copy()
    weights[output, into] += by
    return twin.with_last(weights, twin.bias_volts[-1])


def after(cure, placement: Placement = PLACEMENT, reading: np.ndarray = READING) -> Twin:
    siemens = reading.copy()
    siemens[cure.index] = cure.target_siemens
    return twin_of(siemens, placement)


def arms(output: int, into: int) -> tuple[int, int]:
    """Indices of the positive and the negative arm of a weight of the last layer."""
    mine = (PLACEMENT.layer == LAST) & (PLACEMENT.output == output) & (PLACEMENT.input == into)
    return tuple(int(np.flatnonzero(mine & (PLACEMENT.sign == s))[0]) for s in (1, -1))


def test_nothing_to_change_means_no_cell() -> None:
    twin = twin_of(READING)
    assert len(plan_cure(PLACEMENT, twin, twin, READING, PARAMS, VPU)) == 0


@pytest.mark.parametrize("into", range(1, 4))
@pytest.mark.parametrize("by", [-0.05, 0.05])
def test_a_small_change_moves_one_arm_and_gives_the_weight(into: int, by: float) -> None:
    twin = twin_of(READING)
    wanted = moved(twin, 1, into, by)
    cure = plan_cure(PLACEMENT, twin, wanted, READING, PARAMS, VPU)
    assert len(cure) == 1
    np.testing.assert_allclose(after(cure).weights[-1], wanted.weights[-1], atol=1e-9)


def test_all_weights_at_once_stay_in_the_window() -> None:
    rng, twin = np.random.default_rng(3), twin_of(READING)
    low, high = last_range(PLACEMENT, twin, READING, VPU)
    layer = np.column_stack([twin.weights[-1], twin.bias_volts[-1] / VPU])
    new = np.clip(layer + 0.3 * rng.normal(size=layer.shape), low, high)
    wanted = twin.with_last(new[:, :-1], new[:, -1] * VPU)
    cure = plan_cure(PLACEMENT, twin, wanted, READING, PARAMS, VPU)
    assert np.all(PLACEMENT.layer[cure.index] == LAST)
    bottom, top = PLACEMENT.window_siemens
    assert np.all((cure.target_siemens >= bottom) & (cure.target_siemens <= top))
    worth = PLACEMENT.blocks[LAST].feedback_ohm * PARAMS.least_siemens
    np.testing.assert_allclose(after(cure).weights[-1], wanted.weights[-1], atol=worth)


def test_the_partner_of_a_stuck_cell_does_the_work() -> None:
    plus, minus = arms(0, 2)
    fixed = np.zeros(len(PLACEMENT), dtype=np.bool_)
    fixed[plus] = True
    placement = PLACEMENT.with_targets(READING, fixed=fixed)
    reading = READING.copy()
    reading[plus] = 40e-6  # it should stand higher
    twin, wanted = twin_of(reading), twin_of(READING)
    cure = plan_cure(placement, twin, wanted, reading, PARAMS, VPU)
    assert cure.index.tolist() == [minus]
    missing = READING[plus] - READING[minus]
    assert cure.target_siemens[0] == pytest.approx(max(40e-6 - missing, 2e-6))


def test_a_pair_of_stuck_cells_is_left_alone() -> None:
    fixed = np.zeros(len(PLACEMENT), dtype=np.bool_)
    fixed[list(arms(0, 2))] = True
    placement = PLACEMENT.with_targets(READING, fixed=fixed)
    twin = twin_of(READING)
    cure = plan_cure(placement, twin, moved(twin, 0, 2, 0.3), READING, PARAMS, VPU)
    assert len(cure) == 0
    low, high = last_range(placement, twin, READING, VPU)
    assert low[0, 2] == high[0, 2] == pytest.approx(twin.weights[-1][0, 2])
    assert low[0, 3] < high[0, 3]


def test_a_change_that_cannot_be_told_is_not_worth_a_pulse() -> None:
    twin = twin_of(READING)
    small = 0.9 * PARAMS.least_siemens * PLACEMENT.blocks[LAST].feedback_ohm
    assert len(plan_cure(PLACEMENT, twin, moved(twin, 0, 1, small), READING, PARAMS, VPU)) == 0


def test_readings_of_other_cells_are_refused() -> None:
    twin = twin_of(READING)
    with pytest.raises(InputError, match="readings"):
        plan_cure(PLACEMENT, twin, twin, READING[:5], PARAMS, VPU)


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"samples": 0},
        {"last_sd": 0.0},
        {"least_gain": -1.0},
        {"least_siemens": float("nan")},
        {"good_enough": 0.0},
    ],
)
def test_parameters_are_checked(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        RepairParams(**change)


def test_a_result_adds_up_its_rounds() -> None:
    none = RepairResult(0.05, 0.01, 0.01, (), "good enough", PLACEMENT)
    assert (none.pulses, none.bench_s) == (0, 0)
    assert none.to_dict()["reason"] == "good enough"
    assert replace(none, error_after=0.02).summary()["error_after"] == 0.02
