"""A hostile chip: analog faults that are planted between the board's converters and the cells.

A fault is named in `SimSettings.chip_faults` (or `--chip-faults "open_bit_line=5,mains=1e-6"`); a
place that is left out (`open_bit_line`) is drawn from `seed` by the fault's own key. Without a
fault nothing of this module takes part.

Lines are bonds between a driver and the chip: `Wiring` says which line of the chip a driver
reaches, what is lost, and what is joined. First order: what a broken line would do to the cells of
others is left out, a cell that cannot be reached is neither read nor pulsed, and cells of joined
bit lines get the same pulse; joined source or word lines leave the selected cell as it is. `absent`
is every line open. `other_chip` puts a virgin die of another seed into the socket; the expected one
stays on file as it was left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hil.sim import draws
from protocols.errors import InputError
from protocols.hardware import LINES_MAX, BoardDescription
from protocols.messages import ArrayLine, LoopSource

Index = NDArray[np.int64]
Line = Annotated[int, Field(ge=0, lt=LINES_MAX)]
Deviation = Annotated[float, Field(ge=-0.5, le=0.5)]

STREAM_CHIP_FAULT = 216
"""(number of the fault, lane): where a fault is that was not placed."""

_SUBTLE_KEYS = 1000  # so that a new kind moves none of the others

DRAWN = "drawn"
"""The place of a fault that `seed` draws."""

_LINE_FAULTS = tuple(
    f"{what}_{line.name.lower()}"
    for what in ("open", "grounded", "bridged", "swapped")
    for line in ArrayLine
)
_CHANNELS = tuple(s.name.lower() for s in LoopSource if s is not LoopSource.REFERENCE)
KINDS = (
    *_LINE_FAULTS,
    *("dead_row", "stuck_bit", "railed_stage", "read_voltage", "adc_reference"),
    *("reversed_polarity", "mains", "absent", "other_chip"),
)
"""Every fault, in the order of its key; a new one goes to the end."""

SUBTLE = ("leaky_row", "weak_word_line")
"""Faults that only a bring-up looks for: nothing of them shows at the ends of lines."""

_EVERY = (*KINDS, *SUBTLE)

_ALIASES = {"open_row": "open_bit_line", "open_column": "open_source_line"}
LEAK_SIEMENS = 40e-6
"""Of a leaky row, all its cells together."""
WEAK_VOLTS = 0.5
"""By how much the transistors of a weak word line open late."""
_FLAGS = ("reversed_polarity", "absent")
_REALS = {"read_voltage": 0.2, "adc_reference": 0.2, "mains": 1.0e-6}
MORE = ("mains_hertz", "seed")


class ChipFaults(BaseModel):
    """Planted faults; None (or False) is none.

    Attributes:
        open_bit_line, open_source_line, open_word_line: a bond that is open.
        grounded_bit_line and so on: a bond shorted to ground.
        bridged_bit_line and so on: a bond shorted to that of the next line.
        swapped_bit_line and so on: two bonds exchanged; two numbers.
        dead_row: the cells of a row whose bit line is whole, but reaches none of them.
        stuck_bit: (channel, bit, value): a bit of a DAC that keeps one value.
        railed_stage: column whose trans-impedance stage stands at its upper end.
        read_voltage: relative deviation of the bit-line driver, of its reference.
        adc_reference: the same of the reference that all ADC inputs share.
        reversed_polarity: the plugs of bit and source lines exchanged.
        mains: amplitude in amperes of a hum at the read paths, `mains_hertz` its frequency.
        absent: nothing in the socket.
        other_chip: seed of the die that is in the socket instead.
        leaky_row: bit line that leaks to the source lines, whatever the gates (`LEAK_SIEMENS`); it
            shows in the currents of whole lines, single cells are read as before.
        weak_word_line: word line whose transistors open `WEAK_VOLTS` later than they should.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    open_bit_line: Line | None = None
    open_source_line: Line | None = None
    open_word_line: Line | None = None
    grounded_bit_line: Line | None = None
    grounded_source_line: Line | None = None
    grounded_word_line: Line | None = None
    bridged_bit_line: Line | None = None
    bridged_source_line: Line | None = None
    bridged_word_line: Line | None = None
    swapped_bit_line: tuple[Line, Line] | None = None
    swapped_source_line: tuple[Line, Line] | None = None
    swapped_word_line: tuple[Line, Line] | None = None
    dead_row: Line | None = None
    stuck_bit: tuple[str, Annotated[int, Field(ge=0, le=11)], Annotated[int, Field(ge=0, le=1)]] | (
        None
    ) = None
    railed_stage: Line | None = None
    read_voltage: Deviation | None = None
    adc_reference: Deviation | None = None
    reversed_polarity: bool = False
    mains: Annotated[float, Field(gt=0, le=1e-3)] | None = None
    mains_hertz: Annotated[float, Field(ge=40, le=70)] = 50.0
    absent: bool = False
    other_chip: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    leaky_row: Line | None = None
    weak_word_line: Line | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.stuck_bit is not None and self.stuck_bit[0] not in _CHANNELS:
            raise ValueError(f"stuck_bit: {self.stuck_bit[0]!r} is no DAC channel; as in bit_line")
        for line in ArrayLine:
            pair = getattr(self, f"swapped_{line.name.lower()}")
            if pair is not None and pair[0] == pair[1]:
                raise ValueError(f"swapped_{line.name.lower()}: two different lines are needed")
        return self

    @property
    def planted(self) -> tuple[str, ...]:
        """The names of the faults that are there."""
        return tuple(k for k in _EVERY if not any(getattr(self, k) is no for no in (None, False)))

    @classmethod
    def parse(cls, text: str, rows: int, columns: int) -> Self:
        """What `--chip-faults` was given: `name`, `name=value`, several with commas between them.

        Raises:
            InputError: an unknown fault, or a place or value that is not allowed.
        """
        parts = dict(_split(part) for part in text.split(",") if part.strip())
        seed = _whole("seed", parts.get("seed", "0"))
        values: dict[str, object] = {}
        for name, value in parts.items():
            name = _ALIASES.get(name, name)
            if name not in (*_EVERY, *MORE):
                raise InputError(
                    f"--chip-faults: {name!r} is no fault; known are {', '.join(_EVERY)}, and with "
                    f"them {', '.join(MORE)}"
                )
            values[name] = (
                drawn(name, seed, rows, columns) if value == DRAWN else _given(name, value)
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            found = error.errors()[0]
            raise InputError(
                f"--chip-faults: {'.'.join(map(str, found['loc']))}: {found['msg']}"
            ) from error


def drawn(kind: str, seed: int, rows: int, columns: int) -> object:
    """The place or size of a fault that is drawn, keyed by the fault and `seed` alone."""
    key = KINDS.index(kind) if kind in KINDS else _SUBTLE_KEYS + SUBTLE.index(kind)
    u = draws.uniform_lanes(seed, STREAM_CHIP_FAULT, np.array([key]), lanes=3)[0]
    count = rows if _by_row(kind) else columns
    if kind in _FLAGS:
        return True
    if kind.startswith("swapped"):
        first = int(u[0] * count)
        return (first, (first + 1 + int(u[1] * (count - 1))) % count)
    if kind.startswith("bridged"):
        return int(u[0] * (count - 1))
    if kind == "stuck_bit":
        return (_CHANNELS[int(u[0] * len(_CHANNELS))], int(u[1] * 12), int(u[2] * 2))
    if kind == "other_chip":
        return int(u[0] * (1 << 53)) + 1
    if kind == "mains":
        return _REALS[kind] * (0.5 + u[0])
    if kind in _REALS:
        return (0.1 + 0.2 * u[0]) * (1.0 if u[1] < 0.5 else -1.0)
    return int(u[0] * count)


def _split(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name.strip(), value.strip() or DRAWN


def _given(name: str, value: str) -> object:
    if name.startswith("swapped") or name == "stuck_bit":
        return tuple(value.split(":"))
    return value


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InputError(f"--chip-faults: {name} is {value!r}; a whole number is needed") from None


@dataclass(frozen=True)
class Routed:
    """Where the cells are that a board reaches when it asks for some.

    Attributes:
        index: (n,) flat indices on the chip.
        alive: (n,) whether a current flows.
        partner: (n,) the cell of a bit line that is joined to theirs, -1 where there is none.
        reversed: whether bit and source lines are exchanged.
    """

    index: Index
    alive: NDArray[np.bool_]
    partner: Index
    reversed: bool


class Wiring:
    """The bonds between drivers and the lines of a chip.

    Attributes:
        to: by kind of line, the line of the chip that each driver's bond goes to.
        open, grounded: by kind, of the drivers' lines.
        bridged: by kind, the first of two lines that are joined, -1 for none.
    """

    def __init__(self, faults: ChipFaults, description: BoardDescription) -> None:
        self.rows, self.columns = description.rows, description.columns
        self.reversed = faults.reversed_polarity
        self.dead_row = -1 if faults.dead_row is None else faults.dead_row
        self.to: dict[ArrayLine, Index] = {}
        self.open: dict[ArrayLine, NDArray[np.bool_]] = {}
        self.grounded: dict[ArrayLine, NDArray[np.bool_]] = {}
        self.bridged: dict[ArrayLine, int] = {}
        for kind in ArrayLine:
            self._wire(kind, faults)

    @classmethod
    def of(cls, faults: ChipFaults, description: BoardDescription) -> Self | None:
        """The wiring of a chip; None where every bond is as it should be."""
        _check_places(faults, description)
        wrong = (*_LINE_FAULTS, "dead_row", "reversed_polarity", "absent")
        return cls(faults, description) if set(wrong) & set(faults.planted) else None

    def count(self, kind: ArrayLine) -> int:
        """How many lines of a kind there are."""
        return self.rows if kind is ArrayLine.BIT_LINE else self.columns

    def cells(self, index: Index) -> Routed:
        """What is reached in place of the cells of these flat indices."""
        bit, source, word = ArrayLine.BIT_LINE, ArrayLine.SOURCE_LINE, ArrayLine.WORD_LINE
        row, column = index // self.columns, index % self.columns
        there, sensed, gated = self.to[bit][row], self.to[source][column], self.to[word][column]
        alive = (sensed == gated) & (there != self.dead_row)
        for kind, at in ((bit, row), (source, column), (word, column)):
            alive &= ~(self.open[kind][at] | self.grounded[kind][at])
        other = np.full(index.size, -1)
        first = self.bridged[bit]
        if first >= 0:
            partner = np.where(there == first, first + 1, np.where(there == first + 1, first, -1))
            other = np.where(partner >= 0, partner * self.columns + sensed, -1)
        return Routed(there * self.columns + sensed, alive, other, self.reversed)

    def far_end(self, driven: ArrayLine, line: int, probed: ArrayLine, number: int) -> float:
        """Fraction of the drive that the far end of a line shows."""
        kind = self.plugged(driven)
        if line >= self.count(kind) or self._lost(kind, line) or probed is not kind:
            return 0.0
        there, first = int(self.to[kind][line]), self.bridged[kind]
        pair = (first, first + 1) if first >= 0 else ()
        return float(number == there or (there in pair and number in pair))

    def near_end(self, driven: ArrayLine, line: int) -> float:
        """Fraction of the drive that the driver's end shows behind its resistor."""
        kind = self.plugged(driven)
        if line >= self.count(kind):
            return 1.0
        return 0.01 if self.grounded[kind][line] else 1.0

    def plugged(self, driven: ArrayLine) -> ArrayLine:
        """The kind of line that drivers of a kind are plugged to."""
        ends = {
            ArrayLine.BIT_LINE: ArrayLine.SOURCE_LINE,
            ArrayLine.SOURCE_LINE: ArrayLine.BIT_LINE,
        }
        return ends.get(driven, driven) if self.reversed else driven

    def _lost(self, kind: ArrayLine, line: int) -> bool:
        return bool(self.open[kind][line] or self.grounded[kind][line])

    def _wire(self, kind: ArrayLine, faults: ChipFaults) -> None:
        name, count = kind.name.lower(), self.count(kind)
        self.to[kind] = np.arange(count)
        if (pair := getattr(faults, f"swapped_{name}")) is not None:
            self.to[kind][list(pair)] = pair[::-1]
        for what, places in (("open", self.open), ("grounded", self.grounded)):
            places[kind] = np.full(count, faults.absent and what == "open")
            if (line := getattr(faults, f"{what}_{name}")) is not None:
                places[kind][line] = True
        bridged = getattr(faults, f"bridged_{name}")
        self.bridged[kind] = -1 if bridged is None else bridged


def _check_places(faults: ChipFaults, description: BoardDescription) -> None:
    """Raises InputError for a line that this array does not have."""
    for kind in (*_LINE_FAULTS, "dead_row", "railed_stage", *SUBTLE):
        place = getattr(faults, kind)
        if place is None:
            continue
        last = max(place) if isinstance(place, tuple) else place + kind.startswith("bridged")
        count = description.rows if _by_row(kind) else description.columns
        if last >= count:
            raise InputError(
                f"chip_faults: {kind}: this array has no line {last}, only 0 to {count - 1}"
            )


def _by_row(kind: str) -> bool:
    return kind.endswith(("bit_line", "_row"))
