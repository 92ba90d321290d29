"""Where each pulse of a menu leaves a cell, tabled once per model and menu.

For every entry k and every reading before it (node i of a grid in ln G) the table holds the
reading after it as a monotone function of one standard normal u: `after[k, i]` at `U_NODES`. So a
window of readings is an interval of u. What u is made of is tabled beside it: the share of the
cell's own latent figures and of the cycle's (`loading[k, i]`, correlations with u); the rest is
fresh with each pulse. A belief about a cell is a normal distribution of the figures, and so gives
a normal distribution of u, whatever the shape of the response. (Quantile functions and loadings
come from the model by quasi-random samples, common to all entries.)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from calibration.cell_model import CellModel
from calibration.cell_model.kernel import (
    CYCLE,
    LATENTS,
    WEAK,
    compiled,
    noise,
    numbers,
    reset_level,
    set_level,
)
from calibration.programming.menu import PulseMenu
from protocols.messages import Operation

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

FIGURES = LATENTS + 1  # the cell's own latent figures and the cycle's
SAMPLES = 256
U_NODES = np.linspace(-2.8, 2.8, 33)
U_FIRST, U_STEP = float(U_NODES[0]), float(U_NODES[1] - U_NODES[0])
_PARTS = ((0.5e-6, 2e-6, 0.2), (2e-6, 60e-6, 0.06), (60e-6, 140e-6, 0.012), (140e-6, 330e-6, 0.004))
_DEGREE = 1.5  # step of the degree of weakness
WITHIN = _DEGREE / 12.0**0.5  # its spread within a kind of cell: the figure WEAK
_LAME = (-0.12, -0.22, -0.36, -0.5, -0.7)  # ln G that SETs of a lame cell end lower
_LAME_SHARE = 0.002
_BINS = 128  # of ln G, for the noise of the reading after a pulse
_OWN_NOISE = 0.02  # u is never known better than this variance: the tables are not perfect


class Tables(NamedTuple):
    """The response of a menu; see the module's text. K entries, I nodes.

    `grid` (I,) ln siemens; `after` (K, I, nodes) ln siemens; `loading` (K, I, FIGURES);
    `rest` (K, I) variance of u that is fresh with each pulse; `is_set` (K,); `far` (K,) the
    entries that are weighed even where they cannot reach the window at once.
    Kinds of cells, B of them: `acts_as` (B, K) the entry that k is for such a cell (a weak access
    path takes voltage from a RESET), `offset` (B,) ln G by which its SETs end higher,
    `prior` (B,) ln of its share. Kind 0 is the typical cell.
    """

    grid: F64
    after: F32
    loading: F32
    rest: F32
    is_set: NDArray[np.bool_]
    far: NDArray[np.bool_]
    acts_as: NDArray[np.int64]
    offset: F64
    prior: F64


class _Samples(NamedTuple):
    latent: F64  # (samples, LATENTS + 2)
    after: F64  # (samples, 2) read noise and its scale


def state_grid() -> F64:
    """ln siemens, fine where windows are narrow (this project's choice)."""
    parts = [np.arange(np.log(low), np.log(high), step) for low, high, step in _PARTS]
    return np.concatenate(parts)


@lru_cache(maxsize=1)
def _samples() -> _Samples:
    width = LATENTS + 4
    from scipy.stats import qmc  # takes half a second to load, and most commands do not program

    points = qmc.Sobol(width, scramble=True, seed=7).random(SAMPLES)
    z = np.ascontiguousarray(ndtri(points))
    z -= z.mean(axis=0)
    z /= np.maximum(z.std(axis=0), 1e-9)
    a = LATENTS + 2
    return _Samples(np.ascontiguousarray(z[:, :a]), np.ascontiguousarray(z[:, a:]))


def build_tables(model: CellModel, menu: PulseMenu) -> Tables:
    """Tables of a menu for a model."""
    grid, samples, flat = state_grid(), _samples(), numbers(model)
    aims = _aims(
        menu.operation,
        menu.gate_volts,
        menu.line_volts,
        np.log10(menu.width_s),
        samples.latent,
        flat,
    )
    rank = ndtri((np.arange(SAMPLES) + 0.5) / SAMPLES)
    figures = np.ascontiguousarray(samples.latent[:, :FIGURES])
    after, loading = _fill(
        menu.operation, aims, grid, _noise_table(samples.after, flat), figures, rank, U_NODES, flat
    )
    rest = np.maximum(1.0 - (loading**2).sum(axis=2), _OWN_NOISE)
    acts_as, offset, prior = kinds_of_cells(model, menu)
    is_set = menu.operation == int(Operation.SET)
    return Tables(
        grid, after, loading, rest.astype(np.float32), is_set, _far(is_set), acts_as, offset, prior
    )


def _far(is_set: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every fourth RESET, and the last entries of each operation (the strongest of a sweep)."""
    far = ~is_set & (np.arange(is_set.size) % 4 == 0)
    for side in (is_set, ~is_set):
        far[np.flatnonzero(side)[-3:]] = True
    return np.asarray(far)


def kinds_of_cells(model: CellModel, menu: PulseMenu) -> tuple[NDArray[np.int64], F64, F64]:
    """`acts_as`, `offset`, `prior` of `Tables`: weak access paths by degree, and lame SETs.

    Shares of the weak follow the model's skewed figure; the lame ones are this project's choice.
    """
    drive = model.drive
    degrees = np.arange(0.0, min(drive.limit, 13.0), _DEGREE)
    edges = np.concatenate([[-np.inf], degrees[1:] - 0.5 * _DEGREE, [np.inf]])
    share = np.diff(_weak_below(edges, drive.skew, drive.limit))
    offset = np.concatenate([-drive.set_gain * degrees, _LAME])
    prior = np.concatenate([share, np.full(len(_LAME), _LAME_SHARE)])
    acts_as = np.tile(np.arange(len(menu)), (offset.size, 1))
    resets = menu.of(Operation.RESET)
    for b, degree in enumerate(degrees):
        if resets.size and degree > 0.0:
            acts_as[b, resets] = menu.snap(
                menu.operation[resets],
                menu.gate_volts[resets] - degree * drive.reset_gate_volts,
                menu.line_volts[resets] - degree * drive.reset_line_volts,
                menu.width_s[resets],
            )
    return acts_as, offset, np.log(np.maximum(prior, 1e-6))


def _weak_below(degree: F64, skew: float, limit: float) -> F64:
    """Share of cells whose weakness is below `degree`."""
    inside = np.clip(degree, -0.999 * limit, 0.999 * limit)
    raw = inside / np.sqrt(1.0 - (inside / limit) ** 2)
    z = np.log(np.maximum(1.0 + skew * raw, 1e-12)) / skew
    return np.where(np.isinf(degree), np.sign(degree) * 0.5 + 0.5, ndtr(z))


@compiled
def _aims(
    operation: Any, gate: F64, line: F64, log_width: F64, latent: F64, m: Any
) -> F64:  # pragma: no cover - compiled
    """(entries, samples, 2): the aim of an entry in a sampled cell, and what this pulse drew."""
    out = np.empty((gate.size, latent.shape[0], 2))
    for k in range(gate.size):
        for n in range(latent.shape[0]):
            z = latent[n]
            weak = WITHIN * z[WEAK]
            c = z[CYCLE]
            if operation[k] == 0:
                gain = m.set_device[0] * z[3] - m.drive[0] * weak
                acting = log_width[k] + m.set_device[1] * z[1]
                volts = line[k] + m.set_device[2] * z[2]
                typical = max(set_level(gate[k], volts, acting, m) + gain, m.lowest)
                drawn = set_level(
                    gate[k], volts + m.set_cycle[2] * c, acting + m.set_cycle[1] * c, m
                )
                drawn = max(drawn + gain, m.lowest) + m.set_cycle[0] * c
            else:
                factor = np.exp(m.reset_device * z[4])
                vg, vl = gate[k] - m.drive[1] * weak, line[k] - m.drive[2] * weak
                typical = reset_level(vg, vl, log_width[k], m)
                typical *= factor if typical > 0.0 else 1.0
                drawn = reset_level(
                    vg + m.reset_cycle[1] * c, vl + m.reset_cycle[2] * c, log_width[k], m
                )
                if drawn > 0.0:
                    drawn *= factor * np.exp(m.reset_cycle[0] * z[CYCLE + 1])
            out[k, n, 0], out[k, n, 1] = typical, drawn
    return out


@compiled
def _set_move(ln: float, typical: float, drawn: float, m: Any) -> float:  # pragma: no cover
    activity = min(max(1.0 + (typical - ln) / m.set_band, 0.0), 1.0)
    move = max(typical - ln, 0.0) + drawn - typical
    if move < 0.0:
        move *= m.against
    return float(activity * move)


@compiled
def _reset_move(ln: float, depth: float, drawn: float, m: Any) -> float:  # pragma: no cover
    above = ln - m.reset_ln + depth
    activity = min(max(1.0 + above / m.reset_band, 0.0), 1.0)
    activity *= min(max(1.0 + depth / 0.3, 0.0), 1.0)
    deep = min(max(2.0 * depth - 1.0, 0.0), 1.0)
    pull = -max(above, 0.0) - deep * min(above, 0.0)
    return float(activity * (pull + max(depth, 0.0) - max(drawn, 0.0)))


@compiled
def _noise_table(noises: F64, m: Any) -> F64:  # pragma: no cover - compiled
    """(bins, samples) ln of one plus the deviation of the reading after a pulse."""
    out = np.empty((_BINS, noises.shape[0]))
    for b in range(_BINS):
        ln = m.lowest + (b + 0.5) * (m.highest - m.lowest) / _BINS
        for n in range(noises.shape[0]):
            out[b, n] = np.log(1.0 + noise(ln, noises[n, 0], noises[n, 1], m))
    return out


@compiled
def _after(
    is_set: bool, aim: F64, start: float, noisy: F64, value: F64, m: Any
) -> bool:  # pragma: no cover - compiled
    """ln of the readings after one entry from one node into `value`; whether any cell moved."""
    moved, per_bin = False, noisy.shape[0] / (m.highest - m.lowest)
    for n in range(value.size):
        move = (
            _set_move(start, aim[n, 0], aim[n, 1], m)
            if is_set
            else _reset_move(start, aim[n, 0], aim[n, 1], m)
        )
        if move == 0.0:  # no new filament: it reads as before
            value[n] = start
            continue
        moved = True
        ln = min(max(start + move, m.lowest), m.highest)
        b = min(int((ln - m.lowest) * per_bin), noisy.shape[0] - 1)
        value[n] = ln + noisy[b, n]
    return moved


@compiled
def _describe(
    value: F64, figures: F64, rank: F64, place: Any, shares: F64, after: F32, loading: F32
) -> None:  # pragma: no cover - compiled
    order = np.argsort(value)
    for j in range(place.size):
        low, high = value[order[place[j]]], value[order[place[j] + 1]]
        after[j] = low + shares[j] * (high - low)
    for f in range(figures.shape[1]):
        total = 0.0
        for r in range(rank.size):
            total += rank[r] * figures[order[r], f]
        loading[f] = total / rank.size


@compiled
def _fill(
    operation: Any, aims: F64, grid: F64, noisy: F64, figures: F64, rank: F64, nodes: F64, m: Any
) -> tuple[F32, F32]:  # pragma: no cover - compiled
    entries, count, samples = aims.shape[0], grid.size, rank.size
    after = np.empty((entries, count, nodes.size), np.float32)
    loading = np.empty((entries, count, figures.shape[1]), np.float32)
    place = np.minimum(np.searchsorted(rank, nodes, side="right"), samples - 1) - 1
    shares = (nodes - rank[place]) / (rank[place + 1] - rank[place])
    value = np.empty(samples)
    for k in range(entries):
        is_set = operation[k] == 0
        lowest_aim, kept = aims[k, :, 0].min(), -1
        for i in range(count):
            full = is_set and grid[i] < lowest_aim  # the pulse sets the state, whatever it was
            if full and kept >= 0:
                after[k, i], loading[k, i] = after[k, kept], loading[k, kept]
                continue
            kept = i if full else -1
            if _after(is_set, aims[k], grid[i], noisy, value, m):
                _describe(value, figures, rank, place, shares, after[k, i], loading[k, i])
            else:
                after[k, i], loading[k, i] = grid[i], 0.0
    return after, loading
