"""Analog matrix-vector products of whole layers: inputs to volts, currents to sums in model units.

Per tile and vector, in code:

    u = x - mean(x)                the common mode is taken out: rectified inputs are all positive,
                                   and 64 rows of 200 uS would only add a large current to both
                                   arms. What it stands for, mean(x) times the row sums of the
                                   weights, is added in code (the zero point of quantised networks)
    v = u * volts / max|u|         the largest input of each vector uses the whole input range
    I_c = sum_r G_rc v_r           on the macro: one conversion per column
    y = scale ((I+ - I-) - offset) / gain * max|u| / volts + mean(x) * row sum

`scale` belongs to the mapping, gain and offset were measured (`hil.tiled.calibration`). The range
of the converter is the smallest one that the predicted currents fit; where none is large enough
the vectors are driven with less. A conversion at an end of its range is repeated in the next range
and never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from calibration.arrays import FloatArray
from hil.tiled.network import TiledNetwork, tile_columns, tile_difference
from hil.tiled.tiling import Tile
from protocols.errors import CalibrationError

RANGES = (1, 2, 4, 8)
HEADROOM = 1.25
"""Full scale over the largest predicted current, at least: lines and converters deviate, cells
have noise (this project's choice)."""
MOST_HALVINGS = 4
CENTRED_FROM = 8
"""Inputs of a tile from which the common mode is taken out: of fewer it would be too much of the
product that is done in code."""


class Multiplier(Protocol):
    """What multiplies: `drivers.rram.macro.Macro`, or a stand-in of a test.

    `saturated` counts conversions that ended at an end of their range.
    """

    saturated: int

    def multiply(
        self,
        first_row: int,
        first_column: int,
        columns: int,
        volts: FloatArray,
        samples: int = 1,
        scale: int = 1,
    ) -> FloatArray:
        """Currents (n, columns) in amperes of a block whose rows are driven with volts (n, rows).

        `scale` is one of `RANGES`.
        """
        ...

    def multiply_full_scale_amperes(self, scale: int = 1) -> float:
        """The largest current of a range, either way."""
        ...


@dataclass(frozen=True)
class ProductOptions:
    """How products are driven.

    Attributes:
        volts: of the largest input of a vector. Cells are linear only near zero: at 0.2 V a read
            is about a hundredth off, at 0.4 V a twentieth.
        samples: conversions per column and vector.
        centred: the common mode of the inputs is taken out.
    """

    volts: float = 0.2
    samples: int = 1
    centred: bool = True


@dataclass(frozen=True, eq=False)
class TileProduct:
    """One tile, ready to multiply.

    Attributes:
        tile: where it stands.
        siemens: (inputs, columns) of its cells as read, for the currents to expect.
        scale: (outputs,) model units per siemens.
        row_sums: (outputs,) of its weights, in model units.
        reference_siemens: what a single-ended column is compared with.
        gain, offset_amperes: (outputs,) as measured.
    """

    tile: Tile
    siemens: FloatArray
    scale: FloatArray
    row_sums: FloatArray
    reference_siemens: float = 0.0
    gain: FloatArray = field(default_factory=lambda: np.ones(1))
    offset_amperes: FloatArray = field(default_factory=lambda: np.zeros(1))

    def with_calibration(self, gain: FloatArray, offset_amperes: FloatArray) -> TileProduct:
        """The same with another gain and offset (outputs,)."""
        return replace(self, gain=gain, offset_amperes=offset_amperes)

    def weights(self) -> FloatArray:
        """(outputs, inputs) in model units, as the cells were read."""
        cells = self.siemens.T
        arms = cells[0::2] - cells[1::2] if self.tile.arms == 2 else cells - self.reference_siemens
        return np.asarray(self.scale[:, None] * arms)

    def expected(self, volts: FloatArray) -> FloatArray:
        """Currents (n, columns) that the cells as read make of volts (n, inputs)."""
        return np.asarray(volts @ self.siemens)

    def difference(self, amperes: FloatArray, volts: FloatArray) -> FloatArray:
        """(n, outputs) of columns (n, columns): the arms' difference, or that to the reference."""
        if self.tile.arms == 2:
            return np.asarray(amperes[:, 0::2] - amperes[:, 1::2])
        return np.asarray(amperes - self.reference_siemens * volts.sum(axis=1, keepdims=True))

    def multiply(self, macro: Multiplier, x: FloatArray, options: ProductOptions) -> FloatArray:
        """(n, outputs) of inputs (n, inputs) in model units.

        Raises:
            CalibrationError: conversions end at the end of their range, however little is driven.
        """
        centred = options.centred and self.tile.inputs >= CENTRED_FROM
        mean = x.mean(axis=1, keepdims=True) if centred else np.zeros((len(x), 1))
        inputs = x - mean
        peak = np.abs(inputs).max(axis=1, keepdims=True)
        factor = options.volts / np.where(peak > 0.0, peak, 1.0)
        sums, factor = self.measured(macro, inputs, factor, options.samples)
        corrected = (sums - self.offset_amperes) / (self.gain * factor)
        return np.asarray(self.scale * corrected + mean * self.row_sums)

    def measured(
        self, macro: Multiplier, inputs: FloatArray, factor: FloatArray, samples: int
    ) -> tuple[FloatArray, FloatArray]:
        """Differences (n, outputs) in amperes, and the volts per unit (n, 1) they were driven with.

        `factor` (n, 1) volts per unit are wanted; fewer are used where the currents would leave the
        largest range. All vectors that need the same range are driven together.

        Raises:
            CalibrationError: as `multiply`.
        """
        largest = np.abs(self.expected(inputs * factor)).max(axis=1) * HEADROOM
        tops = np.array([macro.multiply_full_scale_amperes(scale) for scale in RANGES])
        factor = factor * np.minimum(1.0, tops[-1] / np.maximum(largest, 1e-30))[:, None]
        index = np.minimum(np.searchsorted(tops, largest), len(RANGES) - 1)
        sums = np.empty((len(inputs), self.tile.outputs))
        for which in np.unique(index):
            mine = np.flatnonzero(index == which)
            sums[mine], factor[mine] = self._in_range(
                macro, inputs[mine], factor[mine], samples, int(which)
            )
        return sums, factor

    def _in_range(
        self,
        macro: Multiplier,
        inputs: FloatArray,
        factor: FloatArray,
        samples: int,
        which: int,
    ) -> tuple[FloatArray, FloatArray]:
        """As `measured`, in one range or, where that is left, in larger ones or with less."""
        for _ in range(len(RANGES) + MOST_HALVINGS):
            volts, before = inputs * factor, macro.saturated
            tile = self.tile
            amperes = macro.multiply(
                tile.first_row, tile.first_column, tile.columns, volts, samples, RANGES[which]
            )
            if macro.saturated == before:
                return self.difference(amperes, volts), factor
            if which < len(RANGES) - 1:
                which += 1
            else:
                factor = 0.5 * factor
        raise CalibrationError(
            f"macro {self.tile.macro!r}, rows from {self.tile.first_row}, columns from "
            f"{self.tile.first_column}: conversions end at the end of the largest range although "
            f"the inputs were lowered to {float(np.abs(volts).max()):.2g} V; look for a short "
            "circuit among these cells (hil check)."
        )


def tile_products(network: TiledNetwork, macro: str, siemens: FloatArray) -> list[TileProduct]:
    """The products of one macro's tiles, uncalibrated; `siemens` (n,) are its cells as read."""
    placement = network.placements[macro]
    targets = placement.target_siemens
    found = []
    for number, tile in enumerate(network.tiling.on(macro)):
        scale = network.scale_of(tile)
        found.append(
            TileProduct(
                tile=tile,
                siemens=tile_columns(placement, number, siemens),
                scale=scale,
                row_sums=scale * tile_difference(placement, number, targets).sum(axis=1),
                reference_siemens=placement.blocks[number].reference_siemens,
                gain=np.ones(tile.outputs),
                offset_amperes=np.zeros(tile.outputs),
            )
        )
    return found


def layer_sum(
    shape: tuple[int, int], parts: Sequence[tuple[Tile, FloatArray]], count: int
) -> FloatArray:
    """(count, outputs) of a layer: partial sums of its tiles (count, outputs of the tile) added."""
    total = np.zeros((count, shape[0]))
    for tile, part in parts:
        total[:, tile.output_range] += part
    return total
