"""Which block of which macro holds which part of which layer: cutting a network into tiles.

A layer of (outputs, inputs) is a rectangle of weights; a macro is a rectangle of cells, a row per
input and one column per output (two in the differential scheme). A layer is put where it fits
whole; where no free place is large enough it is cut, by inputs (the partial sums are added in code,
or in current where one frame drives all rows of a block) or by outputs. Free places are kept as
rectangles, cut as by a guillotine, so that any network fits whose weights are no more than the
places for weights: only the number of tiles, and with it of frames, grows where space is tight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.errors import MappingError

Shape = tuple[int, int]
"""(outputs, inputs) of a layer."""


@dataclass(frozen=True)
class MacroShape:
    """A macro by its name on the bench, and its size in cells."""

    name: str
    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise MappingError(
                f"macro {self.name!r} of {self.rows} x {self.columns} cells has no cells."
            )


@dataclass(frozen=True, order=True)
class Tile:
    """A part of a layer on a block of a macro.

    Input `first_input + r` drives row `first_row + r`; output `first_output + o` is read at
    `arms` neighbouring columns from `first_column + arms * o` on.
    """

    layer: int
    first_output: int
    outputs: int
    first_input: int
    inputs: int
    macro: str
    first_row: int
    first_column: int
    arms: int = 2

    @property
    def columns(self) -> int:
        """Columns of the macro that it takes."""
        return self.outputs * self.arms

    @property
    def input_range(self) -> slice:
        """Its inputs among those of the layer."""
        return slice(self.first_input, self.first_input + self.inputs)

    @property
    def output_range(self) -> slice:
        """Its outputs among those of the layer."""
        return slice(self.first_output, self.first_output + self.outputs)


@dataclass(frozen=True)
class Tiling:
    """A network cut into tiles.

    Attributes:
        shapes: (outputs, inputs) of each layer.
        macros: all macros of the bench, whether or not they are used.
        tiles: in the order of layers.

    Raises MappingError when a weight has no tile or two, or two tiles share a cell.
    """

    shapes: tuple[Shape, ...]
    macros: tuple[MacroShape, ...]
    tiles: tuple[Tile, ...]

    def __post_init__(self) -> None:
        _check_weights(self)
        _check_cells(self)

    def of_layer(self, layer: int) -> list[Tile]:
        """The tiles of one layer."""
        return [tile for tile in self.tiles if tile.layer == layer]

    def on(self, macro: str) -> list[Tile]:
        """The tiles on one macro; their position is the layer number of its placement."""
        return [tile for tile in self.tiles if tile.macro == macro]

    @property
    def used(self) -> tuple[MacroShape, ...]:
        """The macros that hold a tile."""
        names = {tile.macro for tile in self.tiles}
        return tuple(macro for macro in self.macros if macro.name in names)

    @property
    def cells(self) -> int:
        """Cells that the network takes."""
        return sum(tile.inputs * tile.columns for tile in self.tiles)


@dataclass
class _Free:
    """A free rectangle of a macro."""

    macro: str
    row: int
    column: int
    rows: int
    columns: int


@dataclass
class _Piece:
    """A part of a layer that has no place yet."""

    first_output: int
    outputs: int
    first_input: int
    inputs: int


def tile_network(shapes: Sequence[Shape], macros: Sequence[MacroShape], *, arms: int = 2) -> Tiling:
    """Cut a network of layers (outputs, inputs) into tiles on these macros.

    `arms` is the number of columns per output: 2 differential, 1 single-ended.

    Raises:
        MappingError: no layers, names that are not unique, or too few cells; says how many cells,
            rows, columns and boards are missing.
    """
    if not shapes or min(min(shape) for shape in shapes) < 1:
        raise MappingError(f"Layers of (outputs, inputs) {list(shapes)}: none may be empty.")
    names = [macro.name for macro in macros]
    if len(set(names)) != len(names):
        raise MappingError(f"The macros' names {names} are not unique.")
    _refuse_too_large(shapes, macros, arms)
    free = [_Free(m.name, 0, 0, m.rows, m.columns // arms * arms) for m in macros]
    tiles: list[Tile] = []
    for layer, (outputs, inputs) in enumerate(shapes):
        pieces = [_Piece(0, outputs, 0, inputs)]
        while pieces:
            piece = pieces.pop()
            place = _choose([each for each in free if each.columns and each.rows], piece, arms)
            tile = _cut(place, piece, layer, arms)
            tiles.append(tile)
            free.remove(place)
            free += _rest_of_place(place, tile)
            pieces += _rest_of_piece(piece, tile)
    return Tiling(tuple(shapes), tuple(macros), tuple(sorted(tiles)))


def _choose(free: Sequence[_Free], piece: _Piece, arms: int) -> _Free:
    """The tightest place that takes the whole piece, else the one that takes most of it."""

    def taken(place: _Free) -> int:
        return min(place.rows, piece.inputs) * min(place.columns // arms, piece.outputs)

    most = max(taken(place) for place in free)
    return min(
        (place for place in free if taken(place) == most),
        key=lambda place: place.rows * place.columns,
    )


def _cut(place: _Free, piece: _Piece, layer: int, arms: int) -> Tile:
    """The first part of a piece, cut so that the parts will be about as large as each other."""
    return Tile(
        layer=layer,
        first_output=piece.first_output,
        outputs=_share(piece.outputs, place.columns // arms),
        first_input=piece.first_input,
        inputs=_share(piece.inputs, place.rows),
        macro=place.macro,
        first_row=place.row,
        first_column=place.column,
        arms=arms,
    )


def _share(length: int, room: int) -> int:
    """One of the fewest equal parts of a length that fit the room."""
    parts = -(-length // room)
    return -(-length // parts)


def _rest_of_place(place: _Free, tile: Tile) -> list[_Free]:
    """What is left beside and below a tile, cut so that the larger part is as large as can be."""
    below, beside = place.rows - tile.inputs, place.columns - tile.columns
    row, column = place.row + tile.inputs, place.column + tile.columns
    if below * place.columns >= beside * place.rows:
        parts = [
            _Free(place.macro, row, place.column, below, place.columns),
            _Free(place.macro, place.row, column, tile.inputs, beside),
        ]
    else:
        parts = [
            _Free(place.macro, row, place.column, below, tile.columns),
            _Free(place.macro, place.row, column, place.rows, beside),
        ]
    return [part for part in parts if part.rows and part.columns]


def _rest_of_piece(piece: _Piece, tile: Tile) -> list[_Piece]:
    """What is left of a piece: other outputs of all its inputs, then other inputs of the same."""
    outputs, inputs = piece.outputs - tile.outputs, piece.inputs - tile.inputs
    rest = [
        _Piece(piece.first_output + tile.outputs, outputs, piece.first_input, piece.inputs),
        _Piece(piece.first_output, tile.outputs, piece.first_input + tile.inputs, inputs),
    ]
    return [part for part in rest if part.outputs and part.inputs]


def _refuse_too_large(shapes: Sequence[Shape], macros: Sequence[MacroShape], arms: int) -> None:
    needed = sum(outputs * inputs for outputs, inputs in shapes)
    held = sum(macro.rows * (macro.columns // arms) for macro in macros)
    if needed <= held:
        return
    layers = ", ".join(f"{inputs} -> {outputs}" for outputs, inputs in shapes)
    missing = (needed - held) * arms
    have = ", ".join(f"{m.name} {m.rows} x {m.columns}" for m in macros) or "none"
    raise MappingError(
        f"The network ({layers}) has {needed} weights, {needed * arms} cells with {arms} per "
        f"weight; the bench's macros ({have}) hold {held * arms}: {missing} cells are missing"
        f"{_in_boards(missing, macros, arms)}. Use a smaller network or more boards (`macros:` in "
        "the bench file)."
    )


def _in_boards(missing: int, macros: Sequence[MacroShape], arms: int) -> str:
    """The missing cells as rows of the last macro's width, and as boards like it."""
    if not macros or macros[-1].columns < arms:
        return ""
    last, columns = macros[-1], macros[-1].columns // arms * arms
    rows = -(-missing // columns)
    boards = -(-rows // last.rows)
    plural = "" if boards == 1 else "s"
    return (
        f", as {rows} rows of {columns} columns: {boards} more board{plural} of "
        f"{last.rows} x {last.columns}"
    )


def _check_weights(tiling: Tiling) -> None:
    """Every weight of every layer in exactly one tile."""
    for layer, (outputs, inputs) in enumerate(tiling.shapes):
        tiles = tiling.of_layer(layer)
        for tile in tiles:
            inside = tile.first_output + tile.outputs <= outputs
            inside &= tile.first_input + tile.inputs <= inputs
            if not inside or min(tile.outputs, tile.inputs) < 1:
                raise MappingError(f"{tile} lies outside its layer of {outputs} x {inputs}.")
        covered = sum(tile.outputs * tile.inputs for tile in tiles)
        spans = [(t.output_range, t.input_range) for t in tiles]
        if covered != outputs * inputs or _overlap(spans):
            raise MappingError(
                f"The tiles of layer {layer} do not hold each of its {outputs} x {inputs} weights "
                "once."
            )


def _check_cells(tiling: Tiling) -> None:
    """No tile outside its macro, no cell in two tiles."""
    sizes = {macro.name: macro for macro in tiling.macros}
    for name in {tile.macro for tile in tiling.tiles}:
        tiles, macro = tiling.on(name), sizes.get(name)
        if macro is None:
            raise MappingError(f"A tile stands on macro {name!r}, which the bench does not have.")
        spans = [
            (
                slice(tile.first_row, tile.first_row + tile.inputs),
                slice(tile.first_column, tile.first_column + tile.columns),
            )
            for tile in tiles
        ]
        outside = any(
            min(r.start, c.start) < 0 or r.stop > macro.rows or c.stop > macro.columns
            for r, c in spans
        )
        if outside or _overlap(spans):
            raise MappingError(
                f"The tiles on macro {name!r} share cells, or lie outside its {macro.rows} x "
                f"{macro.columns} cells."
            )


def _overlap(spans: Sequence[tuple[slice, slice]]) -> bool:
    """Whether two rectangles have a cell in common."""
    for index, (a, b) in enumerate(spans):
        for c, d in spans[:index]:
            if a.start < c.stop and c.start < a.stop and b.start < d.stop and d.start < b.stop:
                return True
    return False
