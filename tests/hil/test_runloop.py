"""The run loop on the simulated board: agreement with software, keys, calibration, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from calibration.drive import DriveParams
from calibration.loop import LoopCalibration
from calibration.placement import Placement
from hil import runloop
from hil.bench import Bench
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.diffusion.sampler import Solve, held_loop, initial_conditions, solve, trajectories
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.network import place
from hil.runloop import RunLoop
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.waveforms import LoopTiming, Mode
from protocols.errors import CalibrationError, ConfigError, ModelError
from protocols.hardware import load_board

MODEL = load_model("ring")
BOARD = load_board("reference")
TIMING = LoopTiming(5e-3, 200)
FINE_STEPS = 2000
RMS_UNITS, WORST_UNITS = 0.004, 0.04
"""Agreement of the ideal loop with the software, in model units: a 12-bit converter has a step of
0.002 units, and where trajectories part a step decides the side."""


def config_of(trim: bool = False, **sim: Any) -> BenchConfig:
    config = BenchConfig()
    loop = config.loop.model_copy(update={"trim_drive": trim})
    return config.with_changes(loop=loop, sim=SimSettings(**sim))


def bench_of(effects: Effects, config: BenchConfig, error_siemens: float = 0.0) -> Bench:
    """A bench with the model's cells at their targets, or off by a normal error."""
    placement = place(MODEL, config)
    noise = np.random.default_rng(8).normal(size=len(placement)) * error_siemens
    cells = rows.conductance_map(placement, placement.target_siemens + noise, BOARD)
    return rows.simulated_bench(config, effects, cells)


def loop_on(
    bench: Bench,
    model: ScoreModel = MODEL,
    timing: LoopTiming = TIMING,
    clip_volts: float = 0.4,
    **more: Any,
) -> RunLoop:
    bench.integrator.connect(place(MODEL, bench.config).blocks)
    return RunLoop(bench.integrator, model, BOARD, timing, clip_volts, **more)


@pytest.fixture(scope="module")
def ideal() -> Iterator[RunLoop]:
    """No effect on, cells exact, calibrated."""
    config = config_of()
    with bench_of(Effects.none(), config) as bench:
        yield rows.run_loop(bench, MODEL, place(MODEL, config))


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[Bench, Placement]]:
    """Every effect on, cells off by 2 uS."""
    config = config_of(trim=True)
    with bench_of(Effects.all(), config, error_siemens=2e-6) as bench:
        yield bench, place(MODEL, config)


@pytest.fixture(scope="module")
def trimmed(real: tuple[Bench, Placement]) -> RunLoop:
    return rows.run_loop(real[0], MODEL, real[1])


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    off = found - wanted
    assert np.sqrt(np.mean(off**2)) < RMS_UNITS
    assert np.abs(off).max() < WORST_UNITS


# --- what it computes ------------------------------------------------------------------------


def test_the_ideal_loop_agrees_with_the_software_from_the_same_starts(ideal: RunLoop) -> None:
    samples = ideal.run(300, Mode.ODE, seed=5)
    assert_close(samples.x, solve(MODEL, samples.initial, Solve(steps=FINE_STEPS, heun=True)))
    np.testing.assert_array_equal(samples.initial, initial_conditions(MODEL, 5, 0, 300))
    assert samples.mode is Mode.ODE


def test_with_the_hidden_clamp_it_agrees_with_the_held_loop() -> None:
    config = config_of()
    with bench_of(Effects.none().only("hidden_clamp"), config) as bench:
        samples = rows.run_loop(bench, MODEL, place(MODEL, config)).run(300, Mode.ODE, seed=5)
    held = held_loop(MODEL, samples.initial, FINE_STEPS)
    assert_close(samples.x, held)
    free = solve(MODEL, samples.initial, Solve(steps=FINE_STEPS, heun=True))
    assert np.abs(samples.x - free).max() > WORST_UNITS  # the clamp matters, so the test can fail


def test_sde_samples_have_the_statistics_of_the_software(ideal: RunLoop) -> None:
    x = ideal.run(2000, Mode.SDE, seed=2).x
    start = initial_conditions(MODEL, 9, 0, 6000)
    software = solve(MODEL, start, Solve(steps=500, sde=True, seed=9))
    r, wanted = np.hypot(*x.T), np.hypot(*software.T)
    assert r.mean() == pytest.approx(wanted.mean(), abs=0.01)
    assert r.std() == pytest.approx(wanted.std(), rel=0.1)


def test_traces_are_whole_trajectories(ideal: RunLoop) -> None:
    samples = ideal.run(20, Mode.ODE, seed=5, traces=4, trace_every=5)
    assert samples.traces is not None
    assert samples.traces.shape == (4, 41, 2)
    np.testing.assert_allclose(samples.trace_times, np.linspace(0, MODEL.capture_time, 41))
    step = 0.4 / MODEL.volts_per_unit / 2048
    np.testing.assert_allclose(samples.traces[:, 0], samples.initial[:4], atol=2 * step)
    np.testing.assert_allclose(samples.traces[:, -1], samples.x[:4], atol=2 * step)
    fine = Solve(steps=1000, heun=True)
    assert_close(samples.traces, trajectories(MODEL, samples.initial[:4], fine, 25))


def test_no_traces_are_none(ideal: RunLoop) -> None:
    samples = ideal.run(3, Mode.ODE, seed=5)
    assert samples.traces is None
    assert len(samples.trace_times) == 0


def test_board_time_is_counted(ideal: RunLoop) -> None:
    samples = ideal.run(50, Mode.ODE, seed=5)
    assert samples.board_s == pytest.approx(50 * (1.0 + BOARD.timing.run_overhead_s), rel=1e-6)


# --- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
def test_the_same_seed_gives_the_same_samples(ideal: RunLoop, mode: Mode) -> None:
    first, again = (ideal.run(40, mode, seed=3).x for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - ideal.run(40, mode, seed=4).x).max() > 0.1


@pytest.mark.parametrize("mode", list(Mode))
def test_a_sample_does_not_depend_on_how_many_are_asked_for(ideal: RunLoop, mode: Mode) -> None:
    few, many = ideal.run(10, mode, seed=3), ideal.run(60, mode, seed=3)
    np.testing.assert_array_equal(few.x, many.x[:10])
    np.testing.assert_array_equal(few.initial, many.initial[:10])


@pytest.mark.parametrize("mode", list(Mode))
def test_parts_and_trims_do_not_change_keyed_starts_and_noise(
    monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    """On an ideal board a solve in seven trimmed parts is the solve in one, up to the trim."""
    config = config_of(trim=True)
    params = DriveParams(ticks=5, points=8, samples=1, trajectories=60)
    with bench_of(Effects.none(), config) as bench:
        found = []
        for size, again in ((1000, False), (16, True)):
            monkeypatch.setattr(runloop, "FIRST_PART", size)
            monkeypatch.setattr(runloop, "LARGEST_PART", size)
            loop = loop_on(bench, trim=params, trim_again=again)
            loop._calibration = LoopCalibration.nominal(BOARD.loop)
            found.append(loop.run(100, mode, seed=6))
            assert len(loop.history) == (7 if again else 1)
    whole, parts = found
    np.testing.assert_array_equal(whole.initial, parts.initial)
    # Another trim moves a sample by hundredths; another start or noise would by tenths.
    assert np.median(np.abs(whole.x - parts.x)) < 0.03
    np.testing.assert_array_equal(whole.initial, initial_conditions(MODEL, 6, 0, 100))


def test_parts_double_up_to_the_largest(trimmed: RunLoop) -> None:
    parts = trimmed._parts(5000)
    assert parts == [(0, 512), (512, 1536), (1536, 3584), (3584, 5000)]
    parts = trimmed._parts(20_000)
    assert parts[-1][1] == 20_000
    assert max(stop - start for start, stop in parts) == runloop.LARGEST_PART
    assert all(a[1] == b[0] for a, b in pairwise(parts))


def test_progress_counts_over_the_parts(trimmed: RunLoop) -> None:
    told: list[tuple[int, int]] = []
    trimmed.run(200, Mode.ODE, seed=1, progress=lambda done, total, *_: told.append((done, total)))
    assert told[-1] == (200, 200)
    assert {total for _, total in told} == {200}
    assert [done for done, _ in told] == sorted(done for done, _ in told)


# --- calibration -----------------------------------------------------------------------------


@pytest.mark.parametrize(("drift", "score"), [(1.2, 0.8), (0.8, 1.2)])
def test_planted_gains_and_zeros_are_recovered_and_taken_out(drift: float, score: float) -> None:
    offsets = (0.03, -0.02)
    config = config_of(
        loop_gain_drift=drift,
        loop_gain_score=score,
        zero_drift=0.02,
        zero_score=-0.03,
        integrator_offset_volts_per_s=offsets,
    )
    with bench_of(Effects.none(), config) as bench:
        loop = rows.run_loop(bench, MODEL, place(MODEL, config))
        samples = loop.run(200, Mode.ODE, seed=5)
    found = loop.calibration
    assert found.kf_per_s == pytest.approx(BOARD.loop.drift_rate_per_s * drift, rel=0.02)
    assert found.kg_per_s == pytest.approx(BOARD.loop.score_rate_per_s * score, rel=0.02)
    assert found.f0 == pytest.approx(0.02, abs=0.005)
    assert found.g0 == pytest.approx(-0.03, abs=0.005)
    full_scale = BOARD.loop.noise_rate_volts_per_s
    assert found.d_volts_per_s == pytest.approx(offsets, abs=0.005 * full_scale)
    assert_close(samples.x, solve(MODEL, samples.initial, Solve(steps=FINE_STEPS, heun=True)))


def test_what_is_planted_would_be_seen_without_the_calibration(ideal: RunLoop) -> None:
    """The loop with gains that are 20 % off, driven by the words of an ideal one, is far off."""
    config = config_of(loop_gain_drift=1.2, loop_gain_score=0.8)
    with bench_of(Effects.none(), config) as bench:
        loop = loop_on(bench)
        loop._calibration = ideal.calibration
        samples = loop.run(100, Mode.ODE, seed=5)
    wanted = solve(MODEL, samples.initial, Solve(steps=FINE_STEPS, heun=True))
    assert np.sqrt(np.mean((samples.x - wanted) ** 2)) > 3 * RMS_UNITS


def test_trimming_brings_the_programmed_network_closer(trimmed: RunLoop) -> None:
    trimmed.run(20, Mode.ODE, seed=5)
    (mode, found), *_ = [entry for entry in trimmed.history if entry[0] is Mode.ODE]
    assert mode is Mode.ODE
    assert found.error_after < found.error_before / 2
    assert found.drive.drift.shape == (TIMING.ticks,)
    assert np.abs(found.drive.score - 1).max() < 0.5


# --- initial conditions ----------------------------------------------------------------------


def test_clipped_coordinates_are_counted_and_kept_in_range(ideal: RunLoop) -> None:
    tight = loop_on_same(ideal, clip_volts=0.1)
    samples = tight.run(200, Mode.ODE, seed=5)
    wanted = initial_conditions(MODEL, 5, 0, 200)
    limit = 0.1 / MODEL.volts_per_unit
    assert samples.clipped == np.count_nonzero(np.abs(wanted) > limit) > 20
    assert np.abs(samples.initial).max() == limit
    free = np.abs(wanted) <= limit
    np.testing.assert_array_equal(samples.initial[free], wanted[free])


def test_a_clip_beyond_the_converter_is_the_converters(ideal: RunLoop) -> None:
    wide = loop_on_same(ideal, clip_volts=5.0)
    largest = ideal._integrator.curves.initial.maximum / MODEL.volts_per_unit
    assert wide._clip_units == pytest.approx(largest)


def loop_on_same(ideal: RunLoop, **changes: Any) -> RunLoop:
    arguments = {"model": MODEL, "timing": TIMING, "clip_volts": 0.4} | changes
    loop = RunLoop(
        ideal._integrator,
        arguments["model"],
        BOARD,
        arguments["timing"],
        arguments["clip_volts"],
    )
    loop._calibration = ideal._calibration
    return loop


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_sample_is_refused(ideal: RunLoop, count: int) -> None:
    with pytest.raises(ConfigError, match=f"{count} samples were asked for; at least 1"):
        ideal.run(count, Mode.ODE, seed=1)


@pytest.mark.parametrize(
    ("timing", "text"),
    [
        (LoopTiming(2e-4, 200), "too short for this loop's rates; lengthen"),
        (LoopTiming(0.5, 1000), "too long for this loop's rates; shorten"),
    ],
)
def test_a_tick_that_does_not_fit_the_rc_is_refused(
    ideal: RunLoop, timing: LoopTiming, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        loop_on_same(ideal, timing=timing).run(1, Mode.ODE, seed=1)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"hidden_clamp_units": 1.0}, ["0.1 V", "0.15 V", "hidden"]),
        ({"output_gain": 4.0}, ["output gain of 4", "has 5"]),
        ({"volts_per_unit": 0.05, "hidden_clamp_units": 3.0}, ["0.1 V", "0.05 V", "equal"]),
    ],
)
def test_a_model_that_does_not_fit_the_board_is_refused(
    ideal: RunLoop, change: dict[str, float], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        loop_on_same(ideal, model=replace(MODEL, **change))
    for part in [*parts, "'ring'"]:
        assert part in str(caught.value)


def test_an_uncalibrated_loop_does_not_run(ideal: RunLoop) -> None:
    loop = RunLoop(ideal._integrator, MODEL, BOARD, TIMING, 0.4)
    with pytest.raises(CalibrationError, match="not been calibrated yet"):
        loop.run(1, Mode.ODE, seed=1)
    with pytest.raises(CalibrationError, match="not been calibrated yet"):
        loop.waveforms(Mode.ODE)


def test_a_class_that_the_model_does_not_have_is_refused(ideal: RunLoop) -> None:
    with pytest.raises(ModelError, match="class 3 does not exist"):
        ideal.run(1, Mode.ODE, seed=1, label=3)


def test_another_network_on_the_chip_is_refused_by_the_trim() -> None:
    config = config_of(trim=True)
    placement = place(MODEL, config)
    low = np.full(len(placement), config.mapping.window[0])
    with rows.simulated_bench(
        config, Effects.none(), rows.conductance_map(placement, low, BOARD)
    ) as bench:
        loop = loop_on(bench, trim=DriveParams())
        loop._calibration = LoopCalibration.nominal(BOARD.loop)
        with pytest.raises(CalibrationError, match="verify the cells and program them again"):
            loop.run(5, Mode.ODE, seed=1)
