"""The electrical nodes of a simulated board: rails, converters, connector pins, pads, temperature.

    rail:NAME            a supply's terminals at the board; names are those of the drawn board
    dac:CHANNEL          output of a DAC channel (`LoopSource` in lower case)
    adc:INPUT            input of the ADC (`AdcInput` in lower case)
    pin:BL3 pad:BL3      bit line 3 at the connector, and at the array; SL and WL likewise
    J7.17                whatever the drawn board has at that pin of a connector
    ground

Between requests a board has its outputs safe, so all nodes but the rails stand at zero; what they
do during a request is heard by whoever listens (`hil/sim/watch.py`). Nothing here is a way around
the wire: a node is what a probe or a wire of an instrument finds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws, fixtures
from hil.sim.converters import cut_normals
from hil.sim.pads import Pads, parts
from hil.sim.watch import LETTERS, Watch, line_node
from protocols.board_map import AdcChannel, BoardMap, DacChannel, LinePin, Supply, load_map
from protocols.errors import InputError
from protocols.messages import AdcInput, ArrayLine, LoopSource

if TYPE_CHECKING:
    from hil.sim.back_doors import BackDoors

F64 = NDArray[np.float64]

STREAM_RAIL = 223
"""(rail, volts or amperes): deviation of a board's supplies."""
STREAM_READING = 224
"""(instrument, number of its reading): noise of an instrument's readings."""

_LINE = re.compile(r"^(pin|pad):(BL|SL|WL|bit_line:|source_line:|word_line:)(\d+)$")
_LETTER_OF = {kind.name.lower() + ":": letters for kind, letters in LETTERS.items()}
_KIND_OF = {letters: kind for kind, letters in LETTERS.items()}
_CHANNELS = tuple(s.name.lower() for s in LoopSource if s is not LoopSource.REFERENCE)
_INPUTS = tuple(kind.name.lower() for kind in AdcInput)
_CABLING = {
    "scope:1": "pad:BL0",
    "scope:2": "pad:WL0",
    "scope:3": "pad:SL0",
    "scope:4": "dac:bit_line",
    "smu": "matrix",
    "pulser": "matrix",
}


@dataclass(frozen=True)
class Feed:
    """What a supply does to a rail: its setting, or nothing."""

    volts: float
    limit_amperes: float
    on: bool


class BoardNodes:
    """The nodes of one simulated board and what is connected to them.

    Attributes:
        drawn: the board whose connectors and rails these are.
        cabling: node by port of an instrument ("scope:1", "smu", "pulser"); "matrix" is the
            instrument's row of the switch matrix.
        pads: the array's pads, to those who drive them instead of the board.
    """

    def __init__(self, simulated: BackDoors, drawn: BoardMap | None = None) -> None:
        self._simulated = simulated
        settings = simulated.machine.settings
        self.settings = settings.bench
        self.drawn = load_map(self.settings.drawn) if drawn is None else drawn
        self.cabling = dict(_CABLING)
        self.pads = Pads(simulated)
        self._faults = settings.board_faults
        self._board_seed = settings.board_seed
        self._feeds: dict[str, Feed] = {}
        self._readings: dict[int, int] = {}

    # --- names -----------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Every node by its plain name."""
        description = self._simulated.machine.description
        width = description.loop.hidden_width
        channels = [n for n in _CHANNELS if not n.startswith("embedding_")]
        channels += [f"embedding_{k + 1}" for k in range(width)]
        counts = {"BL": description.rows, "SL": description.columns, "WL": description.columns}
        lines = [f"{letters}{k}" for letters, count in counts.items() for k in range(count)]
        return (
            "ground",
            *(f"rail:{name}" for name in self.rails),
            *(f"dac:{name}" for name in channels),
            *(f"adc:{name}" for name in _INPUTS),
            *(f"{place}:{line}" for place in ("pin", "pad") for line in lines),
        )

    def resolved(self, node: str) -> str:
        """The plain name of a node; InputError where there is none."""
        place = _LINE.match(node)
        if place is not None:
            return self._line(*place.groups())
        if node == "ground":
            return node
        kind, _, name = node.partition(":")
        known = {"rail": tuple(self.rails), "dac": _CHANNELS, "adc": _INPUTS}.get(kind, ())
        if name in known:
            return node
        found = self.drawn.at_probe(node)
        if isinstance(found, DacChannel) and found.name in _CHANNELS:
            return f"dac:{found.name}"
        if isinstance(found, AdcChannel):
            return f"adc:{found.name}"
        if isinstance(found, LinePin) and found.end == "near":
            return f"pin:{LETTERS[ArrayLine[found.kind.upper()]]}{found.number}"
        raise InputError(
            f"{node!r} is no node of this board; as in rail:logic, dac:bit_line, adc:read, pin:BL3,"
            " pad:WL5, ground, or a pin of a connector (J7.17)"
        )

    def _line(self, place: str, kind: str, number: str) -> str:
        letters = _LETTER_OF.get(kind, kind)
        description = self._simulated.machine.description
        count = description.rows if letters == "BL" else description.columns
        if int(number) >= count:
            raise InputError(f"{place}:{letters}{number}: this array has {letters}0 to {count - 1}")
        return f"{place}:{letters}{int(number)}"

    # --- what is there ---------------------------------------------------------------------------

    def volts(self, node: str) -> float:
        """Standing voltage of a node now, without noise."""
        node = self.resolved(node)
        if not node.startswith("rail:"):
            return 0.0
        name = node.removeprefix("rail:")
        return math.copysign(self.rail(name)[0], self.rails[name].volts)

    @property
    def celsius(self) -> float:
        """True temperature at the chip: the room's, with its slow wave."""
        of = self.settings
        turns = self._simulated.chip.now_s / of.celsius_period_s
        return of.celsius + of.celsius_swing * math.sin(2.0 * math.pi * turns)

    @property
    def rails(self) -> dict[str, Supply]:
        """The drawn board's supplies by name, in the order in which they are switched on."""
        return {supply.name: supply for supply in self.drawn.supplies}

    def rail(self, name: str) -> tuple[float, float]:
        """Volts and amperes of a rail at the board, as magnitudes.

        A rail that no supply was connected to is fed at its nominal voltage. The board draws what
        it draws in proportion to the voltage; at the limit of its supply the voltage gives way.
        """
        drawn = self._supply(name)
        number = tuple(self.rails).index(name)
        z = cut_normals(self._board_seed, STREAM_RAIL, 2, number)
        feed = self._feeds.get(name, Feed(abs(drawn.volts), drawn.limit_amperes, True))
        if not feed.on:
            return 0.0, 0.0
        volts = abs(feed.volts) * (1.0 + self.settings.rail_sd * z[0])
        volts *= self._factor(name, low=True)
        least, most = drawn.draws_amperes
        usual = (least + self.settings.rail_share * (most - least)) * self._factor(name, low=False)
        amperes = usual * (1.0 + self.settings.rail_current_sd * z[1]) * volts / abs(drawn.volts)
        if amperes > feed.limit_amperes:
            volts *= feed.limit_amperes / amperes
            amperes = feed.limit_amperes
        return float(volts), float(amperes)

    def _factor(self, name: str, *, low: bool) -> float:
        planted = self._faults.supply_low if low else self._faults.rail_over_current
        return planted[1] if planted is not None and planted[0] == name else 1.0

    def _supply(self, name: str) -> Supply:
        if name not in self.rails:
            raise InputError(f"this board has no rail {name!r}, only {', '.join(self.rails)}")
        return self.rails[name]

    # --- what is connected -----------------------------------------------------------------------

    def feed(self, name: str, volts: float, limit_amperes: float, on: bool) -> None:
        """What a supply does to a rail from now on."""
        self._supply(name)
        self._feeds[name] = Feed(volts, limit_amperes, on)

    def unfeed(self, name: str) -> None:
        """The supply is gone: the rail is fed as it was before one came."""
        self._feeds.pop(name, None)

    def connect(self, port: str, node: str) -> None:
        """Put a probe or a cable of an instrument to a node.

        Raises:
            InputError: no such port or node.
        """
        port = port.rstrip(":")
        if port not in self.cabling:
            known = ", ".join(self.cabling)
            raise InputError(f"{port!r} is no port of a simulated instrument; there are {known}")
        self.cabling[port] = node if node == "matrix" else self.resolved(node)

    def put_probe(self, role: str, channel: str, node: str) -> None:
        """`connect`, by the role and the channel of an instrument."""
        self.connect(f"{role}:{channel}" if role == "scope" else role, node)

    @property
    def fitted(self) -> str:
        """What is in the chip's socket: "chip", "resistor board" or "nothing"."""
        return self._simulated.chip.fitted

    def fit(self, what: str) -> None:
        """Put a fixture into the socket, or the chip back; InputError for another thing."""
        machine = self._simulated.machine
        fixtures.fit(machine.chip, what, machine.description, machine.settings)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the array."""
        description = self._simulated.machine.description
        return description.rows, description.columns

    @property
    def read_level_volts(self) -> float:
        """Up to which nothing changes a cell."""
        return self._simulated.machine.description.limits.read_volts

    def pad_behind(self, node: str) -> str:
        """The pad that a connector's pin is wired to; a pad is itself."""
        kind, line = parts(node)
        if node.startswith("pin:"):
            line = self._simulated.machine.front_end.watched.pad_of(kind, line)
        return line_node("pad", kind, line)

    # --- for instruments -------------------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        """What the nodes do, to those who listen."""
        return self._simulated.machine.front_end.watched.watch

    @property
    def now_ns(self) -> int:
        """The chip's clock."""
        return self._simulated.chip.now_ns

    def pass_time(self, duration_s: float) -> None:
        """What an instrument takes: time of the chip that the board's clock does not see."""
        self._simulated.meanwhile(duration_s)

    def normals(self, instrument: int, count: int = 1) -> F64:
        """Standard normals (count,) of an instrument's next reading."""
        number = self._readings.get(instrument, 0)
        self._readings[instrument] = number + 1
        seed = self.settings.seed
        return draws.normals(seed, STREAM_READING, np.arange(count), instrument, number)
