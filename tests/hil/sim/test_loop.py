"""The analog loop: equations, order of the method, noise, errors, and what must not matter."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hil.sim import loop_reference as reference
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from hil.sim.loop import AnalogLoop, Plan, segments_of
from hil.sim.loop_drive import Waves
from hil.sim.loop_network import LayerBlock
from protocols.hardware import BoardDescription
from tests.hil.sim.board_host import REFERENCE, blocks_conductance, code, wave_codes

UNIT_VOLTS = 0.1
PROBE_VOLTS = REFERENCE.converters.probe_full_scale_volts
FEEDBACK_OHM = 40_000.0
BLOCKS = [
    LayerBlock(0, 0, 3, 14, True, FEEDBACK_OHM, 0.0),
    LayerBlock(3, 28, 15, 14, True, FEEDBACK_OHM, 0.0),
    LayerBlock(18, 56, 15, 2, True, FEEDBACK_OHM, 0.0),
]


def board_with_network(
    settings: SimSettings | None = None, description: BoardDescription = REFERENCE
) -> SimBoard:
    board = make_board(SimSettings.ideal() if settings is None else settings, description)
    board.set_conductances(blocks_conductance())
    return board


def waves(ticks: int = 200, noise: int = 0, tick_s: float = 5e-3, **changes: Any) -> Waves:
    return Waves(tick_s=tick_s, **(wave_codes(ticks, noise) | changes))


def starts(n: int, seed: int = 1) -> np.ndarray:
    return code(np.random.default_rng(seed).normal(0, 0.25, (n, 2)).clip(-0.9, 0.9))


def solve(board: SimBoard, plan: Plan, x0: np.ndarray, first: int = 0) -> np.ndarray:
    return board.machine.loop.solve(plan, x0, first + np.arange(len(x0)))[0]


def volts(loop: AnalogLoop, plan: Plan, x0: np.ndarray) -> np.ndarray:
    return loop.advance(plan, loop.preset(x0), np.arange(len(x0)), 0, plan.capture_tick)


def some_effects(*names: str, **changes: Any) -> SimSettings:
    effects = SimSettings.ideal().effects | dict.fromkeys(names, True)
    return SimSettings(effects=effects, **changes)


# --- the equations ---------------------------------------------------------------------------


def unclamped() -> BoardDescription:
    """The integrators' clamp is no part of a smooth equation."""
    loop = REFERENCE.loop.model_copy(update={"integrator_clamp_volts": 50.0})
    return REFERENCE.model_copy(update={"loop": loop})


def ideal_right_hand_side(codes: dict[str, np.ndarray]) -> Any:
    """dx/dt in volts per second, written down anew from the nominal figures."""
    siemens, loop = blocks_conductance(), REFERENCE.loop
    weights = []
    for block in BLOCKS:
        rows = slice(block.first_row, block.first_row + block.inputs)
        part = siemens[rows, block.first_column : block.first_column + block.columns]
        weights.append(block.feedback_ohm * (part[:, ::2] - part[:, 1::2]))

    def layer(signal: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return signal @ weight[:-1] + loop.bias_volts * weight[-1]

    bound = loop.output_clamp_volts

    def right(_t: float, x: np.ndarray, tick: int) -> np.ndarray:
        x = x.reshape(-1, 2)
        e = (codes["embedding"][tick] - 2048) / 2048 * 0.2
        f, g = ((codes[key][tick] - 2048) / 2048 for key in ("drift", "score"))
        h1 = np.maximum(layer(x, weights[0]) + e, 0.0)
        h2 = np.maximum(layer(h1, weights[1]) + e, 0.0)
        s = np.clip(loop.output_gain * layer(h2, weights[2]), -bound, bound)
        return (-4.0 * f * x + 4.0 * g * s).ravel()

    return right


def test_one_step_per_tick_solves_the_held_model() -> None:
    """Against DOP853 at rtol 1e-9: rms at most 5e-5 units, as the ideal loop promises."""
    codes, ticks = wave_codes(200), 200
    board = board_with_network(description=unclamped())
    loop = board.machine.loop
    x0 = starts(200)
    plan = loop.plan(BLOCKS, waves(), ticks, now_s=0.0)
    found = volts(loop, plan, x0)
    right = ideal_right_hand_side(codes)
    x = ((x0 - 2048) / 2048 * 0.4).ravel()
    for tick in range(ticks):
        x = solve_ivp(right, (0, 5e-3), x, "DOP853", args=(tick,), rtol=1e-9, atol=1e-11).y[:, -1]
    error = (found - x.reshape(-1, 2)) / UNIT_VOLTS
    assert np.sqrt(np.mean(error**2)) < 5e-5
    assert np.abs(found - (x0 - 2048) / 2048 * 0.4).max() > UNIT_VOLTS, "something has moved"


@pytest.mark.parametrize("bandwidth_hz", [100.0, 330.0])
def test_the_compiled_loop_is_the_plain_one(bandwidth_hz: float) -> None:
    board = board_with_network(SimSettings(loop_noise_bandwidth_hz=bandwidth_hz))
    loop, numbers = board.machine.loop, np.arange(100, 116)
    plan = loop.plan(BLOCKS, waves(40, noise=300), 40, now_s=0.0, noisy=True, seed=5)
    x0 = loop.preset(starts(16))
    found = loop.advance(plan, x0, numbers, 0, 40)
    deviations = board.chip.cells.solve_noise(plan.network.cells, numbers)
    expected = reference.solve(
        x0, numbers, 5, True, plan.segments, plan.drive, plan.network, deviations, loop.stages
    )
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    assert np.abs(deviations).max() > 1e-4


def test_single_ended_layers_subtract_the_reference() -> None:
    board = make_board(SimSettings.ideal(), REFERENCE)
    pairs = blocks_conductance()
    single = np.full((128, 128), np.nan)
    blocks = []
    for block in BLOCKS:
        rows = slice(block.first_row, block.first_row + block.inputs)
        part = pairs[rows, block.first_column : block.first_column + block.columns]
        column = block.first_column // 2
        single[rows, column : column + block.outputs] = 150e-6 + part[:, ::2] - part[:, 1::2]
        blocks.append(
            dataclasses.replace(
                block, first_column=column, differential=False, reference_siemens=150e-6
            )
        )
    board.set_conductances(single)
    loop = board.machine.loop
    found = volts(loop, loop.plan(blocks, waves(), 200, now_s=0.0), starts(20))
    other = board_with_network().machine.loop
    expected = volts(other, other.plan(BLOCKS, waves(), 200, now_s=0.0), starts(20))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_probe_reads_every_layer() -> None:
    board = board_with_network()
    loop, codes, x = board.machine.loop, wave_codes(), np.array([2300, 1900])
    sums = loop.probe(BLOCKS, waves(), 70, x, samples=3, number=0, now_s=0.0)
    plan = loop.plan(BLOCKS, waves(), 71, now_s=0.0)
    weights = reference.weights(plan.network, np.zeros((1, plan.network.cells.size)), 14)
    e = (codes["embedding"][70] - 2048) / 2048 * 0.2
    x_volts = (x[None] - 2048) / 2048 * 0.4
    h1, h2, s = reference.layers(x_volts, weights, e, np.zeros((1, 30)), loop.stages)
    expected = 3 * np.rint(2048 + np.hstack([h1, h2, s])[0] / PROBE_VOLTS * 2048)
    np.testing.assert_array_equal(sums, expected)


def test_clamps_act_and_hidden_clamp_switches() -> None:
    x = np.array([4000, 4000])
    outputs = {}
    for name, settings in (
        ("clamped", some_effects("hidden_clamp")),
        ("free", SimSettings.ideal()),
        ("saturated", some_effects("tia_saturation", tia_saturation_volts=0.01)),
    ):
        loop = board_with_network(settings).machine.loop
        sums = loop.probe(BLOCKS, waves(), 0, x, samples=1, number=0, now_s=0.0)
        outputs[name] = (sums - 2048) / 2048 * PROBE_VOLTS
    assert outputs["free"][:14].max() > 0.2
    assert outputs["clamped"][:28].max() == pytest.approx(0.15, abs=1e-3)
    e = 0.2 * (wave_codes()["embedding"][0] - 2048) / 2048
    np.testing.assert_array_less(outputs["saturated"][:14], np.maximum(e + 0.011, 0.001))


def test_the_integrators_clamp() -> None:
    board = board_with_network()
    loop = board.machine.loop
    growing = waves(200, drift=code(np.full(200, -0.9)), score=np.full(200, 2048))
    x = volts(loop, loop.plan(BLOCKS, growing, 200, now_s=0.0), code([[0.1, -0.1]]))
    np.testing.assert_array_equal(x, [[0.5, -0.5]])


# --- what must not matter --------------------------------------------------------------------


def test_a_trajectory_does_not_depend_on_its_neighbours() -> None:
    board = board_with_network(SimSettings())
    loop, x0 = board.machine.loop, starts(50)
    plan = loop.plan(BLOCKS, waves(60, noise=200), 60, now_s=0.0, noisy=True, seed=3)
    together = loop.advance(plan, loop.preset(x0), np.arange(50), 0, 60)
    for n in (0, 17, 49):
        alone = loop.advance(plan, loop.preset(x0[n : n + 1]), np.array([n]), 0, 60)
        np.testing.assert_array_equal(alone[0], together[n])
    order = np.random.default_rng(0).permutation(50)
    shuffled = loop.advance(plan, loop.preset(x0[order]), order, 0, 60)
    np.testing.assert_array_equal(shuffled, together[order])


def test_steps_of_one_tick_are_the_whole_solve() -> None:
    board = board_with_network(SimSettings(loop_noise_bandwidth_hz=70.0))
    loop, numbers = board.machine.loop, np.arange(6)
    plan = loop.plan(BLOCKS, waves(30, noise=200), 30, now_s=0.0, noisy=True, seed=3)
    x = x0 = loop.preset(starts(6))
    for tick in range(30):
        x = loop.step(plan, x, numbers, tick)
    np.testing.assert_array_equal(x, loop.advance(plan, x0, numbers, 0, 30))


def test_traces_are_points_of_the_same_solve() -> None:
    board = board_with_network(SimSettings())
    loop, x0, numbers = board.machine.loop, starts(8), np.arange(8)
    plan = loop.plan(BLOCKS, waves(60, noise=200), 60, now_s=0.0, noisy=True, seed=3)
    codes, traces = loop.solve(plan, x0, numbers, trace_every=20, trace_count=3)
    assert traces.shape == (3, 4, 2)
    np.testing.assert_array_equal(traces[:, -1], codes[:3])
    np.testing.assert_array_equal(codes, loop.solve(plan, x0, numbers)[0])
    short = loop.plan(BLOCKS, waves(60, noise=200), 20, now_s=0.0, noisy=True, seed=3)
    np.testing.assert_array_equal(traces[:, 1], loop.solve(short, x0, numbers)[0][:3])


def test_segments_are_ticks_cut_at_the_noise_clock() -> None:
    plain = segments_of(5_000_000, 3, 0)
    assert plain.tick.tolist() == [0, 1, 2]
    assert plain.length_s.tolist() == [5e-3] * 3
    cut = segments_of(5_000_000, 2, 3_000_000)
    assert cut.tick.tolist() == [0, 0, 1, 1, 1]
    assert cut.noise_tick.tolist() == [0, 1, 1, 2, 3]
    np.testing.assert_allclose(cut.length_s, [3e-3, 2e-3, 1e-3, 3e-3, 1e-3])
    assert cut.ends_tick.tolist() == [False, True, False, False, True]


# --- noise -----------------------------------------------------------------------------------


def test_the_noise_words_have_their_law_and_their_key() -> None:
    """Noise alone: x is a random walk with variance ticks (kn sigma dt)^2."""
    board = board_with_network()
    loop, ticks, n = board.machine.loop, 100, 3000
    quiet = waves(ticks, 200, drift=np.full(ticks, 2048), score=np.full(ticks, 2048))
    x0 = np.full((n, 2), 2048)
    first = loop.plan(BLOCKS, quiet, ticks, now_s=0.0, noisy=True, seed=1)
    x = volts(loop, first, x0)
    step = 6.0 * np.sqrt(200**2 + 1 / 12) / 2048 * 5e-3
    assert x.std(axis=0) == pytest.approx(step * np.sqrt(ticks), rel=0.05)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.06
    other = loop.plan(BLOCKS, quiet, ticks, now_s=0.0, noisy=True, seed=2)
    assert abs(np.corrcoef(x[:, 0], volts(loop, other, x0)[:, 0])[0, 1]) < 0.06
    silent = loop.plan(BLOCKS, quiet, ticks, now_s=0.0, noisy=False, seed=1)
    np.testing.assert_array_equal(volts(loop, silent, x0), 0.0)


def test_noise_words_beyond_the_converter_are_cut_off_and_counted() -> None:
    board = board_with_network()
    loop = board.machine.loop
    plan = loop.plan(BLOCKS, waves(50, noise=1500), 50, now_s=0.0, noisy=True, seed=1)
    before = loop.saturated
    volts(loop, plan, starts(40))
    share = (loop.saturated - before) / (50 * 40 * 2)
    assert share == pytest.approx(0.172, abs=0.03)  # beyond 2048 / 1500 standard deviations


def test_electronic_noise_does_not_depend_on_the_tick() -> None:
    """Twice as many ticks of half the length: the same noise clock, so the same spread of x."""
    spreads = []
    for ticks, tick_s in ((100, 5e-3), (200, 2.5e-3)):
        settings = some_effects("loop_noise", loop_noise_sd_volts=0.02)
        loop = board_with_network(settings).machine.loop
        held = {key: np.repeat(v, ticks // 100, axis=0) for key, v in wave_codes(100).items()}
        plan = loop.plan(BLOCKS, Waves(tick_s=tick_s, **held), ticks, now_s=0.0)
        x = volts(loop, plan, np.full((400, 2), 2200))
        spreads.append(x)
    assert spreads[0].std(axis=0).min() > 1e-3
    np.testing.assert_allclose(spreads[0], spreads[1], atol=2e-4)


def test_slow_cell_noise_is_frozen_within_a_solve_and_differs_between_solves() -> None:
    board = board_with_network(some_effects("read_noise"))
    loop, x0 = board.machine.loop, np.full((40, 2), 2300)
    plan = loop.plan(BLOCKS, waves(), 200, now_s=0.0)
    x = volts(loop, plan, x0)
    assert x.std(axis=0).min() > 1e-5
    np.testing.assert_array_equal(x, volts(loop, plan, x0))


# --- the errors of a board -------------------------------------------------------------------


def growth(board: SimBoard, start: float, **words: float) -> np.ndarray:
    """x after 100 ticks of constant words, the network's output at zero score word."""
    loop, ticks = board.machine.loop, 100
    constant = {key: code(np.full(ticks, value)) for key, value in words.items()}
    quiet = {"drift": np.full(ticks, 2048), "score": np.full(ticks, 2048)}
    plan = loop.plan(BLOCKS, waves(ticks, **(quiet | constant)), ticks, now_s=0.0)
    return volts(loop, plan, code([[start, start]]))[0]


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_planted_drift_gain_sets_the_growth(factor: float) -> None:
    board = board_with_network(SimSettings.ideal(loop_gain_drift=factor))
    rate = np.log(growth(board, 0.25, drift=-0.25) / 0.1) / 0.5
    np.testing.assert_allclose(rate, 4.0 * 0.25 * factor, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_planted_score_gain_scales_the_score_path(factor: float) -> None:
    nominal = growth(board_with_network(), 0.25, score=0.01) - 0.1
    board = board_with_network(SimSettings.ideal(loop_gain_score=factor))
    found = growth(board, 0.25, score=0.01) - 0.1
    np.testing.assert_allclose(found / nominal, factor, rtol=0.05)
    assert np.abs(nominal).min() > 1e-5


def test_planted_zeros_take_effect() -> None:
    board = board_with_network(
        SimSettings.ideal(zero_drift=0.02, integrator_offset_volts_per_s=(0.01, -0.02))
    )
    np.testing.assert_allclose(
        growth(board, 0.25), 0.1 * np.exp(-0.04) + np.array([0.005, -0.01]), atol=3e-4
    )
    board = board_with_network(SimSettings.ideal(zero_score=0.02))
    word = growth(board_with_network(), 0.25, score=41 / 2048)
    np.testing.assert_allclose(growth(board, 0.25), word, atol=1e-4)


def test_the_leak_pulls_to_zero() -> None:
    board = board_with_network(
        some_effects("integrator_error", leak_time_s=2.0, integrator_offset_sd_volts_per_s=0.0)
    )
    np.testing.assert_allclose(growth(board, 0.25), 0.1 * np.exp(-0.25), rtol=1e-4)


def test_errors_are_drawn_from_the_board_seed() -> None:
    errors = [make_board(SimSettings(board_seed=s), REFERENCE).loop_errors for s in range(1, 60)]
    drift = np.array([e.drift_rate_per_s for e in errors]) / -4.0
    assert drift.mean(axis=1).std() == pytest.approx(0.05, rel=0.3)
    assert (drift[:, 0] - drift[:, 1]).std() == pytest.approx(0.005 * np.sqrt(2), rel=0.3)
    zeros = np.array([e.score_zero for e in errors])
    assert zeros.mean(axis=1).std() == pytest.approx(0.005, rel=0.3)
    again = make_board(SimSettings(board_seed=1, seed=5), REFERENCE).loop_errors
    np.testing.assert_array_equal(again.drift_rate_per_s, errors[0].drift_rate_per_s)


def test_late_words_are_the_mean_over_the_tick() -> None:
    settings = some_effects("skew", "settling")
    loop = board_with_network(settings).machine.loop
    plan = loop.plan(BLOCKS, waves(), 200, now_s=0.0)
    ideal = board_with_network().machine.loop.plan(BLOCKS, waves(), 200, now_s=0.0)
    step = ideal.drive.embedding[:-1] - ideal.drive.embedding[1:]
    late = (10e-6 * np.arange(4, 18) + 10e-6) / 5e-3
    np.testing.assert_allclose(
        plan.drive.embedding[1:] - ideal.drive.embedding[1:], step * late, atol=1e-15
    )
    np.testing.assert_array_equal(plan.drive.embedding[0], ideal.drive.embedding[0])


@pytest.mark.parametrize(
    "effect",
    [
        "dac_error",
        "adc_error",
        "front_end_noise",
        "multiplier_error",
        "integrator_error",
        "loop_noise",
        "skew",
        "settling",
        "line_resistance",
        "read_noise",
    ],
)
def test_each_effect_alone_changes_the_solve_a_little(effect: str) -> None:
    x0 = starts(64)
    found = []
    for settings in (SimSettings.ideal(), some_effects(effect)):
        board = board_with_network(settings)
        loop = board.machine.loop
        plan = loop.plan(BLOCKS, waves(), 200, now_s=0.0)
        codes = solve(board, plan, x0) / 2048 * 4.0
        found.append(np.hstack([codes, volts(loop, plan, x0) / UNIT_VOLTS]))
    difference = np.abs(found[1] - found[0])
    assert difference.max() > 0
    assert np.median(difference) < 0.3
