"""Bad cells made up for: by the partner cell of the pair, and where that is not enough, how much is
left.

A pair holds the difference of its arms. When one arm cannot be brought to its target, the other
one's target is moved so that the difference holds, as far as its own range goes. Cells that cannot
be programmed at all get the value where they stand as target and are marked fixed: they are neither
formed nor pulsed, and the network that the targets make is still the network on the chip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.mapping_knowledge import CellKind, ChipKnowledge
from calibration.mapping_levels import SigmaLaw
from calibration.placement import Placement
from drivers.rram.geometry import Cells
from protocols.errors import MappingError

POSITIONS = 65
"""Positions of a pair that are compared where its difference leaves a choice."""


@dataclass(frozen=True)
class Reach:
    """Range that ordinary cells are programmed in, in siemens.

    It is wider than the window below: the partner of a dead cell has to go down to what the weight
    alone needs. The default is the lowest target that the programming routines take
    (`ProgramParams.lowest_siemens`) up to the top of the window.
    """

    lowest_siemens: float
    highest_siemens: float

    def __post_init__(self) -> None:
        if not 0.0 < self.lowest_siemens < self.highest_siemens < float("inf"):
            raise MappingError(
                f"A reach of {self.lowest_siemens:g} to {self.highest_siemens:g} S is no range."
            )


def ranges(knowledge: ChipKnowledge, cells: Cells, reach: Reach) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest target (n,) of cells: the reach, narrowed by what is known of them."""
    kind = knowledge.kind[cells.rows, cells.columns]
    known_low = knowledge.lowest_siemens[cells.rows, cells.columns]
    known_high = knowledge.highest_siemens[cells.rows, cells.columns]
    still = kind >= CellKind.STUCK
    low = np.where(still, known_low, np.maximum(known_low, reach.lowest_siemens))
    high = np.where(still, known_high, np.minimum(known_high, reach.highest_siemens))
    return low, np.maximum(low, high)


def pair_targets(
    difference: FloatArray,
    low: FloatArray,
    high: FloatArray,
    sigma: SigmaLaw,
) -> FloatArray:
    """Targets (2, n) of pairs whose difference is as near to `difference` (n,) as it can be.

    Of all that are equally near the quietest is taken, from the top in a draw. `low` and `high`
    are (2, n), positive arm first.
    """
    held = np.clip(difference, low[0] - high[1], high[0] - low[1])
    start = np.maximum(low[0], low[1] + held)
    stop = np.maximum(start, np.minimum(high[0], high[1] + held))
    positive = stop + np.linspace(0.0, 1.0, POSITIONS)[:, None] * (start - stop)
    negative = positive - held
    cost = sigma(positive.ravel()) ** 2 + sigma(np.abs(negative).ravel()) ** 2
    best = np.argmin(cost.reshape(positive.shape), axis=0)
    at = np.arange(held.size)
    return np.stack(
        [
            np.clip(positive[best, at], low[0], high[0]),
            np.clip(negative[best, at], low[1], high[1]),
        ]
    )


def compensated(
    placement: Placement, knowledge: ChipKnowledge, reach: Reach, sigma: SigmaLaw
) -> Placement:
    """The placement with the targets of every pair that has a bad cell chosen anew.

    Inside the window where that holds the weight, and no further below it than the weight needs.

    Pairs of good cells keep their targets to the last bit. The result's targets are what the cells
    can hold; `Placement.weights_from` of them is the network that is left.
    """
    rows, columns = placement.cells.rows, placement.cells.columns
    kind = knowledge.kind[rows, columns]
    if not np.any(kind):
        return placement
    low, high = ranges(knowledge, placement.cells, reach)
    target, partner = placement.target_siemens.copy(), placement.partner()
    bad = kind != CellKind.GOOD
    alone = np.flatnonzero(bad & (partner < 0))
    target[alone] = np.clip(target[alone], low[alone], high[alone])
    paired = np.flatnonzero((placement.sign > 0) & (partner >= 0) & (bad | bad[partner]))
    both = np.stack([paired, partner[paired]])
    wanted = target[both[0]] - target[both[1]]
    suits = np.all((target[both] >= low[both]) & (target[both] <= high[both]), axis=0)
    needed = np.stack([wanted + high[both][1], high[both][0] - wanted])
    floor = np.maximum(low[both], np.minimum(placement.window_siemens[0], needed))
    chosen = pair_targets(wanted, np.minimum(floor, high[both]), high[both], sigma)
    target[both] = np.where(suits, target[both], chosen)
    return placement.with_targets(target, fixed=np.asarray(kind >= CellKind.STUCK))


@dataclass(frozen=True)
class Shortfall:
    """A weight that the chip cannot hold: (layer, output, input), what is missing of it in model
    units, and the cells of its pair."""

    layer: int
    output: int
    input: int
    missing: float
    cells: tuple[tuple[int, int], ...]


def residuals(wanted: Placement, held: Placement) -> list[FloatArray]:
    """Error (out, in + 1) of every layer's weights that the targets of `held` leave, model units.

    The last column is the bias as the weight that it is driven as.
    """
    found = []
    for index, block in enumerate(wanted.blocks):
        mine = np.flatnonzero(wanted.layer == index)
        error = np.zeros((block.outputs, block.inputs))
        off = held.target_siemens[mine] - wanted.target_siemens[mine]
        np.add.at(error, (wanted.output[mine], wanted.input[mine]), wanted.sign[mine] * off)
        error[np.abs(error) < 1e-12] = 0.0  # rounding: a picosiemens
        found.append(error * block.feedback_ohm)
    return found


def shortfalls(wanted: Placement, held: Placement, least: float = 0.0) -> list[Shortfall]:
    """The weights that miss more than `least` of their layer's largest one, worst first."""
    found = []
    low, high = wanted.window_siemens
    for index, error in enumerate(residuals(wanted, held)):
        scale = wanted.blocks[index].feedback_ohm * (high - low)
        for out, into in np.argwhere(np.abs(error) > least * scale):
            found.append(
                Shortfall(
                    index,
                    int(out),
                    int(into),
                    float(error[out, into]),
                    _cells_of(wanted, index, int(out), int(into)),
                )
            )
    return sorted(found, key=lambda one: -abs(one.missing))


def _cells_of(
    placement: Placement, layer: int, output: int, into: int
) -> tuple[tuple[int, int], ...]:
    mine = (placement.layer == layer) & (placement.output == output) & (placement.input == into)
    return tuple(placement.cells[np.flatnonzero(mine)])


def excess(
    wanted_difference: FloatArray,
    low: FloatArray,
    high: FloatArray,
    base: FloatArray,
    sigma: SigmaLaw,
) -> FloatArray:
    """(n,) squared siemens by which a bad pair is worse than a good one with the same difference.

    What the range cannot hold, squared, and the variance of the arms over that of `base` (2, n),
    the targets of a good pair; never below zero.
    """
    chosen = pair_targets(wanted_difference, low, high, sigma)
    left = chosen[0] - chosen[1] - wanted_difference
    still = np.stack([low[0] < high[0], low[1] < high[1]])
    spread = sum(np.where(still[k], sigma(chosen[k]) ** 2, 0.0) for k in (0, 1))
    usual = sigma(base[0]) ** 2 + sigma(base[1]) ** 2
    return np.asarray(left**2 + np.maximum(spread - usual, 0.0))
