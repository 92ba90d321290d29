"""Which pin is what: chip pads, lines, connectors, converters, switches and the controller's pins.

    board = load_map("reference")
    board.connector_pin("bit_line", 17)        J1.18
    board.line_at("J1.18").pad                 BL17
    board.dac_channel("word_line").probe       J7.17, where a probe finds DAC 5, output A
    board.adc_channel("read").pin              PC0
    board.mcu_pin("switch preset_1").pin       PD0

The map is the one that the firmware's table of pins is generated from: change a pin in the drawn
board, and both change. Names are those of the messages (`LoopSource`, `AdcInput`, `ArrayLine`) in
lower case; blanks and underscores are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from protocols.drawn_board import (
    LINE_KINDS,
    UNUSED,
    WORDS,
    DrawnBoard,
    LineKind,
    Pull,
    Supply,
)
from protocols.drawn_checks import load_drawn
from protocols.errors import InputError

__all__ = ["AdcChannel", "BoardMap", "DacChannel", "LinePin", "McuLine", "Supply", "load_map"]

REFERENCE = "reference"
MAPS = Path(__file__).parent / "board_maps"
_UNIPOLAR = ("word_line", "bit_line", "source_line")
_CODES = ("feedback_1", "feedback_2", "feedback_3", "reference_1", "reference_2", "reference_3")


@dataclass(frozen=True)
class LinePin:
    """One end of one line of the array.

    Attributes:
        kind: bit_line, source_line or word_line.
        number: of the row or the column.
        end: near is the driver's, far comes back by a bond of its own.
        pad: of the chip.
        connector_pin: where it enters the board.
        channel: the DAC channel that drives it, by name.
        register: of the select bus that takes the number to the line's switch.
    """

    kind: LineKind
    number: int
    end: Literal["near", "far"]
    pad: str
    connector_pin: str
    channel: str
    register: int


@dataclass(frozen=True)
class DacChannel:
    """One output of one DAC.

    Attributes:
        name: what it drives; empty where it drives nothing.
        dac: number of the DAC, from 1.
        output: A to D.
        ref: of the part.
        probe: pin of the header that the output is led to.
        word: which word of a tick it gets, None where none.
        bipolar: zero stands in the middle of the span.
        safe_code: of a 12-bit converter, when nothing is to be driven; None for an unused output.
        published: whether the channel is the published firmware's.
    """

    name: str
    dac: int
    output: str
    ref: str
    probe: str
    word: int | None
    bipolar: bool
    safe_code: int | None
    published: bool


@dataclass(frozen=True)
class AdcChannel:
    """One input of the ADC; `span` names its full scale in the board description."""

    name: str
    input: int
    pin: str
    probe: str
    bipolar: bool
    span: str


@dataclass(frozen=True)
class McuLine:
    """One pin of the controller.

    Attributes:
        signal: what it is, as `switch preset_1`, `select data 3`, `dac 5 cs`, `spi 2 clk`.
        pin: PD0 and so on.
        direction: output, input, analog, or that of a peripheral (spi, timer, uart).
        pull: resistor on the board that holds it while the controller does not.
        safe: its level when nothing is driven, None where that does not matter.
    """

    signal: str
    pin: str
    direction: Literal["output", "input", "analog", "spi", "timer", "uart"]
    pull: Pull | None
    safe: int | None


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


class BoardMap:
    """Look-ups in one drawn board, with the lines of its DACs in one of its wirings."""

    def __init__(self, drawn: DrawnBoard, wiring: str = REFERENCE) -> None:
        """Raises InputError where the board has no such wiring."""
        if wiring not in drawn.wirings:
            known = ", ".join(drawn.wirings)
            raise InputError(f"board {drawn.name} has no wiring {wiring!r}; there are {known}")
        self.drawn = drawn
        self.wiring = drawn.wirings[wiring]
        self.lines: tuple[LinePin, ...] = tuple(_line_pins(drawn))
        self.dac_channels: tuple[DacChannel, ...] = tuple(_dac_channels(drawn))
        self.adc_channels: tuple[AdcChannel, ...] = tuple(
            AdcChannel(_plain(a.name), a.input, a.pin, a.probe, a.bipolar, a.span)
            for a in drawn.adc
        )
        self.mcu_lines: tuple[McuLine, ...] = tuple(_mcu_lines(drawn, wiring))
        self._ends = {(pin.kind, pin.number, pin.end): pin for pin in self.lines}
        self._at = {pin.connector_pin: pin for pin in self.lines}
        self._dacs = {channel.name: channel for channel in self.dac_channels if channel.name}
        self._outputs = {(channel.dac, channel.output): channel for channel in self.dac_channels}
        self._adcs = {channel.name: channel for channel in self.adc_channels}
        self._mcu = {line.signal: line for line in self.mcu_lines}

    @property
    def supplies(self) -> tuple[Supply, ...]:
        """The supplies in the order in which they are switched on."""
        return self.drawn.supplies

    # --- the array ---------------------------------------------------------------------------

    def line(self, kind: str, number: int, end: Literal["near", "far"] = "near") -> LinePin:
        """One end of a line of the array; InputError where there is none."""
        for known in LINE_KINDS:
            if known == _plain(kind) and (known, number, end) in self._ends:
                return self._ends[known, number, end]
        raise InputError(f"board {self.drawn.name} has no {kind} {number} ({end} end)")

    def connector_pin(self, kind: str, number: int, end: Literal["near", "far"] = "near") -> str:
        """The connector pin of one end of a line of the array, as J1.18."""
        return self.line(kind, number, end).connector_pin

    def line_at(self, connector_pin: str) -> LinePin | None:
        """What line comes in at a connector pin; None where none does."""
        return self._at.get(connector_pin)

    def neighbours(self, kind: str, number: int) -> tuple[LinePin, ...]:
        """Near ends of lines that run beside a line: its own kind's, and those parallel to it."""
        here = self.line(kind, number)
        found = [self._ends.get((here.kind, number + step, "near")) for step in (-1, 1)]
        for group in self.drawn.parallel:
            if here.kind in group.lines:
                found += [
                    self._ends.get((k, number, "near")) for k in group.lines if k != here.kind
                ]
        return tuple(pin for pin in found if pin is not None)

    # --- converters --------------------------------------------------------------------------

    def dac_channel(self, name: str) -> DacChannel:
        """The DAC channel of a name (`word_line`, `embedding_3`); InputError where none is."""
        return _found(self._dacs, name, "DAC channel", self.drawn.name)

    def dac_output(self, dac: int, output: str) -> DacChannel:
        """What one output (A to D) of one DAC is; InputError where there is none."""
        if (dac, output) not in self._outputs:
            raise InputError(f"board {self.drawn.name} has no output {output} of DAC {dac}")
        return self._outputs[dac, output]

    def adc_channel(self, name: str) -> AdcChannel:
        """The ADC input of a name (`read`, `sample_1`); InputError where none is."""
        return _found(self._adcs, name, "ADC input", self.drawn.name)

    def at_probe(self, pin: str) -> DacChannel | AdcChannel | LinePin | None:
        """What a probe finds at a connector pin: a DAC output, an ADC input or a line."""
        both: tuple[DacChannel | AdcChannel, ...] = (*self.dac_channels, *self.adc_channels)
        for channel in both:
            if channel.probe == pin:
                return channel
        return self.line_at(pin)

    # --- the controller ----------------------------------------------------------------------

    def mcu_pin(self, signal: str) -> McuLine:
        """The controller's pin of a signal; InputError where there is none."""
        if signal not in self._mcu:
            raise InputError(f"board {self.drawn.name}: the controller has no line {signal!r}")
        return self._mcu[signal]

    def signal_at(self, pin: str) -> tuple[str, ...]:
        """Signals of a pin of the controller (a shared SPI has several)."""
        return tuple(line.signal for line in self.mcu_lines if line.pin == pin)


_Found = TypeVar("_Found")


def _found(known: dict[str, _Found], name: str, what: str, board: str) -> _Found:
    if (plain := _plain(name)) not in known:
        raise InputError(f"board {board} has no {what} {name!r}; there are {', '.join(known)}")
    return known[plain]


def _line_pins(drawn: DrawnBoard) -> Iterable[LinePin]:
    for kind in LINE_KINDS:
        of = drawn.lines[kind]
        for number in range(drawn.lines_of(kind)):
            pads = (("near", of.pad), ("far", of.far_pad))
            for end, pad in pads:
                yield LinePin(
                    kind,
                    number,
                    "far" if end == "far" else "near",
                    pad.format(n=number),
                    of.pin_of(number, far=end == "far"),
                    _plain(of.channel),
                    of.register_,
                )


def _dac_channels(drawn: DrawnBoard) -> Iterable[DacChannel]:
    for place, dac in enumerate(drawn.dacs):
        for k, channel in enumerate(dac.channels):
            name = "" if channel == UNUSED else _plain(channel)
            bipolar = bool(name) and name not in _UNIPOLAR + _CODES
            yield DacChannel(
                name=name,
                dac=dac.number,
                output="ABCD"[k],
                ref=dac.ref,
                probe=f"{drawn.dac_part.probes}.{4 * place + k + 1}",
                word=WORDS.index(channel) if channel in WORDS else None,
                bipolar=bipolar,
                safe_code=(2048 if bipolar else 0) if name else None,
                published=dac.source == "published" and channel not in dac.chosen,
            )


def _mcu_lines(drawn: DrawnBoard, wiring: str) -> Iterable[McuLine]:
    for number, lines in sorted(drawn.wirings[wiring].dacs.items()):
        kind: Literal["spi", "output"] = "output" if lines.spi is None else "spi"
        yield McuLine(f"dac {number} cs", lines.cs, "output", "up", 1)
        yield McuLine(f"dac {number} clk", lines.clk, kind, None, None)
        yield McuLine(f"dac {number} din", lines.din, kind, None, None)
    for switch in drawn.switches:
        yield McuLine(f"switch {switch.name}", switch.pin, "output", switch.pull, 0)
    select, rows = drawn.select, drawn.rows_dac
    for what, pins in (("data", select.data), ("register", select.register_)):
        for k, pin in enumerate(pins):
            yield McuLine(f"select {what} {k}", pin, "output", None, None)
    yield McuLine("select strobe", select.strobe, "output", select.pull, 0)
    yield McuLine("rows clk", rows.clk, "spi", None, None)
    yield McuLine("rows din", rows.din, "spi", None, None)
    yield McuLine("rows cs", rows.cs, "output", "up", 1)
    yield McuLine("rows update", rows.update, "output", "up", 1)
    yield McuLine("rows clear", rows.clear, "output", rows.pull, 0)
    yield McuLine("pulse window", drawn.pulse.pin, "timer", drawn.pulse.pull, 0)
    yield McuLine("interlock", drawn.interlock.pin, "input", None, None)
    for adc in drawn.adc:
        yield McuLine(f"adc {_plain(adc.name)}", adc.pin, "analog", None, None)
    yield McuLine("uart tx", drawn.serial.tx, "uart", None, None)
    yield McuLine("uart rx", drawn.serial.rx, "uart", None, None)


@cache
def load_map(name_or_path: str | Path = REFERENCE, wiring: str = REFERENCE) -> BoardMap:
    """The map of a board that comes with the project, or of a drawn board in a file.

    Raises:
        ConfigError: no such file, or it is not a drawn board.
        InputError: the board has no such wiring.
    """
    shipped = MAPS / f"{name_or_path}.json"
    path = shipped if shipped.is_file() else Path(name_or_path)
    return BoardMap(load_drawn(path), wiring)
