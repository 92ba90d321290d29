"""What is known about each cell, and which pulse that makes the best; compiled, cell by cell.

A belief is a normal distribution of the cell's own latent figures and of what its last pulse drew
(`FIGURES` in all), started at the population's: mean 0, variance 1. A pulse's outcome is one number
u (see `predictive_tables`) that is a weighted sum of the figures plus something fresh, so that each
verify read updates the belief by the conjugate rule (Kalman). The draw is remembered by the next
pulse of the same direction and forgotten by one of the other.

What all cells have in common and the model does not know (a shifted threshold, a wider spread)
shows as a mean and a variance of the surprises of an entry: `Population` adds both to every
prediction, smoothed over entries that are alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.cell_model.kernel import CYCLE, LATENTS, compiled, compiled_fast
from calibration.programming.predictive_lists import expected_cost, node_of
from calibration.programming.predictive_tables import FIGURES, Tables
from calibration.programming.predictive_value import phi, u_between

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

_FURTHEST = 4.0  # a surprise beyond this many deviations counts as this many
TRIED = 8  # fruitless pulses that are remembered
_SAME_LN = 0.016  # ln G; readings this close are the same state
_FRUITLESS_LN = 0.03  # ln G; a pulse that moved a cell by less and did not finish it
_PATIENCE = 2.0  # fruitless tries that double the cost of another one
_RULED_OUT = 9.0  # ln; a kind this much less likely than the likeliest is not weighed again
_UNLIKELY = 1e-4  # probability of an outcome that no kind explains


class Belief(NamedTuple):
    """`mean` (n, FIGURES), `spread` (n, FIGURES, FIGURES) covariance, `last` (n,) entry or -1.

    `tried` (n, TRIED, 2): entry and node of the last pulses that left the cell about where it was;
    `place` (n,) where the next one is written. `kind` (n,) the likeliest kind of cell, `weights`
    (n, B) ln of their probabilities.
    """

    mean: F64
    spread: F64
    last: I64
    tried: I64
    place: I64
    kind: I64
    weights: F64

    @classmethod
    def prior(cls, n: int, tables: Tables) -> Belief:
        """The population's, for n cells."""
        spread = np.broadcast_to(np.eye(FIGURES), (n, FIGURES, FIGURES)).copy()
        weights = np.broadcast_to(tables.prior, (n, tables.prior.size)).copy()
        return cls(
            np.zeros((n, FIGURES)),
            spread,
            np.full(n, -1),
            np.full((n, TRIED, 2), -1),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            weights,
        )


@compiled_fast
def predicted(
    mean: F64, spread: F64, loading: Any, rest: float, memory: float
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Mean and variance of u; `memory` is that of the last draw, 0 after a turn."""
    m = memory * loading[CYCLE] * mean[CYCLE]
    kept = memory * memory
    v = rest + loading[CYCLE] ** 2 * (kept * spread[CYCLE, CYCLE] + 1.0 - kept)
    for a in range(LATENTS):
        m += loading[a] * mean[a]
        row = 2.0 * memory * loading[CYCLE] * spread[a, CYCLE]
        for b in range(LATENTS):
            row += loading[b] * spread[a, b]
        v += loading[a] * row
    return m, max(v, rest)  # rounding must not make it less


@compiled_fast
def _fruitless(tried: I64, k: int, i: int, grid: F64) -> float:  # pragma: no cover - compiled
    """How often entry k, or the one next to it, was of no use in about this state."""
    count = 0.0
    for r in range(TRIED):
        away = abs(tried[r, 0] - k)
        if tried[r, 0] >= 0 and away <= 1 and abs(grid[tried[r, 1]] - grid[i]) < _SAME_LN:
            count += 1.0 if away == 0 else 0.5
    return count


@compiled_fast
def choose(
    cell: Any,
    target: Any,
    node: Any,
    belief: Any,
    tables: Any,
    lists: Any,
    memory: F64,
    shift: F64,
    widen: F64,
    last_resort: Any,
    out: Any,
    expected: F64,
) -> None:  # pragma: no cover - compiled
    """The entry with the fewest expected pulses for each cell; its expectation in `expected`.

    `last_resort` (K,): entries that no other one can replace, however often they failed.
    """
    first = np.full(lists.used.size, -1)  # of cells of which nothing is known: alike by slot
    for n in range(cell.size):
        c, i = cell[n], node[n]
        s = lists.slot[target[n], i, belief.kind[c]]
        last = belief.last[c]
        blank = last < 0 and _is_blank(belief.mean[c], belief.tried[c])
        if blank and first[s] >= 0:
            out[n], expected[n] = out[first[s]], expected[first[s]]
            continue
        best, least = -1, 1e9
        for j in range(lists.used[s]):
            k, ke, ie = lists.entry[s, j], lists.table_entry[s, j], lists.table_node[s, j]
            own = 0 if tables.is_set[k] else 1
            kept = memory[own] if last >= 0 and tables.is_set[last] == tables.is_set[k] else 0.0
            mean, variance = predicted(
                belief.mean[c], belief.spread[c], tables.loading[ke, ie], tables.rest[ke, ie], kept
            )
            cost = expected_cost(
                lists.edges[s, j], own == 0, mean + shift[k], np.sqrt(variance) * widen[k]
            )
            if cost >= least:
                continue
            if not last_resort[k]:
                cost *= 1.0 + _fruitless(belief.tried[c], k, i, tables.grid) / _PATIENCE
            if cost < least:
                best, least = k, cost
        out[n], expected[n] = best, least
        if blank:
            first[s] = n


@compiled_fast
def _is_blank(mean: F64, tried: I64) -> bool:  # pragma: no cover - compiled
    """Whether nothing was learned of a cell: readings change the mean."""
    for a in range(FIGURES):
        if mean[a] != 0.0:
            return False
    return bool(tried[0, 0] < 0)


@compiled_fast
def _outcome(
    b: int,
    k: int,
    ln: float,
    low: float,
    after_ln: float,
    blur: float,
    tables: Any,
) -> tuple[int, int, float, float]:  # pragma: no cover - compiled
    """Table entry and node of a pulse for kind b, and the interval of u that its reading means."""
    add = tables.offset[b] if tables.is_set[k] else 0.0
    ke = tables.acts_as[b, k]
    ie = node_of(ln - add, low - add, tables.grid)
    lo, hi = u_between(after_ln - add - blur, after_ln - add + blur, tables.after[ke, ie])
    return ke, ie, lo, hi


@compiled_fast
def _judge(
    c: int,
    k: int,
    ln: float,
    low: float,
    after_ln: float,
    blur: float,
    belief: Any,
    tables: Any,
    shift: float,
    widen: float,
) -> bool:  # pragma: no cover - compiled
    """Weigh what kind of cell it is by this outcome; whether the likeliest kind has changed."""
    weights = belief.weights[c]
    top = weights.max()
    for b in range(weights.size):
        if weights[b] < top - _RULED_OUT:
            continue
        ke, ie, lo, hi = _outcome(b, k, ln, low, after_ln, blur, tables)
        m, v = predicted(
            belief.mean[c], belief.spread[c], tables.loading[ke, ie], tables.rest[ke, ie], 1.0
        )
        sd = np.sqrt(v) * widen
        weights[b] += np.log(phi((hi - m - shift) / sd) - phi((lo - m - shift) / sd) + _UNLIKELY)
    best = np.argmax(weights)
    changed = best != belief.kind[c]
    belief.kind[c] = best
    return bool(changed)


@compiled_fast
def surprises(
    cell: Any,
    entry: Any,
    ln_before: F64,
    window_low: F64,
    ln_after: F64,
    blur: F64,
    belief: Any,
    tables: Any,
    memory: F64,
    found: F64,
) -> None:  # pragma: no cover - compiled
    """`found` (n, 3): how far u is from what was expected, the variance, 1 if it says something.

    Nothing is learned from cells that are not of the typical kind, nor from readings that leave u
    open (a pulse that did nothing).
    """
    for n in range(cell.size):
        c, k = cell[n], entry[n]
        ke, ie, lo, hi = _outcome(
            belief.kind[c], k, ln_before[n], window_low[n], ln_after[n], blur[n], tables
        )
        own, last = 0 if tables.is_set[k] else 1, belief.last[c]
        kept = memory[own] if last >= 0 and tables.is_set[last] == tables.is_set[k] else 0.0
        m, v = predicted(
            belief.mean[c], belief.spread[c], tables.loading[ke, ie], tables.rest[ke, ie], kept
        )
        found[n, 0], found[n, 1] = 0.5 * (lo + hi) - m, v
        found[n, 2] = 1.0 if belief.kind[c] == 0 and hi - lo < 1.0 else 0.0


@compiled_fast
def update(
    cell: Any,
    entry: Any,
    ln_before: F64,
    window_low: F64,
    ln_after: F64,
    blur: F64,
    belief: Any,
    tables: Any,
    memory: F64,
    shift: F64,
    widen: F64,
    surprise: F64,
) -> None:  # pragma: no cover - compiled
    """Learn from the reading after each cell's pulse.

    `surprise` (n, 2): the deviation from what was expected in standard deviations, and the share
    of the variance that is left.
    """
    for n in range(cell.size):
        c, k = cell[n], entry[n]
        own = 0 if tables.is_set[k] else 1
        last = belief.last[c]
        kept = memory[own] if last >= 0 and tables.is_set[last] == tables.is_set[k] else 0.0
        ln, low, after_ln = ln_before[n], window_low[n], ln_after[n]
        ke, ie, lo, hi = _outcome(belief.kind[c], k, ln, low, after_ln, blur[n], tables)
        if abs(tables.loading[ke, ie, CYCLE]) > 0.05:  # it acted: its draw replaces the last one
            _forget(belief.mean[c], belief.spread[c], kept)
            belief.last[c] = k
        if _judge(c, k, ln, low, after_ln, blur[n], belief, tables, shift[k], widen[k]):
            _restart(belief.mean[c], belief.spread[c])
            ke, ie, lo, hi = _outcome(belief.kind[c], k, ln, low, after_ln, blur[n], tables)
        if abs(after_ln - ln) < _FRUITLESS_LN:
            belief.tried[c, belief.place[c], 0] = k
            belief.tried[c, belief.place[c], 1] = node_of(ln, low, tables.grid)
            belief.place[c] = (belief.place[c] + 1) % TRIED
        loading = tables.loading[ke, ie]
        m, v = predicted(belief.mean[c], belief.spread[c], loading, tables.rest[ke, ie], 1.0)
        rest = tables.rest[ke, ie]
        v = max(v * widen[k] ** 2, v - 0.8 * rest)  # never less than the belief's own share
        off, left = within(m + shift[k], v, lo, hi, _FURTHEST)
        surprise[n, 0], surprise[n, 1] = off / np.sqrt(v), left / v
        _learn(belief.mean[c], belief.spread[c], loading, off, v, left)


@compiled_fast
def _forget(mean: F64, spread: F64, kept: float) -> None:  # pragma: no cover - compiled
    mean[CYCLE] *= kept
    for a in range(LATENTS):
        spread[a, CYCLE] *= kept
        spread[CYCLE, a] *= kept
    spread[CYCLE, CYCLE] = kept * kept * spread[CYCLE, CYCLE] + 1.0 - kept * kept


@compiled
def _restart(mean: F64, spread: F64) -> None:  # pragma: no cover - compiled
    mean[:] = 0.0
    spread[:] = 0.0
    for a in range(FIGURES):
        spread[a, a] = 1.0


@compiled_fast
def _learn(
    mean: F64, spread: F64, loading: Any, off: float, v: float, left: float
) -> None:  # pragma: no cover - compiled
    gain = np.zeros(FIGURES)
    for a in range(FIGURES):
        for b in range(FIGURES):
            gain[a] += spread[a, b] * loading[b]
    share = (1.0 - left / v) / v
    for a in range(FIGURES):
        mean[a] += gain[a] * off / v
        for b in range(FIGURES):
            spread[a, b] -= gain[a] * gain[b] * share


@compiled_fast
def within(
    mean: float, variance: float, low: float, high: float, furthest: float
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Change of the mean, and the variance left, of a normal that lies between low and high.

    So a pulse that did nothing says "at least this weak", and no more. An interval that the belief
    holds for impossible is taken at its nearer end, at most `furthest` deviations away.
    """
    sd = np.sqrt(variance)
    a, b = (low - mean) / sd, (high - mean) / sd
    if a > furthest or b < -furthest:
        return (furthest if a > 0.0 else -furthest) * sd, 0.1 * variance
    a, b = max(a, -8.0), min(b, 8.0)
    if b - a < 0.1:
        return 0.5 * (a + b) * sd, 0.001 * variance
    inside = phi(b) - phi(a)
    if inside < 1e-6:
        return (a if a > 0.0 else b) * sd, 0.1 * variance
    pa, pb = np.exp(-0.5 * a * a) * 0.3989422804, np.exp(-0.5 * b * b) * 0.3989422804
    step = (pa - pb) / inside
    left = 1.0 + (a * pa - b * pb) / inside - step * step
    return step * sd, min(max(left, 0.001), 1.0) * variance
