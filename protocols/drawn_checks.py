"""A drawn board read from its file, and what has to fit together in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from protocols.drawn_board import (
    LINE_KINDS,
    OTHERS,
    SPI_CLK,
    SPI_DIN,
    UNUSED,
    WORDS,
    DrawnBoard,
    Wiring,
    port_of,
)
from protocols.errors import ConfigError, FileError
from protocols.files import parse_json, parse_yaml, read_text
from protocols.hardware import MAX_FILE_BYTES, explain


def findings(board: DrawnBoard) -> Iterator[str]:
    """What does not fit together, one sentence each."""
    numbers = sorted(dac.number for dac in board.dacs)
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"dacs: their numbers are {numbers}, not 1 to {len(numbers)}"
    channels = sorted(c for dac in board.dacs for c in dac.channels if c != UNUSED)
    if channels != sorted(WORDS + OTHERS):
        odd = set(channels) ^ set(WORDS + OTHERS) or {c for c in channels if channels.count(c) > 1}
        yield f"dacs: channels are not those that the firmware drives: {', '.join(sorted(odd))}"
    if "reference" not in board.wirings:
        yield "wirings: there is none that is called reference"
    if missing := set(LINE_KINDS) - set(board.lines):
        yield f"lines: missing: {', '.join(sorted(missing))}"
        return
    for name, wiring in board.wirings.items():
        yield from _of_wiring(board, name, wiring, numbers)
    yield from _of_ports(board)
    yield from _of_connectors(board)


def _of_wiring(board: DrawnBoard, name: str, wiring: Wiring, numbers: list[int]) -> Iterator[str]:
    if sorted(wiring.dacs) != numbers:
        yield f"wirings.{name}: it has to have the lines of DACs 1 to {len(numbers)}"
        return
    for number, lines in wiring.dacs.items():
        if lines.spi is not None and not _on(lines.spi, lines.clk, lines.din):
            yield f"wirings.{name}: DAC {number} does not stand on the pins of SPI {lines.spi}"
    for spi, members in wiring.buses.items():
        if len({(wiring.dacs[n].clk, wiring.dacs[n].din) for n in members}) > 1:
            yield f"wirings.{name}: the DACs on SPI {spi} are not on the same two pins"
        if len({port_of(wiring.dacs[n].cs)[0] for n in members}) > 1:
            yield f"wirings.{name}: the selects of SPI {spi} have to be on one port"
        if spi == board.rows_dac.spi:
            yield f"wirings.{name}: SPI {spi} is that of the rows' DACs"
    yield from _twice(f"wirings.{name}: pins used twice", pins_of(board, wiring))


def _on(spi: int, clk: str, din: str) -> bool:
    return SPI_CLK.get(clk) == spi and SPI_DIN.get(din) == spi


def pins_of(board: DrawnBoard, wiring: Wiring) -> list[str]:
    """Every pin of the controller, each as often as it is used; a shared SPI counts once."""
    shared = {pin for n in wiring.dacs.values() if n.spi for pin in (n.clk, n.din)}
    own = [n.cs for n in wiring.dacs.values()]
    own += [pin for n in wiring.dacs.values() if not n.spi for pin in (n.din, n.clk)]
    rows = board.rows_dac
    own += [*board.select.data, *board.select.register_, board.select.strobe]
    own += [rows.clk, rows.din, rows.cs, rows.update, rows.clear]
    own += [*(switch.pin for switch in board.switches), *(adc.pin for adc in board.adc)]
    own += [board.pulse.pin, board.interlock.pin, board.serial.tx, board.serial.rx]
    return [*sorted(shared), *own]


def _of_ports(board: DrawnBoard) -> Iterator[str]:
    """What the firmware writes with one instruction has to stand on one port."""
    rows, select = board.rows_dac, board.select
    if not _on(rows.spi, rows.clk, rows.din):
        yield "rows_dac: it does not stand on the pins of its SPI"
    if len({port_of(pin)[0] for pin in (rows.cs, rows.update, rows.clear)}) != 1:
        yield "rows_dac: cs, update and clear have to be on one port"
    if len({port_of(switch.pin)[0] for switch in board.switches}) != 1:
        yield "switches: they have to be on one port"
    wanted = {"preset_1", "integrate_1", "preset_2", "integrate_2"}
    if {switch.name for switch in board.switches} != wanted:
        yield f"switches: they have to be {', '.join(sorted(wanted))}"
    bus = [port_of(pin) for pin in (*select.data, *select.register_, select.strobe)]
    if len({port for port, _ in bus}) != 1 or [number for _, number in bus] != list(range(14)):
        yield "select: the bus has to be the lines 0 to 13 of one port"
    if board.pulse.pin != "PA0":
        yield "pulse: channel 1 of TIM5 is on PA0"
    if [(adc.input, adc.pin) for adc in board.adc] != [(10 + k, f"PC{k}") for k in range(4)]:
        yield "adc: inputs 10 to 13 stand on PC0 to PC3, in order"


def _of_connectors(board: DrawnBoard) -> Iterator[str]:
    """No connector pin twice."""
    used = [switch.probe for switch in board.switches] + [adc.probe for adc in board.adc]
    used += [f"{board.dac_part.probes}.{k + 1}" for k in range(4 * len(board.dacs))]
    for kind, lines in board.lines.items():
        count = board.lines_of(kind)
        used += [lines.pin_of(k, far) for far in (False, True) for k in range(count)]
        if outside := [n for n in lines.moved if n not in range(count)]:
            yield f"lines.{kind}: there is no line {outside[0]} to be moved"
    yield from _twice("connector pins used twice", used)


def _twice(what: str, used: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    again = sorted({pin for pin in used if pin in seen or seen.add(pin)})  # type: ignore[func-returns-value]
    if again:
        yield f"{what}: {', '.join(again[:5])}"


def parse_drawn(text: str, origin: str) -> DrawnBoard:
    """The board in a text, YAML as it is drawn or JSON as it is generated; `origin` names it.

    Raises:
        ConfigError: neither of the two, an unknown key, a value that is not allowed, or parts that
            do not fit together; one line per finding.
    """
    try:
        data: Any = parse_json(text) if text.startswith("{") else parse_yaml(text)
        drawn = DrawnBoard.model_validate(data)
    except FileError as error:
        raise ConfigError(f"{origin}: the drawn board cannot be read ({error})") from error
    except ValidationError as error:
        raise ConfigError(explain(origin, error)) from error
    if found := "\n".join(f"{origin}: {finding}" for finding in findings(drawn)):
        raise ConfigError(found)
    return drawn


def load_drawn(path: Path) -> DrawnBoard:
    """The board in a file, as `parse_drawn`.

    Raises:
        ConfigError: as `parse_drawn`, and where there is no such file.
    """
    try:
        text = read_text(path, MAX_FILE_BYTES)
    except FileError as error:
        raise ConfigError(f"{path}: the drawn board cannot be read ({error})") from error
    return parse_drawn(text, str(path))
