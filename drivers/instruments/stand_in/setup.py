"""Which instruments stand in, how they are wired, and how they are used."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from drivers.instruments.interfaces import (
    PowerSupply,
    PulseGenerator,
    SourceMeasureUnit,
    SwitchMatrix,
)
from protocols.errors import InputError

_KINDS = ("bit_line", "source_line", "word_line")


@dataclass(frozen=True)
class StandInWiring:
    """What is plugged in where; rows and columns of the matrix count from 1.

    Attributes:
        smu_row, ground_row, gate_row, pulser_row: rows of the instruments.
        bit_line, source_line, word_line: columns of line 0 of each kind; the others follow it.
        lines: as many bit lines, and as many source and word lines, as are wired.
    """

    lines: tuple[int, int]
    smu_row: int = 1
    ground_row: int = 2
    gate_row: int = 3
    pulser_row: int = 4
    bit_line: int = 1
    source_line: int = 0
    word_line: int = 0

    def __post_init__(self) -> None:
        rows, columns = self.lines
        places = (("source_line", 1 + rows), ("word_line", 1 + rows + columns))
        for name, usual in places:
            if getattr(self, name) == 0:
                object.__setattr__(self, name, usual)
        at = [self.smu_row, self.ground_row, self.gate_row, self.pulser_row]
        if min(*at, self.bit_line, self.source_line, self.word_line) < 1 or len(set(at)) < 4:
            raise InputError(
                "stand-in: each instrument needs a row of its own, and rows and columns of the"
                f" switch matrix count from 1: {self}"
            )
        taken = sorted(
            (first, first + count)
            for first, count in ((self.bit_line, rows), (self.source_line, columns),
                                 (self.word_line, columns))
        )  # fmt: skip
        if any(end > start for (_, end), (start, _) in itertools.pairwise(taken)):
            raise InputError(f"stand-in: two lines have the same column of the matrix: {self}")

    def column(self, kind: str, line: int) -> int:
        """The column of a line; kind is bit_line, source_line or word_line."""
        return int(getattr(self, kind)) + line

    def check(self, matrix: SwitchMatrix) -> None:
        """Refuse a matrix that is too small.

        Raises:
            InputError: says which crosspoint is missing.
        """
        rows, columns = self.lines
        last = max(
            self.bit_line + rows, self.source_line + columns, self.word_line + columns
        ) - 1  # fmt: skip
        row = max(self.smu_row, self.ground_row, self.gate_row, self.pulser_row)
        if row > matrix.rows or last > matrix.columns:
            raise InputError(
                f"stand-in: {matrix.identity} has {matrix.rows} rows and {matrix.columns} columns;"
                f" row {row} and column {last} are needed for {rows} x {columns} cells"
            )


@dataclass(frozen=True)
class StandInParams:
    """How the instruments are used; every default is this project's choice.

    Attributes:
        gate_channel: the supply's output that gates are held by.
        gate_amperes: its current limit; gates draw none.
        read_gate_volts: at a gate while its cell is read; None is the limit of a SET's gate, which
            is what the reference board reads with.
        read_amperes: compliance of a read; a reading there counts as saturated.
        pulse_amperes: compliance of a pulse that the source-measure unit drives.
        load_ohms: what a pulse generator takes the array for.
        edge_s: of its pulses.
        gate_settle_s: from a gate's voltage until something is driven.
        smu_shortest_s: shortest pulse of the source-measure unit, where no pulser is there.
    """

    gate_channel: str = "gate"
    gate_amperes: float = 1e-3
    read_gate_volts: float | None = None
    read_amperes: float = 1e-4
    pulse_amperes: float = 1e-3
    load_ohms: float = 1e6
    edge_s: float = 5e-9
    gate_settle_s: float = 1e-3
    smu_shortest_s: float = 1e-3

    def __post_init__(self) -> None:
        numbers = {k: v for k, v in vars(self).items() if isinstance(v, int | float)}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"stand-in: {name} is {value}; a positive number is needed")


@dataclass(frozen=True)
class StandInSet:
    """The instruments that stand in; without a pulser the source-measure unit drives pulses."""

    matrix: SwitchMatrix
    smu: SourceMeasureUnit
    gate: PowerSupply
    pulser: PulseGenerator | None = None
