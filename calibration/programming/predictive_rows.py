"""Tables that follow measured rows where there are some, and the model where there are none.

A model fitted to a chip has the form of the technology that it was made for. A chip of another
make answers some pulses in ways that no dozen numbers bend right: a pulse that does nothing from
some states, a spread that is wider on one side. What such a pulse leads to is better taken from the
rows that were measured of it than from any formula.

For every entry and state the outcome's distribution is a mixture: the model's counts for `_MODEL`
rows, and each measured row by how near its pulse and its state were (the posterior mean of a
Dirichlet process about the model; T. S. Ferguson, Annals of Statistics 1, 209, 1973). A row of a
neighbouring pulse or state counts with the difference that the model sees between the two for a
typical cell; a row that did nothing says that nothing happens. What u is made of (`loading`) stays
the model's. (On the chip of measured rows, simulated, the ranks of later readings under such tables
have mean 0 and variance 1, and cells keep them from pulse to pulse as the loadings say.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from calibration.arrays import BoolArray, FloatArray
from calibration.cell_model import CellModel
from calibration.cell_model.data import READ_ONLY, ResponseData
from calibration.cell_model.kernel import LATENTS, after_reset, after_set, compiled, numbers
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive_tables import U_NODES, Tables

F64 = NDArray[np.float64]

_MODEL = 5.0  # rows that the model counts for
_RARER_LN = 4.0  # by which other kinds of cells are less likely: the rows hold their outcomes too
_VOLTS, _DECADES = 0.03, 0.1  # pulses this far apart are alike to 1 / sqrt(e)
_ALIKE = 0.02  # at least, to count
_NEAR_SIEMENS, _NEAR_LN = (40e-6, 100e-6, 165e-6), (0.5, 0.15, 0.05)  # the same for states
_FAR, _FAR_SHARE = 4.0, 0.02  # a tail of that, for states that few rows started from
_STILL = 1.5  # sizes of the read noise within which a pulse did nothing
_STEP_LN = 0.015  # between states that are mixed for; those between are interpolated
_KERNEL_STEP, _KERNEL_SIZE = 0.02, 801
_ATOM = np.array([0.02, 0.96, 0.02])  # parts of what did nothing, so that quantiles step there


def follow(
    tables: Tables,
    model: CellModel,
    menu: PulseMenu,
    records: ResponseData,
    blur: Callable[[FloatArray], FloatArray],
) -> Tables:
    """`tables` of `menu` by `model`, with `after` mixed with the pulses among `records`.

    `blur` gives the read noise in ln G at readings in ln G, (n,).
    """
    rows = records[np.flatnonzero(records.operation != READ_ONLY)]
    pulses, which = np.unique(_pulses(rows), axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    rows, which = rows[order], which.reshape(-1)[order]
    before, after = np.log(rows.siemens_before), np.log(rows.siemens_after)
    nodes = _spaced(tables.grid)
    grid, flat = tables.grid[nodes], numbers(model)
    mixed = _mix(
        tables.after[:, nodes].astype(np.float64),
        grid,
        _typical(_pulses(menu), grid, flat),
        _alike(_pulses(menu), pulses),
        np.searchsorted(which, np.arange(len(pulses) + 1)),
        before,
        after - _typical_of(_pulses(rows), before, flat),
        np.abs(after - before) < _STILL * blur(after),
        np.interp(grid, np.log(_NEAR_SIEMENS), _NEAR_LN),
        _kernel(),
        ndtr(U_NODES),
        _own_weight(),
    )
    prior = np.where(np.arange(tables.prior.size) > 0, tables.prior - _RARER_LN, tables.prior)
    return tables._replace(after=_between(mixed, grid, tables.grid), prior=prior)


def _pulses(of: ResponseData | PulseMenu) -> F64:
    """(n, 4) operation, gate and line in volts, decades of width."""
    columns = (of.operation, of.gate_volts, of.line_volts, np.log10(of.width_s))
    return np.stack([np.asarray(c, np.float64) for c in columns], axis=1)


def _alike(menu: F64, pulses: F64) -> F64:
    """(K, pulses) how much a row of each pulse says about each entry."""
    scale = np.array([_VOLTS, _VOLTS, _DECADES])
    away = ((menu[:, None, 1:] - pulses[None, :, 1:]) / scale) ** 2
    found = np.exp(-0.5 * away.sum(axis=2))
    same = menu[:, None, 0] == pulses[None, :, 0]
    return np.asarray(np.where(same & (found > _ALIKE), found, 0.0))


def _spaced(grid: F64) -> NDArray[np.int64]:
    """Nodes about `_STEP_LN` apart, with both ends."""
    kept = [0]
    for k in range(1, grid.size):
        if grid[k] - grid[kept[-1]] >= _STEP_LN or k == grid.size - 1:
            kept.append(k)
    return np.array(kept)


def _kernel() -> F64:
    away = _KERNEL_STEP * np.arange(_KERNEL_SIZE)
    tail = np.exp(-0.5 * (away / _FAR) ** 2)
    return np.asarray(np.exp(-0.5 * away**2) + _FAR_SHARE * tail)


def _own_weight() -> F64:
    """(nodes,) rows that the model counts for, by node of its quantiles."""
    rank = ndtr(U_NODES)
    edges = np.concatenate([[0.0], 0.5 * (rank[1:] + rank[:-1]), [1.0]])
    return np.asarray(_MODEL * np.diff(edges))


def _between(mixed: F64, at: F64, grid: F64) -> NDArray[np.float32]:
    """The mixed quantiles at all states: straight lines, so that what does nothing stays exact."""
    right = np.clip(np.searchsorted(at, grid), 1, at.size - 1)
    share = ((grid - at[right - 1]) / (at[right] - at[right - 1]))[None, :, None]
    return ((1.0 - share) * mixed[:, right - 1] + share * mixed[:, right]).astype(np.float32)


@compiled
def _typical_of(pulse: F64, ln: F64, m: Any) -> F64:  # pragma: no cover - compiled
    """(n,) ln G after each pulse in a typical cell that was at `ln` (n,)."""
    z, out = np.zeros(LATENTS + 2), np.empty(ln.size)
    for n in range(ln.size):
        _, gate, line, log_width = pulse[n]
        if pulse[n, 0] == 0.0:
            out[n] = after_set(ln[n], gate, line, log_width, z, m)
        else:
            out[n] = after_reset(ln[n], gate, line, log_width, z, m)
    return out


def _typical(pulse: F64, grid: F64, m: Any) -> F64:
    """(K, I) the same for every entry and state."""
    every = np.repeat(pulse, grid.size, axis=0)
    return _typical_of(every, np.tile(grid, len(pulse)), m).reshape(len(pulse), grid.size)


@compiled
def _mix(
    after: F64,
    grid: F64,
    typical: F64,
    alike: F64,
    first: Any,
    before: F64,
    residual: F64,
    still: BoolArray,
    near_ln: F64,
    kernel: F64,
    rank: F64,
    own: F64,
) -> F64:  # pragma: no cover - compiled
    """(K, I, nodes) quantiles of the mixtures; rows from `first[q]` on are of pulse q."""
    out = after.copy()
    row, share = np.empty(before.size, np.int64), np.empty(before.size)
    for k in range(after.shape[0]):
        n = 0
        for q in range(first.size - 1):
            if alike[k, q] > 0.0:
                for r in range(first[q], first[q + 1]):
                    row[n], share[n] = r, alike[k, q]
                    n += 1
        order = np.argsort(residual[row[:n]])
        rows, shares = row[:n][order], share[:n][order]
        for i in range(grid.size):
            per_step = 1.0 / (near_ln[i] * _KERNEL_STEP)
            weight, idle = np.zeros(n), 0.0
            for j in range(n):
                away = int(abs(before[rows[j]] - grid[i]) * per_step)
                found = shares[j] * kernel[away] if away < kernel.size else 0.0
                if still[rows[j]]:
                    idle += found
                else:
                    weight[j] = found
            if idle + weight.sum() > 0.0:
                lead = residual[rows] + typical[k, i]
                _quantiles(lead, weight, idle, grid[i], after[k, i], rank, own, out[k, i])
    return out


@compiled
def _quantiles(
    lead: F64, weight: F64, idle: float, here: float, after: F64, rank: F64, own: F64, out: Any
) -> None:  # pragma: no cover - compiled
    """At `rank`: of rows that lead to `lead` (sorted) by `weight`, `idle` that stay `here`, and
    the model's `after` by its `own` weights."""
    size = rank.size
    x, w = np.empty(size + _ATOM.size), np.zeros(size + _ATOM.size)
    at = int(np.searchsorted(after, here))
    x[:at], w[:at] = after[:at], own[:at]
    x[at : at + _ATOM.size], w[at : at + _ATOM.size] = here, idle * _ATOM
    x[at + _ATOM.size :], w[at + _ATOM.size :] = after[at:], own[at:]
    total = w.sum() + weight.sum()
    a, b, done, below = 0, 0, 0, 0.0
    old_p, old_x = -1.0, 0.0
    while a < lead.size or b < x.size:
        if b == x.size or (a < lead.size and lead[a] < x[b]):
            value, mass, a = lead[a], weight[a], a + 1
        else:
            value, mass, b = x[b], w[b], b + 1
        if mass == 0.0:
            continue
        p = (below + 0.5 * mass) / total
        while done < size and rank[done] <= p:
            share = (rank[done] - old_p) / (p - old_p) if old_p >= 0.0 else 1.0
            out[done] = old_x + share * (value - old_x) if old_p >= 0.0 else value
            done += 1
        below, old_p, old_x = below + mass, p, value
    out[done:] = old_x
