"""Three blocks of the array as the layers of the loop.

A layer's output o is R_fb sum_r (G_r,o+ - G_r,o-) v_r with the columns of a pair next to each other
(differential), or R_fb sum_r (G_r,o - G_ref) v_r (single-ended); its last row is the bias row. The
pair is subtracted as currents in front of the trans-impedance stage. The array is taken at the
moment when a run starts: drift within the run is left out, read noise is not (`CellArray.
solve_noise`, frozen within each solve).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.sim.array import Array
from hil.sim.loop_errors import LoopErrors

F64 = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class LayerBlock:
    """Where one layer stands in the array, and its stage."""

    first_row: int
    first_column: int
    inputs: int  # rows; the last one is the bias row
    outputs: int
    differential: bool
    feedback_ohm: float
    reference_siemens: float

    @property
    def columns(self) -> int:
        """Columns that the block takes."""
        return self.outputs * (2 if self.differential else 1)


class Network(NamedTuple):
    """The cells of the three layers; weight number k of `base` is (layer, input, output), flat."""

    cells: Index  # (m,), flat indices in the array
    slot: Index  # (m,), the weight that each cell adds to
    gain: F64  # (m,), signed volts per volt
    base: F64  # (weights,), what the reference conductances take away


def layer_sizes(hidden_width: int) -> tuple[tuple[int, int], ...]:
    """(inputs with the bias row, outputs) of the three layers."""
    return ((3, hidden_width), (hidden_width + 1, hidden_width), (hidden_width + 1, 2))


@dataclass(frozen=True)
class _Layout:
    """What does not change while the blocks stay where they are."""

    cells: Index  # (m,)
    slot: Index  # (m,)
    sign: F64  # (m,)
    output: Index  # (m,), number of the stage that each cell adds to, over all layers
    feedback_ohm: F64  # (m,)
    base_volts_per_volt: F64  # (weights,), with an ideal stage
    base_output: Index  # (weights,)


def network_of(
    blocks: Sequence[LayerBlock],
    array: Array,
    errors: LoopErrors,
    now_s: float,
) -> Network:
    """The network that the array holds at `now_s`. `blocks` are the three layers in order."""
    at = _layout(tuple(blocks), array.columns)
    ohm = at.feedback_ohm * errors.stage_gain[at.output]
    gain = at.sign * ohm * array.conductance(at.cells, now_s)
    return Network(
        at.cells, at.slot, gain, at.base_volts_per_volt * errors.stage_gain[at.base_output]
    )


@lru_cache(maxsize=16)
def _layout(blocks: tuple[LayerBlock, ...], array_columns: int) -> _Layout:
    parts: list[tuple[NDArray[Any], ...]] = []
    weight = output = 0
    for block in blocks:
        index, slot, sign = _cells(block, array_columns)
        reference = 0.0 if block.differential else block.reference_siemens
        weights = block.inputs * block.outputs
        parts.append(
            (
                index,
                weight + slot,
                sign,
                output + slot % block.outputs,
                np.full(index.size, block.feedback_ohm),
                np.full(weights, -reference * block.feedback_ohm),
                output + np.arange(weights) % block.outputs,
            )
        )
        weight += weights
        output += block.outputs
    return _Layout(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _cells(block: LayerBlock, array_columns: int) -> tuple[Index, Index, F64]:
    """Flat index, weight within the layer, and sign of each cell of a block."""
    row = np.repeat(np.arange(block.inputs), block.columns)
    column = np.tile(np.arange(block.columns), block.inputs)
    index = (block.first_row + row) * array_columns + block.first_column + column
    per_output = 2 if block.differential else 1
    sign = np.where(column % per_output == 0, 1.0, -1.0)
    return index, row * block.outputs + column // per_output, sign
