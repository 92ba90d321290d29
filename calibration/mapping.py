"""From weights to conductances: what each cell of the macro shall hold.

Differential (default): a weight is the difference of two cells that are subtracted before the
trans-impedance stage. The larger arm of each pair stands at the top of the window, where cells are
quietest; the other one lies below it by |w| / R. Most weights of a trained network are small, so
most cells are near the top.

Single-ended (option): one cell per weight against a fixed reference conductance, 20 to 80 uS around
50 uS, as in a sibling system of the same group (facts on the published systems, section 1b).

The scale of a layer is its feedback resistor R: the smallest one, rounded up to a code, with which
the layer's largest weight or bias still fits the window. Volts per unit are the same in every
layer, because the 14 embedding voltages are added before both rectifiers.

The default window is this project's choice. A weight's error relative to the layer's largest one
is sqrt(sigma(G+)^2 + sigma(G-)^2) / (high - low): a lower edge widens the range, but what lies low
is restless (measured re-reads of 1T1R cells: standard deviation 0.36 % at 150-200 uS, 2.6 % at
100-150, 6.3 % at 60-100; spread of a programmed level 2 uS at the top, 6 at 100-140, 9 at 60-100).
With the shipped score network on simulated chips the two balance: lower edges from 50 to 100 uS
give the same weight error within a tenth. Further down the range wins: from 10 uS the error is
about a third smaller an hour after programming (simulated), for more pulses and more cells that
fall short; `calibration.mapping_levels` compares and chooses. The upper edge is what nearly every
cell reaches: with the gate wide open the measured SET saturates at 195 uS (5th percentile of cells)
to 240 uS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.placement import Placement, Scheme, check_extent
from drivers.integrator import LayerBlock
from drivers.rram.geometry import Cells, Geometry
from protocols.errors import MappingError
from protocols.hardware import Converters, Loop

__all__ = ["Anchor", "Layout", "MappingOptions", "Placement", "map_network"]

Anchor = Literal["top", "centre", "bottom"]
MAX_LAYERS = 3
DIFFERENTIAL_WINDOW_SIEMENS = (70e-6, 205e-6)
SINGLE_ENDED_WINDOW_SIEMENS = (20e-6, 80e-6)
SINGLE_ENDED_REFERENCE_SIEMENS = 50e-6


@dataclass(frozen=True)
class MappingOptions:
    """How a network is laid onto the macro.

    Attributes:
        scheme: "differential" or "single_ended".
        window_siemens: lowest and highest target; None is the scheme's default.
        reference_siemens: conductance that a single-ended column is compared with.
        anchor: where a pair's constant arm stands: larger arm at the "top" of the window, smaller
            one at the "bottom", or both arms symmetric around the "centre".
        volts_per_unit: volts that stand for 1 in the model.
        first_row, first_column: corner of the first block.
        row_spacing, column_spacing: unused lines between the blocks of two layers.
    """

    scheme: Scheme = "differential"
    window_siemens: tuple[float, float] | None = None
    reference_siemens: float = SINGLE_ENDED_REFERENCE_SIEMENS
    anchor: Anchor = "top"
    volts_per_unit: float = 0.1
    first_row: int = 0
    first_column: int = 0
    row_spacing: int = 0
    column_spacing: int = 0

    def __post_init__(self) -> None:
        if self.scheme not in ("differential", "single_ended"):
            raise MappingError(f"scheme={self.scheme!r}: use 'differential' or 'single_ended'.")
        if self.anchor not in ("top", "centre", "bottom"):
            raise MappingError(f"anchor={self.anchor!r}: use 'top', 'centre' or 'bottom'.")
        low, high = self.window
        if not (math.isfinite(low) and math.isfinite(high) and 0.0 < low < high):
            raise MappingError(
                f"window_siemens={self.window}: 0 < low < high, both finite, is needed."
            )
        if not (math.isfinite(self.volts_per_unit) and self.volts_per_unit > 0.0):
            raise MappingError(
                f"volts_per_unit={self.volts_per_unit}: a positive number is needed."
            )
        for name in ("first_row", "first_column", "row_spacing", "column_spacing"):
            if getattr(self, name) < 0:
                raise MappingError(f"{name}={getattr(self, name)}: it must not be negative.")
        if self.scheme == "single_ended" and not low < self.reference_siemens < high:
            raise MappingError(
                f"reference_siemens={self.reference_siemens:g} lies outside the window "
                f"{low:g} to {high:g} S."
            )

    @property
    def window(self) -> tuple[float, float]:
        """The window in force, in siemens."""
        if self.window_siemens is not None:
            return self.window_siemens
        single = self.scheme == "single_ended"
        return SINGLE_ENDED_WINDOW_SIEMENS if single else DIFFERENTIAL_WINDOW_SIEMENS


@dataclass(frozen=True)
class Layout:
    """Where the blocks stand, and which hidden unit stands at each place of them.

    Attributes:
        corners: (row, column) of each layer's block. No two blocks share a row or a column: a row
            carries the inputs of one layer, a column the output of one.
        order: unit of the model at each hidden place; empty is the model's own order.
    """

    corners: tuple[tuple[int, int], ...]
    order: tuple[int, ...] = ()


def map_network(
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    geometry: Geometry,
    loop: Loop,
    converters: Converters,
    options: MappingOptions | None = None,
    layout: Layout | None = None,
) -> Placement:
    """Place a network, one block per layer; off-block cells stay unformed.

    Args:
        weights: (out, in) per layer, in model units; at most three layers.
        biases: (out,) per layer.
        geometry: rows and columns of the macro.
        loop: bias voltage and hidden width of the board.
        converters: steps of the feedback resistor and of the reference conductance.
        options: scheme, window and corner; None is the default.
        layout: where the blocks stand; None is down the diagonal from the corner of the options.

    Raises:
        MappingError: the network is not finite, its shapes do not chain, it needs more lines than
            the macro has, blocks share a line, or a weight is too large for the largest feedback
            resistor.
    """
    chosen = options or MappingOptions()
    layers = _checked(weights, biases, loop)
    parts = [_Layer.scaled(*layer, loop, converters, chosen, n) for n, layer in enumerate(layers)]
    order: tuple[int, ...] = () if layout is None else _empty_if_own(layout.order, parts[0])
    corners = _diagonal(parts, chosen) if layout is None else layout.corners
    blocks = _blocks(parts, corners, geometry)
    columns = [
        _cells_of(n, part, block, *_units(n, part, len(parts), order))
        for n, (part, block) in enumerate(zip(parts, blocks, strict=True))
    ]
    joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
    rows, cols, layer, output, into, sign, target = joined
    return Placement(
        scheme=chosen.scheme,
        window_siemens=chosen.window,
        volts_per_unit=chosen.volts_per_unit,
        bias_volts=loop.bias_volts,
        blocks=tuple(blocks),
        cells=Cells(rows.astype(np.int64), cols.astype(np.int64)),
        target_siemens=target,
        layer=layer.astype(np.int64),
        output=output.astype(np.int64),
        input=into.astype(np.int64),
        sign=sign.astype(np.int64),
        order=order,
    )


def _empty_if_own(order: tuple[int, ...], first: _Layer) -> tuple[int, ...]:
    """An order that is the model's own is written as none."""
    return () if order == tuple(range(first.positive.shape[0])) else order


def _checked(
    weights: Sequence[FloatArray], biases: Sequence[FloatArray], loop: Loop
) -> list[tuple[FloatArray, FloatArray]]:
    if len(weights) != len(biases) or not 1 <= len(weights) <= MAX_LAYERS:
        raise MappingError(
            f"{len(weights)} weight matrices and {len(biases)} bias vectors: as many of each, "
            f"1 to {MAX_LAYERS}, are needed."
        )
    layers: list[tuple[FloatArray, FloatArray]] = []
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        w, b = np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)
        if w.ndim != 2 or min(w.shape) < 1 or b.shape != (w.shape[0],):
            raise MappingError(
                f"Layer {index}: weights {w.shape} and biases {b.shape}; (out, in) and (out,) "
                "are needed."
            )
        if layers and layers[-1][0].shape[0] != w.shape[1]:
            raise MappingError(
                f"Layer {index} takes {w.shape[1]} inputs, layer {index - 1} gives "
                f"{layers[-1][0].shape[0]} outputs."
            )
        if not (np.all(np.isfinite(w)) and np.all(np.isfinite(b))):
            bad = int(np.sum(~np.isfinite(w)) + np.sum(~np.isfinite(b)))
            raise MappingError(f"Layer {index}: {bad} weights or biases are not finite numbers.")
        layers.append((w, b))
    for index, (w, _) in enumerate(layers[:-1]):
        if w.shape[0] != loop.hidden_width:
            raise MappingError(
                f"Layer {index} has {w.shape[0]} outputs, the loop has {loop.hidden_width} "
                "rectifiers and embedding channels per hidden layer."
            )
    return layers


@dataclass(frozen=True)
class _Layer:
    """One layer in siemens, (out, in + 1) per arm with the bias last, and its stage."""

    positive: FloatArray
    negative: FloatArray | None
    feedback_ohm: float
    reference_siemens: float

    @property
    def rows(self) -> int:
        """Lines that the layer takes, the bias row with them."""
        return int(self.positive.shape[1])

    @property
    def columns(self) -> int:
        """Lines that the layer takes, two per output when differential."""
        return int(self.positive.shape[0]) * (1 if self.negative is None else 2)

    @classmethod
    def scaled(
        cls,
        weight: FloatArray,
        bias: FloatArray,
        loop: Loop,
        converters: Converters,
        options: MappingOptions,
        index: int,
    ) -> _Layer:
        volts_ratio = options.volts_per_unit / loop.bias_volts
        full = np.concatenate([weight, volts_ratio * bias[:, None]], axis=1)
        reference, usable = _range(converters, options)
        feedback = _feedback(float(np.max(np.abs(full))), usable, converters, index)
        difference = full / feedback
        if options.scheme == "single_ended":
            return cls(reference + difference, None, feedback, reference)
        positive, negative = pair_arms(difference, options)
        return cls(positive, negative, feedback, 0.0)


def _range(converters: Converters, options: MappingOptions) -> tuple[float, float]:
    """The reference as the board can set it, and the largest conductance difference of a weight."""
    low, high = options.window
    if options.scheme == "differential":
        return 0.0, high - low
    step = converters.reference_siemens_per_code
    code = round(options.reference_siemens / step)
    if not 0 <= code < 1 << converters.bits:
        raise MappingError(
            f"reference_siemens={options.reference_siemens:g} is over the largest reference, "
            f"{step * ((1 << converters.bits) - 1):g} S."
        )
    reference = code * step
    if not low < reference < high:
        raise MappingError(
            f"The nearest reference that the board can set, {reference:g} S, lies outside the "
            f"window {low:g} to {high:g} S; use a wider window."
        )
    return reference, min(high - reference, reference - low)


def _feedback(largest: float, usable: float, converters: Converters, index: int) -> float:
    """The smallest feedback resistor, a whole code, with which `largest` fits `usable` siemens."""
    step, code_max = converters.feedback_ohm_per_code, (1 << converters.bits) - 1
    code = max(1, math.ceil(largest / (usable * step)))
    if code > code_max:
        raise MappingError(
            f"Layer {index}: its largest weight or bias row, {largest:.3g}, over "
            f"{usable * 1e6:.3g} uS needs a feedback resistor of {code * step:.4g} ohm; the "
            f"largest is {code_max * step:.4g} ohm. Use a wider conductance window or smaller "
            "weights."
        )
    return code * step


def pair_arms(difference: FloatArray, options: MappingOptions) -> tuple[FloatArray, FloatArray]:
    """(G+, G-) with G+ - G- = difference, inside the window."""
    low, high = options.window
    up, down = np.maximum(difference, 0.0), np.maximum(-difference, 0.0)
    if options.anchor == "top":
        return high - down, high - up
    if options.anchor == "bottom":
        return low + up, low + down
    middle = 0.5 * (low + high)
    return middle + 0.5 * difference, middle - 0.5 * difference


def _diagonal(parts: Sequence[_Layer], options: MappingOptions) -> tuple[tuple[int, int], ...]:
    """Corners of blocks down the diagonal."""
    corners, row, column = [], options.first_row, options.first_column
    for part in parts:
        corners.append((row, column))
        row += part.rows + options.row_spacing
        column += part.columns + options.column_spacing
    return tuple(corners)


def _blocks(
    parts: Sequence[_Layer], corners: Sequence[tuple[int, int]], geometry: Geometry
) -> list[LayerBlock]:
    if len(corners) != len(parts):
        raise MappingError(f"{len(corners)} corners for a network of {len(parts)} layers.")
    check_extent(
        max(row + part.rows for part, (row, _) in zip(parts, corners, strict=True)),
        max(column + part.columns for part, (_, column) in zip(parts, corners, strict=True)),
        geometry,
    )
    _refuse_shared(
        "row", [(c[0], c[0] + part.rows) for part, c in zip(parts, corners, strict=True)]
    )
    _refuse_shared(
        "column", [(c[1], c[1] + part.columns) for part, c in zip(parts, corners, strict=True)]
    )
    return [
        LayerBlock(
            first_row=first_row,
            first_column=first_column,
            inputs=part.positive.shape[1],
            outputs=part.positive.shape[0],
            differential=part.negative is not None,
            feedback_ohm=part.feedback_ohm,
            reference_siemens=part.reference_siemens,
        )
        for part, (first_row, first_column) in zip(parts, corners, strict=True)
    ]


def _refuse_shared(line: str, spans: Sequence[tuple[int, int]]) -> None:
    """Two layers on one line would drive it with two voltages, or add their currents."""
    if min(spans)[0] < 0:
        raise MappingError(f"A layer starts at {line} {min(spans)[0]}; {line}s count from 0.")
    for (_, end), (start, _) in pairwise(sorted(spans)):
        if start < end:
            raise MappingError(f"Two layers share {line} {start}; each {line} belongs to one.")


def _units(
    index: int, part: _Layer, count: int, order: tuple[int, ...]
) -> tuple[IntArray, IntArray]:
    """The model's output and input number at each place of a block."""
    outputs, inputs = part.positive.shape
    hidden = np.array(order, dtype=np.int64)
    out = hidden if order and index < count - 1 else np.arange(outputs)
    into = np.append(hidden, inputs - 1) if order and index > 0 else np.arange(inputs)
    if sorted(out) != list(range(outputs)) or sorted(into) != list(range(inputs)):
        raise MappingError(f"Layer {index}: order={order} is not one of its hidden units.")
    return out, into


def _cells_of(
    index: int, part: _Layer, block: LayerBlock, out: IntArray, into: IntArray
) -> tuple[FloatArray, ...]:
    """Row, column, layer, output, input, sign and target of a layer's cells, row by row."""
    arms = [part.positive] if part.negative is None else [part.positive, part.negative]
    wired = [arm[np.ix_(out, into)].T for arm in arms]
    target = np.stack(wired, axis=-1)  # (inputs, outputs, arms)
    row, column, arm_number = np.indices(target.shape)
    return (
        (block.first_row + row).ravel().astype(np.float64),
        (block.first_column + len(arms) * column + arm_number).ravel().astype(np.float64),
        np.full(target.size, float(index)),
        out[column].ravel().astype(np.float64),
        into[row].ravel().astype(np.float64),
        (1 - 2 * arm_number).ravel().astype(np.float64),
        target.ravel(),
    )
