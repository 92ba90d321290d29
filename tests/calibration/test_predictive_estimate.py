"""What readings say of a cell's mean, against brute force; and when predictive programming ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration.cell_model import CellModel
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive import Predictive, PredictiveParams
from calibration.programming.predictive_estimate import Look, Noise, block_figures, hear, inside
from calibration.programming.predictive_job import SureJob
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.lines import Lines
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from hil.sim.profile import profile_path
from protocols.hardware import load_board

MODEL = CellModel.from_profile(profile_path("rram_1t1r_180nm"))
BOARD = load_board("reference")
CELLS = Cells.block(0, 0, 2, 128)
BLOCKS = (4, 1, 8, 16)


def noise(n: int, *, size: float = 1.0, tail: float = 0.0, correlation: float = 0.7) -> Noise:
    flat = np.full(n, size), np.full(n, tail), np.zeros(n), np.zeros(n), np.ones(n)
    return Noise(*flat, 1e-3, correlation)


def covariance(correlation: float) -> np.ndarray:
    n = sum(BLOCKS)
    single = correlation ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    means = np.zeros((len(BLOCKS), n))
    ends = np.cumsum((0, *BLOCKS))
    for k, samples in enumerate(BLOCKS):
        means[k, ends[k] : ends[k + 1]] = 1.0 / samples
    return means @ single @ means.T


def looked(readings: np.ndarray, correlation: float) -> Look:
    look = Look.none(1)
    for k, value in enumerate(readings):
        hear(np.zeros(1, np.int64), np.array([value]), BLOCKS[k], k == 0, correlation, look)
    return look


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.7, 0.95])
def test_the_filter_is_generalised_least_squares(correlation: float) -> None:
    rng = np.random.default_rng(3)
    readings = rng.normal(size=len(BLOCKS))
    inverse = np.linalg.inv(covariance(correlation))
    variance = 1.0 / inverse.sum()
    mean = variance * (inverse @ readings).sum()
    look = looked(readings, correlation)
    assert look.mean[0] == pytest.approx(mean)
    assert look.vm[0] == pytest.approx(variance)
    assert look.chi2[0] == pytest.approx((readings - mean) @ inverse @ (readings - mean))
    assert look.reads[0] == sum(BLOCKS)


def test_more_readings_in_one_block_tell_more_but_less_than_independent_ones() -> None:
    variances = [block_figures(n, 0.7)[1] for n in (1, 4, 16, 64)]
    assert variances[0] == pytest.approx(1.0)
    assert np.all(np.diff(variances) < 0.0)
    assert variances[3] > 4.0 / 64


def chance(look: Look, law: Noise, low: float, high: float, now_s: float = 0.0) -> float:
    out = np.empty(1)
    inside(
        np.zeros(1, np.int64), np.array([now_s]), np.array([low]), np.array([high]), look, law, out
    )
    return float(out[0])


def test_the_chance_weighs_sizes_of_the_noise_by_how_the_readings_scatter() -> None:
    """Against the posterior on a fine grid of sizes."""
    readings, tail = np.array([0.3, -0.6, 0.2, 0.1]), 0.8
    look, law = looked(readings, 0.7), noise(1, tail=tail)
    z = np.linspace(-5.0, 5.0, 4001)
    size = np.exp(tail * z - tail**2)
    weight = np.exp(-0.5 * z**2 - 0.5 * look.chi2[0] / size**2) * size ** -(len(BLOCKS) - 1.0)
    draws = np.random.default_rng(1).choice(size, 400_000, p=weight / weight.sum())
    draws = look.mean[0] + draws * np.sqrt(look.vm[0]) * np.random.default_rng(2).normal(
        size=draws.size
    )
    wanted = float(np.mean((draws > -0.5) & (draws < 0.4)))
    assert chance(look, law, -0.5, 0.4) == pytest.approx(wanted, abs=0.02)


def test_quiet_readings_make_a_cell_surer_than_scattered_ones() -> None:
    law = noise(1, tail=0.8)
    quiet = looked(np.array([0.01, -0.01, 0.0, 0.01]), 0.7)
    loud = looked(np.array([2.0, -2.0, 1.5, -1.2]), 0.7)
    assert chance(quiet, law, -0.5, 0.5) > 0.99 > chance(loud, law, -0.5, 0.5)


def test_a_fresh_cell_is_lost_from_sight_sooner_than_an_old_one() -> None:
    target = np.array([80e-6, 80e-6])
    law, look = Noise.of(MODEL, target), Look.none(2)
    look.time_s[:], look.pulsed_s[:] = 100.0, (99.999, 0.0)
    hear(np.arange(2), target, 64, True, law.correlation, look)
    found = np.empty(2)
    low, high = 0.95 * target, 1.05 * target
    inside(np.arange(2), np.full(2, 101.0), low, high, look, law, found)
    assert found[0] < 0.8 < 0.97 < found[1]
    inside(np.arange(2), np.full(2, 100.0), low, high, look, law, found)
    assert found[0] > 0.97


# --- on a board ------------------------------------------------------------------------------


def chip() -> tuple[SimBoard, Macro]:
    board = make_board(SimSettings(seed=5), BOARD)
    board.set_conductances(np.full((BOARD.rows, BOARD.columns), 135e-6))
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    geometry = Geometry(BOARD.rows, BOARD.columns)
    return board, Macro(Board(link), geometry, Curves.nominal(BOARD), Limits.of(BOARD.limits))


def programmed(**changes: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    board, macro = chip()
    macro.lines = Lines(0.5, 0.5)
    target = np.random.default_rng(2).uniform(150e-6, 205e-6, len(CELLS))
    params = PredictiveParams(
        model=MODEL, menu=PulseMenu.short()[::2], tolerance_siemens=3.4e-6, **changes
    )
    done = Predictive(params, board.chip.advance).run(macro, CELLS, target)
    return done, board.true_conductances()[CELLS.rows, CELLS.columns], target


def test_cells_end_where_they_truly_are_in() -> None:
    done, truth, target = programmed()
    inside_truly = np.abs(truth - target) <= 3.4e-6
    assert inside_truly.mean() > 0.98
    assert done.pulses.mean() < 7.0
    assert done.in_tolerance.mean() > 0.99
    assert np.median(np.abs(done.reached_siemens - truth)) < 1.5e-6
    assert np.all(done.reads > done.pulses)


def test_a_pulse_that_does_nothing_leaves_a_cell_as_old_as_it_was() -> None:
    board, macro = chip()
    cells, n = CELLS[np.arange(4)], 4
    params = PredictiveParams(model=MODEL, menu=PulseMenu.short())
    recipe = Predictive(params).recipe()
    job = SureJob(macro, cells, np.full(n, 180e-6), params, recipe, model=MODEL)
    board.chip.advance(50.0)
    now, reading = np.full(n, macro.time_s + 50.0), np.array([135e-6, 135e-6, 170e-6, 60e-6])
    still = np.array([True, True, False, False])
    job._hear(np.arange(n), reading, still, now)
    assert np.all(job.look.pulsed_s[:2] == job.start_s)
    assert np.all(job.look.pulsed_s[2:] == now[2:])
    assert job.look.mean[2] == 170e-6


def test_most_cells_drift_in_and_not_out() -> None:
    """What is aimed at leads the drift to the end of the waits, the less the fewer are left."""
    _, macro = chip()
    params = PredictiveParams(model=MODEL, menu=PulseMenu.short(), settle_s=(100.0, 10.0, 0.0))
    recipe = Predictive(params).recipe()
    job = SureJob(macro, CELLS, np.full(len(CELLS), 80e-6), params, recipe, model=MODEL)
    leads = []
    for number in range(3):
        job._aim_ahead(number)
        leads.append(job.target[0] / 80e-6)
        decades = np.log10(1.0 + max((110.0, 10.0, 0.0)[number], 1.0) / job.law.onset_s)
        assert leads[-1] == pytest.approx(np.exp(-job.law.drift[0] * decades))
    assert leads[0] > leads[1] > leads[2] > 1.0


def test_a_budget_bounds_every_cell() -> None:
    done, _, _ = programmed(pulse_budget=2)
    assert done.pulses.max() == 2
    assert not done.in_tolerance.all()


def test_a_run_by_reading_or_by_pairs_takes_the_plain_loop() -> None:
    _, macro = chip()
    by_reading = Predictive(PredictiveParams(model=MODEL, count_in="reading"))
    by_truth = Predictive(PredictiveParams(model=MODEL))
    assert by_reading.loop(macro) is not by_truth.loop(macro)
    assert getattr(by_truth.loop(macro), "func", None) is SureJob
