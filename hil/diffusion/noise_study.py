"""Which noise law gives one network its best samples: a search in software, and a fair judgement.

Laws are compared by the sliced Wasserstein-1 distance of their samples from data. The search uses
seeds of its own (`SEARCH_SEEDS`); what it chooses is judged with others (`JUDGE_SEEDS`), against
the probability-flow ODE with the same initial conditions, seed by seed, so that neither the choice
nor a lucky start can flatter it.

A law whose noise decides nothing is the ODE in disguise. How much the noise decides is measured:
two solves from the same initial conditions with different noise end `noise_share` times as far
apart as two independent samples do. A law counts as stochastic from `LEAST_SHARE` on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hil.diffusion.keyed import FloatArray
from hil.diffusion.metrics import kl_1d, sliced_w1
from hil.diffusion.noise_law import PUBLISHED, REVERSE_SDE, NoiseLaw
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from protocols.errors import InputError

SEARCH_SEEDS = (7_001, 7_002)
JUDGE_SEEDS = (8_001, 8_002, 8_003, 8_004, 8_005, 8_006, 8_007, 8_008)
SEARCH_SAMPLES, FINAL_SAMPLES, JUDGE_SAMPLES = 10_000, 40_000, 50_000
STEPS = 200  # of the search: the ticks of the published solve
FINALISTS = 6
LEAST_SHARE = 0.25
"""Of the variation between samples, below which a law is not called stochastic (this project's
choice)."""
SIGNIFICANCE = 0.05
"""Of the one-sided test that a law is worse than the ODE."""
_SHARE_SAMPLES = 2_000
_NEIGHBOURS = 8
_OTHER_NOISE = 500_000  # added to a seed: other noise, same initial conditions

References = Mapping[int | None, FloatArray]
"""Label (None: unconditional) -> points of the data, (m, d)."""
Progress = Callable[[int, int, str], None]
"""Called as (done, total, what)."""
Solver = Callable[[ScoreModel, FloatArray, Solve], FloatArray]
"""Solves a model from x0 (n, d); `hil.diffusion.sampler.solve` or a faster one of its kind."""


@dataclass(frozen=True)
class LawFigures:
    """One law's figures, each a mean over seeds and classes; `law` None is the ODE.

    Distances shrink with the number of samples: only figures of equal `samples` compare.
    """

    law: NoiseLaw | None
    kl_1d: float
    sliced_w1: float
    noise_share: float
    samples: int
    per_seed: tuple[float, ...]

    @property
    def name(self) -> str:
        """For tables."""
        return "probability-flow ODE" if self.law is None else str(self.law)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        law = None if self.law is None else dataclasses.asdict(self.law)
        return {**dataclasses.asdict(self), "law": law, "per_seed": list(self.per_seed)}


@dataclass(frozen=True)
class Comparison:
    """A law against the ODE, paired by seed: distances in model units.

    Attributes:
        difference: mean of (law - ODE); negative is better.
        standard_error: of that mean.
        p_worse: of the one-sided t test that the law's distance is the larger one; small says
            that it is worse.
    """

    law: LawFigures
    ode: LawFigures
    difference: float
    standard_error: float
    p_worse: float

    @property
    def no_worse(self) -> bool:
        """Whether the samples show the law no worse: better in the mean, or not provably worse."""
        return self.difference <= 0.0 or self.p_worse > SIGNIFICANCE

    @property
    def better(self) -> bool:
        """Whether the law is significantly better than the ODE."""
        return 1.0 - self.p_worse < SIGNIFICANCE


def candidates() -> list[NoiseLaw]:
    """The laws that a search tries: the whole family, tempered ones, and the published kind."""
    early = (0.0, 0.15, 0.3, 0.5)
    family = [NoiseLaw.preserving(s, u) for u in early for s in (0.2, 0.35, 0.5, 0.7, 1.0)]
    tempered = [NoiseLaw(scale=s, until=u) for u in (0.0, 0.15) for s in (0.4, 0.6, 0.8)]
    heights = (2.0, 5.0, 10.0, 20.0)
    published = [NoiseLaw(PUBLISHED, s, c) for c in (0.5, 1.0) for s in heights]
    return [*family, *tempered, *published]


def neighbours(law: NoiseLaw) -> list[NoiseLaw]:
    """Laws a step away in strength and in where the noise ends."""
    near = []
    for factor in (0.85, 1.0, 1.18):
        for shift in (-0.075, 0.0, 0.075):
            until = law.until + shift
            if 0.0 <= until <= 0.9 and (factor, shift) != (1.0, 0.0):
                near.append(_scaled(law, factor, until))
    return near


def _scaled(law: NoiseLaw, factor: float, until: float) -> NoiseLaw:
    """Another strength; a member of the family stays one."""
    scale = round(law.scale * factor, 3)
    until = round(until, 3)
    if law == NoiseLaw.preserving(law.scale, law.until):
        return NoiseLaw.preserving(scale, until)
    return dataclasses.replace(law, scale=scale, until=until)


def measure(
    model: ScoreModel,
    law: NoiseLaw | None,
    references: References,
    samples: int,
    seeds: Sequence[int],
    steps: int = STEPS,
    solver: Solver = solve,
) -> LawFigures:
    """Figures of one law (None: the ODE); `samples` per seed are shared out over the classes.

    Raises InputError without samples, seeds or references.
    """
    if min(samples, len(seeds), len(references)) < 1:
        raise InputError("a noise law is measured on at least one sample, seed and reference")
    chosen = model if law is None else dataclasses.replace(model, noise=law)
    job = _Job(chosen, law is not None, references, steps, solver)
    rows = [job.distances(samples, seed) for seed in seeds]
    share = 0.0 if law is None else job.noise_share(seeds[0])
    kl, w1 = zip(*rows, strict=True)
    return LawFigures(law, float(np.mean(kl)), float(np.mean(w1)), share, samples, tuple(w1))


@dataclass(frozen=True)
class _Job:
    """How one law is measured."""

    model: ScoreModel
    sde: bool
    references: References
    steps: int
    solver: Solver

    def distances(self, samples: int, seed: int) -> tuple[float, float]:
        """1-D KL and sliced W1, means over the classes; infinite where a solve diverges."""
        found, each = [], max(samples // len(self.references), 1)
        for label, reference in self.references.items():
            ends = self._ends(each, seed, seed, label)
            if not np.isfinite(ends).all():
                return math.inf, math.inf
            found.append((kl_1d(ends, reference), sliced_w1(ends, reference)))
        kl, w1 = np.mean(found, axis=0)
        return float(kl), float(w1)

    def noise_share(self, seed: int) -> float:
        """How far other noise moves the ends, over how far apart independent samples are."""
        moved, apart = 0.0, 0.0
        for label in self.references:
            a = self._ends(_SHARE_SAMPLES, seed, seed, label)
            b = self._ends(_SHARE_SAMPLES, seed, seed + _OTHER_NOISE, label)
            moved += float(np.mean(np.sum((a - b) ** 2, axis=1)))
            apart += 2.0 * float(np.sum(a.var(axis=0)))
        return math.sqrt(moved / apart) if apart > 0.0 else 0.0

    def _ends(self, samples: int, seed: int, noise_seed: int, label: int | None) -> FloatArray:
        start = initial_conditions(self.model, seed, 0, samples)
        how = Solve(steps=self.steps, sde=self.sde, seed=noise_seed, label=label)
        return self.solver(self.model, start, how)


def search(
    model: ScoreModel,
    references: References,
    laws: Sequence[NoiseLaw] | None = None,
    *,
    samples: int = SEARCH_SAMPLES,
    final_samples: int = FINAL_SAMPLES,
    progress: Progress | None = None,
    solver: Solver = solve,
) -> list[LawFigures]:
    """The `FINALISTS` with `final_samples`, then all laws of the search with `samples`, best first.

    The search is a coarse one and the neighbours of the best. Figures say their count of samples:
    those of one count compare.
    """
    tried = list(candidates() if laws is None else laws)
    tell = progress or _silent
    total = len(tried) + _NEIGHBOURS + FINALISTS
    found: list[LawFigures] = []
    last: list[LawFigures] = []

    def figures(law: NoiseLaw, count: int) -> LawFigures:
        tell(min(len(found) + len(last), total - 1), total, f"noise law: {law}")
        return measure(model, law, references, count, SEARCH_SEEDS, solver=solver)

    for law in tried:
        found.append(figures(law, samples))
    best = ranked(found)[0].law or REVERSE_SDE
    for law in neighbours(best):
        if law not in tried:
            found.append(figures(law, samples))
    order = ranked(found)
    for each in order[:FINALISTS]:
        last.append(figures(each.law or REVERSE_SDE, final_samples))
    tell(total, total, "noise laws")
    return [*ranked(last), *order]


def ranked(found: Sequence[LawFigures]) -> list[LawFigures]:
    """Best first: stochastic laws by their distance, then those whose noise decides little."""
    return sorted(found, key=lambda f: (f.noise_share < LEAST_SHARE, f.sliced_w1))


def compare(
    model: ScoreModel,
    law: NoiseLaw,
    references: References,
    *,
    samples: int = JUDGE_SAMPLES,
    seeds: Sequence[int] = JUDGE_SEEDS,
    steps: int = 1000,
    solver: Solver = solve,
) -> Comparison:
    """The law against the ODE on fresh seeds: same count, same start, same references.

    Raises InputError for fewer than two seeds.
    """
    if len(seeds) < 2:
        raise InputError(f"{len(seeds)} seeds; a comparison needs two or more")
    stochastic = measure(model, law, references, samples, seeds, steps, solver)
    ode = measure(model, None, references, samples, seeds, steps, solver)
    return compared(stochastic, ode)


def compared(law: LawFigures, ode: LawFigures) -> Comparison:
    """The paired comparison of figures that were measured with the same seeds."""
    from scipy.stats import ttest_1samp

    apart = np.subtract(law.per_seed, ode.per_seed)
    error = float(apart.std(ddof=1) / math.sqrt(len(apart)))
    # p_worse: the chance of a mean this high or higher if the law were no worse.
    p = float(ttest_1samp(apart, 0.0, alternative="greater").pvalue) if error > 0.0 else 1.0
    return Comparison(law, ode, float(apart.mean()), error, p)


def _silent(done: int, total: int, what: str) -> None:
    del done, total, what
