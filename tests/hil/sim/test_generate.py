"""Solves from plain weights: equations, laws of the noise, and what must not matter."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hil.sim import loop_call
from hil.sim.draws import normal_lanes_reference
from hil.sim.generate import (
    STREAM_HELD_NOISE,
    STREAM_READ_NOISE,
    HeldWords,
    Limits,
    ReadNoise,
    generate,
)
from protocols.errors import InputError

Layers = list[tuple[np.ndarray, np.ndarray]]


def network(d: int, width: int, hidden: int, seed: int = 1) -> Layers:
    rng = np.random.default_rng(seed)
    sizes = [d, *[width] * hidden, d]
    return [
        (rng.normal(0, 1 / np.sqrt(a), (b, a)), rng.normal(0, 0.3, b)) for a, b in pairwise(sizes)
    ]


def words(ticks: int, width: int, d: int = 2, seed: int = 2, **more: Any) -> HeldWords:
    rng = np.random.default_rng(seed)
    return HeldWords(
        tick_s=1.0 / ticks,
        rate=rng.normal(0, 0.5, (ticks, d)),
        pull=rng.normal(0, 0.5, (ticks, d)),
        embedding=rng.normal(0, 0.5, (ticks, width)),
        **more,
    )


def starts(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, d))


def plain(
    layers: Layers,
    w: HeldWords,
    x0: np.ndarray,
    *,
    gain: float = 1.0,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    noise: np.ndarray | None = None,
    sums: Any = None,
) -> np.ndarray:
    """The same in numpy, whole ticks; `noise` (ticks, n, d), `sums(tick, layer, inputs)`."""
    x = x0.copy()
    ticks = len(np.asarray(w.embedding))
    constant = np.zeros(x.shape[1]) if w.constant is None else np.asarray(w.constant)
    held: list[np.ndarray] = []

    def score(x: np.ndarray, tick: int, fresh: bool) -> np.ndarray:
        h = x
        if fresh:
            held.clear()
        for number, (weight, bias) in enumerate(layers):
            v = h @ weight.T + bias
            if sums is not None:
                if fresh:
                    held.append(sums(tick, number, h))
                v = v + held[number]
            v = np.clip(v, -limits.sums, limits.sums)
            if number + 1 < len(layers):
                h = np.clip(v + np.asarray(w.embedding)[tick], 0, limits.hidden)
        return np.clip(gain * v, -limits.output, limits.output)

    for tick in range(ticks):
        rate, pull = np.asarray(w.rate)[tick], np.asarray(w.pull)[tick]
        push = constant if noise is None else constant + noise[tick]
        first = rate * x + pull * score(x, tick, True) + push
        ahead = np.clip(x + w.tick_s * first, -limits.state, limits.state)
        second = rate * ahead + pull * score(ahead, tick, False) + push
        x = np.clip(x + 0.5 * w.tick_s * (first + second), -limits.state, limits.state)
    return x


# --- equations -------------------------------------------------------------------------------


@examples(max_examples=12)
@given(
    d=st.sampled_from([1, 2, 3, 6, 20]),
    width=st.sampled_from([1, 2, 5, 8, 14, 17, 33]),
    hidden=st.integers(1, 3),
    n=st.integers(1, 40),
    limited=st.booleans(),
)
def test_any_network_is_solved_as_plain_numpy_does(
    d: int, width: int, hidden: int, n: int, limited: bool
) -> None:
    layers, w = network(d, width, hidden), words(7, width, d, constant=np.linspace(-1, 1, d))
    limits = Limits(sums=0.9, hidden=0.7, output=0.5, state=1.4) if limited else Limits()
    x0 = starts(n, d).clip(-1.4, 1.4)
    expected = plain(layers, w, x0, gain=1.3, limits=limits)
    found = generate(layers, w, x0, output_gain=1.3, limits=limits, double=True)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    single = generate(layers, w, x0, output_gain=1.3, limits=limits)
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=2e-5)


def test_the_published_shape_has_a_path_of_its_own_and_is_no_exception() -> None:
    layers, w, x0 = network(2, 14, 2), words(50, 14), starts(333, 2)
    expected = plain(layers, w, x0)
    np.testing.assert_allclose(generate(layers, w, x0, double=True), expected, atol=1e-12)
    single = generate(layers, w, x0)
    assert np.sqrt(np.mean((single - expected) ** 2)) < 1e-6
    assert np.abs(expected - x0).max() > 0.1


def test_words_by_tick_hold_for_all_axes() -> None:
    layers, x0 = network(3, 5, 1), starts(4, 3)
    e = np.zeros((6, 5))
    rate = np.linspace(0, 1, 6)
    one = generate(layers, HeldWords(0.1, rate, -rate, e), x0)
    tiled = np.repeat(rate[:, None], 3, axis=1)
    np.testing.assert_array_equal(one, generate(layers, HeldWords(0.1, tiled, -tiled, e), x0))


def test_initial_conditions_are_left_as_they_are() -> None:
    x0 = starts(4, 2)
    kept = x0.copy()
    generate(network(2, 14, 2), words(5, 14), x0)
    np.testing.assert_array_equal(x0, kept)


# --- noise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_held_noise_is_its_keyed_draws(d: int) -> None:
    layers, ticks, n = network(d, 4, 1), 9, 11
    sd = np.linspace(0.5, 2, ticks)
    w, numbers = words(ticks, 4, d, noise=sd), 100 + 3 * np.arange(n)
    counters = np.arange((ticks * d + 3) // 4)
    draws = normal_lanes_reference(7, STREAM_HELD_NOISE, numbers[:, None], counters[None])
    z = draws.reshape(n, -1)[:, : ticks * d].reshape(n, ticks, d).transpose(1, 0, 2)
    expected = plain(layers, w, starts(n, d), noise=sd[:, None, None] * z)
    found = generate(layers, w, starts(n, d), seed=7, trajectories=numbers, double=True)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    single = generate(layers, w, starts(n, d), seed=7, trajectories=numbers)
    np.testing.assert_allclose(single, expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 14, 2), (3, 17, 1)])
def test_read_noise_has_the_variance_of_all_weights(shape: tuple[int, int, int]) -> None:
    layers, n = network(*shape), 9
    rng = np.random.default_rng(5)
    sigmas = [(rng.uniform(0, 0.2, w.shape), rng.uniform(0, 0.2, b.shape)) for w, b in layers]
    w, x0 = words(6, shape[1], shape[0]), starts(n, shape[0])
    sizes = [len(b) for _w, b in layers]
    blocks = np.arange((sum(sizes) + 3) // 4)

    def sums(tick: int, layer: int, inputs: np.ndarray) -> np.ndarray:
        numbers = np.arange(n)[:, None]
        z = normal_lanes_reference(3, STREAM_READ_NOISE, numbers, tick, blocks).reshape(n, -1)
        part = z[:, sum(sizes[:layer]) : sum(sizes[: layer + 1])]
        sw, sb = sigmas[layer]
        return part * np.sqrt(inputs**2 @ (sw**2).T + sb**2 + 0.05**2)

    noise = ReadNoise(sigmas, volts=0.05)
    expected = plain(layers, w, x0, sums=sums)
    found = generate(layers, w, x0, read_noise=noise, seed=3, double=True)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    single = generate(layers, w, x0, read_noise=noise, seed=3)
    np.testing.assert_allclose(single, expected, atol=1e-4)
    assert np.abs(expected - plain(layers, w, x0)).max() > 1e-3


def test_one_normal_per_sum_has_the_law_of_one_per_weight() -> None:
    """The spread of the end points against networks whose every weight is drawn in each tick."""
    layers, ticks, n = network(2, 6, 1), 8, 4000
    w, x0 = words(ticks, 6), np.repeat(starts(1, 2), n, axis=0)
    sigmas = [(np.full(m.shape, 0.1), np.full(b.shape, 0.1)) for m, b in layers]
    rng = np.random.default_rng(11)

    def sums(_tick: int, layer: int, inputs: np.ndarray) -> np.ndarray:
        m, b = layers[layer]
        errors = 0.1 * rng.normal(size=(n, *m.shape))
        return np.einsum("noi,ni->no", errors, inputs) + 0.1 * rng.normal(size=(n, len(b)))

    per_weight = plain(layers, w, x0, sums=sums)
    per_sum = generate(layers, w, x0, read_noise=ReadNoise(sigmas), seed=1)
    np.testing.assert_allclose(per_sum.std(axis=0), per_weight.std(axis=0), rtol=0.06)
    spread = per_weight.std(axis=0)
    assert np.abs(per_sum.mean(axis=0) - per_weight.mean(axis=0)).max() < 6 * spread.max() / n**0.5


def test_the_noise_clock_does_not_tick_with_the_words() -> None:
    """Ticks of half the length, the same noise clock: the same noise, so nearly the same end."""
    layers, x0 = network(2, 14, 2), starts(200, 2)
    w = words(40, 14)
    parts = (np.repeat(np.asarray(a), 2, axis=0) for a in (w.rate, w.pull, w.embedding))
    half = HeldWords(w.tick_s / 2, *parts)
    ends = [
        generate(layers, v, x0, read_noise=ReadNoise(volts=0.5, period_ticks=p), double=True)
        for v, p in ((w, 2.5), (half, 5.0))
    ]
    moved = np.abs(ends[0] - generate(layers, w, x0)).mean()
    assert np.abs(ends[0] - ends[1]).mean() < 0.02 * moved


# --- what must not matter --------------------------------------------------------------------


def test_threads_batches_and_order_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_call, "_WORTH_A_THREAD", 1)
    layers, w, x0 = network(2, 14, 2), words(10, 14, noise=np.ones(10)), starts(700, 2)
    noise = ReadNoise([(0.1 * np.abs(m), 0.1 * np.abs(b)) for m, b in layers], period_ticks=3)

    def run(x: np.ndarray, **how: Any) -> np.ndarray:
        return generate(layers, w, x, read_noise=noise, seed=4, **how)

    whole = run(x0, threads=1)
    np.testing.assert_array_equal(run(x0, threads=3), whole)
    parts = [run(x0[a:b], trajectories=a) for a, b in ((0, 3), (3, 500), (500, 700))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = np.random.default_rng(0).permutation(700)
    np.testing.assert_array_equal(run(x0[order], trajectories=order), whole[order])
    other = generate(layers, w, x0, read_noise=noise, seed=5)
    assert np.abs(other - whole).min() > 0


def test_no_trajectories_are_no_trouble() -> None:
    assert generate(network(2, 14, 2), words(5, 14), np.empty((0, 2))).shape == (0, 2)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x0": np.zeros(4)}, r"\(n, d\) is needed"),
        ({"x0": np.array([[np.nan, 0.0]])}, "x0: 1 values are not finite"),
        ({"layers": network(2, 14, 2)[:1]}, "no hidden layer"),
        ({"layers": network(3, 14, 2)}, r"\(outputs, 2\) and \(outputs,\) are needed"),
        ({"layers": [*network(2, 14, 1)[:1], *network(14, 3, 1)[:1]]}, "no score of a state"),
        ({"words": words(5, 13)}, "every hidden layer, of width"),
        ({"words": words(5, 14, 3)}, r"rate has shape \(5, 3\)"),
        ({"words": words(5, 14, noise=-np.ones(5))}, "standard deviation"),
        ({"words": words(5, 14, noise=np.ones(4))}, "noise_sd has shape"),
        ({"words": words(5, 14, constant=(1.0,))}, "constant has shape"),
        ({"limits": Limits(hidden=0.0)}, "limits.hidden"),
        ({"output_gain": np.inf}, "output_gain"),
        ({"seed": -1}, "seed"),
        ({"trajectories": -1}, "Trajectory numbers"),
        ({"trajectories": [1, 2]}, "trajectory has shape"),
        ({"read_noise": ReadNoise(volts=-1.0)}, "read noise"),
        ({"read_noise": ReadNoise(period_ticks=0.0)}, "noise period"),
        ({"read_noise": ReadNoise(network(2, 13, 2))}, "read noise"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "layers": network(2, 14, 2),
        "words": words(5, 14),
        "x0": np.zeros((1, 2)),
    }
    with pytest.raises(InputError, match=message):
        generate(**(good | change))
