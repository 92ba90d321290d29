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
from typing import NamedTuple

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


def network_of(
    blocks: Sequence[LayerBlock],
    array: Array,
    errors: LoopErrors,
    now_s: float,
) -> Network:
    """The network that the array holds at `now_s`. `blocks` are the three layers in order."""
    cells, slots, gains, bases = [], [], [], []
    first_weight = first_output = 0
    for block in blocks:
        stage = errors.stage_gain[first_output : first_output + block.outputs]
        index, slot, sign = _cells(block, array.columns)
        siemens = array.conductance(index, now_s)
        ohm = block.feedback_ohm * stage[slot % block.outputs]
        cells.append(index)
        slots.append(first_weight + slot)
        gains.append(sign * ohm * siemens)
        reference = 0.0 if block.differential else block.reference_siemens
        bases.append(np.tile(-reference * block.feedback_ohm * stage, block.inputs))
        first_weight += block.inputs * block.outputs
        first_output += block.outputs
    return Network(
        np.concatenate(cells), np.concatenate(slots), np.concatenate(gains), np.concatenate(bases)
    )


def _cells(block: LayerBlock, array_columns: int) -> tuple[Index, Index, F64]:
    """Flat index, weight within the layer, and sign of each cell of a block."""
    row = np.repeat(np.arange(block.inputs), block.columns)
    column = np.tile(np.arange(block.columns), block.inputs)
    index = (block.first_row + row) * array_columns + block.first_column + column
    per_output = 2 if block.differential else 1
    sign = np.where(column % per_output == 0, 1.0, -1.0)
    return index, row * block.outputs + column // per_output, sign
