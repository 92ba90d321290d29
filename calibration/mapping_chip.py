"""A network mapped to one chip: levels, layout, bad cells made up for, and what error to expect.

    levels     window and arm convention (`calibration.mapping_levels`, when asked for)
    layout     where the blocks stand and in which order the hidden units (`mapping_search`)
    targets    pairs with a bad cell chosen anew (`mapping_compensate`)
    report     weight error by layer and cause, before a single pulse (`weight_error`)

On a chip without known bad cells the placement is that of `map_network` to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.mapping import Layout, MappingOptions, map_network
from calibration.mapping_compensate import Reach, Shortfall, compensated, shortfalls
from calibration.mapping_knowledge import CellKind, ChipKnowledge, Lines
from calibration.mapping_levels import LevelChoice, Outlook, compare_levels, quiet_targets
from calibration.mapping_search import Costs, search
from calibration.placement import Placement, width
from calibration.weight_error import ErrorBudget, error_budget
from drivers.rram.geometry import Geometry
from protocols.errors import MappingError
from protocols.hardware import Converters, Loop

LOWEST_SIEMENS = 2e-6  # of a target, as `ProgramParams.lowest_siemens`
LARGEST_SHORTFALL = 0.1
"""Rms error that bad cells may leave in a layer, as a fraction of its largest weight (this
project's choice: at a static error of that size the published network's samples are lost)."""


@dataclass(frozen=True)
class ChipOptions:
    """What may be done about bad cells.

    Attributes:
        move: blocks may stand elsewhere on the macro.
        permute: hidden units may change places.
        quiet: window and arms are chosen where the technology is quiet, instead of those of the
            mapping options.
        largest_shortfall: rms error over the largest weight above which a mapping is refused.
        seed: of the search.
    """

    move: bool = True
    permute: bool = True
    quiet: bool = False
    largest_shortfall: float = LARGEST_SHORTFALL
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.largest_shortfall) and self.largest_shortfall > 0.0):
            raise MappingError(f"largest_shortfall={self.largest_shortfall}: a positive number.")


@dataclass(frozen=True)
class MappingReport:
    """What was chosen and what it is expected to give.

    Attributes:
        budget: expected weight error by layer and cause.
        outlook: what it assumes of programming and of the time until the use.
        levels: the ways to place levels that were compared, quietest first; empty when not asked.
        moved, permuted: whether blocks or hidden units stand elsewhere than on a perfect chip.
        bad_cells: bad cells inside the blocks, by kind.
        made_up: pairs with a bad cell whose weight is held all the same.
        missing: weights that the chip cannot hold, worst first.
        crossings: stuck cells that conduct where a row of one layer meets a column of another:
            a leak that no target can take out.
        line_error: relative rms weight error, by layer, if cells were set without being read
            through their lines; 0 with write-verify through the array.
    """

    budget: ErrorBudget
    outlook: Outlook
    levels: tuple[LevelChoice, ...]
    moved: bool
    permuted: bool
    bad_cells: dict[str, int]
    made_up: int
    missing: tuple[Shortfall, ...]
    crossings: int
    line_error: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "expected": self.budget.to_dict(),
            "assumed": {
                "confirmed_after_s": self.outlook.confirmed_after_s,
                "used_after_s": self.outlook.used_after_s,
                "relaxation": "independent steps of ln G per decade of time; an assumption",
            },
            "levels": [vars(choice) for choice in self.levels[:8]],
            "moved": self.moved,
            "permuted": self.permuted,
            "bad_cells": self.bad_cells,
            "made_up": self.made_up,
            "missing": [vars(one) for one in self.missing],
            "crossings": self.crossings,
            "line_error_if_set_blindly": list(self.line_error),
        }


@dataclass(frozen=True)
class Mapped:
    """A placement for one chip.

    Attributes:
        placement: what is programmed; targets are what the cells can hold.
        wanted: the same cells with the targets of the network itself.
        report: what to expect.
    """

    placement: Placement
    wanted: Placement
    report: MappingReport


def map_to_chip(
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    geometry: Geometry,
    loop: Loop,
    converters: Converters,
    outlook: Outlook,
    knowledge: ChipKnowledge | None = None,
    importance: Sequence[FloatArray] | None = None,
    options: MappingOptions | None = None,
    chip_options: ChipOptions | None = None,
    home: Layout | None = None,
) -> Mapped:
    """Place a network on one chip.

    Args:
        weights, biases, geometry, loop, converters, options: as for `map_network`.
        outlook: what cells will be off by.
        knowledge: the chip's bad cells and lines; None is a perfect chip.
        importance: (out, in + 1) per layer, squared output error per squared error of a weight;
            None weighs each layer by its largest weight.
        chip_options: what may be done about bad cells.
        home: where the network stands already; None is the diagonal from the options' corner.

    Raises:
        MappingError: as `map_network`; knowledge of another geometry; or too few good cells: says
            which weights are missing.
    """
    chosen, extra = options or MappingOptions(), chip_options or ChipOptions()
    known = knowledge or ChipKnowledge.blank("", geometry)
    known.check(known.chip, geometry)
    board: dict[str, Any] = {"geometry": geometry, "loop": loop, "converters": converters}
    levels: list[LevelChoice] = []
    if extra.quiet:
        levels = compare_levels(weights, biases, outlook.sigma, options=chosen, **board)
        chosen = _with_levels(chosen, levels[0])

    def place(layout: Layout | None) -> Placement:
        found = map_network(weights, biases, options=chosen, layout=layout, **board)
        moved = levels and levels[0].anchor == "quiet"
        return quiet_targets(found, outlook.sigma) if moved else found

    first = place(home)
    reach = Reach(min(LOWEST_SIEMENS, chosen.window[0]), chosen.window[1])
    costs = Costs(importance or _even(first), outlook.sigma, reach)
    found = search(first, known, costs, move=extra.move, permute=extra.permute, seed=extra.seed)
    wanted = place(found.layout)
    placement = compensated(wanted, known, reach, outlook.sigma)
    report = _report(first, wanted, placement, known, outlook, levels)
    _refuse_shortfall(report, placement, known, extra.largest_shortfall)
    return Mapped(placement, wanted, report)


def _with_levels(options: MappingOptions, choice: LevelChoice) -> MappingOptions:
    anchor = options.anchor if choice.anchor == "quiet" else choice.anchor
    return replace(options, window_siemens=choice.window_siemens, anchor=anchor)  # type: ignore[arg-type]


def _even(placement: Placement) -> list[FloatArray]:
    """Importance when nothing is known of the output: an error over the layer's largest weight."""
    low, high = placement.window_siemens
    return [
        np.full((block.outputs, block.inputs), (block.feedback_ohm * (high - low)) ** -2.0)
        for block in placement.blocks
    ]


def _report(
    first: Placement,
    wanted: Placement,
    placement: Placement,
    known: ChipKnowledge,
    outlook: Outlook,
    levels: Sequence[LevelChoice],
) -> MappingReport:
    kind = known.kind[placement.cells.rows, placement.cells.columns]
    missing = tuple(shortfalls(wanted, placement, 1e-9))
    in_pair = np.zeros(0, dtype=np.int64) if not kind.any() else np.flatnonzero(kind)
    pairs = {(int(wanted.layer[k]), int(wanted.output[k]), int(wanted.input[k])) for k in in_pair}
    return MappingReport(
        budget=expected_error(wanted, placement, outlook),
        outlook=outlook,
        levels=tuple(levels),
        moved=[(b.first_row, b.first_column) for b in placement.blocks]
        != [(b.first_row, b.first_column) for b in first.blocks],
        permuted=placement.order != first.order,
        bad_cells={k.name.lower(): int(np.sum(kind == k)) for k in CellKind if k},
        made_up=len(pairs - {(one.layer, one.output, one.input) for one in missing}),
        missing=missing,
        crossings=_crossings(placement, known),
        line_error=line_error(placement, known.lines),
    )


def expected_error(wanted: Placement, placement: Placement, outlook: Outlook) -> ErrorBudget:
    """Expected weight error of `placement`, programmed in the place of `wanted`.

    Fixed cells have read noise only.
    """
    target = placement.target_siemens
    moves = np.ones(len(placement)) if placement.fixed is None else 1.0 - placement.fixed
    parts = outlook.parts(target)
    noise = parts.pop("read noise")
    spreads = {name: moves * part for name, part in parts.items()} | {"read noise": noise}
    shifts = {
        "drift": moves * outlook.law.drift(target, outlook.decades),
        "bad cells": target - wanted.target_siemens,
    }
    return error_budget(placement, spreads, shifts)


def line_error(placement: Placement, lines: Lines) -> tuple[float, ...]:
    """Relative rms weight error by layer if the cells themselves stood at the targets."""
    target = placement.target_siemens
    off = {"lines": lines.shown(placement.cells, target) - target}
    return tuple(layer.relative for layer in error_budget(placement, {}, off).layers)


def _crossings(placement: Placement, known: ChipKnowledge) -> int:
    """Stuck cells that conduct at a row of one block and a column of another."""
    conducts = (known.kind == CellKind.STUCK).astype(np.int64)
    total = 0
    for one in placement.blocks:
        rows = slice(one.first_row, one.first_row + one.inputs)
        for other in placement.blocks:
            columns = slice(other.first_column, other.first_column + width(other))
            total += 0 if one is other else int(conducts[rows, columns].sum())
    return total


def _refuse_shortfall(
    report: MappingReport, placement: Placement, known: ChipKnowledge, limit: float
) -> None:
    for index, layer in enumerate(report.budget.layers):
        share = layer.parts["bad cells"] / layer.largest
        if share <= limit:
            continue
        lost = [one for one in report.missing if one.layer == index]
        cells = [cell for one in lost for cell in one.cells if known.bad[cell]]
        named = ", ".join(str(cell) for cell in cells[:8]) + (" ..." if len(cells) > 8 else "")
        block = placement.blocks[index]
        raise MappingError(
            f"Too few good cells on chip {known.chip!r}: {len(lost)} of the "
            f"{block.inputs * block.outputs} weights of layer {index} cannot be held, for want of "
            f"{len(cells)} cells: {named}. What is missing is {share:.0%} of the layer's largest "
            f"weight (rms), at most {limit:.0%} is taken. Use a smaller network, another place on "
            "the macro or another chip."
        )
