"""The firmware's table of pins and channels, from the drawn board.

One header per wiring, `firmware/board/<wiring>/pins.h`: which pins drive which DAC, which channel
each word goes to, what else has a pin, what the pins idle at, and which pulls hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocols.drawn_board import (
    OTHERS,
    WORDS,
    Dac,
    DacLines,
    DrawnBoard,
    Wiring,
    macro,
    port_of,
)
from protocols.hardware import BoardDescription

SPI_ALTERNATE = {1: 5, 2: 5, 3: 6}
SET_LIMIT = "BOARD_SET_GATE_MAX"


def render_pins(drawn: DrawnBoard, wiring: str, description: BoardDescription) -> str:
    """The text of pins.h of one wiring."""
    wired = drawn.wirings[wiring]
    lines = [
        f"/* Generated from firmware/board/{drawn.name}.yaml, wiring {wiring}, by"
        " protocols.codegen; do not edit. */",
        "/* clang-format off */",
        "#ifndef PINS_H\n#define PINS_H\n",
        '#include "dac_pins.h"\n',
        *_dacs(drawn, wired),
        "",
        *_channels(drawn),
        "",
        *_switches(drawn),
        *_rows(drawn),
        *_inputs(drawn),
        "",
        *_biases(drawn, description),
        "",
        *_levels(drawn, wired),
    ]
    return "\n".join([*lines, "", "#endif", ""])


def _spi_row(index: int, part: DacLines, spi: int) -> str:
    """What stands on a hardware SPI, as an initialiser."""
    (clk, clk_number), (din, din_number) = port_of(part.clk), port_of(part.din)
    return (
        f"{{{index}, {spi}, {SPI_ALTERNATE[spi]}, {clk_number}, {din_number},"
        f" &GPIO{clk}, &GPIO{din}}}"
    )


def _banged(lines: DacLines) -> list[str]:
    """Lines of a DAC that are written bit by bit."""
    return [lines.din, lines.cs, lines.clk] if lines.spi is None else [lines.cs]


def _mask(dacs: Iterable[Dac], wanted: Callable[[Dac], bool]) -> str:
    """A set of DACs as bits."""
    return f"0x{sum(1 << (dac.number - 1) for dac in dacs if wanted(dac)):04x}u"


def _dacs(drawn: DrawnBoard, wired: Wiring) -> list[str]:
    words = drawn.dac_words
    ports = _ports(wired)
    lines = [
        f"#define DAC_COUNT {len(drawn.dacs)}u",
        f"#define DAC_PORTS {len(ports)}u",
        *(
            f"#define DAC_{name.upper()} 0x{getattr(words, name).word:04x}u"
            for name in ("write", "load", "update", "power_up")
        ),
        f"#define DAC_ALL {_mask(drawn.dacs, lambda _: True)}",
        f"#define DAC_SPI_SET {_mask(drawn.dacs, lambda d: wired.dacs[d.number].spi is not None)}",
        "/* Those with words of a tick. */",
        f"#define DAC_LOOP_SET {_mask(drawn.dacs, lambda d: bool(set(WORDS) & set(d.channels)))}",
        *_spis(wired),
        "",
        f"#define DAC_PORT_REGISTERS {{{', '.join(f'&GPIO{port}' for port in ports)}}}",
        "#define DAC_PIN_TABLE { \\",
    ]
    for number in sorted(wired.dacs):
        lines.append(f"    {{{_places(wired.dacs[number], ports)}}}, \\")
    return [*lines, "}"]


def _ports(wired: Wiring) -> list[str]:
    """Ports with lines of DACs that the program writes."""
    return sorted({port_of(pin)[0] for lines in wired.dacs.values() for pin in _banged(lines)})


def _places(lines: DacLines, ports: list[str]) -> str:
    """Index of the port and number of data, select and clock; those of an SPI are nowhere."""
    found = []
    for pin in (lines.din, lines.cs, lines.clk):
        port, number = port_of(pin) if pin in _banged(lines) else (ports[0], 0)
        found.append(f"{{{ports.index(port)}, {number}}}")
    return ", ".join(found)


def _spis(wired: Wiring) -> list[str]:
    """DACs on hardware SPIs, and the buses that they share, each closed by an empty row."""
    rows = [
        _spi_row(number - 1, lines, lines.spi)
        for number, lines in sorted(wired.dacs.items())
        if lines.spi is not None
    ]
    buses = [
        f"{{{spi}, 0x{sum(1 << (number - 1) for number in members):04x}u}}"
        for spi, members in sorted(wired.buses.items())
    ]
    return [
        f"#define DAC_SPI_TABLE {{{', '.join([*rows, '{0, 0, 0, 0, 0, 0, 0}'])}}}",
        f"#define DAC_BUSES {len(buses)}u",
        f"#define DAC_BUS_TABLE {{{', '.join([*buses, '{0, 0}'])}}}",
    ]


def _channels(drawn: DrawnBoard) -> list[str]:
    place = {c: (d.number - 1, k) for d in drawn.dacs for k, c in enumerate(d.channels)}
    lines = ["/* Where the words of a tick go: DAC, channel. */", "#define WORD_CHANNELS { \\"]
    lines += [f"    {{{place[w][0]}, {place[w][1]}}}, /* {w} */ \\" for w in WORDS]
    lines += ["}", ""]
    return lines + [f"#define CHANNEL_{macro(c)} {{{place[c][0]}, {place[c][1]}}}" for c in OTHERS]


def _switches(drawn: DrawnBoard) -> list[str]:
    lines = [
        f"#define SWITCH_{macro(switch.name)} (1u << {port_of(switch.pin)[1]})"
        for switch in drawn.switches
    ]
    return [
        *lines,
        f"#define SWITCH_PORT GPIO{port_of(drawn.switches[0].pin)[0]}",
        f"#define SELECT_PORT GPIO{port_of(drawn.select.strobe)[0]}",
        "#define SELECT_STROBE (1u << 13)",
        "#define SELECT_LINES 0x3fffu",
    ]


def _rows(drawn: DrawnBoard) -> list[str]:
    """The DACs of the bit lines: their SPI, and three lines on one port."""
    rows = drawn.rows_dac
    spi = DacLines(spi=rows.spi, din=rows.din, clk=rows.clk, cs=rows.cs)
    return [
        *(
            f"#define ROWS_{macro(name)} (1u << {port_of(getattr(rows, name))[1]})"
            for name in ("cs", "update", "clear")
        ),
        f"#define ROWS_PORT GPIO{port_of(rows.cs)[0]}",
        f"#define ROWS_SPI {_spi_row(0, spi, rows.spi)}",
    ]


def _inputs(drawn: DrawnBoard) -> list[str]:
    port, number = port_of(drawn.interlock.pin)
    return [
        f"#define INTERLOCK_PORT GPIO{port}",
        f"#define INTERLOCK (1u << {number})",
        f"#define INTERLOCK_PIN {number}u",
    ]


def _biases(drawn: DrawnBoard, description: BoardDescription) -> list[str]:
    """Gate codes of operations that do not say their own, and how many pulses a step may have."""
    span, most = description.converters.pulse_full_scale_volts, description.code_max
    lines = ["/* Gate while cells are read or multiply; pulses between two looks at the line. */"]
    for gate in drawn.gates:
        code = SET_LIMIT if gate.bias == "set limit" else f"{round(gate.bias / span * most)}u"
        lines.append(f"#define {gate.operation.upper()}_GATE_CODE {code}")
    return [*lines, f"#define PULSES_PER_STEP {drawn.batch.pulses_per_step}u"]


def _levels(drawn: DrawnBoard, wired: Wiring) -> list[str]:
    """Every output with what it idles at, and the lines that a pull-down on the board holds."""
    rows, select = drawn.rows_dac, drawn.select
    high = [lines.cs for lines in wired.dacs.values()] + [rows.cs, rows.update]
    every = [pin for lines in wired.dacs.values() for pin in _banged(lines)]
    every += [switch.pin for switch in drawn.switches]
    every += [*select.data, *select.register_, select.strobe, rows.cs, rows.update, rows.clear]
    pulled = [switch.pin for switch in drawn.switches]
    pulled += [rows.clear, select.strobe, drawn.pulse.pin]
    outputs, idle, down = _by_port(every), _by_port(high), _by_port(pulled)
    return [
        "/* Every output: port, pins, those of them that idle high. */",
        "#define OUTPUT_PINS { \\",
        *(
            f"    {{&GPIO{p}, 0x{outputs[p]:04x}u, 0x{idle.get(p, 0):04x}u}}, \\"
            for p in sorted(outputs)
        ),
        "}",
        "",
        "/* Held low by a resistor on the board while no program runs: port, pins. */",
        "#define PULL_DOWN_PINS { \\",
        *(f"    {{&GPIO{p}, 0x{down[p]:04x}u}}, \\" for p in sorted(down)),
        "}",
    ]


def _by_port(pins: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pin in pins:
        port, number = port_of(pin)
        found[port] = found.get(port, 0) | 1 << number
    return found
