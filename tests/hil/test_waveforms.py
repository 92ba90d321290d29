"""From a model's file to words: fits of tick, RC and duration, dithering, sign conventions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.loop import LoopCalibration
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import REVERSE_SDE, NoiseLaw
from hil.waveforms import LoopTiming, Mode, build_waveforms, dithered, model_times
from protocols.errors import ConfigError, ModelError
from protocols.hardware import load_board

BOARD = load_board("reference")
MODEL = load_model("ring")
TIMING = LoopTiming(5e-3, 200)
NOMINAL = LoopCalibration.nominal(BOARD.loop)


def test_words_times_gains_give_the_rates_of_the_model():
    found = build_waveforms(MODEL, NOMINAL, TIMING, BOARD, Mode.ODE)
    beta = MODEL.schedule.beta(model_times(MODEL, TIMING)) / TIMING.duration_s
    np.testing.assert_allclose(found.drift * NOMINAL.kf_per_s, MODEL.kf * 0.5 * beta)
    np.testing.assert_allclose(found.score * NOMINAL.kg_per_s, MODEL.kg * 0.5 * beta)
    assert np.all(found.noise == 0.0)


def test_sde_doubles_the_score_and_adds_held_noise_of_the_right_variance():
    reverse = replace(MODEL, noise=REVERSE_SDE)
    ode = build_waveforms(reverse, NOMINAL, TIMING, BOARD, Mode.ODE)
    sde = build_waveforms(reverse, NOMINAL, TIMING, BOARD, Mode.SDE)
    np.testing.assert_allclose(sde.score, 2 * ode.score)
    volts_per_s = sde.noise * NOMINAL.kn_volts_per_s
    per_solve = np.sum((volts_per_s * TIMING.tick_s / MODEL.volts_per_unit) ** 2)
    total = float(MODEL.schedule.integral(1.0)) * MODEL.kg
    assert per_solve == pytest.approx(total, rel=1e-4)


LAWS = (
    NoiseLaw.preserving(0.5, until=0.3),
    NoiseLaw(scale=0.7, coefficient=0.8),
    NoiseLaw("published", scale=9.0, coefficient=0.6, until=0.1),
)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_words_and_noise_follow_the_models_law(law: NoiseLaw):
    """One definition for the sampler's tables and the board's words."""
    model = replace(MODEL, noise=law)
    found = build_waveforms(model, NOMINAL, TIMING, BOARD, Mode.SDE)
    tau = model_times(model, TIMING)
    beta = np.asarray(model.schedule.beta(tau))
    on = tau > law.until
    c = found.score * NOMINAL.kg_per_s * TIMING.duration_s / (model.kg * beta)
    np.testing.assert_allclose(c, np.where(on, law.coefficient, 0.5))
    units_per_tick = found.noise * NOMINAL.kn_volts_per_s * TIMING.tick_s / model.volts_per_unit
    density = units_per_tick * np.sqrt(TIMING.ticks)  # model time is 1
    if law.kind == "proper":
        np.testing.assert_allclose(density, np.where(on, law.scale * np.sqrt(model.kg * beta), 0.0))
    else:  # held for the published tick, its height is proportional to beta
        height = density / np.sqrt(1 / 200)
        np.testing.assert_allclose(height, np.where(on, law.scale * model.kg * beta, 0.0))


def test_recorded_noise_is_played_by_the_offset_words():
    model = replace(MODEL, noise=NoiseLaw.preserving(0.5))
    draws = np.random.default_rng(3).normal(size=(TIMING.ticks, 2))
    board = build_waveforms(model, NOMINAL, TIMING, BOARD, Mode.SDE)
    played = build_waveforms(model, NOMINAL, TIMING, BOARD, Mode.SDE, draws=draws)
    assert np.all(played.noise == 0.0)
    np.testing.assert_array_equal(played.score, board.score)
    step = 1 / BOARD.code_zero
    wanted = board.noise[:, None] * draws
    assert np.abs(played.offset - wanted).max() <= step
    assert np.abs(np.cumsum(played.offset - wanted, axis=0)).max() <= step / 2 + 1e-12


def test_measured_zeros_and_gains_are_taken_out():
    found = build_waveforms(
        MODEL,
        replace(NOMINAL, kf_per_s=-4.8, f0=0.01, g0=-0.02, d_volts_per_s=(0.03, 0.0)),
        TIMING,
        BOARD,
        Mode.ODE,
    )
    ideal = build_waveforms(MODEL, NOMINAL, TIMING, BOARD, Mode.ODE)
    np.testing.assert_allclose((found.drift + 0.01) * -4.8, ideal.drift * -4.0)
    np.testing.assert_allclose(found.score - 0.02, ideal.score)
    step = 1 / BOARD.code_zero
    assert found.offset[:, 0].mean() == pytest.approx(-0.03 / 6.0, abs=step / TIMING.ticks)
    assert np.all(found.offset[:, 1] == 0.0)


def test_a_solve_that_is_too_short_for_the_rc_is_refused_with_the_factor():
    with pytest.raises(ConfigError, match=r"too short for this loop's rates; lengthen"):
        build_waveforms(MODEL, NOMINAL, LoopTiming(1e-4, 200), BOARD, Mode.ODE)


def test_a_solve_that_leaves_no_codes_is_refused():
    with pytest.raises(ConfigError, match=r"too long for this loop's rates; shorten"):
        build_waveforms(MODEL, NOMINAL, LoopTiming(1.0, 400), BOARD, Mode.ODE)


def test_a_class_of_an_unconditional_model_is_refused():
    with pytest.raises(ModelError, match="class 1 does not exist"):
        build_waveforms(MODEL, NOMINAL, TIMING, BOARD, Mode.ODE, label=1)


@given(st.floats(-0.9, 0.9), st.integers(1, 500))
def test_dithering_keeps_the_mean_to_within_one_step_over_all_ticks(value: float, ticks: int):
    step = 1 / 2048
    codes = dithered(np.full(ticks, value), step) / step
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-6)
    assert abs(np.sum(codes) - value / step * ticks) <= 0.5 + 1e-6
    assert np.ptp(codes) <= 1.0 + 1e-6
