"""From a model's file to words: fits of tick, RC and duration, dithering, sign conventions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.loop import LoopCalibration
from hil.diffusion.model import load_model
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
    ode = build_waveforms(MODEL, NOMINAL, TIMING, BOARD, Mode.ODE)
    sde = build_waveforms(MODEL, NOMINAL, TIMING, BOARD, Mode.SDE)
    np.testing.assert_allclose(sde.score, 2 * ode.score)
    volts_per_s = sde.noise * NOMINAL.kn_volts_per_s
    per_solve = np.sum((volts_per_s * TIMING.tick_s / MODEL.volts_per_unit) ** 2)
    total = float(MODEL.schedule.integral(1.0)) * MODEL.kg * MODEL.noise.scale**2
    assert per_solve == pytest.approx(total, rel=1e-4)


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
