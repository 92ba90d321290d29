"""The board as it is drawn: parts, lines and pins in one file, checked whole.

`firmware/board/reference.yaml` is the file. Firmware tables, netlist, bill of parts, pin map and
diagram are generated from it by `protocols.codegen`; host and simulator look pins up in it by
`protocols.board_map`. Every item says where it comes from: `published`, or `choice` for what is
this project's choice because no source states it. `protocols.drawn_checks` has what must fit
together, and reads the file.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from protocols.hardware import LINES_MAX

Source = Literal["published", "choice"]
SOURCES = {"published": "published", "choice": "this project's choice"}
Pull = Literal["up", "down"]
Positive = Annotated[float, Field(gt=0)]
McuPin = Annotated[str, Field(pattern=r"^P[A-G]([0-9]|1[0-5])$")]
ConnectorPin = Annotated[str, Field(pattern=r"^J[0-9]+\.[0-9]+$")]
Connector = Annotated[str, Field(pattern=r"^J[0-9]+$")]
Ref = Annotated[str, Field(pattern=r"^[A-Z]{1,3}[0-9]+$")]
Operation = Literal["set", "form", "reset", "read", "multiply"]
LineKind = Literal["bit_line", "source_line", "word_line"]
LINE_KINDS: tuple[LineKind, ...] = ("bit_line", "source_line", "word_line")

UNUSED = "unused"
WORDS = ("drift", "score", "noise 1", "noise 2", *(f"embedding {i}" for i in range(1, 15)))
"""DAC channels that a tick updates, in the order of the words of a tick."""
OTHERS = (
    *("initial 1", "initial 2", "word line", "bit line", "source line"),
    *("feedback 1", "feedback 2", "feedback 3", "reference 1", "reference 2", "reference 3"),
)
"""The other DAC channels that the firmware drives."""

# Pins of the SPIs and their alternate function (data sheet of the STM32F407, table 9).
SPI_CLK = {"PA5": 1, "PB3": 1, "PB10": 2, "PB13": 2, "PC10": 3}
SPI_DIN = {"PA7": 1, "PB5": 1, "PB15": 2, "PC3": 2, "PC12": 3}


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: Source


class Supply(_Item):
    """One supply. `draws_amperes` is what the board takes of it, least and most, when idle or at
    work; `settle_s` how long after it was switched on its volts are looked at."""

    name: str
    net: str
    volts: float
    tolerance: Annotated[float, Field(gt=0, le=0.2)]
    limit_amperes: Positive
    draws_amperes: tuple[Annotated[float, Field(ge=0)], Positive]
    settle_s: Positive
    feeds: str

    @model_validator(mode="after")
    def _draws_below_its_limit(self) -> Supply:
        low, high = self.draws_amperes
        if not low < high < self.limit_amperes:
            raise ValueError("draws_amperes has to be least, most, both below limit_amperes")
        return self


class Controller(_Item):
    """The microcontroller."""

    part: str
    ref: Ref
    crystal_hertz: int


class SerialLine(_Item):
    """The line to the host."""

    tx: McuPin
    rx: McuPin
    connector: Connector


class Reset(_Item):
    """The controller's reset line, and which parts it clears."""

    net: str
    also_clears: tuple[Ref, ...]
    note: str


class Pulse(_Item):
    """The window of a pulse: the output of a timer that ends it by itself."""

    pin: McuPin
    timer: Literal["TIM5"]
    channel: Literal[1]
    one_pulse: Literal[True]
    pull: Literal["down"]


class Interlock(_Item):
    """The input that has to be closed for anything above the read level."""

    pin: McuPin
    closed: Literal["low"]
    connector: Connector


class Switch(_Item):
    """An analog switch of the loop; high is closed."""

    name: str
    pin: McuPin
    pull: Literal["down"]
    probe: ConnectorPin


class Select(_Item):
    """The bus of latched registers."""

    data: tuple[McuPin, ...]
    register_: tuple[McuPin, ...] = Field(alias="register")
    strobe: McuPin
    pull: Literal["down"]


class RowsDac(_Item):
    """The DACs of the bit lines, for products."""

    spi: Literal[1, 2, 3]
    clk: McuPin
    din: McuPin
    cs: McuPin
    update: McuPin
    clear: McuPin
    pull: Literal["down"]


class AdcInput(_Item):
    """One input of the ADC."""

    name: str
    input: Annotated[int, Field(ge=0, le=15)]
    pin: McuPin
    bipolar: bool
    span: str
    probe: ConnectorPin


class DacPart(_Item):
    """What all DACs are, and the header that their outputs are led to."""

    part: str
    probes: Connector


class Dac(_Item):
    """One quad DAC; `chosen` are channels that are this project's choice whatever its source is."""

    number: Annotated[int, Field(ge=1, le=16)]
    ref: Ref
    channels: tuple[str, str, str, str]
    chosen: tuple[str, ...] = ()


class DacWord(_Item):
    """A word that a DAC understands."""

    word: Annotated[int, Field(ge=0, le=0xFFFF)]


class DacWords(BaseModel):
    """The words that the firmware sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    write: DacWord
    load: DacWord
    update: DacWord
    power_up: DacWord


class DacLines(BaseModel):
    """The lines of one DAC; without `spi` it is bit-banged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spi: Literal[1, 2, 3] | None = None
    din: McuPin
    cs: McuPin
    clk: McuPin


class Wiring(_Item):
    """How the DACs' lines reach the controller."""

    dacs: dict[int, DacLines]

    @property
    def buses(self) -> dict[int, list[int]]:
        """Numbers of the DACs on each SPI."""
        found: dict[int, list[int]] = {}
        for number, lines in sorted(self.dacs.items()):
            if lines.spi is not None:
                found.setdefault(lines.spi, []).append(number)
        return found


class Lines(_Item):
    """One kind of line of the array."""

    runs_along: Literal["row", "column"]
    pad: str
    connector: Connector
    first_pin: Annotated[int, Field(ge=1)]
    far_pad: str
    far_connector: Connector
    channel: str
    register_: Annotated[int, Field(ge=0, le=31)] = Field(alias="register")
    moved: dict[int, ConnectorPin]

    def pin_of(self, number: int, far: bool = False) -> str:
        """Connector pin of a line's near or far end."""
        if not far and number in self.moved:
            return self.moved[number]
        return f"{self.far_connector if far else self.connector}.{self.first_pin + number}"


class Parallel(_Item):
    """Kinds of line that run parallel."""

    lines: tuple[LineKind, ...]
    because: str


Held = Literal["ground", "driver"]


class Inhibit(_Item):
    """What lines that are not selected are held at during an operation."""

    operation: Operation
    bit_line: Held
    source_line: Held
    word_line: Literal["ground"]


class Gate(_Item):
    """The gate bias of an operation that does not say its own."""

    operation: Literal["read", "multiply"]
    bias: Literal["set limit"] | Positive


class Batch(_Item):
    """Which cells may be pulsed in one batch."""

    cells_at_once: Literal[1]
    pulses_per_step: Annotated[int, Field(ge=1, le=64)]
    together: Literal["any"]


class Part(_Item):
    """A part that does not follow from the rest of the file.

    `pins` are nets by pin; `{n}` counts from 0 where `per` has the part several times. A net that
    several lines share as a bundle (`MODE`, `ROW_SELECT`) stands for the bundle.
    """

    ref: Ref
    part: str
    what: str
    needs: str = ""
    per: Literal["row", "column"] | Annotated[int, Field(ge=1, le=1024)] = 1
    pins: dict[str, str]

    @field_validator("pins", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return {str(pin): net for pin, net in value.items()} if isinstance(value, dict) else value

    def count(self, rows: int, columns: int) -> int:
        """How many there are on a board."""
        return {"row": rows, "column": columns}.get(str(self.per), 0) or int(self.per)


class PullPart(_Item):
    """The resistors of all lines with a pull."""

    part: str
    first_ref: Ref
    against: str


class Chip(_Item):
    """The chip in its socket."""

    ref: Ref
    what: str


class DrawnBoard(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    rows: Annotated[int, Field(ge=1, le=LINES_MAX)]
    columns: Annotated[int, Field(ge=1, le=LINES_MAX)]
    supplies: tuple[Supply, ...]
    controller: Controller
    serial: SerialLine
    reset: Reset
    pulse: Pulse
    interlock: Interlock
    switches: tuple[Switch, ...]
    select: Select
    rows_dac: RowsDac
    adc: tuple[AdcInput, ...]
    dac_part: DacPart
    dacs: tuple[Dac, ...]
    dac_words: DacWords
    wirings: dict[str, Wiring]
    lines: dict[LineKind, Lines]
    parallel: tuple[Parallel, ...]
    inhibit: tuple[Inhibit, ...]
    gates: tuple[Gate, ...]
    batch: Batch
    pull: PullPart | None = None
    chip: Chip | None = None
    bundles: dict[str, str] = Field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    def lines_of(self, kind: LineKind) -> int:
        """How many lines of a kind there are."""
        return self.rows if self.lines[kind].runs_along == "row" else self.columns


def port_of(pin: str) -> tuple[str, int]:
    """Port letter and number of `PB3`."""
    return pin[1], int(pin[2:])


def macro(name: str) -> str:
    """`word line` as `WORD_LINE`."""
    return re.sub(r"\W", "_", name).upper()
