"""Weights to conductances, tile by tile: one placement per macro, and the scales that undo it.

Every output of every tile has a scale of its own, so that its largest weight uses the whole
conductance window: W = scale (G+ - G-). The scales are numbers in code, because each sum is
converted before it is used; no feedback resistor has to be shared by a layer.

Biases stay with the host. It adds the embedding before every rectifier anyway, a different vector
each tick, and a bias is a constant part of that: exact, and without a row of cells whose noise
every sum would carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import FloatArray
from calibration.mapping import MappingOptions, pair_arms
from calibration.mapping_compensate import Reach, compensated, residuals
from calibration.mapping_knowledge import ChipKnowledge
from calibration.mapping_levels import SigmaLaw, quiet_targets
from calibration.placement import Placement
from drivers.integrator import LayerBlock
from drivers.rram.geometry import Cells
from hil.tiled.tiling import Tile, Tiling
from protocols.errors import MappingError

LOWEST_SIEMENS = 2e-6
"""Of a target that makes up for a bad cell, as in `calibration.mapping_chip`."""


@dataclass(frozen=True, eq=False)
class TiledNetwork:
    """A network on several macros.

    Attributes:
        tiling: which block holds what.
        scales: (outputs,) per tile, in the tiling's order: model units per siemens.
        placements: cells and targets by macro; layer k of a placement is the k-th tile on it.
    """

    tiling: Tiling
    scales: tuple[FloatArray, ...]
    placements: Mapping[str, Placement]

    def scale_of(self, tile: Tile) -> FloatArray:
        """(outputs,) model units per siemens."""
        return self.scales[self.tiling.tiles.index(tile)]

    def weights_from(self, siemens: Mapping[str, FloatArray]) -> list[FloatArray]:
        """The weights (outputs, inputs) of each layer that conductances make, by macro.

        Exact algebra: of the placements' targets it is the network that was mapped, as far as the
        cells can hold it.

        Raises:
            MappingError: not one conductance for each cell.
        """
        layers = [np.zeros(shape) for shape in self.tiling.shapes]
        for name, placement in self.placements.items():
            if np.shape(siemens[name]) != (len(placement),):
                raise MappingError(
                    f"macro {name!r}: {np.shape(siemens[name])} conductances for the "
                    f"{len(placement)} cells of its placement."
                )
            for number, tile in enumerate(self.tiling.on(name)):
                difference = tile_difference(placement, number, siemens[name])
                part = layers[tile.layer][tile.output_range, tile.input_range]
                part[:] = self.scale_of(tile)[:, None] * difference
        return layers

    def targets(self) -> dict[str, FloatArray]:
        """The target conductances by macro."""
        return {name: each.target_siemens for name, each in self.placements.items()}

    def with_placements(self, placements: Mapping[str, Placement]) -> TiledNetwork:
        """The same tiles with other placements, for instance as they were programmed."""
        return replace(self, placements={**self.placements, **placements})


def tile_difference(placement: Placement, number: int, siemens: FloatArray) -> FloatArray:
    """(outputs, inputs) conductance of a tile less its other arm, or less the reference."""
    block, mine = placement.blocks[number], placement.layer == number
    total = np.zeros((block.outputs, block.inputs))
    if not block.differential:
        total -= block.reference_siemens
    where = (placement.output[mine], placement.input[mine])
    np.add.at(total, where, placement.sign[mine] * siemens[mine])
    return total


def tile_columns(placement: Placement, number: int, siemens: FloatArray) -> FloatArray:
    """(inputs, columns) conductance of a tile's cells as they stand on the macro."""
    block, mine = placement.blocks[number], placement.layer == number
    found = np.zeros((block.inputs, block.columns))
    rows = placement.cells.rows[mine] - block.first_row
    found[rows, placement.cells.columns[mine] - block.first_column] = siemens[mine]
    return found


def lay_out(
    weights: Sequence[FloatArray], tiling: Tiling, options: MappingOptions | None = None
) -> TiledNetwork:
    """Targets for every cell of a tiling.

    Args:
        weights: (outputs, inputs) per layer, in model units.
        tiling: of these shapes.
        options: scheme, window and arms; corner and spacing are the tiling's business.

    Raises:
        MappingError: shapes or scheme are not those of the tiling, or a weight is not finite.
    """
    chosen = options or MappingOptions()
    arms = 2 if chosen.scheme == "differential" else 1
    layers = [np.asarray(weight, dtype=np.float64) for weight in weights]
    if tuple(layer.shape for layer in layers) != tiling.shapes:
        raise MappingError(
            f"Weights of shapes {[layer.shape for layer in layers]} for a tiling of "
            f"{list(tiling.shapes)}."
        )
    if any(tile.arms != arms for tile in tiling.tiles):
        raise MappingError(f"The tiling is not one of the {chosen.scheme} scheme.")
    for number, layer in enumerate(layers):
        if not np.all(np.isfinite(layer)):
            raise MappingError(f"Layer {number}: a weight is not a finite number.")
    usable = _usable(chosen)
    scales = [_scale(layers, tile) / usable for tile in tiling.tiles]
    by_tile = dict(zip(tiling.tiles, scales, strict=True))
    placements = {
        macro.name: _placement(layers, tiling.on(macro.name), by_tile, chosen)
        for macro in tiling.used
    }
    return TiledNetwork(tiling, tuple(scales), placements)


def fitted_to_chip(
    network: TiledNetwork,
    knowledge: Mapping[str, ChipKnowledge],
    sigma: SigmaLaw,
    *,
    quiet: bool = False,
    largest_shortfall: float = 0.1,
) -> TiledNetwork:
    """The network with the pairs that have a bad cell chosen anew, macro by macro.

    Args:
        network: on perfect chips.
        knowledge: what is known of each macro's cells; a macro without an entry is perfect.
        sigma: standard deviation of a cell at a conductance.
        quiet: every pair is moved to where its arms are off least.
        largest_shortfall: rms of what is missing, over the largest weight, above which a macro is
            refused.

    Raises:
        MappingError: bad cells leave too much of a tile missing.
    """
    placements = {}
    for name, placement in network.placements.items():
        wanted = quiet_targets(placement, sigma) if quiet else placement
        known = knowledge.get(name)
        if known is None:
            placements[name] = wanted
            continue
        low, high = wanted.window_siemens
        held = compensated(wanted, known, Reach(min(LOWEST_SIEMENS, low), high), sigma)
        _refuse_shortfall(name, network.tiling.on(name), wanted, held, largest_shortfall)
        placements[name] = held
    return network.with_placements(placements)


def _usable(options: MappingOptions) -> float:
    """The largest conductance difference that a weight can have either way."""
    low, high = options.window
    if options.scheme == "differential":
        return high - low
    return min(high - options.reference_siemens, options.reference_siemens - low)


def _scale(layers: Sequence[FloatArray], tile: Tile) -> FloatArray:
    """(outputs,) largest weight of each output of a tile; 1 where all of them are zero."""
    part = np.abs(layers[tile.layer][tile.output_range, tile.input_range]).max(axis=1)
    return np.where(part > 0.0, part, 1.0)


def _placement(
    layers: Sequence[FloatArray],
    tiles: Sequence[Tile],
    scales: Mapping[Tile, FloatArray],
    options: MappingOptions,
) -> Placement:
    blocks, columns = [], []
    for number, tile in enumerate(tiles):
        part = layers[tile.layer][tile.output_range, tile.input_range]
        difference = part / scales[tile][:, None]
        blocks.append(_block(tile, options))
        columns.append(_cells(number, tile, _targets(difference, options)))
    rows, cols, layer, output, into, sign, target = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    return Placement(
        scheme=options.scheme,
        window_siemens=options.window,
        volts_per_unit=options.volts_per_unit,
        bias_volts=options.volts_per_unit,
        blocks=tuple(blocks),
        cells=Cells(rows.astype(np.int64), cols.astype(np.int64)),
        target_siemens=target,
        layer=layer.astype(np.int64),
        output=output.astype(np.int64),
        input=into.astype(np.int64),
        sign=sign.astype(np.int64),
    )


def _block(tile: Tile, options: MappingOptions) -> LayerBlock:
    """A tile as a block of a placement, whose weights are those over the output's largest one."""
    differential = options.scheme == "differential"
    return LayerBlock(
        first_row=tile.first_row,
        first_column=tile.first_column,
        inputs=tile.inputs,
        outputs=tile.outputs,
        differential=differential,
        feedback_ohm=1.0 / _usable(options),
        reference_siemens=0.0 if differential else options.reference_siemens,
    )


def _targets(difference: FloatArray, options: MappingOptions) -> FloatArray:
    """(inputs, outputs, arms) conductances inside the window."""
    low, high = options.window
    if options.scheme == "single_ended":
        arms = [options.reference_siemens + difference]
    else:
        arms = list(pair_arms(difference, options))
    # Rounding of a division may leave a weight of full size an ulp outside the window.
    return np.clip(np.stack([arm.T for arm in arms], axis=-1), low, high)


def _cells(number: int, tile: Tile, target: FloatArray) -> tuple[FloatArray, ...]:
    """Row, column, layer, output, input, sign and target of a tile's cells, row by row."""
    row, column, arm = np.indices(target.shape)
    return (
        (tile.first_row + row).ravel().astype(np.float64),
        (tile.first_column + tile.arms * column + arm).ravel().astype(np.float64),
        np.full(target.size, float(number)),
        column.ravel().astype(np.float64),
        row.ravel().astype(np.float64),
        (1 - 2 * arm).ravel().astype(np.float64),
        target.ravel(),
    )


def _refuse_shortfall(
    name: str, tiles: Sequence[Tile], wanted: Placement, held: Placement, largest: float
) -> None:
    for tile, error in zip(tiles, residuals(wanted, held), strict=True):
        share = float(np.sqrt(np.mean(error**2)))
        if share > largest:
            lost = int(np.count_nonzero(np.abs(error) > 1e-9))
            raise MappingError(
                f"Too few good cells on macro {name!r}: {lost} of the {error.size} weights of its "
                f"part of layer {tile.layer} cannot be held. What is missing is {share:.0%} of the "
                f"largest weight (rms), at most {largest:.0%} is taken. Use another chip."
            )
