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

from hil.diffusion.keyed import FloatArray, Stream, normals
from hil.diffusion.noise_law import ODE_COEFFICIENT
from hil.diffusion.noise_source import NoiseSource, SeededNoise
from hil.diffusion.score_model import ScoreModel
from protocols.errors import InputError

BLOCK = 2048
Single = NDArray[np.float32]


@dataclass(frozen=True)
class Solve:
    """How a solve is done; the defaults are the software baseline.

    `steps` equal steps cover loop time 0..capture_time; words (beta and embedding) are taken at the
    start of a step and held. `heun` integrates the held words to second order, as an analog
    integrator would; otherwise Euler. `sde` follows the model's noise law and adds held noise from
    `noise`, by default keyed by (`seed`, `first` + trajectory, step). `clamp` limits the hidden
    units as the hardware does. `offset` is a constant added to dx/dt per coordinate, in units per
    model time (integrator offset); empty for none.
    """

    steps: int = 1000
    sde: bool = False
    heun: bool = False
    clamp: bool = False
    seed: int = 0
    first: int = 0
    label: int | None = None
    offset: tuple[float, ...] = ()
    noise: NoiseSource | None = None

    @property
    def source(self) -> NoiseSource:
        """Where the noise comes from."""
        return SeededNoise(self.seed) if self.noise is None else self.noise


def initial_conditions(model: ScoreModel, seed: int, first: int, n: int) -> FloatArray:
    """x(T) of trajectories first..first+n-1, shape (n, d), keyed by (seed, trajectory)."""
    return model.initial.sd * normals(seed, Stream.INITIAL_CONDITION, first, n, model.dimensions)


def euler_ode(
    model: ScoreModel, x0: ArrayLike, steps: int = 1000, *, label: int | None = None
) -> FloatArray:
    """Probability-flow ODE by Euler steps from x0 (n, d); returns (n, d). The software baseline."""
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
    """Reverse SDE by Euler-Maruyama from x0 (n, d), whose rows are trajectories `first`.."""
    return solve(model, x0, Solve(steps=steps, sde=True, seed=seed, first=first, label=label))


def held_loop(
    model: ScoreModel, x0: ArrayLike, ticks: int = 200, *, label: int | None = None
) -> FloatArray:
    """What an ideal analog loop does: words held per tick, clamp on, second order within a tick."""
    return solve(model, x0, Solve(steps=ticks, heun=True, clamp=True, label=label))


def solve(model: ScoreModel, x0: ArrayLike, how: Solve) -> FloatArray:
    """End points of the trajectories that start at x0 (n, d); returns (n, d) in model units.

    Arithmetic is single precision (end points differ from double precision by about 1e-6). Raises
    InputError for a wrong shape or step count.
    """
    start = _checked(model, x0, how)
    end = np.empty_like(start)
    tables = _tables(model, how)
    for rows, block in _blocks(start):
        for state in _march(tables, block, how, rows):
            last = state
        end[rows] = last[:, : rows.stop - rows.start].T
    return end


def trajectories(model: ScoreModel, x0: ArrayLike, how: Solve, every: int = 1) -> FloatArray:
    """Whole paths, shape (n, 1 + steps // every, d): the start and each `every`-th step."""
    start = _checked(model, x0, how)
    if every < 1:
        raise InputError(f"every={every}: keep each step (1) or each k-th one (k > 1).")
    paths = np.empty((len(start), 1 + how.steps // every, model.dimensions))
    paths[:, 0] = start
    tables = _tables(model, how)
    for rows, block in _blocks(start):
        width = rows.stop - rows.start
        for step, x in enumerate(_march(tables, block, how, rows), start=1):
            if step % every == 0:
                paths[rows, step // every] = x[:, :width].T
    return paths


def _checked(model: ScoreModel, x0: ArrayLike, how: Solve) -> FloatArray:
    start = np.asarray(x0, dtype=np.float64)
    size = model.dimensions
    if start.ndim != 2 or start.shape[1] != size:
        raise InputError(f"initial conditions have shape {start.shape}; (n, {size}) is needed.")
    if len(how.offset) not in (0, size):
        raise InputError(f"{len(how.offset)} offsets for {size} coordinates; one each or none.")
    if how.steps < 1:
        raise InputError(f"steps={how.steps}: a solve needs at least one step.")
    return start


def _blocks(start: FloatArray) -> Iterator[tuple[slice, Single]]:
    """Row ranges and their (d, BLOCK) transposes, padded with zeros."""
    for low in range(0, len(start), BLOCK):
        rows = slice(low, min(low + BLOCK, len(start)))
        block = np.zeros((start.shape[1], BLOCK), dtype=np.float32)
        block[:, : rows.stop - low] = start[rows].T
        yield rows, block


@dataclass(frozen=True)
class _Tables:
    """Per step: hidden matrices with their bias column, words times gains, noise rate."""

    hidden: tuple[Single, ...]  # each (steps, width, inputs + 1)
    output: Single  # (d, width + 1), output gain included
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
    law = model.noise
    coefficient = law.score_coefficient(tau) if how.sde else ODE_COEFFICIENT
    return _Tables(
        hidden=tuple(hidden),
        output=(model.output_gain * np.column_stack([weight, bias])).astype(np.float32),
        growth=(model.kf * 0.5 * beta).astype(np.float32),
        score_gain=(model.kg * coefficient * beta).astype(np.float32),
        noise_rate=law.density(beta, model.kg, tau) / np.sqrt(dt),
        dt=np.float32(dt),
        clamp=np.float32(model.hidden_clamp_units if how.clamp else np.inf),
    )


def _march(tables: _Tables, block: Single, how: Solve, rows: slice) -> Iterator[Single]:
    """Yields the state (d, BLOCK) after every step, as a view into one buffer."""
    size, width, source = len(block), rows.stop - rows.start, how.source
    noise = np.zeros((size, BLOCK), dtype=np.float32)
    state = np.ones((size + 1, BLOCK), dtype=np.float32)
    state[:size] = block
    ahead = state.copy()
    rate = _rate_function(tables, how)
    for step in range(how.steps):
        push = rate(state, step)
        if how.sde:
            draws = source.draws(how.first + rows.start, width, size, step, how.steps)
            noise[:, :width] = tables.noise_rate[step] * draws.T
            push = push + noise
        if how.heun:
            ahead[:size] = state[:size] + tables.dt * push
            second = rate(ahead, step)
            push = np.float32(0.5) * (push + (second + noise if how.sde else second))
        state[:size] += tables.dt * push
        yield state[:size]


def _rate_function(tables: _Tables, how: Solve) -> Callable[[Single, int], Single]:
    """dx/dt without noise of a state (d + 1, BLOCK), last row ones; buffers are reused."""
    size = len(tables.output)
    offset = np.array(how.offset or (0.0,) * size, dtype=np.float32)[:, None]
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
        score += tables.growth[step] * state[:size]
        score += offset
        return score

    return rate
