"""The software baseline: Euler, Euler-Maruyama and the loop with held words, in numpy.

Trajectories run in blocks of fixed width (the last one padded), laid out feature by trajectory so
that one matrix product serves a whole block; the fixed width makes a trajectory's result
independent of its neighbours, bit by bit. Biases and embedding ride in a constant-one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.diffusion.keyed import FloatArray, Stream, normal_pairs
from hil.diffusion.score_model import DIMENSIONS, ODE_COEFFICIENT, SDE_COEFFICIENT, ScoreModel
from protocols.errors import InputError

BLOCK = 2048
Single = NDArray[np.float32]


@dataclass(frozen=True)
class Solve:
    """How a solve is done; the defaults are the software baseline.

    `steps` equal steps cover loop time 0..capture_time; words (beta and embedding) are taken at the
    start of a step and held. `heun` integrates the held words to second order, as an analog
    integrator would; otherwise Euler. `sde` switches to coefficient 1 and adds held noise keyed by
    (`seed`, `first` + trajectory, step). `clamp` limits the hidden units as the hardware does.
    `offset` is a constant added to dx/dt, in units per model time (integrator offset).
    """

    steps: int = 1000
    sde: bool = False
    heun: bool = False
    clamp: bool = False
    seed: int = 0
    first: int = 0
    label: int | None = None
    offset: tuple[float, float] = (0.0, 0.0)


def initial_conditions(model: ScoreModel, seed: int, first: int, n: int) -> FloatArray:
    """x(T) of trajectories first..first+n-1, shape (n, 2), keyed by (seed, trajectory)."""
    return model.initial.sd * normal_pairs(seed, Stream.INITIAL_CONDITION, first, n)


def euler_ode(
    model: ScoreModel, x0: ArrayLike, steps: int = 1000, *, label: int | None = None
) -> FloatArray:
    """Probability-flow ODE by Euler steps from x0 (n, 2); returns (n, 2). The software baseline."""
    return solve(model, x0, Solve(steps=steps, label=label))


def euler_maruyama(
    model: ScoreModel,
    x0: ArrayLike,
    seed: int,
    steps: int = 200,
    *,
    first: int = 0,
    label: int | None = None,
) -> FloatArray:
    """Reverse SDE by Euler-Maruyama from x0 (n, 2), whose rows are trajectories `first`.."""
    return solve(model, x0, Solve(steps=steps, sde=True, seed=seed, first=first, label=label))


def held_loop(
    model: ScoreModel, x0: ArrayLike, ticks: int = 200, *, label: int | None = None
) -> FloatArray:
    """What an ideal analog loop does: words held per tick, clamp on, second order within a tick."""
    return solve(model, x0, Solve(steps=ticks, heun=True, clamp=True, label=label))


def solve(model: ScoreModel, x0: ArrayLike, how: Solve) -> FloatArray:
    """End points of the trajectories that start at x0 (n, 2); returns (n, 2) in model units.

    Arithmetic is single precision (end points differ from double precision by about 1e-6). Raises
    InputError for a wrong shape or step count.
    """
    start = _checked(x0, how)
    end = np.empty_like(start)
    tables = _tables(model, how)
    for rows, block in _blocks(start):
        for state in _march(tables, block, how, rows.start):
            last = state
        end[rows] = last[:, : rows.stop - rows.start].T
    return end


def trajectories(model: ScoreModel, x0: ArrayLike, how: Solve, every: int = 1) -> FloatArray:
    """Whole paths, shape (n, 1 + steps // every, 2): the start and each `every`-th step."""
    start = _checked(x0, how)
    if every < 1:
        raise InputError(f"every={every}: keep each step (1) or each k-th one (k > 1).")
    paths = np.empty((len(start), 1 + how.steps // every, DIMENSIONS))
    paths[:, 0] = start
    tables = _tables(model, how)
    for rows, block in _blocks(start):
        width = rows.stop - rows.start
        for step, x in enumerate(_march(tables, block, how, rows.start), start=1):
            if step % every == 0:
                paths[rows, step // every] = x[:, :width].T
    return paths


def _checked(x0: ArrayLike, how: Solve) -> FloatArray:
    start = np.asarray(x0, dtype=np.float64)
    if start.ndim != 2 or start.shape[1] != DIMENSIONS:
        raise InputError(f"initial conditions have shape {start.shape}; (n, 2) is needed.")
    if how.steps < 1:
        raise InputError(f"steps={how.steps}: a solve needs at least one step.")
    return start


def _blocks(start: FloatArray) -> Iterator[tuple[slice, Single]]:
    """Row ranges and their (2, BLOCK) transposes, padded with zeros."""
    for low in range(0, len(start), BLOCK):
        rows = slice(low, min(low + BLOCK, len(start)))
        block = np.zeros((DIMENSIONS, BLOCK), dtype=np.float32)
        block[:, : rows.stop - low] = start[rows].T
        yield rows, block


@dataclass(frozen=True)
class _Tables:
    """Per step: hidden matrices with their bias column, words times gains, noise rate."""

    hidden: tuple[Single, ...]  # each (steps, width, inputs + 1)
    output: Single  # (2, width + 1), output gain included
    growth: Single
    score_gain: Single
    noise_rate: FloatArray
    dt: np.float32
    clamp: np.float32


def _tables(model: ScoreModel, how: Solve) -> _Tables:
    dt = model.capture_time / how.steps
    tau = model.tau(dt * np.arange(how.steps))
    beta = model.schedule.beta(tau)
    injected = model.injected(tau, how.label)
    hidden = []
    for weight, bias in model.layers[:-1]:
        matrix = np.empty((how.steps, len(bias), weight.shape[1] + 1), dtype=np.float32)
        matrix[:, :, :-1] = weight
        matrix[:, :, -1] = bias + injected
        hidden.append(matrix)
    weight, bias = model.layers[-1]
    coefficient = SDE_COEFFICIENT if how.sde else ODE_COEFFICIENT
    return _Tables(
        hidden=tuple(hidden),
        output=(model.output_gain * np.column_stack([weight, bias])).astype(np.float32),
        growth=(model.kf * 0.5 * beta).astype(np.float32),
        score_gain=(model.kg * coefficient * beta).astype(np.float32),
        noise_rate=model.noise.scale * np.sqrt(model.kg * beta / dt),
        dt=np.float32(dt),
        clamp=np.float32(model.hidden_clamp_units if how.clamp else np.inf),
    )


def _march(tables: _Tables, block: Single, how: Solve, low: int) -> Iterator[Single]:
    """Yields the state (2, BLOCK) after every step, as a view into one buffer."""
    state = np.ones((DIMENSIONS + 1, BLOCK), dtype=np.float32)
    state[:DIMENSIONS] = block
    ahead = state.copy()
    rate = _rate_function(tables, how)
    for step in range(how.steps):
        push = rate(state, step)
        if how.sde:
            pairs = normal_pairs(how.seed, Stream.SDE_NOISE, how.first + low, BLOCK, row=step)
            noise = (tables.noise_rate[step] * pairs.T).astype(np.float32)
            push = push + noise
        if how.heun:
            ahead[:DIMENSIONS] = state[:DIMENSIONS] + tables.dt * push
            second = rate(ahead, step)
            push = np.float32(0.5) * (push + (second + noise if how.sde else second))
        state[:DIMENSIONS] += tables.dt * push
        yield state[:DIMENSIONS]


def _rate_function(tables: _Tables, how: Solve) -> Callable[[Single, int], Single]:
    """dx/dt without noise, for a state (3, BLOCK) whose last row is ones; buffers are reused."""
    offset = np.array(how.offset, dtype=np.float32)[:, None]
    buffers = [np.ones((m.shape[1] + 1, BLOCK), dtype=np.float32) for m in tables.hidden]

    def rate(state: Single, step: int) -> Single:
        signal = state
        for matrix, buffer in zip(tables.hidden, buffers, strict=True):
            units = buffer[:-1]
            np.matmul(matrix[step], signal, out=units)
            np.clip(units, np.float32(0.0), tables.clamp, out=units)
            signal = buffer
        score: Single = tables.output @ signal
        score *= tables.score_gain[step]
        score += tables.growth[step] * state[:DIMENSIONS]
        score += offset
        return score

    return rate
