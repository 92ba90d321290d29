"""Gain and offset of every output of a tile, from vectors that are known.

A tile is driven with random vectors; the differences of its arms that come back are compared with
what the cells make of them as they were read one by one. Per output a straight line is fitted by
least squares: its slope takes up the gains of the row drivers and the read path and what lines and
the cells' curvature do when all rows conduct at once, its intercept the offsets of the row drivers,
which no reading of a single cell shows. A weak prior holds slopes at 1 that the noise of an output
would otherwise choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from hil.tiled.products import CENTRED_FROM, Multiplier, ProductOptions, TileProduct
from hil.tiled.tiling import Tile
from protocols.errors import CalibrationError

VECTORS = 48
PRIOR_GAIN_SD = 0.03
"""Spread of gains that is expected (this project's choice: converters, lines and curvature)."""
GAIN_RANGE = (0.7, 1.4)
PEAK_SIGMAS = 2.5


@dataclass(frozen=True, eq=False)
class TileCalibration:
    """What was found of one tile.

    Attributes:
        tile: which.
        gain, offset_amperes: (outputs,).
        residual: (outputs,) rms of what the lines leave, over the rms of the expected differences:
            read noise and conversion of a single product.
    """

    tile: Tile
    gain: FloatArray
    offset_amperes: FloatArray
    residual: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "macro": self.tile.macro,
            "layer": self.tile.layer,
            "first_row": self.tile.first_row,
            "first_column": self.tile.first_column,
            "first_output": self.tile.first_output,
            "first_input": self.tile.first_input,
            "gain": self.gain.tolist(),
            "offset_amperes": self.offset_amperes.tolist(),
            "residual": self.residual.tolist(),
        }


def calibrate_tiles(
    macro: Multiplier,
    products: Sequence[TileProduct],
    options: ProductOptions,
    seed: int,
    vectors: int = VECTORS,
) -> tuple[list[TileProduct], list[TileCalibration]]:
    """Calibrated products of one macro's tiles, and what was found.

    Raises:
        CalibrationError: an output does not do what its cells should make it do.
    """
    found = [
        _calibrate(macro, product, options, seed + number, vectors)
        for number, product in enumerate(products)
    ]
    done = [
        product.with_calibration(each.gain, each.offset_amperes)
        for product, each in zip(products, found, strict=True)
    ]
    return done, found


def _calibrate(
    macro: Multiplier, product: TileProduct, options: ProductOptions, seed: int, vectors: int
) -> TileCalibration:
    volts = _probes(product, options, seed, vectors)
    tile = product.tile
    measured, factor = product.measured(macro, volts, np.ones((vectors, 1)), options.samples)
    volts = volts * factor
    wanted = product.difference(product.expected(volts), volts)
    gain, offset, residual = fit_lines(wanted, measured)
    _refuse_odd(tile, gain)
    return TileCalibration(tile, gain, offset, residual)


def fit_lines(
    wanted: FloatArray, measured: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gain, offset, relative residual (outputs,) of measured = gain wanted + offset (n, outputs).

    Least squares with a prior of `PRIOR_GAIN_SD` about a gain of 1, weighed by each output's own
    residual.
    """
    mean_w, mean_m = wanted.mean(axis=0), measured.mean(axis=0)
    w, m = wanted - mean_w, measured - mean_m
    power = np.sum(w**2, axis=0)
    safe = np.where(power > 0.0, power, 1.0)
    free = np.where(power > 0.0, np.sum(w * m, axis=0) / safe, 1.0)
    noise = np.sum((m - free * w) ** 2, axis=0) / max(len(w) - 2, 1)
    information, prior = power / np.maximum(noise, 1e-30), PRIOR_GAIN_SD**-2
    gain = (information * free + prior) / (information + prior)
    offset = mean_m - gain * mean_w
    left = np.sqrt(np.mean((m - gain * w) ** 2, axis=0))
    return gain, offset, left / np.sqrt(safe / len(w))


def _probes(product: TileProduct, options: ProductOptions, seed: int, vectors: int) -> FloatArray:
    """(vectors, inputs) volts: normal numbers, without common mode where products have none."""
    inputs = product.tile.inputs
    draws = np.random.default_rng([seed, inputs]).standard_normal((vectors, inputs))
    if options.centred and inputs >= CENTRED_FROM:
        draws -= draws.mean(axis=1, keepdims=True)
    return np.asarray(np.clip(draws / PEAK_SIGMAS, -1.0, 1.0) * options.volts)


def _refuse_odd(tile: Tile, gain: FloatArray) -> None:
    low, high = GAIN_RANGE
    odd = np.flatnonzero((gain < low) | (gain > high))
    if odd.size:
        raise CalibrationError(
            f"{_name(tile)}: {odd.size} of {tile.outputs} outputs do not follow their inputs as "
            f"their cells should make them (output {int(odd[0])} with a gain of "
            f"{gain[odd[0]]:.2f}); read the cells again (hil verify) and check the lines "
            "(hil check)."
        )


def _name(tile: Tile) -> str:
    return (
        f"macro {tile.macro!r}, layer {tile.layer}, rows from {tile.first_row}, columns from "
        f"{tile.first_column}"
    )
