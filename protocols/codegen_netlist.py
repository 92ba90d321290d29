"""Netlist and bill of parts of a drawn board.

The netlist is SPICE's: every part an instance with its nets in the order of its subcircuit's pins.
The subcircuits are empty, so that the file says what is connected with what and nothing else; a
schematic editor reads it as black boxes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from protocols.board_map import BoardMap, McuLine
from protocols.drawn_board import LINE_KINDS, SOURCES, DrawnBoard, macro

_PER_LINE = 10  # nets on one line of the netlist


@dataclass(frozen=True)
class Instance:
    """One part on the board: its kind is what it shares with others of the same bill line."""

    ref: str
    kind: str
    part: str
    what: str
    needs: str
    source: str
    pins: dict[str, str]


def net_of(line: McuLine, board: BoardMap) -> str:
    """The net of a line of the controller; DACs on one SPI share clock and data."""
    found = re.fullmatch(r"dac (\d+) (clk|din)", line.signal)
    spi = board.wiring.dacs[int(found[1])].spi if found else None
    return f"SPI{spi}_{found[2].upper()}" if found and spi else macro(line.signal)


def instances(board: BoardMap) -> Iterator[Instance]:
    """Every part of the board, one by one."""
    drawn = board.drawn
    yield _controller(board)
    yield from _dacs(board)
    yield from _pulls(board)
    yield from _connectors(board)
    if drawn.chip is not None:
        pads = {pin.pad: pin.pad for pin in board.lines}
        chip = drawn.chip
        yield Instance(chip.ref, "chip", "chip", chip.what, "", chip.source, pads)
    for part in drawn.parts:
        letters, first = re.fullmatch(r"([A-Z]+)(\d+)", part.ref).groups()  # type: ignore[union-attr]
        for n in range(part.count(drawn.rows, drawn.columns)):
            yield Instance(
                ref=f"{letters}{int(first) + n}",
                kind=f"{part.part} {part.ref}",
                part=part.part,
                what=part.what,
                needs=part.needs,
                source=part.source,
                pins={pin: net.format(n=n, m=n + 1) for pin, net in part.pins.items()},
            )


def _controller(board: BoardMap) -> Instance:
    pins = {line.pin: net_of(line, board) for line in board.mcu_lines}
    pins |= {"PA13": "SWDIO", "PA14": "SWCLK", "NRST": board.drawn.reset.net}
    pins |= {"PH0": "OSC_IN", "PH1": "OSC_OUT", "VDD": "+3V3", "VSS": "GND"}
    one = board.drawn.controller
    return Instance(one.ref, "controller", one.part, "controller", "", one.source, pins)


def _dacs(board: BoardMap) -> Iterator[Instance]:
    drawn, lines = board.drawn, {line.signal: line for line in board.mcu_lines}
    for dac in drawn.dacs:
        wires = {name: lines[f"dac {dac.number} {name}"] for name in ("din", "clk", "cs")}
        pins = {"DIN": net_of(wires["din"], board), "SCLK": net_of(wires["clk"], board)}
        pins |= {"CS_N": net_of(wires["cs"], board), "VDD": "+5VA", "REF": "VREF", "GND": "GND"}
        for channel in board.dac_channels:
            if channel.dac == dac.number:
                pins[f"OUT{channel.output}"] = dac_net(channel.name, dac.number, channel.output)
        what = f"DAC {dac.number}: {', '.join(dac.channels)}"
        part = drawn.dac_part
        yield Instance(dac.ref, "dac", part.part, what, "", part.source, pins)


def dac_net(name: str, dac: int, output: str) -> str:
    """The net of a DAC's output."""
    return f"DAC_{macro(name)}" if name else f"DAC_{dac}_{output}"


def _pulls(board: BoardMap) -> Iterator[Instance]:
    pull = board.drawn.pull
    if pull is None:
        return
    first = int(pull.first_ref[1:])
    for k, line in enumerate(line for line in board.mcu_lines if line.pull):
        rail = "+3V3" if line.pull == "up" else "GND"
        pins = {"1": net_of(line, board), "2": rail}
        what = f"pull-{line.pull} of {line.signal}"
        ref = f"{pull.first_ref[0]}{first + k}"
        yield Instance(ref, "pull", pull.part, what, "", pull.source, pins)


def _connectors(board: BoardMap) -> Iterator[Instance]:
    drawn = board.drawn
    found: dict[str, dict[int, str]] = {}

    def put(pin: str, net: str) -> None:
        connector, number = pin.split(".")
        found.setdefault(connector, {})[int(number)] = net

    for line in board.lines:
        put(line.connector_pin, line.pad)
    for channel in board.dac_channels:
        put(channel.probe, dac_net(channel.name, channel.dac, channel.output))
    for adc in drawn.adc:
        put(adc.probe, f"ADC_{macro(adc.name)}")
    for switch in drawn.switches:
        put(switch.probe, f"SWITCH_{macro(switch.name)}")
    for k, net in enumerate(("UART_TX", "UART_RX", "GND")):
        put(f"{drawn.serial.connector}.{k + 1}", net)
    for k, net in enumerate(("INTERLOCK", "GND")):
        put(f"{drawn.interlock.connector}.{k + 1}", net)
    for connector, nets in sorted(found.items(), key=lambda item: int(item[0][1:])):
        part = f"pin header, {len(nets)} pins"
        pins = {str(number): nets[number] for number in sorted(nets)}
        yield Instance(connector, f"header {connector}", part, _header(drawn, connector), "",
                       "choice", pins)  # fmt: skip


def _header(drawn: DrawnBoard, connector: str) -> str:
    for kind in LINE_KINDS:
        lines = drawn.lines[kind]
        name = kind.replace("_", " ")
        if connector in (lines.connector, lines.far_connector):
            return f"{name}s, {'near' if connector == lines.connector else 'far'} ends"
    probes = {drawn.dac_part.probes: "outputs of the DACs", drawn.serial.connector: "host"}
    probes |= {drawn.interlock.connector: "interlock", drawn.adc[0].probe.split(".")[0]: "ADC"}
    return probes.get(connector, "switch lines")


# --- netlist -------------------------------------------------------------------------------------


def render_netlist(board: BoardMap) -> str:
    """The netlist as text."""
    drawn, parts = board.drawn, list(instances(board))
    lines = [
        f"* Generated from firmware/board/{drawn.name}.yaml by protocols.codegen; do not edit.",
        "* What is connected with what; subcircuits are black boxes. No board was built from it.",
        *(f"* bundle {name}: {what}" for name, what in drawn.bundles.items()),
    ]
    for kind, first in {one.kind: one for one in reversed(parts)}.items():
        lines += ["", f"* {first.part} ({SOURCES[first.source]})"]
        lines += _wrapped(f".subckt {macro(kind)}", list(first.pins))
        lines.append(".ends")
    lines.append("")
    for one in parts:
        lines += _wrapped(f"X{one.ref}", [*one.pins.values(), macro(one.kind)])
    return "\n".join([*lines, "", ".end", ""])


def _wrapped(head: str, words: list[str]) -> list[str]:
    """A statement over as many lines as it needs."""
    rows = [words[at : at + _PER_LINE] for at in range(0, len(words), _PER_LINE)]
    return [f"{head if not k else '+'} {' '.join(row)}" for k, row in enumerate(rows)]


# --- bill of parts -------------------------------------------------------------------------------


def render_parts(board: BoardMap) -> str:
    """The bill of parts as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["references", "quantity", "part", "what", "needs", "source"])
    kinds: dict[str, list[Instance]] = {}
    for one in instances(board):
        kinds.setdefault(one.kind, []).append(one)
    for members in kinds.values():
        first = members[0]
        refs = first.ref if len(members) == 1 else f"{first.ref} to {members[-1].ref}"
        what = _whats(board.drawn, members)
        source = SOURCES[first.source]
        writer.writerow([refs, len(members), first.part, what, first.needs, source])
    return out.getvalue()


def _whats(drawn: DrawnBoard, members: list[Instance]) -> str:
    first = members[0]
    if len(members) == 1:
        return first.what
    if first.kind == "pull":
        return "pull-ups and pull-downs of the controller's lines"
    if first.kind == "dac":
        return f"DACs 1 to {len(drawn.dacs)}"
    return first.what.replace("{n}", f"0 to {len(members) - 1}").replace(
        "{m}", f"1 to {len(members)}"
    )
