"""Trimming the drive: probe, refine, fit, probe again; what is refused and what is recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.drive import DriveParams, joined, trim_drive
from calibration.repair_flow import Drive, Reach, end_error
from calibration.repair_twin import Probes
from calibration.twin import Twin
from hil.diffusion.model import load_model
from hil.software_flow import probe_points, software_flow
from hil.waveforms import LoopTiming, Mode
from protocols.errors import CalibrationError, InputError

MODEL = load_model("ring")
VPU = MODEL.volts_per_unit
TICKS = 200
TIMING = LoopTiming(5e-3, TICKS)
PARAMS = DriveParams(trajectories=200)
ONE = np.ones(MODEL.channels)
REACH = Reach((0.5, 1.5), (0.5, 1.5), np.full(TICKS, 0.1), (-0.2 * ONE, 0.2 * ONE))
FLOW = software_flow(MODEL, TIMING, Mode.ODE, PARAMS.trajectories, 4.0)
POINTS = probe_points(MODEL, TIMING, Mode.ODE, PARAMS, 4.0)


def network(seed: int = 0, sd: float = 0.0, last: float = 1.0) -> Twin:
    """The model's network with weights off by `sd` of the largest; the last layer times `last`."""
    rng, factors = np.random.default_rng(seed), (1.0, 1.0, last)
    weights = [w + sd * np.abs(w).max() * rng.normal(size=w.shape) for w in MODEL.weights]
    return Twin(
        weights=[w * factor for w, factor in zip(weights, factors, strict=True)],
        bias_volts=[b * VPU * factor for b, factor in zip(MODEL.biases, factors, strict=True)],
        output_gain=MODEL.output_gain,
        clamp_volts=MODEL.hidden_clamp_units * VPU,
    )


class Board:
    """Loads and probes a network that the trim does not know."""

    def __init__(self, chip: Twin) -> None:
        self.chip, self.loaded = chip, list[Drive]()

    def probe(self, drive: Drive) -> Probes:
        self.loaded.append(drive)
        parts = []
        for each in POINTS:
            e = np.tile(drive.embedding_volts[each.tick], (len(each.x_volts), 1))
            parts.append(Probes(each.x_volts, e, self.chip.layers(each.x_volts, e)))
        return joined(parts)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_is_trimmed_from_a_wrong_read_back(seed: int) -> None:
    """The read-back says it is ideal; the probes tell the truth."""
    board = Board(network(seed, 0.02))
    found = trim_drive(FLOW, network(), REACH, board.probe, PARAMS)
    before = end_error(board.chip, FLOW, board.loaded[0])
    after = end_error(board.chip, FLOW, found.drive)
    assert after < before / 2
    assert found.error_before == pytest.approx(before, rel=0.25)
    assert found.error_after == pytest.approx(after, abs=0.3 * before)
    assert found.probe_error < 0.05


def test_it_probes_again_with_what_it_fitted() -> None:
    board, told = Board(network(1, 0.02)), list[int]()
    found = trim_drive(
        FLOW, network(), REACH, board.probe, PARAMS, None, lambda done, *_: told.append(done)
    )
    assert len(board.loaded) == PARAMS.passes == 2
    np.testing.assert_array_equal(board.loaded[0].embedding_volts, FLOW.embedding_volts)
    assert np.abs(board.loaded[1].embedding_volts - FLOW.embedding_volts).max() > 1e-3
    assert found.probes == 2 * len(POINTS) * PARAMS.points
    assert (told[0], told[-1]) == (0, 2)


def test_a_later_trim_starts_from_the_last_one() -> None:
    board = Board(network(1, 0.02))
    first = trim_drive(FLOW, network(), REACH, board.probe, PARAMS)
    board.loaded.clear()
    again = trim_drive(FLOW, network(), REACH, board.probe, PARAMS, first)
    (probed,) = board.loaded
    np.testing.assert_array_equal(probed.embedding_volts, first.drive.embedding_volts)
    assert again.error_after < 1.2 * first.error_after


def test_the_ideal_network_is_hardly_touched() -> None:
    board = Board(replace(network(), clamp_volts=1.0))
    found = trim_drive(FLOW, board.chip, REACH, board.probe, PARAMS)
    assert found.error_after <= found.error_before < 0.01
    assert np.abs(found.drive.score - 1.0).max() < 0.1


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_an_output_that_is_far_off_is_refused(factor: float) -> None:
    board = Board(network(last=factor))
    with pytest.raises(CalibrationError, match="verify the cells and program them again"):
        trim_drive(FLOW, board.chip, REACH, board.probe, replace(PARAMS, iterations=8))


def test_a_trim_has_plain_values_for_its_record() -> None:
    board = Board(network(1, 0.02))
    found = trim_drive(FLOW, network(), REACH, board.probe, replace(PARAMS, passes=1)).to_dict()
    assert np.shape(found["offset_volts"]) == (TICKS, 2)
    assert isinstance(found["drift"], list)
    assert isinstance(found["error_after"], float)


@pytest.mark.parametrize(
    "change",
    [
        {"ticks": 1},
        {"points": 3},
        {"samples": 0},
        {"passes": 0},
        {"trajectories": 9},
        {"stride": 0},
        {"degree": -1},
        {"embedding_degree": -1},
        {"iterations": -1},
        {"weight_sd": 0.0},
        {"word_sd": float("nan")},
        {"embedding_sd_volts": float("inf")},
        {"largest_change": -0.1},
        {"largest_change": 1.0},
        {"largest_error": 0.0},
    ],
)
def test_parameters_are_checked(change: dict[str, float]) -> None:
    (name,) = change
    with pytest.raises(InputError, match=name):
        DriveParams(**change)


@pytest.mark.parametrize("count", [2, 5, 21, 200])
def test_probed_ticks_are_distinct_and_reach_both_ends(count: int) -> None:
    ticks = PARAMS.probed(count)
    assert ticks[0] == 0
    assert ticks[-1] == count - 1
    assert np.all(np.diff(ticks) > 0)
    assert len(ticks) == min(PARAMS.ticks, count)
