"""How exact the compiled loop is, what it keeps in memory, and how soon the first result is there.

Memory and start are measured in processes of their own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

from hil.diffusion.model import load_model
from hil.diffusion.sampler import Solve, initial_conditions
from hil.generation import held_words, solve_fast

Figures = dict[str, float]
Limits = dict[str, tuple[float, float]]
ROOT = Path(__file__).parents[1]
SEED, TICKS = 2_028, 200
RMS = "rms distance from DOP853 at 1e-10"
MORE = "MiB more for ten times the ticks"
COLD, WARM = "cold start to first result, s", "warm start to first result, s"

_FIRST = """
import sys, time
import numpy as np
from hil.sim.generate import HeldWords, ReadNoise, generate
rng = np.random.default_rng(1)
layers = [(rng.normal(0, 0.3, s), np.zeros(s[0])) for s in ((14, 2), (14, 14), (2, 14))]
ticks, count = int(sys.argv[1]), int(sys.argv[2])
words = HeldWords(1 / ticks, np.full(ticks, 0.1), np.full(ticks, 0.1), np.zeros((ticks, 14)),
                  noise=np.full(ticks, 0.1))
noise = ReadNoise([(0.01 * np.abs(w), b) for w, b in layers])
x = generate(layers, words, rng.normal(size=(count, 2)), read_noise=noise)
if not np.isfinite(x).all():
    sys.exit("not finite")
with open("/proc/self/status") as status:  # its own: ru_maxrss has the parent's
    print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


def accuracy(quick: bool) -> tuple[Figures, Limits]:
    """Against the exact solution of the held words of the shipped ring model, model units."""
    model, how = load_model("ring"), Solve(steps=TICKS)
    x0 = initial_conditions(model, SEED, 0, 20 if quick else 200)
    words = held_words(model, how, 0.5)
    rates, pulls = np.asarray(words.rate), np.asarray(words.pull)
    embedding = np.asarray(words.embedding)

    def right(_t: float, flat: np.ndarray, tick: int) -> np.ndarray:
        x = h = flat.reshape(-1, 2)
        for weight, bias in model.layers[:-1]:
            h = np.maximum(h @ weight.T + (bias + embedding[tick]), 0.0)
        score = model.output_gain * (h @ model.layers[-1][0].T + model.layers[-1][1])
        return (rates[tick] * x + pulls[tick] * score).ravel()

    x = x0.ravel()
    for tick in range(TICKS):
        span = (0, words.tick_s)
        x = solve_ivp(right, span, x, "DOP853", args=(tick,), rtol=1e-10, atol=1e-12).y[:, -1]
    exact = x.reshape(-1, 2)
    found = solve_fast(model, x0, how, words_at=0.5)
    figures = {
        "samples": float(len(x0)),
        RMS: float(np.sqrt(np.mean((found - exact) ** 2))),
        "largest distance": float(np.abs(found - exact).max()),
    }
    return figures, {RMS: (0.0, 5e-5)}


def memory(quick: bool) -> tuple[Figures, Limits]:
    """Peak memory of a solve with held noise and read noise, 50,000 trajectories."""
    count = 5_000 if quick else 50_000
    with tempfile.TemporaryDirectory(prefix="generation-") as cache:
        _first(Path(cache), TICKS, 1)
        few, many = (_first(Path(cache), ticks, count)[1] for ticks in (TICKS, 10 * TICKS))
    figures = {"peak MiB": few, "peak MiB, ten times the ticks": many, MORE: many - few}
    # Words alone are 0.3 MiB more; every draw of the longer solve would be 120,000 MiB.
    return figures, {MORE: (-np.inf, 8.0)}


def start(quick: bool) -> tuple[Figures, Limits]:
    """From the start of the interpreter to samples, with nothing compiled and with the cache."""
    warm = []
    with tempfile.TemporaryDirectory(prefix="generation-") as cache:
        cold = _first(Path(cache), TICKS, 1000)[0]
        warm = [_first(Path(cache), TICKS, 1000)[0] for _ in range(1 if quick else 5)]
    return {COLD: cold, WARM: float(np.median(warm))}, {COLD: (0.0, 15.0), WARM: (0.0, 2.0)}


def _first(cache: Path, ticks: int, count: int) -> tuple[float, float]:
    """Seconds and peak MiB of a process that solves `count` trajectories."""
    environment = {**os.environ, "HIL_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    began = _clock()
    done = subprocess.run(
        [sys.executable, "-c", _FIRST, str(ticks), str(count)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return _clock() - began, float(done.stdout)


def _clock() -> float:
    """Seconds; of the children's processors where the computer is busy (HIL_BENCH_CORES)."""
    if os.environ.get("HIL_BENCH_CORES") != "1":
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
