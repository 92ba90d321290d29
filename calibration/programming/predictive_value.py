"""How many more pulses a cell needs: value iteration over the tables, and the entries worth trying.

For a window of readings, `remaining[d, i]` is the expected number of pulses of a cell that reads
node i and whose last pulse went in direction d, when the cell's own figures are known and what
differs from pulse to pulse is not (what a SET drew is remembered by the next SET, which makes a
second pulse in the same direction the surer one). A pulse costs one, plus what remains where it
lands; landing in the window costs nothing more. The choice for one cell then weighs the entries
with that cell's own belief instead (`predictive_belief`), one step ahead of this value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.cell_model.kernel import CYCLE, compiled, compiled_fast
from calibration.programming.predictive_tables import U_FIRST, U_NODES, U_STEP, Tables

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

_ITERATIONS = 25
_CLOSE = 0.02  # pulses; the iteration stops when nothing moves by more
_MOST = 60.0  # remaining pulses of a state that nothing leads out of
_NEAR = 3.5  # an entry is near a window if a cell this many deviations off reaches it
STILL_LN = 0.001  # ln G; a smaller move is none
_SURE = 5.5  # deviations; beyond it less than 2e-8, a tenth of the error of `_erfc`


class Value(NamedTuple):
    """Remaining pulses by target. `low`, `high` (T,) ln siemens; `remaining` (T, 2, I)."""

    low: F64
    high: F64
    remaining: F64


@compiled_fast
def phi(x: float) -> float:  # pragma: no cover - compiled
    """Normal distribution function; 0 or 1 beyond `_SURE`, where the formula says no more."""
    if x > _SURE:
        return 1.0
    if x < -_SURE:
        return 0.0
    return 0.5 * float(_erfc(-x * 0.7071067811865476))


@compiled_fast
def _erfc(x: float) -> float:  # pragma: no cover - compiled
    """Complementary error function, Abramowitz and Stegun 7.1.26; its stated error is 1.5e-7."""
    a = abs(x)
    t = 1.0 / (1.0 + 0.3275911 * a)
    poly = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    tail = poly * np.exp(-a * a)
    return float(tail if x >= 0.0 else 2.0 - tail)


@compiled_fast
def u_of(ln: float, after: Any) -> float:  # pragma: no cover - compiled
    """The normal figure at which an entry leads to a reading; straight beyond the nodes."""
    n = after.size
    if ln <= after[0]:
        slope = max((after[4] - after[0]) / (4.0 * U_STEP), 1e-6)
        return float(U_FIRST + (ln - after[0]) / slope)
    if ln >= after[n - 1]:
        slope = max((after[n - 1] - after[n - 5]) / (4.0 * U_STEP), 1e-6)
        return float(-U_FIRST + (ln - after[n - 1]) / slope)
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if after[middle] <= ln:
            low = middle
        else:
            high = middle
    span = max(after[high] - after[low], 1e-9)
    return float(U_FIRST + U_STEP * (low + (ln - after[low]) / span))


@compiled_fast
def u_between(low: float, high: float, after: Any) -> tuple[float, float]:  # pragma: no cover
    """`u_of` of both ends of a short interval: the upper end is looked for from the lower one."""
    n = after.size
    first = u_of(low, after)
    if high <= after[0] or high >= after[n - 1]:
        return first, u_of(high, after)
    at = min(max(int((first - U_FIRST) / U_STEP), 0), n - 2)
    while at < n - 2 and after[at + 1] <= high:
        at += 1
    span = max(after[at + 1] - after[at], 1e-9)
    return first, float(U_FIRST + U_STEP * (at + (high - after[at]) / span))


@compiled
def outside(
    after: Any,
    add: float,
    still: float,
    low: float,
    high: float,
    remaining: F64,
    grid: F64,
    weight: F64,
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Mean of what remains below the window and above it, over where the entry leads
    (`add` is added to the table's).

    Nodes within `STILL_LN` of `still` (the state before) are left out: there nothing happened.
    """
    first = max(int(np.searchsorted(grid, low)) - 1, 0)
    last = min(int(np.searchsorted(grid, high)), grid.size - 1)
    below = below_weight = above = above_weight = 0.0
    for j in range(after.size):
        if abs(after[j] - still) < STILL_LN:
            continue
        value = after[j] + add
        if value < low:
            at = min(max(np.searchsorted(grid, value), 0), first)
            below += weight[j] * remaining[at]
            below_weight += weight[j]
        elif value > high:
            at = max(min(np.searchsorted(grid, value), grid.size - 1), last)
            above += weight[j] * remaining[at]
            above_weight += weight[j]
    below = below / below_weight if below_weight > 0.0 else remaining[first]
    above = above / above_weight if above_weight > 0.0 else remaining[last]
    return below, above


@compiled
def _edges(after: F32, low: float, high: float) -> F32:  # pragma: no cover - compiled
    """(K, I, 2) u at the window's edges."""
    out = np.empty((after.shape[0], after.shape[1], 2), np.float32)
    for k in range(after.shape[0]):
        for i in range(after.shape[1]):
            out[k, i, 0], out[k, i, 1] = u_of(low, after[k, i]), u_of(high, after[k, i])
    return out


class Leads(NamedTuple):
    """Where entries lead for one window: what every iteration needs and none changes.

    One row for each entry and node (n of them) from which the entry may reach the window. `place`
    (n, 5): entry, its own direction, node, outcomes below the window, first outcome above it;
    `chance` (n, 4): below and above after a pulse in direction 0, then 1; `weight` (n, 2): of the
    outcomes below and above.
    """

    place: Any
    chance: F64
    weight: F64


@compiled
def _leads(
    edges: F32, nodes: int, loading: F32, rest: F32, is_set: Any, far: Any, memory: F64, weight: F64
) -> tuple[Any, F64, F64]:  # pragma: no cover - compiled
    """The parts of `Leads` for one window."""
    entries, count = edges.shape[0], edges.shape[1]
    place = np.empty((entries * count, 5), np.int32)
    chance, weights = np.empty((entries * count, 4)), np.empty((entries * count, 2))
    n = 0
    for k in range(entries):
        own = 0 if is_set[k] else 1
        for i in range(count):
            lo, hi = edges[k, i, 0], edges[k, i, 1]
            if not far[k] and (lo > _NEAR or hi < -_NEAR):
                continue
            low_end, high_start = 0, nodes
            below = above = 0.0
            for j in range(nodes):
                u = U_FIRST + 2.0 * U_STEP * j
                if u < lo:
                    below += weight[j]
                    low_end = j + 1
                elif u > hi:
                    above += weight[j]
                    high_start = min(high_start, j)
            cycle = loading[k, i, CYCLE] ** 2
            for d in range(2):
                known = memory[own] ** 2 * cycle if d == own else 0.0
                sd = np.sqrt(rest[k, i] + cycle - known)
                chance[n, 2 * d], chance[n, 2 * d + 1] = phi(lo / sd), phi(-hi / sd)
            place[n] = (k, own, i, low_end, high_start)
            weights[n] = (below, above)
            n += 1
    return place[:n], chance[:n], weights[:n]


@compiled
def _sweep(
    old: F64, node: Any, leads: Leads, weight: F64, bounds: Any, new: F64
) -> None:  # pragma: no cover - compiled
    """One value iteration: (2, I) remaining pulses from the old ones."""
    nodes = node.shape[2]
    new[:] = _MOST
    for n in range(leads.place.shape[0]):
        k, own, i, low_end, high_start = leads.place[n]
        below, above = old[own, bounds[0]], old[own, bounds[1]]
        if leads.weight[n, 0] > 0.0:
            total = 0.0
            for j in range(low_end):
                total += weight[j] * old[own, min(node[k, i, j], bounds[0])]
            below = total / leads.weight[n, 0]
        if leads.weight[n, 1] > 0.0:
            total = 0.0
            for j in range(high_start, nodes):
                total += weight[j] * old[own, max(node[k, i, j], bounds[1])]
            above = total / leads.weight[n, 1]
        for d in range(2):
            cost = 1.0 + leads.chance[n, 2 * d] * below + leads.chance[n, 2 * d + 1] * above
            new[d, i] = min(new[d, i], cost)


def nodes_after(tables: Tables) -> NDArray[np.int16]:
    """(K, I, nodes) node that every other outcome of each entry falls on, whatever the window."""
    node = np.searchsorted(tables.grid, tables.after[:, :, ::2]).astype(np.int16)
    return np.minimum(node, np.int16(tables.grid.size - 1))


def _leads_of(tables: Tables, memory: F64, low: float, high: float, weight: F64) -> Leads:
    edges = _edges(tables.after, low, high)
    kinds = tables.loading, tables.rest, tables.is_set, tables.far
    return Leads(*_leads(edges, weight.size, *kinds, memory, weight))


def remaining_pulses(
    tables: Tables, memory: F64, low: F64, high: F64, node: NDArray[np.int16]
) -> Value:
    """Value iteration for windows `low` to `high` (T,) ln siemens; `memory` of SET and RESET.

    `node` is what `nodes_after` gives.
    """
    weight = np.exp(-0.5 * U_NODES[::2] ** 2)
    out = np.empty((low.size, 2, tables.grid.size))
    for t in range(low.size):
        leads = _leads_of(tables, memory, low[t], high[t], weight)
        first = max(int(np.searchsorted(tables.grid, low[t])) - 1, 0)
        last = min(int(np.searchsorted(tables.grid, high[t])), tables.grid.size - 1)
        old = np.full((2, tables.grid.size), 5.0)
        new = np.empty_like(old)
        for _ in range(_ITERATIONS):
            _sweep(old, node, leads, weight, np.array([first, last]), new)
            moved = float(np.abs(new - old).max())
            old, new = new, old
            if moved < _CLOSE:
                break
        out[t] = old
    return Value(low, high, out)
