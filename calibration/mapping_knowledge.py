"""What is known of one chip's cells: formed, dead, stuck, weak, and the resistance of its lines.

Every cell has a range of conductances that it can be brought to. An ordinary cell's is open on both
sides; a weak one's ends where SET or RESET left it; a stuck or dead one stands at one value. The
map is built from what the routines found (a read map, forming, programming), the latest finding of
a cell replaces the older ones, and what was never looked at counts as ordinary.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.forming import FormResult
from calibration.programming import CellStatus, ProgramResult
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.lines import Lines as Lines
from protocols.errors import FileError, MappingError
from protocols.files import parse_json, read_text, replace_whole
from protocols.hardware import explain

MAX_FILE_BYTES = 32 << 20
DEAD_BELOW_SIEMENS = 1e-6  # a formed cell does not read that low (`ProgramParams.unformed_siemens`)
WEAK_MARGIN = 0.98  # of the reading that a weak cell got to: it shall get there again
STUCK_SIEMENS = 1e-9  # floor for a reading that stands for a dead cell; a target must be positive


class CellKind(IntEnum):
    """What a cell is good for."""

    GOOD = 0
    WEAK = 1
    STUCK = 2
    DEAD = 3


@dataclass(frozen=True, eq=False)
class ChipKnowledge:
    """One chip's cells, (rows, columns) each.

    Attributes:
        chip: id of the chip, as in the bench file.
        kind: a `CellKind` per cell.
        formed: whether a cell was seen formed.
        lowest_siemens, highest_siemens: range that a cell can be brought to, as read; 0 to infinity
            where nothing is known against it, one value for a stuck or dead cell.
        lines: resistance of the lines.
        sacrificed: cells that were given up on purpose, to see how the chip answers; None is none.
            They are stuck besides, so that no network is programmed into them.
    """

    chip: str
    kind: IntArray
    formed: BoolArray
    lowest_siemens: FloatArray
    highest_siemens: FloatArray
    lines: Lines = field(default_factory=Lines)
    sacrificed: BoolArray | None = None

    @classmethod
    def blank(cls, chip: str, geometry: Geometry, lines: Lines | None = None) -> Self:
        """A chip of which nothing is known."""
        shape = (geometry.rows, geometry.columns)
        return cls(
            chip,
            np.zeros(shape, np.int64),
            np.zeros(shape, np.bool_),
            np.zeros(shape),
            np.full(shape, np.inf),
            lines or Lines(),
        )

    @property
    def geometry(self) -> Geometry:
        """Size of the array."""
        return Geometry(*self.kind.shape)

    @property
    def bad(self) -> BoolArray:
        """(rows, columns) cells that are weak, stuck or dead."""
        return np.asarray(self.kind != CellKind.GOOD)

    @property
    def seen(self) -> BoolArray:
        """(rows, columns) cells that were seen formed or found bad: of others nothing is known."""
        return np.asarray(self.formed | self.bad)

    def is_news_to(self, before: ChipKnowledge) -> bool:
        """Whether a cell is worse than it was thought to be."""
        return bool((self.kind > before.kind).any())

    def counts(self) -> dict[str, int]:
        """How many cells are formed and how many of each bad kind there are."""
        bad = {k.name.lower(): int(np.sum(self.kind == k)) for k in CellKind if k}
        given_up = {} if self.sacrificed is None else {"sacrificed": int(self.sacrificed.sum())}
        return {"formed": int(self.formed.sum()), **bad, **given_up}

    def check(self, chip: str, geometry: Geometry) -> None:
        """Refuse what is known of another chip.

        Raises:
            MappingError: another id or another size.
        """
        if chip != self.chip:
            raise MappingError(
                f"This is what is known of chip {self.chip!r}, the bench has chip {chip!r}."
            )
        if geometry != self.geometry:
            raise MappingError(
                f"This is what is known of an array of {self.geometry.rows} x "
                f"{self.geometry.columns} cells, the bench's has {geometry.rows} x "
                f"{geometry.columns}."
            )

    # --- findings ----------------------------------------------------------------------------

    def with_cells(
        self, cells: Cells, kind: IntArray, lowest: FloatArray, highest: FloatArray
    ) -> ChipKnowledge:
        """The same with kinds and ranges (n,) of some cells replaced.

        Raises:
            MappingError: a cell outside the array, or a range that is none.
        """
        if len(cells) and (
            cells.rows.max() >= self.kind.shape[0] or cells.columns.max() >= self.kind.shape[1]
        ):
            raise MappingError(f"A cell outside the array of {self.kind.shape} is said to be bad.")
        if not np.all((lowest >= 0.0) & (lowest <= highest)):
            raise MappingError(
                "A cell's lowest conductance must be 0 or more and not over its highest."
            )
        at = (cells.rows, cells.columns)
        parts = {"kind": kind, "lowest_siemens": lowest, "highest_siemens": highest}
        new = {name: getattr(self, name).copy() for name in parts}
        for name, values in parts.items():
            new[name][at] = values
        return replace(self, **new)

    def with_stuck(self, cells: Cells, siemens: FloatArray | Sequence[float]) -> ChipKnowledge:
        """Cells that stand at `siemens` (n,), whatever is done to them; dead below 1 uS."""
        at = np.maximum(np.asarray(siemens, dtype=np.float64), STUCK_SIEMENS)
        kind = np.where(at < DEAD_BELOW_SIEMENS, int(CellKind.DEAD), int(CellKind.STUCK))
        return self.with_cells(cells, kind, at, at)

    def with_sacrificed(self, cells: Cells, siemens: FloatArray | Sequence[float]) -> ChipKnowledge:
        """Cells that were given up on purpose and stand at `siemens` (n,)."""
        found = self.with_stuck(cells, siemens)
        mask = np.zeros(self.kind.shape, np.bool_) if self.sacrificed is None else self.sacrificed
        mask = mask.copy()
        mask[cells.rows, cells.columns] = True
        return replace(found, sacrificed=mask)

    def with_weak(self, cells: Cells, highest_siemens: FloatArray) -> ChipKnowledge:
        """Cells that cannot be brought above `highest_siemens` (n,)."""
        kind = np.full(len(cells), int(CellKind.WEAK))
        return self.with_cells(cells, kind, np.zeros(len(cells)), np.asarray(highest_siemens))

    def with_formed(self, cells: Cells, formed: BoolArray) -> ChipKnowledge:
        """Whether cells (n,) are formed."""
        new = self.formed.copy()
        new[cells.rows, cells.columns] = formed
        return replace(self, formed=new)

    def with_read_map(
        self, cells: Cells, siemens: FloatArray, formed_above_siemens: float
    ) -> ChipKnowledge:
        """What a read map tells: cells above the threshold are formed."""
        return self.with_formed(cells, np.asarray(siemens) > formed_above_siemens)

    def with_unformed_map(
        self, cells: Cells, siemens: FloatArray, formed_above_siemens: float
    ) -> ChipKnowledge:
        """A read map of a chip that was never formed: a cell that conducts there is stuck high."""
        reading = np.asarray(siemens)
        high = np.flatnonzero(reading > formed_above_siemens)
        return self.with_stuck(cells[high], reading[high])

    def with_forming(self, result: FormResult, virgin: bool = False) -> ChipKnowledge:
        """What forming tells: cells that did not form at the end of the ramp are dead.

        On a chip that was virgin before, a cell that needed no pulse is stuck high.
        """
        dead = np.flatnonzero(~result.formed)
        found = self.with_formed(result.cells, result.formed)
        if virgin:
            new = ~self.formed[result.cells.rows, result.cells.columns]
            high = np.flatnonzero(new & result.formed & (result.pulses == 0))
            found = found.with_stuck(result.cells[high], result.conductance_siemens[high])
        if result.rounds == 0:
            return found  # nothing was pulsed: not formed is not dead
        return found.with_stuck(
            result.cells[dead],
            np.minimum(result.conductance_siemens[dead], 0.5 * DEAD_BELOW_SIEMENS),
        )

    def with_program(self, result: ProgramResult) -> ChipKnowledge:
        """What programming tells of the cells that it pulsed.

        In tolerance: formed, and good again if it was said to be stuck or dead. Below the target at
        the strongest SET: weak, up to its reading; above it at the strongest RESET: weak, down to
        its reading. Both: stuck. Dead: it reads as good as nothing. A cell that cannot be brought
        down from the highest targets has no range left and is stuck at once.
        """
        at, reached = (result.cells.rows, result.cells.columns), result.reached_siemens
        pulsed = result.pulses > 0
        fine = (result.status == CellStatus.IN_TOLERANCE) & pulsed
        low = (result.status == CellStatus.STUCK_LOW) & pulsed
        high = (result.status == CellStatus.STUCK_HIGH) & pulsed
        bottom, top = self.lowest_siemens[at].copy(), self.highest_siemens[at].copy()
        top[low] = WEAK_MARGIN * reached[low]
        bottom[high] = reached[high] / WEAK_MARGIN
        no_room = high & (reached > WEAK_MARGIN * np.max(result.target_siemens, initial=0.0))
        gone = low & (reached < DEAD_BELOW_SIEMENS)
        stuck = gone | no_room | ((low | high) & (bottom >= top))
        weak = np.flatnonzero((low | high) & ~stuck)
        given_up = False if self.sacrificed is None else self.sacrificed[at]
        cleared = np.flatnonzero(fine & (self.kind[at] > CellKind.WEAK) & ~np.asarray(given_up))
        found = self._cleared(result.cells[cleared])
        found = found.with_formed(result.cells[np.flatnonzero(fine)], np.array(True))
        found = found.with_stuck(result.cells[np.flatnonzero(stuck)], reached[stuck])
        return found.with_cells(
            result.cells[weak], np.full(weak.size, int(CellKind.WEAK)), bottom[weak], top[weak]
        )

    def _cleared(self, cells: Cells) -> ChipKnowledge:
        n = len(cells)
        return self.with_cells(cells, np.zeros(n, np.int64), np.zeros(n), np.full(n, np.inf))

    # --- file --------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: the bad cells one by one, the formed ones as packed bits."""
        rows, columns = np.nonzero(self.kind)
        cells = [
            {
                "row": int(r),
                "column": int(c),
                "kind": CellKind(int(self.kind[r, c])).name.lower(),
                "lowest_siemens": float(self.lowest_siemens[r, c]),
                "highest_siemens": float(self.highest_siemens[r, c]),
            }
            for r, c in zip(rows, columns, strict=True)
        ]
        return {
            "format": "chip-knowledge-1",
            "chip": self.chip,
            "rows": self.geometry.rows,
            "columns": self.geometry.columns,
            "bit_ohm": self.lines.bit_ohm,
            "source_ohm": self.lines.source_ohm,
            "bad": cells,
            "sacrificed": [] if self.sacrificed is None else np.argwhere(self.sacrificed).tolist(),
            "formed_bits": base64.b64encode(np.packbits(self.formed).tobytes()).decode(),
        }

    @classmethod
    def from_dict(cls, data: object, source: str | Path = "chip knowledge") -> ChipKnowledge:
        """The inverse of `to_dict`.

        Raises:
            MappingError: a key is missing, unknown or out of range; `source` names the file.
        """
        try:
            file = _KnowledgeFile.model_validate(data)
        except ValidationError as error:
            raise MappingError(explain(source, error)) from error
        geometry = Geometry(file.rows, file.columns)
        try:
            found = cls.blank(file.chip, geometry, Lines(file.bit_ohm, file.source_ohm))
            found = replace(found, formed=_bits(file.formed_bits, geometry))
            found = found.with_cells(
                Cells.of((c.row, c.column) for c in file.bad),
                np.array([CellKind[c.kind.upper()] for c in file.bad], dtype=np.int64),
                np.array([c.lowest_siemens for c in file.bad], dtype=np.float64),
                np.array([c.highest_siemens for c in file.bad], dtype=np.float64),
            )
            return replace(found, sacrificed=_mask(file.sacrificed, geometry))
        except MappingError as error:
            raise MappingError(f"{source}: {error}") from error

    def save(self, path: Path) -> None:
        """Write the map as JSON, whole or not at all.

        Raises:
            MappingError: the file cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_whole(path, json.dumps(self.to_dict(), indent=1).encode())
        except OSError as error:
            raise MappingError(f"{path}: the chip's map cannot be written ({error}).") from error

    @classmethod
    def load(cls, path: Path) -> ChipKnowledge:
        """Read a map.

        Raises:
            MappingError: no such file, too large, not JSON, or not a chip's map.
        """
        try:
            data = parse_json(read_text(path, MAX_FILE_BYTES))
        except FileError as error:
            raise MappingError(f"{path}: the chip's map cannot be read ({error}).") from error
        return cls.from_dict(data, path)


def _bits(text: str, geometry: Geometry) -> BoolArray:
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except ValueError as error:
        raise MappingError(f"formed_bits is not base64 ({error}).") from error
    if packed.size != -(-geometry.cells // 8):
        raise MappingError(f"formed_bits has {packed.size} bytes for {geometry.cells} cells.")
    bits = np.unpackbits(packed, count=geometry.cells).astype(np.bool_)
    return bits.reshape(geometry.rows, geometry.columns)


def _mask(cells: Sequence[tuple[int, int]], geometry: Geometry) -> BoolArray | None:
    """The cells as a map; None for none. Raises MappingError for one outside the array."""
    if not cells:
        return None
    found = np.zeros((geometry.rows, geometry.columns), np.bool_)
    rows, columns = np.array(cells).T
    if rows.max() >= geometry.rows or columns.max() >= geometry.columns:
        raise MappingError("a sacrificed cell lies outside the array.")
    found[rows, columns] = True
    return found


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Size = Annotated[int, Field(ge=1, le=1024)]
_Siemens = Annotated[float, Field(ge=0.0, le=1.0)]
_Ohm = Annotated[float, Field(ge=0.0, le=1e6)]


_Place = Annotated[int, Field(ge=0, le=1023)]


class _BadCell(_Part):
    row: _Place
    column: _Place
    kind: Literal["weak", "stuck", "dead"]
    lowest_siemens: _Siemens
    highest_siemens: _Siemens


class _KnowledgeFile(_Part):
    format: Literal["chip-knowledge-1"]
    chip: Annotated[str, Field(min_length=1, max_length=64)]
    rows: _Size
    columns: _Size
    bit_ohm: _Ohm
    source_ohm: _Ohm
    bad: Annotated[list[_BadCell], Field(max_length=1 << 20)]
    formed_bits: Annotated[str, Field(max_length=1 << 18)]
    sacrificed: Annotated[list[tuple[_Place, _Place]], Field(max_length=1 << 20)] = []
