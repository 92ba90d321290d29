"""Samples per second of the compiled loop beside others, all on the shipped ring model.

One run, interleaved: in each round every contestant solves the same initial conditions once, and
figures are medians over the rounds. The published sampler's 10,000 steps are timed on a slice of
them and scaled, as each step costs the same; the quality of all 10,000 is that of the project's own
sampler, which takes the same steps of the same equations in numpy.

The KL divergence of one set of 50,000 samples scatters by 4 % from set to set, and a difference of
4e-4 between two ways of solving moves that of one and the same set by up to 2 %, since samples at
the edge of a bin change it. Equal quality is so judged over several sets.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import _generation_peers as peers
import numpy as np
import torch

from hil.diffusion.metrics import evaluate
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import REVERSE_SDE
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.generation import held_words, solve_fast
from hil.sim.generate import ReadNoise
from hil.sim.loop_build import find_compiler

Figures = dict[str, float]
Limits = dict[str, tuple[float, float]]
SEED = 2_027  # used for no choice of model or training
TICKS = 200
PUBLISHED_STEPS = 10_000
CORES = int(os.environ.get("HIL_BENCH_CORES") or len(os.sched_getaffinity(0)))
"""Of every contestant."""
CLOCK = time.process_time if os.environ.get("HIL_BENCH_CORES") == "1" else time.perf_counter
"""HIL_BENCH_CORES=1 is for a computer that is busy with something else: everybody has one core, and
seconds are those of the processor."""
SOURCE = Path(__file__).with_name("_generation_kernel.c")
READ_SIGMA = 0.01  # of a weight, relative; this benchmark's choice
READ_PERIOD_TICKS = 4  # 50 noise ticks per solve, 30 normals in each
CANDIDATES = (10, 20, 25, 40, 50, 100, 200)  # ticks
EQUAL_KL = 0.01
SETS = 8  # of initial conditions, by which equal quality is judged
EQUAL_MEAN = f"equal quality: KL over the exact solution's, mean of {SETS} sets"
EQUAL_ERROR = "equal quality: standard error of that mean"
EQUAL_SDE = 0.05
COUNT, SDE_COUNT = 50_000, 200_000  # samples that are timed, samples that a noisy law is judged by
HELD, EQUAL = "loop, 200 held ticks", "loop, ticks of equal quality"
HAND = "hand-written C, 200 held ticks"
SLICE, PUBLISHED = "published, a slice", "published, 10,000 Euler"
NOISY, QUIET = "30 normals x 50 noise ticks", "no noise"


def ode(quick: bool) -> tuple[Figures, Limits]:
    """Unconditional samples of the probability-flow ODE."""
    model = load_model("ring")
    rounds, slice_steps = (3, 10) if quick else (5, 20)
    x0 = initial_conditions(model, SEED, 0, COUNT)
    exact = solve_fast(model, x0, Solve(steps=PUBLISHED_STEPS // 5), words_at=0.5, threads=CORES)
    # The published steps end within 3e-5 of the exact solution; all of them take a minute.
    euler = exact if quick else solve(model, x0, Solve(steps=PUBLISHED_STEPS))
    contestants: dict[str, peers.Solver] = {
        HELD: _loop(model, TICKS),
        HAND: _hand_written(model),
        SLICE: peers.published(model, slice_steps, PUBLISHED_STEPS),
    }
    lacking = peers.missing()
    if "torchdiffeq" not in lacking:
        contestants["torchdiffeq dopri5 1e-4"] = peers.torchdiffeq_dopri5(model)
    if "diffrax" not in lacking:
        contestants["diffrax Tsit5 1e-4"] = peers.diffrax_tsit5(model)
    library_rms = [
        _rms(f(x0), exact) for name, f in contestants.items() if name not in (HELD, HAND, SLICE)
    ]
    ticks, apart = _equal_ticks(model, exact, min(library_rms, default=np.inf))
    contestants[EQUAL] = _loop(model, ticks)
    rates, ends = race(contestants, x0, rounds)
    figures, bars = _ode_figures(
        rates, ends, exact, euler, ticks, slice_steps / PUBLISHED_STEPS, lacking
    )
    return figures | apart, bars


def _equal_ticks(model: ScoreModel, exact: np.ndarray, rms: float) -> tuple[int, Figures]:
    """The fewest ticks of a quality equal to all others', from which on all finer ones have it;
    and how far from equal they are.

    Equal is a KL divergence of at most 1 % above that of the exact solution (from which that of the
    published steps cannot be told), in the mean over `SETS` of samples and two standard errors of
    it, and a distance from the exact solution of at most `rms`, the better of the libraries'. The
    first set is the one that is timed, whose exact solution is `exact`.
    """
    sets = [initial_conditions(model, SEED + n, 0, COUNT) for n in range(SETS)]
    fine = [exact, *map(_loop(model, PUBLISHED_STEPS // 5), sets[1:])]
    exact_kl = np.array([evaluate(end).kl_1d for end in fine])
    found, figures = TICKS, {EQUAL_MEAN: np.nan, EQUAL_ERROR: np.nan}
    for ticks in sorted(CANDIDATES, reverse=True):
        ends = [*map(_loop(model, ticks), sets)]
        ratio = np.array([evaluate(end).kl_1d for end in ends]) / exact_kl
        mean, error = float(ratio.mean()), float(ratio.std(ddof=1) / np.sqrt(SETS))
        if mean + 2.0 * error > 1.0 + EQUAL_KL or _rms(ends[0], exact) > rms:
            break
        found, figures = ticks, {EQUAL_MEAN: mean, EQUAL_ERROR: error}
    return found, figures


def _ode_figures(
    rates: dict[str, float],
    ends: dict[str, np.ndarray],
    exact: np.ndarray,
    euler: np.ndarray,
    ticks: int,
    share: float,
    lacking: list[str],
) -> tuple[Figures, Limits]:
    """Both comparisons: the loop as a board runs it, and with as many ticks as quality takes."""
    rates[PUBLISHED] = rates.pop(SLICE) * share
    del ends[SLICE]
    library = _fastest(rates, ("torchdiffeq", "diffrax"), lacking)
    published_kl = evaluate(euler).kl_1d
    kl = {name: evaluate(end).kl_1d for name, end in ends.items()}
    figures = {
        "ticks of equal quality": float(ticks),
        **{f"{name}, samples/s": rate for name, rate in rates.items()},
        **{f"{name}, KL 1-D": value for name, value in kl.items()},
        "published steps, KL 1-D": published_kl,
        **{f"{name}, rms from exact": _rms(end, exact) for name, end in ends.items()},
        "200 ticks: times the published sampler": rates[HELD] / rates[PUBLISHED],
        "200 ticks: times the fastest library": rates[HELD] / library,
        "200 ticks: KL over that of the published steps": kl[HELD] / published_kl,
        "share of hand-written C": rates[HELD] / rates[HAND],
        "equal quality: times the published sampler": rates[EQUAL] / rates[PUBLISHED],
        "equal quality: times the fastest library": rates[EQUAL] / library,
        "equal quality: KL over that of the published steps, this set": kl[EQUAL] / published_kl,
    }
    bars = {
        "200 ticks: KL over that of the published steps": (0.0, 1.0 + EQUAL_KL),
        "share of hand-written C": (0.5, np.inf),
        "equal quality: times the published sampler": (1_000.0, np.inf),
        "equal quality: times the fastest library": (4.0, np.inf),
        EQUAL_MEAN: (0.0, 1.0 + EQUAL_KL),
    }
    return figures, bars


def _rms(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - exact) ** 2)))


def sde(quick: bool) -> tuple[Figures, Limits]:
    """Samples of the reverse SDE, each with its own method and noise; the others in 200 steps."""
    model = dataclasses.replace(load_model("ring"), noise=REVERSE_SDE)
    rounds = 3 if quick else 5
    x0 = initial_conditions(model, SEED, 0, COUNT)
    ticks = _equal_sde_ticks(model)
    contestants: dict[str, peers.Solver] = {
        HELD: _loop(model, TICKS, sde=True),
        EQUAL: _loop(model, ticks, sde=True),
    }
    lacking = peers.missing()
    if "torchsde" not in lacking:
        contestants["torchsde Euler 200"] = peers.torchsde_euler(model, TICKS)
    if "diffrax" not in lacking:
        contestants["diffrax Euler 200"] = peers.diffrax_euler(model, TICKS)
    rates, ends = race(contestants, x0, rounds)
    library = _fastest(rates, ("torchsde", "diffrax"), lacking)
    figures = {
        "ticks of equal quality": float(ticks),
        **{f"{name}, samples/s": rate for name, rate in rates.items()},
        **{f"{name}, KL 1-D": evaluate(end).kl_1d for name, end in ends.items()},
        **{f"{name}, sliced W1": evaluate(end).sliced_w1 for name, end in ends.items()},
        "200 ticks: times the fastest library": rates[HELD] / library,
        "equal quality: times the fastest library": rates[EQUAL] / library,
    }
    return figures, {"equal quality: times the fastest library": (10.0, np.inf)}


def _equal_sde_ticks(model: ScoreModel) -> int:
    """The fewest ticks from which on KL and sliced W1 are within 5 % of 1,000 steps'."""
    x0 = initial_conditions(model, SEED, 0, SDE_COUNT)
    fine, found = evaluate(_loop(model, 1_000, sde=True)(x0)), TICKS
    for ticks in sorted(CANDIDATES, reverse=True):
        coarse = evaluate(_loop(model, ticks, sde=True)(x0))
        apart = coarse.kl_1d / fine.kl_1d, coarse.sliced_w1 / fine.sliced_w1
        if max(abs(ratio - 1.0) for ratio in apart) > EQUAL_SDE:
            break
        found = ticks
    return found


def noise(quick: bool) -> tuple[Figures, Limits]:
    """What fresh read noise costs: one normal per sum and noise tick, its variance of all cells."""
    model = load_model("ring")
    rounds = 5 if quick else 9
    x0 = initial_conditions(model, SEED, 0, COUNT)
    sigmas = [(READ_SIGMA * np.abs(w), READ_SIGMA * np.abs(b)) for w, b in model.layers]
    fresh = ReadNoise(sigmas, period_ticks=READ_PERIOD_TICKS)
    how = Solve(steps=TICKS, seed=SEED)
    rates, ends = race(
        {
            QUIET: _loop(model, TICKS),
            NOISY: lambda x: solve_fast(
                model, x, how, words_at=0.5, read_noise=fresh, threads=CORES
            ),
        },
        x0,
        rounds,
    )
    figures = {
        **{f"{name}, samples/s": rate for name, rate in rates.items()},
        "rms that the noise moves a sample by": float(
            np.sqrt(np.mean((ends[NOISY] - ends[QUIET]) ** 2))
        ),
        "noisy over noise-free rate": rates[NOISY] / rates[QUIET],
    }
    return figures, {"noisy over noise-free rate": (0.5, np.inf)}


def race(
    contestants: Mapping[str, peers.Solver], x0: np.ndarray, rounds: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Samples per second of each (median over rounds, in turns), and where its samples end."""
    torch.set_num_threads(CORES)
    ends = {name: solver(x0) for name, solver in contestants.items()}  # compiles what compiles
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, solver in contestants.items():
            seconds[name].append(_seconds(lambda solver=solver: solver(x0)))
    return {name: len(x0) / statistics.median(s) for name, s in seconds.items()}, ends


def _seconds(function: Callable[[], object]) -> float:
    start = CLOCK()
    function()
    return CLOCK() - start


def _fastest(rates: Mapping[str, float], libraries: tuple[str, ...], lacking: list[str]) -> float:
    """The best rate of the libraries; NaN, which misses every bar, where one is not installed."""
    if absent := [name for name in libraries if name in lacking]:
        print(f"{', '.join(absent)} missing: `make bench` installs requirements-bench.lock")
        return float("nan")
    return max(rate for name, rate in rates.items() if name.startswith(libraries))


def _loop(model: ScoreModel, ticks: int, *, sde: bool = False) -> peers.Solver:
    how = Solve(steps=ticks, sde=sde, seed=SEED)
    return lambda x0: solve_fast(model, x0, how, words_at=0.5, threads=CORES)


def _hand_written(model: ScoreModel) -> peers.Solver:
    """`_generation_kernel.c`, built now, on every core."""
    with tempfile.TemporaryDirectory(prefix="generation-") as folder:
        path = Path(folder) / "kernel.so"
        command = [*find_compiler(), "-O3", "-march=native", "-fPIC", "-shared"]
        subprocess.run([*command, str(SOURCE), "-o", str(path)], check=True)
        function = ctypes.CDLL(str(path)).solve
    words = held_words(model, Solve(steps=TICKS), 0.5)
    layers = [(w, b) for w, b in model.layers[:-1]]
    layers.append(
        (model.output_gain * model.layers[-1][0], model.output_gain * model.layers[-1][1])
    )
    weights = np.concatenate([np.vstack([w.T, b]).ravel() for w, b in layers])
    arrays = [
        np.ascontiguousarray(a, np.float32)
        for a in (weights, words.embedding, words.rate, words.pull)
    ]
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
    pool = ThreadPoolExecutor(CORES)

    def solver(x0: np.ndarray) -> np.ndarray:
        padded = np.zeros((-(-len(x0) // 16) * 16, 2), np.float32)
        padded[: len(x0)] = x0
        edges = np.linspace(0, len(padded) // 16, 8 * CORES + 1).astype(int) * 16

        def part(k: int) -> None:
            function(
                ctypes.c_void_p(padded.ctypes.data),
                *(ctypes.c_ssize_t(int(v)) for v in (edges[k], edges[k + 1], TICKS)),
                ctypes.c_float(words.tick_s),
                *pointers,
            )

        list(pool.map(part, range(8 * CORES)))
        return padded[: len(x0)].astype(np.float64)

    solver.keeps = arrays  # type: ignore[attr-defined]  # what the pointers point to
    return solver
