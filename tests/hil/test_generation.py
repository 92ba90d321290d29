"""The fast solver of a score model against the software's sampler."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hil.diffusion.metrics import evaluate
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import NoiseLaw
from hil.diffusion.noise_source import SeededNoise
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.generation import held_words, solve_fast
from protocols.errors import InputError

MODEL = load_model("ring")


@pytest.mark.parametrize("clamp", [False, True])
def test_the_ode_is_that_of_the_sampler(clamp: bool) -> None:
    x0 = initial_conditions(MODEL, 1, 0, 500)
    how = Solve(steps=100, heun=True, clamp=clamp, offset=(0.1, -0.1))
    np.testing.assert_allclose(solve_fast(MODEL, x0, how), solve(MODEL, x0, how), atol=3e-6)


def test_the_sde_has_the_law_of_the_samplers() -> None:
    model = dataclasses.replace(MODEL, noise=NoiseLaw.preserving(0.7, until=0.2))
    x0 = initial_conditions(model, 1, 0, 20_000)
    how = Solve(steps=60, sde=True, heun=True, seed=3)
    ours, theirs = evaluate(solve_fast(model, x0, how)), evaluate(solve(model, x0, how))
    assert ours.radius_mean == pytest.approx(theirs.radius_mean, abs=2e-3)
    assert ours.radius_sd == pytest.approx(theirs.radius_sd, rel=0.03)
    assert ours.sliced_w1 == pytest.approx(theirs.sliced_w1, abs=3e-3)
    quiet = evaluate(solve_fast(model, x0, dataclasses.replace(how, sde=False)))
    assert abs(quiet.radius_sd - ours.radius_sd) > 0.002


def test_words_at_the_middle_are_of_second_order() -> None:
    x0 = initial_conditions(MODEL, 1, 0, 200)
    fine = solve_fast(MODEL, x0, Solve(steps=4000), words_at=0.5)
    errors = {
        at: np.sqrt(np.mean((solve_fast(MODEL, x0, Solve(steps=50), words_at=at) - fine) ** 2))
        for at in (0.0, 0.5)
    }
    assert errors[0.5] < 0.3 * errors[0.0]


def test_noise_that_the_kernel_cannot_draw_is_refused() -> None:
    how = Solve(steps=5, sde=True, noise=SeededNoise(3))
    with pytest.raises(InputError, match="seed 3"):
        solve_fast(MODEL, np.zeros((1, 2)), how)


def test_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(Exception, match="class"):
        held_words(MODEL, Solve(steps=5, label=1))
