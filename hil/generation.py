"""The ideal analog loop of a score model, fast: `hil.diffusion.sampler` on the compiled kernel.

Words are held for a tick, as the sampler's `held_loop` does; each tick is one step of Heun's
method. Only the keys of the SDE's noise differ from the sampler's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.diffusion.noise_law import ODE_COEFFICIENT
from hil.diffusion.sampler import Solve
from hil.diffusion.score_model import ScoreModel
from hil.sim.generate import NO_LIMITS, HeldWords, Limits, ReadNoise, generate
from protocols.errors import InputError

F64 = NDArray[np.float64]


def solve_fast(
    model: ScoreModel,
    x0: ArrayLike,
    how: Solve,
    *,
    words_at: float = 0.0,
    read_noise: ReadNoise | None = None,
    threads: int | None = None,
) -> F64:
    """End points (n, d) of trajectories `how.first`.. that start at x0 (n, d), in model units.

    Words are taken at the fraction `words_at` of their tick: at its start as the sampler does, or
    at its middle (0.5) as a board's waveforms do, which is of second order in the tick. `how` as
    for `hil.diffusion.sampler.solve`, except that integration within a step is always of second
    order (`heun`) and the noise is drawn by the kernel, from `how.seed`.

    Raises:
        InputError: shapes that do not fit each other, values that are not finite, or a source of
            noise that the kernel cannot draw from.
        KernelError: the kernel cannot be built on this computer.
    """
    if how.sde and how.noise is not None:
        raise InputError(f"{how.noise.name}: the fast solver draws from a seed alone; use solve().")
    return generate(
        model.layers,
        held_words(model, how, words_at),
        x0,
        output_gain=model.output_gain,
        limits=Limits(hidden=model.hidden_clamp_units) if how.clamp else NO_LIMITS,
        read_noise=read_noise,
        seed=how.seed,
        trajectories=how.first,
        threads=threads,
    )


def held_words(model: ScoreModel, how: Solve, at: float = 0.0) -> HeldWords:
    """The words of a solve of `how.steps` ticks, in model units and model time; `at` as above."""
    tick = model.capture_time / how.steps
    tau = model.tau(tick * (np.arange(how.steps) + at))
    beta = np.asarray(model.schedule.beta(tau))
    law = model.noise
    density = law.density(beta, model.kg, tau)
    return HeldWords(
        tick_s=tick,
        rate=model.kf * 0.5 * beta,
        pull=model.kg * (law.score_coefficient(tau) if how.sde else ODE_COEFFICIENT) * beta,
        embedding=model.injected(tau, how.label),
        noise=density / np.sqrt(tick) if how.sde else None,
        constant=how.offset or None,
    )
