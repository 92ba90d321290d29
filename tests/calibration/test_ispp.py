"""Incremental-step programming on simple cells: the routine's own logic."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from calibration.programming import CellStatus, ProgramParams, default_tolerance
from calibration.programming.ispp import Ispp, IsppParams, Ramp
from calibration.verify import VerifyParams, verify
from drivers.rram.geometry import Cells
from protocols.errors import InputError, LimitError, NotFormedError, TargetError
from protocols.messages import Operation

CELLS = Cells.block(0, 0, 16, 16)
TARGETS = np.random.default_rng(5).uniform(100e-6, 200e-6, 256)


@pytest.fixture
def formed(toy):
    toy.siemens[:] = 120e-6
    return toy


def test_all_cells_reach_their_targets(formed) -> None:
    result = Ispp().run(formed, CELLS, TARGETS)
    assert result.in_tolerance.all()
    assert result.failures == []
    truth = formed.siemens[CELLS.rows, CELLS.columns]
    np.testing.assert_array_equal(result.reached_siemens, truth)
    assert np.all(np.abs(truth - TARGETS) <= default_tolerance(TARGETS))
    assert result.pulses.max() < 60
    json.dumps(result.to_dict())


def test_round_trips_count_rounds_not_pulses(formed) -> None:
    result = Ispp().run(formed, CELLS, TARGETS)
    assert formed.calls == result.round_trips
    assert result.round_trips == result.rounds + len(result.passes)
    assert result.pulses.sum() > 10 * result.round_trips
    assert sum(len(batch) for batch, _ in formed.batches) == result.pulses.sum()
    sets = sum(int((batch.operation == Operation.SET).sum()) for batch, _ in formed.batches)
    assert result.sets.sum() == sets


def test_a_cell_gets_one_pulse_a_round_and_none_when_it_is_there(formed) -> None:
    formed.siemens[0, 0] = TARGETS[0]
    result = Ispp().run(formed, CELLS, TARGETS)
    assert result.pulses[0] == 0
    for batch, _ in formed.batches:
        assert len(set(batch.cells)) == len(batch)


def test_the_ramps_rise_and_turn(formed) -> None:
    one, target = CELLS[[7]], np.array([190e-6])
    Ispp().run(formed, one, target)
    batches = [batch for batch, _ in formed.batches]
    gates = [float(b.gate_volts[0]) for b in batches if b.operation[0] == Operation.SET]
    assert gates[0] == pytest.approx(1.6)
    kinds = [int(b.operation[0]) for b in batches]
    for before, after, kind, last in zip(gates, gates[1:], kinds[1:], kinds, strict=False):
        if kind == last == Operation.SET:
            assert after == pytest.approx(before + 0.03)


def test_a_ramp_that_starts_too_high_finds_its_way_down(formed) -> None:
    result = Ispp().run(formed, CELLS, np.full(256, 60e-6))
    assert result.in_tolerance.all()
    lowest = min(float(batch.gate_volts.min()) for batch, _ in formed.batches)
    assert 1.0 <= lowest < 1.6


def test_stuck_cells_are_reported_with_their_side(formed) -> None:
    formed.stuck[0, 0] = formed.stuck[0, 1] = True
    formed.siemens[0, 0], formed.siemens[0, 1] = 60e-6, 240e-6
    result = Ispp().run(formed, CELLS, TARGETS)
    assert result.status[0] == CellStatus.STUCK_LOW
    assert result.status[1] == CellStatus.STUCK_HIGH
    assert int(result.in_tolerance.sum()) == 254
    where = {(row, column): text for row, column, text in result.failures}
    assert set(where) == {(0, 0), (0, 1)}
    assert "reads 60.0 uS" in where[0, 0]
    assert "strongest SET" in where[0, 0]
    assert result.pulses[:2].max() <= 15


def test_an_unformed_cell_gets_no_pulse(formed) -> None:
    formed.siemens[2, 2] = 0.1e-6
    result = Ispp().run(formed, CELLS, TARGETS)
    assert result.status[34] == CellStatus.UNFORMED
    assert result.pulses[34] == 0
    assert "never formed" in result.failures[0][2]


def test_the_budget_holds(formed) -> None:
    params = IsppParams(pulse_budget=5, tolerance_siemens=1.5e-6)
    result = Ispp(params).run(formed, CELLS, TARGETS)
    assert result.pulses.max() == 5
    failed = ~result.in_tolerance
    assert failed.any()
    assert set(result.status[failed].tolist()) == {CellStatus.BUDGET}


def test_a_cell_that_moves_before_the_confirm_is_programmed_again(formed) -> None:
    formed.drop_once[4, 4] = 20e-6
    result = Ispp().run(formed, CELLS, TARGETS)
    assert result.in_tolerance.all()
    assert result.passes[1] >= 1
    assert result.passes[-1] == 0


def test_a_cell_that_moves_every_time_is_not_hidden(formed) -> None:
    read = formed.read

    def leaky(cells, samples=1):
        if samples > 1:
            formed.siemens[9, 9] -= 15e-6
        return read(cells, samples)

    formed.read = leaky
    result = Ispp(IsppParams(settle_s=(0.0,) * 3)).run(formed, CELLS, TARGETS)
    assert result.status[9 * 16 + 9] == CellStatus.MOVED
    assert len(result.failures) == 1


def test_per_cell_tolerance_and_what_it_refuses(formed) -> None:
    loose = np.full(256, 30e-6)
    tight = IsppParams(tolerance_siemens=1.5e-6)
    few = Ispp(IsppParams(tolerance_siemens=loose)).run(formed, CELLS, TARGETS)
    formed.siemens[:] = 120e-6
    many = Ispp(tight).run(formed, CELLS, TARGETS)
    assert few.pulses.mean() < many.pulses.mean()
    for bad in (0.0, -1e-6, float("nan"), np.ones(3)):
        with pytest.raises(InputError, match="tolerance_siemens"):
            Ispp(IsppParams(tolerance_siemens=bad)).run(formed, CELLS, TARGETS)


def test_targets_outside_are_refused_before_a_pulse(formed) -> None:
    for bad in (500e-6, 0.0, np.nan, -1e-4):
        targets = TARGETS.copy()
        targets[17] = bad
        with pytest.raises(TargetError, match=r"cell \(1, 1\)"):
            Ispp().run(formed, CELLS, targets)
    with pytest.raises(TargetError, match="256 cells"):
        Ispp().run(formed, CELLS, TARGETS[:-1])
    assert formed.batches == []


def test_ramps_over_the_limits_are_refused_before_a_pulse(formed) -> None:
    high = IsppParams(set_gate=Ramp(1.6, 0.05, 3.9, 0.05, 1.0))
    with pytest.raises(LimitError, match=r"gate_volts is 3\.9"):
        Ispp(high).run(formed, CELLS, TARGETS)
    deep = IsppParams(reset_line=Ramp(0.4, 0.05, 3.7, 0.05, 0.2))
    with pytest.raises(LimitError, match=r"line_volts is 3\.7"):
        Ispp(deep).run(formed, CELLS, TARGETS)
    assert formed.batches == []


def test_a_dry_run_says_so(formed) -> None:
    formed.dry_run = True
    result = Ispp().run(formed, CELLS, TARGETS)
    assert set(result.status[~result.in_tolerance].tolist()) == {CellStatus.NOT_DRIVEN}
    assert np.all(formed.siemens == 120e-6)


def test_an_interrupt_from_the_progress_leaves_the_macro_disarmed(formed) -> None:
    def progress(done, total, message, conductance=None) -> None:
        if message == "round 3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Ispp().run(formed, CELLS, TARGETS, progress)
    assert not formed._armed
    assert len(formed.batches) == 3


@pytest.mark.parametrize(
    "bad",
    [
        {"aim_fraction": 0.0},
        {"pulse_budget": 0},
        {"settle_s": ()},
        {"settle_s": (-1.0,)},
        {"lowest_siemens": 1e-3},
    ],
)
def test_parameters_out_of_range(bad) -> None:
    with pytest.raises(InputError):
        ProgramParams(**bad)
    with pytest.raises(InputError):
        Ramp(2.0, 0.1, 1.0, 0.1, 0.5)


def test_verify_tells_what_is_out(formed) -> None:
    formed.siemens[CELLS.rows, CELLS.columns] = TARGETS
    formed.siemens[1, 2] += 10e-6
    result = verify(formed, CELLS, TARGETS, VerifyParams(samples=4))
    assert list(result.out) == [(1, 2)]
    assert result.statistics().worst == pytest.approx(10e-6)
    assert result.statistics().robust_sd == pytest.approx(0.0, abs=1e-12)
    assert result.map(16, 16)[1, 2] == pytest.approx(TARGETS[18] + 10e-6)
    json.dumps(result.to_dict())
    with pytest.raises(InputError):
        verify(formed, CELLS, TARGETS[:3])
    with pytest.raises(InputError):
        VerifyParams(samples=0)


def test_counted_by_reading_there_is_one_read_per_pulse_and_no_confirm(formed) -> None:
    params = IsppParams(count_in="reading", tolerance_siemens=4e-6)
    result = Ispp(params).run(formed, CELLS, TARGETS)
    assert result.in_tolerance.all()
    np.testing.assert_array_equal(result.reads, 1 + result.pulses)
    assert result.round_trips == formed.calls == 1 + result.rounds
    assert np.all(np.abs(result.error_siemens) <= 4e-6)


def test_confirming_reads_are_counted(formed) -> None:
    result = Ispp().run(formed, CELLS, TARGETS)
    np.testing.assert_array_equal(result.reads, result.pulses + 8 * len(result.passes))


def test_from_erased_every_ramp_starts_at_its_beginning(formed) -> None:
    params = IsppParams(
        set_gate=Ramp(1.5, 0.025, 3.0, 0.1, 1.5),
        reset_line=Ramp(1.5, 0.1, 2.5, 0.1, 1.5),
        from_erased=True,
        count_in="reading",
        tolerance_siemens=4e-6,
    )
    result = Ispp(params).run(formed, CELLS[[3]], np.array([160e-6]))
    first = formed.batches[0][0]
    assert first.operation[0] == Operation.RESET
    batches = [batch for batch, _ in formed.batches]
    for before, after in pairwise(batches):
        if before.operation[0] == Operation.RESET and after.operation[0] == Operation.SET:
            assert after.gate_volts[0] == pytest.approx(1.5)
    assert result.in_tolerance.all()


def test_a_tolerance_below_the_read_noise_is_refused_with_what_would_do(formed) -> None:
    params = IsppParams(tolerance_siemens=0.5e-6)
    with pytest.raises(TargetError, match=r"smallest .* 8 reads .* confirm_samples=\d+"):
        Ispp(params).run(formed, CELLS, np.full(256, 120e-6))
    assert formed.batches == []
    with pytest.raises(InputError, match="count_in"):
        IsppParams(count_in="luck")  # type: ignore[arg-type]


def test_no_cells_and_a_pristine_chip_are_refused(toy) -> None:
    none = CELLS[np.zeros(256, bool)]
    with pytest.raises(InputError, match="empty"):
        Ispp().run(toy, none, np.empty(0))
    with pytest.raises(NotFormedError, match="256 cells"):
        Ispp().run(toy, CELLS, TARGETS)
    assert toy.batches == []
