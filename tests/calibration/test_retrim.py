"""Re-trim, its policy, the law and the drift report, on cells that relax by a known law."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.drift import drift_report
from calibration.programming import CellStatus, ProgramResult
from calibration.relaxation import RelaxationLaw, decades
from calibration.retrim import Retrim, RetrimParams, retrim
from calibration.retrim_policy import fresh_values, pair_error, rms_of_weights
from drivers.rram.geometry import Cells, Geometry
from protocols.errors import CalibrationError, InputError

CELLS = Cells.block(0, 0, 16, 16)
N = len(CELLS)
DRIFT, SPREAD = -0.02, 0.03  # of ln G per decade, per root decade
MOST_LEFT = 0.6  # normal moves, alike at every level: harder than the measured cells' heavy tails


class Relaxing:
    """Cells whose ln G moves by independent increments in log time; reads are exact."""

    def __init__(self, seed: int) -> None:
        self.geometry, self.dry_run, self.recorder = Geometry(16, 16), False, None
        self.rng, self.time_s = np.random.default_rng(seed), 0.0
        self.siemens, self.pulsed_s = np.full(N, 1e-4), np.zeros(N)

    @contextmanager
    def armed(self, duration_s: float = 60.0):
        yield

    def wait(self, duration_s: float) -> None:
        passed = decades(np.maximum(self.time_s - self.pulsed_s, 1.0), duration_s)
        move = DRIFT * passed + SPREAD * np.sqrt(passed) * self.rng.standard_normal(N)
        self.siemens, self.time_s = self.siemens * np.exp(move), self.time_s + duration_s

    def read(self, cells: Cells, samples: int = 1) -> np.ndarray:
        return self.siemens[cells.flat(self.geometry)].copy()


class Exact:
    """Puts every cell on its target with two pulses; some cannot be moved."""

    name = "exact"

    def __init__(self, stuck: frozenset[int] = frozenset()) -> None:
        self.stuck, self.given = stuck, []

    def run(self, macro, cells, targets, progress=None) -> ProgramResult:
        flat = cells.flat(macro.geometry)
        dead = np.isin(flat, list(self.stuck))
        macro.siemens[flat[~dead]] = targets[~dead]
        macro.pulsed_s[flat[~dead]] = macro.time_s
        macro.time_s += 1.0
        self.given.append(flat)
        two = np.full(len(cells), 2)
        status = np.where(dead, int(CellStatus.STUCK_LOW), int(CellStatus.IN_TOLERANCE))
        tolerance, reached = np.full(len(cells), 3e-6), macro.siemens[flat].copy()
        return ProgramResult(
            *("exact", cells, targets, tolerance, reached, two, 0 * two, two, status),
            rounds=1,
            round_trips=1,
            bench_s=1.0,
        )


def programmed(seed: int = 1, stuck: frozenset[int] = frozenset()):
    macro, programmer = Relaxing(seed), Exact(stuck)
    targets = np.random.default_rng(seed).uniform(80e-6, 200e-6, N)
    programmer.run(macro, CELLS, targets)
    return macro, programmer, targets


def later_error(macro: Relaxing, targets: np.ndarray, partner=None) -> float:
    macro.wait(3600.0)
    pairs = np.full(N, -1) if partner is None else partner
    return rms_of_weights(macro.siemens - targets, pairs)


def test_it_takes_away_what_waiting_can_tell() -> None:
    macro, _, targets = programmed()
    plain = later_error(macro, targets)
    macro, programmer, targets = programmed()
    done = retrim(macro, programmer, CELLS, targets, RetrimParams(), macro.wait)
    assert later_error(macro, targets) <= MOST_LEFT * plain
    assert 0 < done.summary()["cells_touched"] <= N
    assert done.pulses.sum() == sum(one.pulses for one in done.rounds)
    assert done.reads >= 2 * 64 * N * len(done.rounds)
    assert done.bench_s >= sum(RetrimParams().waits_s)


def test_late_rounds_touch_fewer_cells_and_only_what_moved() -> None:
    macro, programmer, targets = programmed()
    done = retrim(macro, programmer, CELLS, targets, RetrimParams(), macro.wait)
    touched = [one.touched for one in done.rounds]
    assert touched[-1] < touched[0] < N


def test_a_pair_is_corrected_by_one_arm_and_keeps_its_weight() -> None:
    partner = np.arange(N) ^ 1
    macro, programmer, targets = programmed()
    plain = later_error(macro, targets, partner)
    macro, programmer, targets = programmed()
    done = retrim(macro, programmer, CELLS, targets, RetrimParams(), macro.wait, partner=partner)
    np.testing.assert_allclose(
        pair_error(done.target_siemens, partner), pair_error(targets, partner), atol=1e-12
    )
    for flat in programmer.given[1:]:  # the first is the programming itself
        assert not np.isin(partner[flat], flat).any()
    assert later_error(macro, targets, partner) <= MOST_LEFT * plain


def test_what_cannot_be_moved_is_left_alone_and_its_partner_makes_up_for_it() -> None:
    partner = np.arange(N) ^ 1
    macro, programmer, targets = programmed(stuck=frozenset({6}))
    macro.siemens[6] = targets[6] - 10e-6
    keep = np.arange(N) == 6
    done = retrim(
        macro, programmer, CELLS, targets, RetrimParams(), macro.wait, partner=partner, keep=keep
    )
    assert done.pulses[6] == 0
    assert done.pulses[7] > 0
    weight = done.reading_siemens[7] - done.reading_siemens[6]
    assert weight == pytest.approx(targets[7] - targets[6], abs=6e-6)


def test_a_stuck_cell_is_tried_once() -> None:
    macro, programmer, targets = programmed(stuck=frozenset({3}))
    macro.siemens[3] = 30e-6
    done = retrim(macro, programmer, CELLS, targets, RetrimParams(), macro.wait)
    assert done.hopeless[3]
    assert done.pulses[3] == 2


def test_the_pulse_budget_of_a_cell_is_kept() -> None:
    macro, programmer, targets = programmed()
    params = RetrimParams(pulse_budget=2)
    done = retrim(macro, programmer, CELLS, targets, params, macro.wait)
    assert done.pulses.max() == 2


def test_as_a_programmer_it_adds_up_both_parts() -> None:
    macro, programmer, targets = programmed()
    whole = Retrim(programmer, RetrimParams(), macro.wait)
    result = whole.run(macro, CELLS, targets)
    assert whole.last is not None
    assert result.algorithm == "exact+retrim"
    np.testing.assert_array_equal(result.pulses, 2 + whole.last.pulses)
    np.testing.assert_array_equal(
        result.in_tolerance, np.abs(result.error_siemens) <= result.tolerance_siemens
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"waits_s": ()}, "one or more waits"),
        ({"waits_s": (60.0, -1.0)}, "above 0 s"),
        ({"horizon_s": float("nan")}, "above 0 s"),
        ({"samples": 65}, "samples=65"),
        ({"least_gain": 0.5}, "least_gain=0.5"),
        ({"least_siemens": -1.0}, "least_siemens"),
        ({"pulse_budget": 0}, "pulse_budget"),
        ({"lowest_siemens": 1.0}, "lowest_siemens < highest_siemens"),
    ],
)
def test_bad_parameters_are_refused(changes: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        RetrimParams(**changes)


def test_bad_targets_and_partners_are_refused() -> None:
    macro, programmer, targets = programmed()
    with pytest.raises(InputError, match="one positive target"):
        retrim(macro, programmer, CELLS, targets * np.nan, None, macro.wait)
    partner = np.full(N, -1)
    partner[0] = 1
    with pytest.raises(InputError, match="mutual"):
        retrim(macro, programmer, CELLS, targets, None, macro.wait, partner=partner)


def test_the_law_of_the_chip_is_found() -> None:
    rng, passed = np.random.default_rng(4), np.full(4000, 1.5)
    before = rng.uniform(80e-6, 200e-6, 4000)
    move = DRIFT * passed + SPREAD * np.sqrt(passed) * rng.standard_normal(4000)
    law = RelaxationLaw.measured(before, before * np.exp(move), passed)
    np.testing.assert_allclose(law.drift, DRIFT, atol=0.004)
    np.testing.assert_allclose(law.spread, SPREAD, rtol=0.12)
    with pytest.raises(CalibrationError, match="at least 12"):
        RelaxationLaw.measured(before[:5], before[:5], passed[:5])


@given(st.integers(0, 8), st.floats(1.0, 1e5), st.floats(0.0, 5e-6))
def test_more_rounds_never_make_a_fresh_pulse_worth_less(
    rounds: int, horizon_s: float, programming: float
) -> None:
    law, levels = RelaxationLaw.assumed(), np.linspace(40e-6, 220e-6, 9)
    more = fresh_values(law, levels, (1e5,) * rounds, horizon_s, programming, 1.0)
    fewer = fresh_values(law, levels, (1e5,) * max(rounds - 1, 0), horizon_s, programming, 1.0)
    assert np.all(more <= fewer * (1 + 1e-12))
    assert np.all(more >= programming**2)


def test_the_drift_report_says_how_far_and_what_needs_a_correction() -> None:
    macro, _, targets = programmed()
    then = macro.siemens.copy()
    macro.wait(3600.0)
    report = drift_report(
        CELLS, targets, then, macro.siemens, age_s=np.full(N, 1.0), elapsed_s=3600.0
    )
    assert not report.assumed
    assert sum(level.cells for level in report.levels) == N
    assert report.weight_error["then"] == 0.0
    assert 0 < report.weight_error["now"] < report.weight_error["in_720h"]
    worst = int(np.argmax(np.abs(macro.siemens - targets)))
    assert worst in report.renew
    assert all(level.per_decade == pytest.approx(DRIFT, abs=0.01) for level in report.levels)
    assert report.to_dict()["moved"] == np.flatnonzero(report.moved).tolist()
    with pytest.raises(InputError, match="time between the readings"):
        drift_report(CELLS, targets, then, then, age_s=np.ones(N), elapsed_s=0.0)
