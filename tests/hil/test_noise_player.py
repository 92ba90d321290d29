"""Noise from each source on the simulated loop: a recording agrees with the software's solve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import NoiseLaw
from hil.diffusion.noise_source import (
    BoardNoise,
    RecordedNoise,
    SeededNoise,
    record_noise,
    write_noise,
)
from hil.diffusion.sampler import Solve, solve
from hil.jobs import rows
from hil.jobs.network import place
from hil.runloop import RunLoop
from hil.sim.effects import Effects
from hil.waveforms import Mode
from protocols.errors import InputError, LimitError
from protocols.hardware import load_board

MODEL = replace(load_model("ring"), noise=NoiseLaw.preserving(0.6, until=0.2))
BOARD = load_board("reference")
COUNT, TICKS = 24, 200


@pytest.fixture(scope="module")
def loop() -> Iterator[RunLoop]:
    """No effect on, cells exact, calibrated."""
    config = BenchConfig()
    config = config.with_changes(loop=config.loop.model_copy(update={"trim_drive": False}))
    placement = place(MODEL, config)
    cells = rows.conductance_map(placement, placement.target_siemens, BOARD)
    with rows.simulated_bench(config, Effects.none(), cells) as bench:
        yield rows.run_loop(bench, MODEL, placement)


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedNoise:
    return RecordedNoise(record_noise(tmp_path / "n.npz", SeededNoise(4), COUNT, TICKS, 2))


def test_a_recording_gives_the_softwares_own_trajectories(loop, recorded):
    """Same start, same noise: the loop ends where the software ends, sample by sample."""
    samples = loop.run(COUNT, Mode.SDE, seed=8, noise=recorded)
    how = Solve(steps=TICKS, sde=True, heun=True, noise=recorded)
    software = solve(MODEL, samples.initial, how)
    other = solve(MODEL, samples.initial, replace(how, noise=SeededNoise(5)))
    off, apart = (np.sqrt(np.mean((samples.x - x) ** 2)) for x in (software, other))
    assert off < 0.02
    assert apart > 10 * off


def test_trajectories_keep_their_numbers_however_a_run_is_split(loop, recorded, monkeypatch):
    whole = loop.run(6, Mode.SDE, seed=8, noise=recorded, traces=2, trace_every=50)
    monkeypatch.setattr(loop, "_parts", lambda count: [(0, 4), (4, count)])
    split = loop.run(6, Mode.SDE, seed=8, noise=recorded, traces=2, trace_every=50)
    np.testing.assert_array_equal(whole.x, split.x)
    assert whole.traces is not None
    assert whole.traces.shape == (2, 5, 2)
    np.testing.assert_array_equal(whole.traces, split.traces)
    assert whole.board_s == pytest.approx(6 * 1.001, rel=1e-2)


def test_a_seed_repeats_itself_and_the_boards_generator_does_not(loop):
    seeded = [loop.run(8, Mode.SDE, seed=8, noise=SeededNoise(3)).x for _ in range(2)]
    np.testing.assert_array_equal(*seeded)
    default = [loop.run(8, Mode.SDE, seed=8, noise=noise).x for noise in (None, SeededNoise(8))]
    np.testing.assert_array_equal(*default)
    own = [loop.run(8, Mode.SDE, seed=8, noise=BoardNoise()).x for _ in range(2)]
    assert np.abs(own[0] - own[1]).max() > 0.01


def test_a_recording_that_is_too_short_is_refused_before_anything_is_driven(loop, recorded):
    with pytest.raises(InputError, match=f"noise for {COUNT} trajectories of {TICKS} ticks"):
        loop.run(COUNT + 1, Mode.SDE, seed=8, noise=recorded)


def test_a_number_beyond_the_channels_range_is_refused_not_clipped(loop, tmp_path):
    values = np.zeros((2, TICKS, 2))
    values[1, 0] = 9.9
    loud = replace(MODEL, noise=NoiseLaw())
    other = RunLoop(loop._integrator, loud, BOARD, loop._timing, 0.4)
    other._calibration = loop.calibration
    source = RecordedNoise(write_noise(tmp_path / "loud.npz", values))
    with pytest.raises(LimitError, match=r"loud.npz, trajectory 1: .*noise offset"):
        other.run(2, Mode.SDE, seed=8, noise=source)
