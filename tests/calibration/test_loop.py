"""Loop calibration on the simulated board: planted figures are found, broken loops refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from calibration.loop import LoopCalibration, LoopParams, calibrate_loop
from calibration.loop_fit import TERMS, Observations, fit_axis, simpson_weights
from calibration.mapping import map_network
from drivers.board import Board
from drivers.integrator import Integrator
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.converters import Dac
from hil.sim.effects import Effects
from protocols.errors import CalibrationError, InputError
from protocols.hardware import load_board

BOARD = load_board("reference")
LOOP = BOARD.loop
FEW = LoopParams(
    starts=4,
    score_starts=4,
    probe_samples=1,
    candidates=24,
    candidate_probes=2,
    largest_gain_error=0.5,
)
OFFSET_FULL_SCALE = LOOP.noise_rate_volts_per_s
"""Full scale of an integrator's drift: what its noise channel, which cancels it, can give."""


def score_like(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A network with outputs of a few units that depend on x, as a score has."""
    rng = np.random.default_rng(seed)
    sizes = ((14, 2), (14, 14), (2, 14))
    weights = [rng.normal(0.0, s, size) for s, size in zip((0.9, 0.4, 0.25), sizes, strict=True)]
    return weights, [rng.normal(0.0, 0.2, size[0]) for size in sizes]


def bench(network_seed: int = 0, *, programmed: bool = True, **settings: object) -> SimpleNamespace:
    board = make_board(SimSettings(**settings), BOARD)  # type: ignore[arg-type]
    weights, biases = score_like(network_seed)
    placement = map_network(
        weights,
        biases,
        geometry=Geometry(BOARD.rows, BOARD.columns),
        loop=LOOP,
        converters=BOARD.converters,
    )
    targets = np.full((BOARD.rows, BOARD.columns), np.nan)
    targets[placement.cells.rows, placement.cells.columns] = placement.target_siemens
    if programmed:
        board.set_conductances(targets)
    board.chip.advance(60.0)  # cells relax in logarithmic time: not right after programming
    link = Link(MemoryStream(board.receive, "sim"))
    link.open()
    integrator = Integrator(Board(link), Curves.nominal(BOARD), BOARD)
    integrator.connect(placement.blocks)
    return SimpleNamespace(board=board, integrator=integrator)


def true_zeros(board: object) -> dict[str, float]:
    """What a calibration can find: zeros of multiplier and DAC together, the leak within f0."""
    errors, converters = board.loop_errors, board.machine.loop._converters
    middle = np.array([BOARD.code_zero])

    def word(channel: int) -> float:
        return float(converters.bipolar(channel, middle)[0])

    leak = errors.leak_per_s / errors.drift_rate_per_s.mean()
    noise = np.array([word(Dac.NOISE), word(Dac.NOISE + 1)]) + errors.noise_zero
    drift = errors.offset_volts_per_s + errors.noise_rate_volts_per_s * noise
    return {
        "f0": errors.drift_zero.mean() + word(Dac.DRIFT) - leak,
        "g0": errors.score_zero.mean() + word(Dac.SCORE),
        "d1": drift[0],
        "d2": drift[1],
    }


PLANTED = [
    {"loop_gain_drift": 1.2, "loop_gain_score": 0.8, "zero_drift": 0.02, "zero_score": -0.02},
    {"loop_gain_drift": 0.8, "loop_gain_score": 1.2, "zero_drift": -0.03, "zero_score": 0.03},
    {"loop_gain_drift": 1.2, "loop_gain_score": 1.2, "loop_gain_noise": 0.9, "zero_score": 0.01},
    {"integrator_offset_volts_per_s": (0.05, -0.05), "zero_drift": 0.01, "loop_gain_drift": 0.9},
    {},
]


@pytest.mark.parametrize("seed", range(5))
def test_planted_gains_and_zeros_are_recovered(seed: int) -> None:
    planted = PLANTED[seed]
    made = bench(seed, seed=seed + 1, board_seed=seed + 1, **planted)
    found = calibrate_loop(made.integrator, LOOP)
    errors, truth = made.board.loop_errors, true_zeros(made.board)
    assert found.kf_per_s == pytest.approx(errors.drift_rate_per_s.mean(), rel=0.02)
    assert found.kg_per_s == pytest.approx(errors.score_rate_per_s.mean(), rel=0.02)
    assert found.kn_volts_per_s == pytest.approx(errors.noise_rate_volts_per_s.mean(), rel=0.02)
    if "loop_gain_drift" in planted:
        assert found.kf_per_s == pytest.approx(-4.0 * planted["loop_gain_drift"], rel=0.02)
    if "loop_gain_score" in planted:
        assert found.kg_per_s == pytest.approx(4.0 * planted["loop_gain_score"], rel=0.02)
    assert found.f0 == pytest.approx(truth["f0"], abs=0.003)
    assert found.g0 == pytest.approx(truth["g0"], abs=0.003)
    assert found.f0 == pytest.approx(planted.get("zero_drift", truth["f0"]), abs=0.005)
    assert found.g0 == pytest.approx(planted.get("zero_score", truth["g0"]), abs=0.005)
    for axis in range(2):
        assert found.d_volts_per_s[axis] == pytest.approx(truth[f"d{axis + 1}"], abs=0.006)
        wanted = planted.get("integrator_offset_volts_per_s")
        if wanted is not None:
            off = abs(found.d_volts_per_s[axis] - wanted[axis])
            assert off < 0.005 * OFFSET_FULL_SCALE
    assert found.solves < 200
    assert found.bench_s < 30.0


def test_an_ideal_board_is_found_ideal_and_the_uncertainty_is_honest() -> None:
    off = dict.fromkeys(Effects.names(), False)
    found = calibrate_loop(bench(effects=off).integrator, LOOP)
    assert found.kf_per_s == pytest.approx(LOOP.drift_rate_per_s, rel=2e-3)
    assert found.kg_per_s == pytest.approx(LOOP.score_rate_per_s, rel=5e-3)
    assert found.kn_volts_per_s == pytest.approx(LOOP.noise_rate_volts_per_s, rel=5e-3)
    assert abs(found.f0) < 5e-4
    assert abs(found.g0) < 5e-4
    assert np.abs(found.d_volts_per_s).max() < 1e-3
    assert set(found.sd) == {"kf", "kg", "kn", "f0", "g0", "d_1", "d_2"}
    assert all(0.0 < value < 0.05 for value in found.sd.values())


def test_the_words_it_gives_undo_what_it_found() -> None:
    made = bench(3, seed=2, board_seed=9, zero_drift=0.02, loop_gain_drift=0.9)
    found = calibrate_loop(made.integrator, LOOP, FEW)
    words = found.drift_word(np.array([-1.0, 0.0]))
    np.testing.assert_allclose(found.kf_per_s * (words + found.f0), [-1.0, 0.0], atol=1e-12)
    words = found.score_word(np.array([1.0]))
    np.testing.assert_allclose(found.kg_per_s * (words + found.g0), [1.0])
    rest = found.kn_volts_per_s * found.rest_offset() + np.asarray(found.d_volts_per_s)
    np.testing.assert_allclose(rest, 0.0, atol=1e-15)
    again = LoopCalibration.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found


def test_the_same_seeds_give_the_same_figures() -> None:
    first = calibrate_loop(bench(seed=5, board_seed=5).integrator, LOOP, FEW)
    second = calibrate_loop(bench(seed=5, board_seed=5).integrator, LOOP, FEW)
    assert first == second


def test_a_loop_that_is_too_fast_is_refused() -> None:
    made = bench(loop_gain_drift=5.0)
    with pytest.raises(CalibrationError, match="end of the sample converter"):
        calibrate_loop(made.integrator, LOOP, FEW)


@pytest.mark.parametrize("gain", ["loop_gain_drift", "loop_gain_score", "loop_gain_noise"])
def test_a_dead_path_is_refused(gain: str) -> None:
    made = bench(**{gain: 0.1})
    with pytest.raises(CalibrationError, match="dead, wired otherwise"):
        calibrate_loop(made.integrator, LOOP, FEW)


def test_a_silent_network_is_refused() -> None:
    made = bench(programmed=False)
    with pytest.raises(CalibrationError, match="network's output is only"):
        calibrate_loop(made.integrator, LOOP)


def test_progress_counts_solves() -> None:
    seen: list[tuple[int, int]] = []

    def progress(done, total, message, conductance=None) -> None:
        seen.append((done, total))
        assert conductance is None

    found = calibrate_loop(bench().integrator, LOOP, FEW, progress)
    assert seen[0][0] == 0
    assert {total for _, total in seen} == {found.solves}


@pytest.mark.parametrize(
    "bad",
    [
        {"drift_word": 0.0},
        {"largest_score_word": 1.5},
        {"points": 4},
        {"ticks": 10},
        {"score_ticks": 0},
        {"starts": 2},
        {"candidates": 0},
        {"candidate_probes": 1},
    ],
)
def test_parameters_out_of_range(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        LoopParams(**bad)  # type: ignore[arg-type]


# --- the regression alone --------------------------------------------------------------------


def observations(seed: int, noise: float) -> tuple[Observations, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, truth = 240, np.array([-4.1, -0.04, 3.8, 0.05, 6.2, 0.03, 0.0, 0.0])
    group = np.repeat(np.arange(6), n // 6)
    drift = np.choose(group, [0.5, -0.5, 0, 0, 0, 0.0])
    score = np.choose(group, [0, 0, 0.4, -0.4, 0, 0.0])
    offset = np.choose(group, [0, 0, 0, 0, 0.07, -0.07])
    duration = np.full(n, 0.24)
    x, s = rng.uniform(-0.05, 0.05, n), rng.uniform(-0.1, 0.1, n)
    rows = Observations(group, drift, score, offset, duration, np.zeros(n), x, s)
    moved = rows.design() @ truth + noise * rng.standard_t(3, n)
    return Observations(group, drift, score, offset, duration, moved, x, s), truth


def test_the_regression_is_exact_without_noise() -> None:
    rows, truth = observations(0, 0.0)
    np.testing.assert_allclose(fit_axis(rows, (1e-3, 1e-3)).values, truth, atol=1e-9)


def test_its_deviations_cover_the_truth() -> None:
    inside = []
    for seed in range(60):
        rows, truth = observations(seed, 5e-4)
        fit = fit_axis(rows, (1e-3, 1e-3))
        sd = np.sqrt(np.diag(fit.covariance))
        inside.append(np.abs(fit.values - truth)[:6] < 2.0 * sd[:6])
    assert 0.88 < np.mean(inside) < 0.995


def test_it_names_what_no_run_shows() -> None:
    rows, _ = observations(0, 1e-4)
    still = Observations(**{**rows.__dict__, "drift": np.zeros(240)})
    with pytest.raises(CalibrationError, match="shows kf"):
        fit_axis(still, (1e-3, 1e-3))
    partial = fit_axis(still, (1e-3, 1e-3), partial=True)
    assert partial.values[TERMS.index("kf")] == 0.0
    flat = Observations(**{**rows.__dict__, "s_integral": np.full(240, 0.1)})
    with pytest.raises(CalibrationError, match="tell its gains and zeros apart"):
        fit_axis(flat, (1e-3, 1e-3))


def test_simpson_is_exact_for_cubics() -> None:
    t = np.linspace(0.0, 2.0, 5)
    assert simpson_weights(5, 2.0) @ (t**3 - t) == pytest.approx(2.0)
    with pytest.raises(CalibrationError):
        simpson_weights(4, 1.0)
