"""A network on the macro: which cell holds which arm of which weight, and at what conductance.

A weight (units to units) of layer l is R_l (G+ - G-), a bias is the same times the volts of the
bias row over the volts of one unit, because a layer computes

    v_out = R_l * sum_r (G+_r - G-_r) v_r      differential, columns first + 2 o and first + 2 o + 1
    v_out = R_l * sum_r (G_r - G_ref) v_r      single-ended, column first + o

with v_r = volts_per_unit * x_r on the input rows and bias_volts on the last row of the block.
`Placement.weights_from` is that algebra read backwards, for any conductances.

Hidden units may stand in another order on the macro than in the model (to keep clear of bad cells).
All hidden layers share one order, because the same embedding voltages enter all of them. `order`
says which unit of the model stands at each place; `layer`, `output` and `input` of a cell, and so
everything that is computed from them, count in the model's order. Only what is wired is permuted:
the columns and rows of the cells, the embedding channels and the hidden outputs that a probe shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calibration.arrays import BoolArray, FloatArray, IntArray
from drivers.integrator import LayerBlock
from drivers.rram.geometry import Cells, Geometry
from protocols.errors import FileError, InputError, MappingError
from protocols.files import parse_json, read_text, replace_whole
from protocols.hardware import explain

Scheme = Literal["differential", "single_ended"]
MAX_FILE_BYTES = 64 << 20
_FORMAT: Literal["placement-2"] = "placement-2"
"""Version 1, which is read too, has no `order` and no `fixed`."""


@dataclass(frozen=True)
class Placement:
    """The cells of a network and their targets; arrays share one order, that of `cells`.

    Attributes:
        scheme: differential or single_ended.
        window_siemens: lowest and highest conductance that a target may have.
        volts_per_unit: volts that stand for 1 in the model, in every layer.
        bias_volts: voltage of the bias rows.
        blocks: one block of the array per layer, in order.
        cells: (n,) the cells that are used.
        target_siemens: (n,) what each cell shall hold.
        layer, output, input: (n,) the weight that a cell belongs to; the input after a layer's last
            one is its bias.
        sign: (n,) +1 or -1, the sign with which the conductance counts.
        order: unit of the model at each hidden place of the macro; empty is the model's own order.
        fixed: (n,) cells that cannot be programmed (dead or stuck): their target is where they
            stand, they are neither formed nor pulsed. None is no such cell.
    """

    scheme: Scheme
    window_siemens: tuple[float, float]
    volts_per_unit: float
    bias_volts: float
    blocks: tuple[LayerBlock, ...]
    cells: Cells
    target_siemens: FloatArray
    layer: IntArray
    output: IntArray
    input: IntArray
    sign: IntArray
    order: tuple[int, ...] = ()
    fixed: BoolArray | None = None

    def __post_init__(self) -> None:
        count = len(self.cells)
        if self.fixed is not None and self.fixed.shape != (count,):
            raise MappingError(
                f"A placement of {count} cells has {self.fixed.shape} marks of fixed cells."
            )
        parts = (self.target_siemens, self.layer, self.output, self.input, self.sign)
        if any(part.shape != (count,) for part in parts):
            raise MappingError(
                f"A placement of {count} cells needs {count} targets, layers, outputs, inputs and "
                f"signs; their shapes are {[part.shape for part in parts]}."
            )
        _check_owners(self)

    def __len__(self) -> int:
        return len(self.cells)

    def weights_from(self, conductance: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
        """The network that conductances (n,) in siemens make: weights (out, in), biases (out,).

        Exact algebra without rounding: of `target_siemens` it is the network that was mapped.

        Raises:
            MappingError: not one conductance per cell.
        """
        siemens = np.asarray(conductance, dtype=np.float64)
        if siemens.shape != (len(self),):
            raise MappingError(
                f"{siemens.shape} conductances for the {len(self)} cells of this placement."
            )
        weights, biases = [], []
        for index, block in enumerate(self.blocks):
            mine = self.layer == index
            total = np.zeros((block.outputs, block.inputs))
            if not block.differential:
                total -= block.reference_siemens
            np.add.at(total, (self.output[mine], self.input[mine]), self.sign[mine] * siemens[mine])
            total *= block.feedback_ohm
            weights.append(total[:, :-1].copy())
            biases.append(total[:, -1] * self.bias_volts / self.volts_per_unit)
        return weights, biases

    def with_targets(self, target_siemens: FloatArray, fixed: BoolArray | None = None) -> Placement:
        """The same cells with other targets (n,); `fixed` None keeps the marks."""
        marks = self.fixed if fixed is None else fixed
        return replace(self, target_siemens=np.asarray(target_siemens), fixed=marks)

    @property
    def driven(self) -> IntArray:
        """(m,) index of the cells that are formed and programmed: all but the fixed ones."""
        if self.fixed is None:
            return np.arange(len(self), dtype=np.int64)
        return np.flatnonzero(~self.fixed)

    @property
    def channels(self) -> IntArray | None:
        """(hidden width,) the model's channel at each channel of the board; None: its own order."""
        return np.array(self.order, dtype=np.int64) if self.order else None

    def partner(self) -> IntArray:
        """(n,) index of the other arm of each cell's pair, -1 where there is none."""
        found: dict[tuple[int, int, int, int], int] = {}
        keys = list(zip(self.layer, self.output, self.input, self.sign, strict=True))
        for index, (layer, output, into, sign) in enumerate(keys):
            found[int(layer), int(output), int(into), int(sign)] = index
        return np.array(
            [found.get((int(a), int(o), int(i), -int(s)), -1) for a, o, i, s in keys],
            dtype=np.int64,
        )

    def check_fits(self, geometry: Geometry) -> None:
        """Refuse a macro that is too small.

        Raises:
            MappingError: says how many rows and columns are missing.
        """
        rows = max((block.first_row + block.inputs for block in self.blocks), default=0)
        columns = max((block.first_column + width(block) for block in self.blocks), default=0)
        check_extent(rows, columns, geometry)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "format": _FORMAT,
            "scheme": self.scheme,
            "window_siemens": list(self.window_siemens),
            "volts_per_unit": self.volts_per_unit,
            "bias_volts": self.bias_volts,
            "blocks": [block_to_dict(block) for block in self.blocks],
            "rows": self.cells.rows.tolist(),
            "columns": self.cells.columns.tolist(),
            "target_siemens": self.target_siemens.tolist(),
            "layer": self.layer.tolist(),
            "output": self.output.tolist(),
            "input": self.input.tolist(),
            "sign": self.sign.tolist(),
            "order": list(self.order),
            "fixed": [] if self.fixed is None else np.flatnonzero(self.fixed).tolist(),
        }

    @classmethod
    def from_dict(cls, data: object, source: str | Path = "placement") -> Self:
        """The inverse of `to_dict`.

        Raises:
            MappingError: a key is missing, unknown or out of range; `source` names the file.
        """
        try:
            file = _PlacementFile.model_validate(data)
        except ValidationError as error:
            raise MappingError(explain(source, error)) from error
        try:
            return cls(
                scheme=file.scheme,
                window_siemens=file.window_siemens,
                volts_per_unit=file.volts_per_unit,
                bias_volts=file.bias_volts,
                blocks=tuple(LayerBlock(**block.model_dump()) for block in file.blocks),
                cells=Cells(np.array(file.rows, np.int64), np.array(file.columns, np.int64)),
                target_siemens=np.array(file.target_siemens, np.float64),
                layer=np.array(file.layer, np.int64),
                output=np.array(file.output, np.int64),
                input=np.array(file.input, np.int64),
                sign=np.array(file.sign, np.int64),
                order=tuple(file.order),
                fixed=_marks(file.fixed, len(file.rows)),
            )
        except InputError as error:
            raise MappingError(f"{source}: {error}") from error

    def save(self, path: Path) -> None:
        """Write the placement as JSON.

        Raises:
            MappingError: the file cannot be written.
        """
        try:
            replace_whole(path, json.dumps(self.to_dict(), indent=1).encode())
        except OSError as error:
            raise MappingError(f"{path}: the placement cannot be written ({error}).") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a placement file.

        Raises:
            MappingError: no such file, too large, not JSON, or not a placement.
        """
        try:
            data = parse_json(read_text(path, MAX_FILE_BYTES))
        except FileError as error:
            raise MappingError(f"{path}: the placement cannot be read ({error}).") from error
        return cls.from_dict(data, path)


def width(block: LayerBlock) -> int:
    """Columns of the array that a block takes."""
    return block.outputs * (2 if block.differential else 1)


def block_to_dict(block: LayerBlock) -> dict[str, object]:
    """Plain values of one block."""
    return {key: getattr(block, key) for key in _BlockFile.model_fields}


def check_extent(rows: int, columns: int, geometry: Geometry) -> None:
    """Refuse what needs more lines than the macro has.

    Raises:
        MappingError: says how many rows and columns are missing.
    """
    missing = []
    if rows > geometry.rows:
        missing.append(f"{rows - geometry.rows} rows")
    if columns > geometry.columns:
        missing.append(f"{columns - geometry.columns} columns")
    if missing:
        raise MappingError(
            f"The network needs {rows} rows and {columns} columns, the macro has {geometry.rows} "
            f"and {geometry.columns}: {' and '.join(missing)} are missing. Use a smaller network, "
            "less spacing, the single-ended scheme or a larger macro."
        )


def _marks(numbers: list[int], count: int) -> BoolArray | None:
    if not numbers:
        return None
    if max(numbers) >= count:
        raise MappingError(f"fixed names cell {max(numbers)} of a placement of {count} cells.")
    marks = np.zeros(count, dtype=np.bool_)
    marks[numbers] = True
    return marks


def _places(placement: Placement, index: int) -> tuple[IntArray, IntArray]:
    """Where each (output, input) number of a layer's weights stands in its block."""
    block, last = placement.blocks[index], index == len(placement.blocks) - 1
    outputs, inputs = np.arange(block.outputs), np.arange(block.inputs)
    if placement.order:
        where = np.argsort(np.array(placement.order))
        if not last:
            outputs = where
        if index > 0:
            inputs = np.append(where, len(where))
    return outputs, inputs


def _check_order(placement: Placement) -> None:
    order = placement.order
    if not order:
        return
    if sorted(order) != list(range(len(order))):
        raise MappingError(f"order={order} is not a permutation of the hidden units.")
    widths = [block.outputs for block in placement.blocks[:-1]]
    widths += [block.inputs - 1 for block in placement.blocks[1:]]
    if any(wide != len(order) for wide in widths):
        raise MappingError(
            f"An order of {len(order)} hidden units for layers of {sorted(set(widths))} units: "
            "one order is shared by all hidden layers."
        )


def _check_owners(placement: Placement) -> None:
    """Every cell belongs to a weight of its block, and stands where the block says."""
    if not placement.blocks:
        raise MappingError("A placement needs at least one layer.")
    if placement.layer.size and not (
        placement.layer.min() >= 0 and placement.layer.max() < len(placement.blocks)
    ):
        raise MappingError(
            f"A cell's layer must lie in 0 to {len(placement.blocks) - 1}, found "
            f"{placement.layer.min()} to {placement.layer.max()}."
        )
    if not np.all(np.isfinite(placement.target_siemens) & (placement.target_siemens > 0.0)):
        raise MappingError("A target conductance is not a finite positive number.")
    _check_order(placement)
    for index, block in enumerate(placement.blocks):
        mine = placement.layer == index
        step = 2 if block.differential else 1
        arm = (1 - placement.sign[mine]) // 2
        good = (placement.input[mine] >= 0) & (placement.input[mine] < block.inputs)
        good &= (placement.output[mine] >= 0) & (placement.output[mine] < block.outputs)
        good &= (arm >= 0) & (arm < step)
        place_out, place_in = _places(placement, index)
        rows = block.first_row + place_in[placement.input[mine] % block.inputs]
        columns = block.first_column + step * place_out[placement.output[mine] % block.outputs]
        columns = columns + arm
        good &= rows == placement.cells.rows[mine]
        good &= columns == placement.cells.columns[mine]
        needed = block.inputs * block.outputs * step
        distinct = len(set(zip(rows.tolist(), columns.tolist(), strict=True)))
        if not np.all(good) or distinct != needed or rows.size != needed:
            raise MappingError(
                f"The cells of layer {index} are not those of its block: {block.inputs} inputs, "
                f"{block.outputs} outputs from row {block.first_row}, column {block.first_column}."
            )


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Line = Annotated[int, Field(ge=0, le=65535)]
_Positive = Annotated[float, Field(gt=0)]


class _BlockFile(_Part):
    first_row: _Line
    first_column: _Line
    inputs: Annotated[int, Field(ge=1, le=65536)]
    outputs: Annotated[int, Field(ge=1, le=65536)]
    differential: bool
    feedback_ohm: _Positive
    reference_siemens: Annotated[float, Field(ge=0)]


class _PlacementFile(_Part):
    format: Literal["placement-1", "placement-2"]
    scheme: Scheme
    window_siemens: tuple[_Positive, _Positive]
    volts_per_unit: _Positive
    bias_volts: _Positive
    blocks: Annotated[list[_BlockFile], Field(min_length=1, max_length=256)]
    rows: list[_Line]
    columns: list[_Line]
    target_siemens: list[_Positive]
    layer: list[_Line]
    output: list[_Line]
    input: list[_Line]
    sign: list[Literal[-1, 1]]
    order: Annotated[list[_Line], Field(max_length=256)] = []
    fixed: Annotated[list[Annotated[int, Field(ge=0, le=1 << 20)]], Field(max_length=1 << 18)] = []
