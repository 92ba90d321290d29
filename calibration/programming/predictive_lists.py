"""Which entries of a menu are worth weighing for a cell, by target, reading and kind of cell.

Weighing a whole menu for every cell and round would cost tens of microseconds. So the first cell
that needs it has the menu weighed for its target, node and kind; the entries that would be best for
typical cells and for cells that deviate by some amount are kept, and later cells weigh these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.cell_model.kernel import compiled, compiled_fast
from calibration.programming.predictive_tables import Tables
from calibration.programming.predictive_value import STILL_LN, outside, phi, u_of

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

SHIFTS = np.array([-3.0, -2.0, -1.4, -0.9, -0.4, 0.0, 0.4, 0.9, 1.4, 2.0, 3.0])
LISTED = 24  # entries worth trying that are kept per target, node and kind
_KNOWN_SD = 0.7  # of u, when the entries worth trying are listed


class Lists(NamedTuple):
    """Entries worth trying by target, node and kind of cell; S slots, filled when first needed.

    `slot` (T, I, B), -1: not yet; `used` (S,), `entry`, `table_entry`, `table_node` (S, LISTED):
    the pulse, and where in the tables it stands for this kind; `edges` (S, LISTED, 6): u at the
    window's lower and upper edge, pulses that remain below it and above it, u beyond which nothing
    happens, and the pulses that remain then, less those on this side if something does.
    """

    slot: I64
    used: I64
    entry: I64
    table_entry: I64
    table_node: I64
    edges: F32

    @classmethod
    def empty(cls, targets: int, tables: Tables) -> Lists:
        """Nothing listed yet."""
        kinds, nodes = tables.offset.size, tables.grid.size
        slot = np.full((targets, nodes, kinds), -1)
        return cls(slot, *_pool(0))

    def grown(self, wanted: I64) -> tuple[Lists, I64]:
        """With room for the keys (keys, 3: target, node, kind) not listed yet; and these keys."""
        flat = np.unique(np.ravel_multi_index(tuple(wanted.T), self.slot.shape))
        new = flat[self.slot.ravel()[flat] < 0]
        if not new.size:
            return self, wanted[:0]
        first = self.used.size
        self.slot.ravel()[new] = first + np.arange(new.size)
        keys = np.stack(np.unravel_index(new, self.slot.shape), axis=1)
        old: tuple[Any, ...] = self[1:]
        more: tuple[Any, ...] = _pool(new.size)
        parts = [np.concatenate([a, b]) for a, b in zip(old, more, strict=True)]
        return Lists(self.slot, *parts), keys


def _pool(slots: int) -> tuple[I64, I64, I64, I64, F32]:
    shape = (slots, LISTED)
    entry, table_entry, table_node = (np.zeros(shape, np.int64) for _ in range(3))
    edges = np.zeros((*shape, 6), np.float32)
    return np.zeros(slots, np.int64), entry, table_entry, table_node, edges


@compiled_fast
def expected_cost(
    edges: Any, is_set: bool, mean: float, sd: float
) -> float:  # pragma: no cover - compiled
    """Expected pulses with one entry (`Lists.edges`), when u is normal with this mean and sd."""
    below, above = phi((edges[0] - mean) / sd), phi((mean - edges[1]) / sd)
    still = phi((edges[4] - mean) / sd if is_set else (mean - edges[4]) / sd)
    return float(1.0 + below * edges[2] + above * edges[3] + still * edges[5])


@compiled_fast
def node_of(ln: float, low: float, grid: F64) -> int:  # pragma: no cover - compiled
    """The node for a reading outside a window: on the reading's own side of it."""
    at = int(np.searchsorted(grid, ln))
    if ln < low:
        at -= 1
    return min(max(at, 0), grid.size - 1)


@compiled
def nodes_of(ln: F64, low: F64, grid: F64) -> I64:  # pragma: no cover - compiled
    """`node_of` for (n,) readings."""
    out = np.empty(ln.size, np.int64)
    for n in range(ln.size):
        out[n] = node_of(ln[n], low[n], grid)
    return out


@compiled
def _weigh(
    tables: Any,
    k: int,
    i: int,
    add: float,
    low: float,
    high: float,
    remaining: F64,
    weight: F64,
    out: Any,
) -> None:  # pragma: no cover - compiled
    """`Lists.edges` of table entry k at table node i, for a cell that ends `add` higher."""
    own = 0 if tables.is_set[k] else 1
    after, start = tables.after[k, i], tables.grid[i]
    out[0], out[1] = u_of(low - add, after), u_of(high - add, after)
    out[2], out[3] = outside(after, add, start, low, high, remaining[own], tables.grid, weight)
    if tables.is_set[k]:
        out[4] = u_of(start + STILL_LN, after) if after[0] <= start + STILL_LN else -99.0
    else:
        out[4] = (
            u_of(start - STILL_LN, after) if after[after.size - 1] >= start - STILL_LN else 99.0
        )
    here = min(max(np.searchsorted(tables.grid, start + add), 0), tables.grid.size - 1)
    out[5] = remaining[own, here] - (out[2] if start + add < low else out[3])


@compiled
def fill_lists(
    keys: I64,
    tables: Any,
    lists: Any,
    low: F64,
    high: F64,
    remaining: F64,
    weight: F64,
    shifts: F64,
    ends: Any,
    strongest: Any,
) -> None:  # pragma: no cover - compiled
    """List the entries of new keys: the best for typical cells of the kind and for shifted ones.

    Short of a window that nothing overshoots (it contains one of the `ends` of what any pulse leads
    to), only the `strongest` pulses (K,) towards it are listed: no other one does more, and a cell
    that the model holds for hopeless would be sent to and fro.
    """
    entries = tables.is_set.size
    found = np.empty((entries, 6), np.float32)
    places = np.empty((entries, 2), np.int64)
    use = np.empty(entries, np.int64)
    for n in range(keys.shape[0]):
        t, i, b = keys[n]
        s = lists.slot[t, i, b]
        ln = tables.grid[i]
        shifted = node_of(ln - tables.offset[b], low[t] - tables.offset[b], tables.grid)
        used = 0
        only_set = ln < low[t] and high[t] >= ends[1]
        only_reset = ln > high[t] and low[t] <= ends[0]
        for k in range(entries):
            if (only_set or only_reset) and (tables.is_set[k] != only_set or not strongest[k]):
                continue
            ke = tables.acts_as[b, k]
            ie, add = (shifted, tables.offset[b]) if tables.is_set[k] else (i, 0.0)
            after = tables.after[ke, ie]
            hopeless = (
                after[0] + add > high[t] + 0.02 or after[after.size - 1] + add < low[t] - 0.02
            )
            if hopeless and not (tables.far[k] or only_set or only_reset):
                continue
            _weigh(tables, ke, ie, add, low[t], high[t], remaining[t], weight, found[used])
            use[used], places[used, 0], places[used, 1] = k, ke, ie
            used += 1
        _pick(lists, s, use[:used], places, found, tables.is_set, shifts)


@compiled
def _pick(
    lists: Any, s: int, use: I64, places: I64, found: F32, is_set: Any, shifts: F64
) -> None:  # pragma: no cover - compiled
    chosen = np.zeros(use.size, np.bool_)
    count = 0
    for rank in range(2):  # the best, then the second best of each shift
        for own in range(2):
            for shift in shifts:
                best, least = -1, 1e9
                for j in range(use.size):
                    if is_set[use[j]] != (own == 0) or (chosen[j] and rank == 1):
                        continue
                    cost = expected_cost(found[j], own == 0, shift, _KNOWN_SD)
                    if cost < least:
                        best, least = j, cost
                if best >= 0 and not chosen[best] and count < LISTED:
                    chosen[best] = True
                    lists.entry[s, count] = use[best]
                    lists.table_entry[s, count] = places[best, 0]
                    lists.table_node[s, count] = places[best, 1]
                    lists.edges[s, count] = found[best]
                    count += 1
    lists.used[s] = count
