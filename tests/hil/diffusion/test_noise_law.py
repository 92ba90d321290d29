"""The law of the noise: its family, its kinds, where it ends, and how it is written and read."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.diffusion.model import NoiseLaw, load_model, save_model
from hil.diffusion.noise_law import PUBLISHED, PUBLISHED_TICK, REVERSE_SDE
from hil.diffusion.sampler import Solve, initial_conditions, solve
from protocols.errors import InputError, ModelError

TAU = np.linspace(0.0, 1.0, 11)
BETA = 0.001 + 0.4 * TAU


@pytest.fixture(scope="module")
def ring():
    return load_model("ring")


def test_the_family_runs_from_the_ode_to_the_reverse_sde():
    assert NoiseLaw.preserving(1.0) == REVERSE_SDE
    still = NoiseLaw.preserving(0.0)
    np.testing.assert_array_equal(still.score_coefficient(TAU), 0.5)
    np.testing.assert_array_equal(still.density(BETA, 0.8, TAU), 0.0)
    half = NoiseLaw.preserving(0.5)
    assert half.coefficient == pytest.approx(0.625)
    np.testing.assert_allclose(half.density(BETA, 0.8, TAU), 0.5 * np.sqrt(0.8 * BETA))


def test_after_its_end_a_law_is_the_ode():
    law = NoiseLaw(scale=0.6, coefficient=0.9, until=0.3)
    np.testing.assert_allclose(law.score_coefficient(TAU), np.where(TAU > 0.3, 0.9, 0.5))
    density = law.density(BETA, 1.0, TAU)
    assert np.all(density[TAU <= 0.3] == 0.0)
    assert np.all(density[TAU > 0.3] > 0.0)


def test_the_published_kind_is_proportional_to_beta_at_the_published_tick():
    law = NoiseLaw(PUBLISHED, scale=3.0)
    held = law.density(BETA, 0.7, TAU) / np.sqrt(PUBLISHED_TICK)
    np.testing.assert_allclose(held, 3.0 * 0.7 * BETA)


@pytest.mark.parametrize("kind", ["proper", PUBLISHED])
def test_the_variance_of_a_law_does_not_depend_on_the_step(ring, kind):
    scale = 0.6 if kind == "proper" else 8.0
    noisy = dataclasses.replace(ring, noise=NoiseLaw(kind, scale, 0.0), kf=1e-12)
    spread = [
        solve(noisy, np.zeros((20_000, 2)), Solve(steps=steps, sde=True, seed=2)).std()
        for steps in (50, 200)
    ]
    assert spread[0] == pytest.approx(spread[1], rel=0.03)
    assert spread[0] > 0.1


def test_strength_zero_is_the_ode_bit_by_bit(ring):
    x0 = initial_conditions(ring, 3, 0, 50)
    still = dataclasses.replace(ring, noise=NoiseLaw.preserving(0.0))
    sde = solve(still, x0, Solve(steps=40, sde=True, seed=1))
    np.testing.assert_array_equal(sde, solve(ring, x0, Solve(steps=40)))


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("strength=0.6", NoiseLaw.preserving(0.6)),
        ("strength=0.6, until=0.25", NoiseLaw.preserving(0.6, 0.25)),
        ("scale=0.4", NoiseLaw(scale=0.4)),
        ("kind=published,scale=5,coefficient=0.5", NoiseLaw(PUBLISHED, 5.0, 0.5)),
    ],
)
def test_laws_are_read_from_options(text, law):
    assert NoiseLaw.parse(text) == law


@pytest.mark.parametrize(
    "text",
    ["", "0.6", "strength=", "strength=x", "power=3", "kind=published,strength=1", "scale=-1",
     "scale=nan", "until=2", "kind=pink,scale=1", "strength=0.5,scale=1"],
)  # fmt: skip
def test_what_is_no_law_is_refused(text):
    with pytest.raises(InputError, match="noise"):
        NoiseLaw.parse(text)


@given(
    st.builds(
        NoiseLaw,
        st.sampled_from(["proper", PUBLISHED]),
        st.floats(0.0, 100.0),
        st.floats(0.0, 100.0),
        st.floats(0.0, 1.0),
    )
)
def test_every_law_comes_back_from_the_model_file(tmp_path_factory, law):
    path = tmp_path_factory.mktemp("law") / "m.npz"
    save_model(dataclasses.replace(load_model("ring"), noise=law), path)
    assert load_model(path).noise == law


def rewritten(path, noise):
    with np.load(path) as old:
        arrays = {name: old[name] for name in old.files}
    arrays["meta"] = np.array(json.dumps({**json.loads(str(arrays["meta"])), "noise": noise}))
    np.savez(path, **arrays)
    return path


def test_files_with_kind_and_scale_alone_are_read(tmp_path, ring):
    path = rewritten(save_model(ring, tmp_path / "m.npz"), {"kind": "proper", "scale": 0.4})
    assert load_model(path).noise == NoiseLaw(scale=0.4)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (3, "an object with kind and scale"),
        ({"kind": "proper"}, "'scale' is missing"),
        ({"kind": "pink", "scale": 1.0}, "'proper' or 'published'"),
        ({"kind": "proper", "scale": -0.1}, "noise.scale is -0.1"),
        ({"kind": "proper", "scale": 1.0, "until": 1.5}, "noise.until is 1.5"),
        ({"kind": "proper", "scale": 1.0, "coefficient": "1"}, "noise.coefficient is '1'"),
        ({"kind": "proper", "scale": 1.0, "colour": 1}, "unknown key 'colour'"),
    ],
)
def test_bad_laws_in_a_file_are_refused(tmp_path, ring, noise, words):
    path = rewritten(save_model(ring, tmp_path / "m.npz"), noise)
    with pytest.raises(ModelError, match=words):
        load_model(path)
