"""Quality of the shipped score model in software, and how much a chip's errors cost it.

Prints one row per case, each against the same reference set; exits 1 when a bar is missed.
Rows over several imagined chips show the median of each figure. All figures are software: no
hardware and no board simulation is involved.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser

from hil.diffusion import weight_errors
from hil.diffusion.metrics import Metrics, data_row, evaluate, table
from hil.diffusion.model import NoiseLaw, ScoreModel, load_model
from hil.diffusion.noise_law import REVERSE_SDE
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.train import train_ring

SEED = 2_026  # used for no choice of model or training
BARS: dict[str, Bars] = {  # row -> figure -> (lowest, highest)
    "software, Euler ODE 1000": {
        "kl_1d": (0.0, 0.010),
        "radius_mean": (0.68, 0.72),
        "radius_sd": (0.03, 0.07),
    },
    "clamp on, Euler ODE 1000": {"kl_1d": (0.0, 0.010)},
    "200 held ticks, clamp on": {"kl_1d": (0.0, 0.010)},
    "additive 1 %": {"kl_1d": (0.0, 0.020)},
    "additive 2 %": {"kl_1d": (0.0, 0.030), "radius_mean": (0.68, 0.72), "radius_sd": (0.03, 0.07)},
}
HELD_AGAINST_SOFTWARE = 1.1  # of the hold alone: same initial conditions, clamp equal in both
HELD_PAIRS = (
    ("200 held ticks", "software, Euler ODE 1000"),
    ("200 held ticks, clamp on", "clamp on, Euler ODE 1000"),
)


def rows(model: ScoreModel, n: int, n_sde: int, chips: int) -> dict[str, Metrics]:
    """Every row of the table, by name."""
    x0 = initial_conditions(model, SEED, 0, n)

    def one(network: ScoreModel, how: Solve, start: np.ndarray = x0) -> Metrics:
        return evaluate(solve(network, start, how))

    def typical(chip: Callable[[int], ScoreModel], how: Solve) -> Metrics:
        return median([one(chip(k), how) for k in range(chips)])

    held = Solve(steps=200, heun=True, clamp=True)
    sde = Solve(steps=200, sde=True, seed=SEED)
    sde_clamped = dataclasses.replace(sde, clamp=True)
    reverse = dataclasses.replace(model, noise=REVERSE_SDE)
    cool = dataclasses.replace(model, noise=NoiseLaw(scale=0.4))
    x0_sde = initial_conditions(model, SEED, 0, n_sde)
    return {
        "data against data": data_row(),
        "software, Euler ODE 1000": one(model, Solve()),
        "clamp on, Euler ODE 1000": one(model, Solve(clamp=True)),
        "200 held ticks": one(model, dataclasses.replace(held, clamp=False)),
        "200 held ticks, clamp on": one(model, held),
        "additive 1 %": typical(lambda k: weight_errors.additive(model, 0.01, SEED, k), held),
        "additive 2 %": typical(lambda k: weight_errors.additive(model, 0.02, SEED, k), held),
        "multiplicative 10 %": typical(
            lambda k: weight_errors.multiplicative(model, 0.10, SEED, k), held
        ),
        "kg -1 %": one(dataclasses.replace(model, kg=0.99 * model.kg), held),
        "kg +1 %": one(dataclasses.replace(model, kg=1.01 * model.kg), held),
        "integrator offset 0.02 unit/s": one(model, dataclasses.replace(held, offset=(0.02, 0.02))),
        "software, SDE 200": one(reverse, sde, x0_sde),
        "software, SDE 200, stored noise law": one(model, sde, x0_sde),
        "software, SDE 200, noise scale 0.4": one(cool, sde, x0_sde),
        "SDE, clamp on, additive 1.5 %": typical(
            lambda k: weight_errors.additive(reverse, 0.015, SEED, k), sde_clamped
        ),
        "the same, noise scale 0.4": typical(
            lambda k: weight_errors.additive(cool, 0.015, SEED, k), sde_clamped
        ),
    }


def median(chips: list[Metrics]) -> Metrics:
    """The median of each figure over several chips."""
    figures = {
        field.name: float(np.median([getattr(m, field.name) for m in chips]))
        for field in dataclasses.fields(Metrics)
        if field.name != "samples"
    }
    return Metrics(**figures, samples=chips[0].samples)


def missed(result: dict[str, Metrics]) -> list[str]:
    """One sentence per bar that is not met."""
    sentences = []
    for row, bars in BARS.items():
        figures = result[row].to_dict()
        sentences += [f"{row}: {sentence}" for sentence in missed_bars(figures, bars)]
    for held_row, row in HELD_PAIRS:
        held, software = result[held_row].kl_1d, result[row].kl_1d
        if held > HELD_AGAINST_SOFTWARE * software:
            sentences.append(f"{held_row}: KL {held:.4f} against {software:.4f} of {row!r}")
    return sentences


def retrained(shipped: ScoreModel) -> ScoreModel:
    """A model trained with the default configuration; prints how far it is from the shipped one."""
    start = time.perf_counter()
    model = train_ring()
    apart = max(
        float(np.abs(new - old).max())
        for new, old in zip(model.weights, shipped.weights, strict=True)
    )
    print(f"trained in {time.perf_counter() - start:.0f} s; weights differ by {apart:.2g} at most")
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = option_parser(__doc__, "fewer samples and chips")
    parser.add_argument("--model", default="ring", help="model file or name (default: ring)")
    parser.add_argument("--train", action="store_true", help="train anew and judge that (minutes)")
    asked = parser.parse_args(argv)
    model = load_model(asked.model)
    if asked.train:
        model = retrained(model)
    start = time.perf_counter()
    n, n_sde, chips = (6_000, 6_000, 5) if asked.quick else (50_000, 200_000, 10)
    result = rows(model, n, n_sde, chips)
    print(table(result))
    print(f"{chips} imagined chips per error row (medians); {time.perf_counter() - start:.1f} s")
    return finish(asked.json, {"rows": {k: m.to_dict() for k, m in result.items()}}, missed(result))


if __name__ == "__main__":
    sys.exit(main())
