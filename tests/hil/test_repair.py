"""Repair on the simulated board: a stuck cell, a scaled layer, nothing to do, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.drive import DriveParams
from calibration.placement import Placement
from calibration.programming.ispp import IsppParams
from calibration.repair import RepairParams
from hil.bench import Bench
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.network import PLACEMENT_FILE, place, refuse_other_model
from hil.jobs.repair import REPAIR_FILE, repair_network
from hil.record import RunFolder
from hil.runloop import RunLoop
from hil.sim.effects import Effects
from hil.waveforms import Mode
from protocols.errors import CalibrationError, ChipError

MODEL = load_model("ring")
EFFECTS = Effects.all().without("relaxation", "drift", "telegraph")
PARAMS = RepairParams(rounds=2, least_gain=0.05, samples=16)
CONFIG = BenchConfig(
    programming=IsppParams(settle_s=(0.0,) * 4),
    drive_trim=DriveParams(trajectories=200),
    repair=PARAMS,
)
PLACEMENT = place(MODEL, CONFIG)
LAST = PLACEMENT.layer == 2


@contextmanager
def chip(
    siemens: np.ndarray, folder: Path, effects: Effects = EFFECTS, config: BenchConfig = CONFIG
) -> Iterator[tuple[Bench, RunLoop, RunFolder]]:
    """A bench whose cells stand at `siemens`, its loop, and a run folder."""
    cells = rows.conductance_map(PLACEMENT, siemens, config.load_description())
    with (
        RunFolder.create(folder, "repair", parameters={}, seed=1, bench_text=None) as run,
        rows.simulated_bench(config, effects, cells) as bench,
    ):
        yield bench, rows.run_loop(bench, MODEL, PLACEMENT), run


def with_stuck_cell() -> tuple[np.ndarray, Placement]:
    """The lower arm of the last layer's largest weight stands at the top and cannot be moved."""
    low = int(np.flatnonzero(LAST)[np.argmin(PLACEMENT.target_siemens[LAST])])
    siemens, fixed = PLACEMENT.target_siemens.copy(), np.zeros(len(PLACEMENT), np.bool_)
    siemens[low], fixed[low] = 200e-6, True
    return siemens, PLACEMENT.with_targets(PLACEMENT.target_siemens, fixed=fixed)


@pytest.fixture(scope="module")
def stuck(tmp_path_factory):
    siemens, placement = with_stuck_cell()
    with chip(siemens, tmp_path_factory.mktemp("stuck")) as (bench, loop, run):
        done = repair_network(bench, run, loop, placement)
        kept, file = Placement.load(run.file(PLACEMENT_FILE)), run.load_json(REPAIR_FILE)
        samples = loop.run(400, Mode.ODE, seed=3)
    return done, placement, kept, file, samples


def test_a_stuck_cell_of_the_last_layer_is_made_up_for(stuck):
    done, *_ = stuck
    assert done.error_ideal_drive > 0.1
    assert done.error_after < done.error_ideal_drive / 5
    assert done.error_after < 0.9 * done.error_before  # more than the drive could do alone
    assert done.rounds
    assert done.pulses > 0
    assert done.bench_s > 0.0


def test_only_cells_of_the_last_layer_that_can_be_moved_get_new_targets(stuck):
    done, placement, kept, _, _ = stuck
    changed = done.placement.target_siemens != placement.target_siemens
    assert changed.any()
    assert np.all(LAST[changed])
    assert not np.any(changed & placement.fixed)
    np.testing.assert_array_equal(kept.target_siemens, done.placement.target_siemens)


def test_it_says_what_it_did_and_why_it_stopped(stuck):
    done, _, _, file, _ = stuck
    assert file["reason"] == done.reason
    assert file["pulses"] == done.pulses
    assert len(file["per_round"]) == len(done.rounds) <= PARAMS.rounds
    assert any(word in done.reason for word in ("rounds are done", "good enough", "take"))


def test_the_repaired_chip_samples_a_ring(stuck):
    *_, samples = stuck
    radius = np.hypot(*samples.x.T)
    assert radius.mean() == pytest.approx(0.7, abs=0.015)
    assert radius.std() < 0.06


def test_a_repaired_network_is_still_the_same_model(stuck):
    done, *_ = stuck
    refuse_other_model(done.placement, MODEL)
    weights = [MODEL.weights[0], np.zeros_like(MODEL.weights[1]), MODEL.weights[2]]
    other = ScoreModel.with_layers(MODEL, list(zip(weights, MODEL.biases, strict=True)))
    with pytest.raises(ChipError, match="another network"):
        refuse_other_model(done.placement, other)


def test_a_scaled_layer_is_taken_out(tmp_path):
    siemens = PLACEMENT.target_siemens.copy()
    first = PLACEMENT.layer == 0
    siemens[first] = 205e-6 - 0.85 * (205e-6 - siemens[first])  # weights of 85 %
    with chip(siemens, tmp_path) as (bench, loop, run):
        done = repair_network(bench, run, loop, PLACEMENT)
    assert done.error_ideal_drive > 0.03
    assert done.error_after < done.error_ideal_drive / 2


def test_what_is_good_enough_gets_no_pulse(tmp_path):
    config = CONFIG.with_changes(repair=replace(PARAMS, good_enough=0.05))
    with chip(PLACEMENT.target_siemens, tmp_path, Effects.none(), config) as (bench, loop, run):
        done = repair_network(bench, run, loop, PLACEMENT)
        assert not bench.macro.read(PLACEMENT.cells).min() < 60e-6
    assert done.rounds == ()
    assert done.pulses == 0
    assert "good enough" in done.reason
    np.testing.assert_array_equal(done.placement.target_siemens, PLACEMENT.target_siemens)


def test_when_nothing_can_be_gained_it_stops_and_says_so(tmp_path):
    """All cells of the last layer are stuck: there is nothing to re-program."""
    siemens, _ = with_stuck_cell()
    placement = PLACEMENT.with_targets(PLACEMENT.target_siemens, fixed=LAST.copy())
    with chip(siemens, tmp_path) as (bench, loop, run):
        done = repair_network(bench, run, loop, placement)
    assert done.rounds == ()
    assert "no cell of the last layer" in done.reason or "take 0% off" in done.reason
    assert done.error_after < done.error_ideal_drive  # the drive does what it can


def test_a_broken_network_is_refused(tmp_path):
    """The arms of the last layer are swapped: its output has the wrong sign."""
    swapped = PLACEMENT.target_siemens.copy()
    swapped[LAST] = PLACEMENT.target_siemens[PLACEMENT.partner()[LAST]]
    with (
        chip(swapped, tmp_path) as (bench, loop, run),
        pytest.raises(CalibrationError, match="verify the cells"),
    ):
        repair_network(bench, run, loop, PLACEMENT)
