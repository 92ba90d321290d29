"""Where a network is best put on a chip with bad cells.

Two things are free. The blocks may stand anywhere on the macro, as long as no two share a row or a
column (that is what spare rows and columns are good for: lines cannot be permuted by the board, but
a block can stand beside a bad cell). And the hidden units may stand in any order, the same one in
all hidden layers. Both are chosen so that the error of the output that the bad cells leave, after
the partner cells have made up for what they can, is expected to be smallest.

The order is an assignment problem with terms of two kinds: a bad cell of the first or the last
layer costs what the unit at its place needs of it (linear), one of a layer between two hidden ones
depends on the units at its row and at its column (quadratic). The linear part is solved exactly,
the quadratic one averaged in, and then pairs of units are exchanged as long as that helps, from
several starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.mapping import Layout
from calibration.mapping_compensate import Reach, excess, ranges
from calibration.mapping_knowledge import ChipKnowledge
from calibration.mapping_levels import SigmaLaw
from calibration.placement import Placement, width
from drivers.rram.geometry import Cells

STARTS = 6  # random orders that the exchange also starts from
CORNERS = 24  # places of the largest block that are looked at
APART = 3  # lines by which two of them differ at least
WORTH = 0.98
"""A layout is left for another one only if that has less than this of its whole expected error:
forming and programming again are not free (this project's choice)."""
UNSEEN_SHARE = 0.1
"""What a bad cell that is not known yet will cost, over what one costs at a random place: once it
is found, permuting takes out the most of it (this project's choice)."""


@dataclass(frozen=True)
class Costs:
    """What the search weighs.

    Attributes:
        importance: per layer (out, in + 1), squared output error per squared error of a weight.
        sigma: what a cell at a level is off by, siemens.
        reach: range of ordinary cells.
    """

    importance: Sequence[FloatArray]
    sigma: SigmaLaw
    reach: Reach


@dataclass(frozen=True)
class Found:
    """A layout and its error.

    Attributes:
        layout: corners and order.
        error: squared output error that the known bad cells are expected to leave.
        bad: bad cells inside the blocks.
    """

    layout: Layout
    error: float
    bad: int


class _Tables:
    """A network's pairs in the model's order: (in + 1, out) of each layer."""

    def __init__(self, placement: Placement, costs: Costs) -> None:
        self.placement, self.costs = placement, costs
        self._known: dict[tuple[int, tuple[float, ...], tuple[float, ...]], FloatArray] = {}
        self.arms: list[FloatArray] = []
        self.weight: list[FloatArray] = []
        for index, block in enumerate(placement.blocks):
            mine = np.flatnonzero(placement.layer == index)
            arms = np.full((2, block.inputs, block.outputs), block.reference_siemens)
            arm = (1 - placement.sign[mine]) // 2
            arms[arm, placement.input[mine], placement.output[mine]] = placement.target_siemens[
                mine
            ]
            self.arms.append(arms)
            self.weight.append(costs.importance[index].T * block.feedback_ohm**2)
        spread = [costs.sigma(a.ravel()).reshape(a.shape) ** 2 for a in self.arms]
        self.base = sum(
            float(np.sum(w * s.sum(axis=0))) for w, s in zip(self.weight, spread, strict=True)
        )

    def cost(self, index: int, low: tuple[float, ...], high: tuple[float, ...]) -> FloatArray:
        """(in + 1, out) cost of every weight of a layer in a pair of these ranges."""
        key = (index, low, high)
        if key not in self._known:
            arms = self.arms[index]
            wanted = (arms[0] - arms[1]).ravel()
            each = np.ones_like(wanted)
            found = excess(
                wanted,
                np.outer(low, each),
                np.outer(high, each),
                arms.reshape(2, -1),
                self.costs.sigma,
            )
            self._known[key] = found.reshape(arms.shape[1:]) * self.weight[index]
        return self._known[key]

    @property
    def hidden(self) -> int:
        """Units of a hidden layer, 0 when there is none."""
        return self.placement.blocks[0].outputs if len(self.placement.blocks) > 1 else 0


@dataclass(frozen=True)
class _Term:
    """One bad pair: its cost (in units, out units) and which places its units stand at; -1 is a
    line that is no hidden unit's, whose number is then fixed."""

    table: FloatArray
    into: int
    out: int


def _terms(
    tables: _Tables, corners: Sequence[tuple[int, int]], knowledge: ChipKnowledge
) -> list[_Term]:
    found: list[_Term] = []
    last = len(corners) - 1
    for index, (block, corner) in enumerate(zip(tables.placement.blocks, corners, strict=True)):
        step = 2 if block.differential else 1
        bad = knowledge.bad[
            corner[0] : corner[0] + block.inputs, corner[1] : corner[1] + width(block)
        ]
        pairs = bad.reshape(block.inputs, block.outputs, step).any(axis=2)
        for row, output in np.argwhere(pairs):
            cost = _pair_cost(tables, index, corner, int(row), int(output), knowledge)
            moves_in = index > 0 and row < block.inputs - 1
            moves_out = index < last
            if not moves_in:
                cost = cost[row : row + 1]
            elif index > 0:
                cost = cost[:-1]
            if not moves_out:
                cost = cost[:, output : output + 1]
            found.append(
                _Term(cost, int(row) if moves_in else -1, int(output) if moves_out else -1)
            )
    return found


def _pair_cost(
    tables: _Tables,
    index: int,
    corner: tuple[int, int],
    row: int,
    output: int,
    knowledge: ChipKnowledge,
) -> FloatArray:
    """(in + 1, out) cost of every weight of a layer, were it held by the pair at a place."""
    block = tables.placement.blocks[index]
    step = 2 if block.differential else 1
    columns = corner[1] + step * output + np.arange(step)
    cells = Cells(np.full(step, corner[0] + row), columns)
    low, high = ranges(knowledge, cells, tables.costs.reach)
    single = (block.reference_siemens,) * (2 - step)  # in the place of a partner
    return tables.cost(index, (*low.tolist(), *single), (*high.tolist(), *single))


def _cost_of(terms: Sequence[_Term], orders: IntArray) -> FloatArray:
    """(k,) cost of orders (k, hidden): the unit at each place."""
    total = np.zeros(len(orders))
    zero = np.zeros(len(orders), dtype=np.int64)
    for term in terms:
        into = orders[:, term.into] if term.into >= 0 else zero
        out = orders[:, term.out] if term.out >= 0 else zero
        total += term.table[into, out]
    return total


def best_order(
    terms: Sequence[_Term], hidden: int, first: Sequence[int], base: float = 0.0, seed: int = 0
) -> tuple[tuple[int, ...], float]:
    """The cheapest order found and its cost.

    `first` is kept unless another one is cheaper by more than it is worth, with `base`, the error
    that good cells have, on both sides.
    """
    rng = np.random.default_rng([seed, hidden])
    keep = np.array(first, dtype=np.int64)
    kept = float(_cost_of(terms, keep[None])[0])
    if kept <= (1.0 - WORTH) * (kept + base) or hidden < 2:
        return tuple(keep.tolist()), kept
    starts = [keep, _assigned(terms, hidden), *(rng.permutation(hidden) for _ in range(STARTS))]
    best, lowest = keep, kept
    for start in starts:
        order, cost = _exchanged(terms, start)
        if cost < lowest:
            best, lowest = order, cost
    if lowest + base > WORTH * (kept + base):
        best, lowest = keep, kept
    return tuple(int(u) for u in best), lowest


def _assigned(terms: Sequence[_Term], hidden: int) -> IntArray:
    """The assignment of the linear part, quadratic terms averaged over their other unit."""
    cost = np.zeros((hidden, hidden))  # (place, unit)
    for term in terms:
        if term.into >= 0:
            cost[term.into] += term.table.mean(axis=1)
        if term.out >= 0:
            cost[term.out] += term.table.mean(axis=0)
    from scipy.optimize import linear_sum_assignment  # slow to load, for this alone

    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)


def _exchanged(terms: Sequence[_Term], order: IntArray) -> tuple[IntArray, float]:
    """Pairs of units exchanged, the best exchange each time, until none helps."""
    pairs = np.array(list(combinations(range(order.size), 2)))
    cost = float(_cost_of(terms, order[None])[0])
    while cost > 0.0:
        tried = np.repeat(order[None], len(pairs), axis=0)
        at = np.arange(len(pairs))
        tried[at, pairs[:, 0]], tried[at, pairs[:, 1]] = order[pairs[:, 1]], order[pairs[:, 0]]
        costs = _cost_of(terms, tried)
        k = int(np.argmin(costs))
        if costs[k] >= cost * (1.0 - 1e-12):
            break
        order, cost = tried[k], float(costs[k])
    return order, cost


# --- corners -----------------------------------------------------------------------------------


def _windows(bad: BoolArray, height: int, wide: int) -> IntArray:
    """(rows - height + 1, columns - wide + 1) bad cells in every window of a map."""
    sums = np.pad(np.cumsum(np.cumsum(bad.astype(np.int64), axis=0), axis=1), ((1, 0), (1, 0)))
    return (
        sums[height:, wide:]
        - sums[:-height, wide:]
        - sums[height:, :-wide]
        + sums[:-height, :-wide]
    )


def corner_candidates(
    placement: Placement, knowledge: ChipKnowledge, home: tuple[tuple[int, int], ...]
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Sets of corners to look at: `home` first, then those with few bad cells near to it.

    The largest block is tried at several places far enough apart; each other one then takes the
    place with the fewest bad cells among those that share no line with the blocks before it.
    """
    yield home
    sizes = [(block.inputs, width(block)) for block in placement.blocks]
    counts = [_windows(knowledge.bad, *size) for size in sizes]
    by_size = sorted(range(len(sizes)), key=lambda n: -sizes[n][0] * sizes[n][1])
    first = by_size[0]
    for corner in _spread(counts[first], home[first]):
        chosen = {first: corner}
        for index in by_size[1:]:
            place = _free(counts[index], sizes, index, chosen, home[index])
            if place is None:
                break
            chosen[index] = place
        else:
            yield tuple(chosen[n] for n in range(len(sizes)))


def _ranked(counts: FloatArray | IntArray, home: tuple[int, int]) -> IntArray:
    """(n, 2) corners, fewest bad cells first, and the nearest to home among equals."""
    row, column = np.indices(counts.shape)
    far = np.abs(row - home[0]) + np.abs(column - home[1])
    ranked = np.lexsort((far.ravel(), counts.ravel()))
    return np.stack([row.ravel()[ranked], column.ravel()[ranked]], axis=1)


def _spread(counts: IntArray, home: tuple[int, int]) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    for row, column in _ranked(counts, home).tolist():
        if all(abs(row - r) + abs(column - c) >= APART for r, c in chosen):
            chosen.append((row, column))
        if len(chosen) == CORNERS:
            break
    return chosen


def _free(
    counts: IntArray,
    sizes: Sequence[tuple[int, int]],
    index: int,
    taken: dict[int, tuple[int, int]],
    home: tuple[int, int],
) -> tuple[int, int] | None:
    """The best corner whose block shares no line with those that stand already."""
    allowed = np.ones(counts.shape, dtype=np.bool_)
    height, wide = sizes[index]
    for other, (row, column) in taken.items():
        allowed[max(0, row - height + 1) : row + sizes[other][0]] = False
        allowed[:, max(0, column - wide + 1) : column + sizes[other][1]] = False
    if not allowed.any():
        return None
    row, column = _ranked(np.where(allowed, counts, np.inf), home)[0]
    return int(row), int(column)


def search(
    placement: Placement,
    knowledge: ChipKnowledge,
    costs: Costs,
    *,
    move: bool = True,
    permute: bool = True,
    seed: int = 0,
) -> Found:
    """The layout with the least output error left, `placement`'s own unless another is better.

    Args:
        placement: the network where it would stand on a perfect chip, or stands now.
        knowledge: the chip's bad cells.
        costs: what an error is worth.
        move: whether blocks may stand elsewhere.
        permute: whether hidden units may change places.
        seed: of the random starts.
    """
    tables = _Tables(placement, costs)
    home = tuple((block.first_row, block.first_column) for block in placement.blocks)
    own = placement.order or tuple(range(tables.hidden))
    best, lowest, unseen = Found(Layout(home, own), math.inf, 0), math.inf, 0.0
    for corners in corner_candidates(placement, knowledge, home) if move else [home]:
        terms = _terms(tables, corners, knowledge)
        if permute:
            order, error = best_order(terms, tables.hidden, own, tables.base, seed)
        else:
            order, error = own, float(_cost_of(terms, np.array([own], dtype=np.int64))[0])
        if best.error == math.inf:
            unseen = _unseen_cost(terms, knowledge)
        total = tables.base + error + unseen * _count(placement, corners, ~knowledge.seen)
        if total < WORTH * lowest:
            bad = _count(placement, corners, knowledge.bad)
            best, lowest = Found(Layout(corners, order), error, bad), total
        if best.error <= (1.0 - WORTH) * tables.base:
            break
    return best


def _unseen_cost(terms: Sequence[_Term], knowledge: ChipKnowledge) -> float:
    """What a cell that nobody looked at is expected to cost: the share of cells that were found
    bad (one more of a hundred more) times what a bad cell costs. Nothing where no cell was seen
    formed: then the map is a list of bad cells, and the others are taken to be good."""
    if not terms or not knowledge.formed.any():
        return 0.0
    share = (knowledge.bad.sum() + 1.0) / (knowledge.seen.sum() + 100.0)
    return UNSEEN_SHARE * float(share) * float(np.mean([term.table.mean() for term in terms]))


def _count(placement: Placement, corners: Sequence[tuple[int, int]], cells: BoolArray) -> int:
    """How many cells of a map lie in the blocks."""
    return sum(
        int(cells[row : row + block.inputs, column : column + width(block)].sum())
        for block, (row, column) in zip(placement.blocks, corners, strict=True)
    )
