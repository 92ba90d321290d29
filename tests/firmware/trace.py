"""What the lines of the shipped image did, from QEMU's trace of every register write.

The GPIO ports are followed bit by bit, and models of the DACs, the switches and the select bus look
at the lines that pins.toml gives them. A word that is not whole, a clock without a chip select or a
preset switch closed with its integrate switch is an error.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.firmware.boards import FIRMWARE

_LINE = re.compile(r"memory_region_ops_write .*addr 0x([0-9a-f]+) value 0x([0-9a-f]+)")
_GPIO, _STRIDE, _PORTS = 0x40020000, 0x400, "ABCDEFG"
_BSRR, _ODR = 0x18, 0x14
_SPI_DATA = {0x4001300C: 1, 0x4000380C: 2, 0x40003C0C: 3}
PINS = FIRMWARE / "ports" / "stm32f407" / "pins.toml"
Event = tuple[Any, ...]


@dataclass
class Dac:
    """One MAX5742: double-buffered, 16 bits a word, data taken at the falling edge of the clock."""

    number: int
    inputs: list[int] = field(default_factory=lambda: [0] * 4)
    outputs: list[int] = field(default_factory=lambda: [0] * 4)
    powered: bool = False
    bits: list[int] | None = None

    def word(self, bits: list[int]) -> Event:
        assert len(bits) == 16, f"DAC {self.number} got {len(bits)} bits"
        word = int("".join(map(str, bits)), 2)
        command, code = word >> 12, word & 0xFFF
        if word == 0xF010:
            self.powered = True
        elif command < 4:
            self.inputs[command] = self.outputs[command] = code
        elif command < 8:
            self.inputs[command - 4] = code
        elif word == 0xE000:
            self.outputs = list(self.inputs)
            return ("update", self.number, tuple(self.outputs))
        else:
            raise AssertionError(f"DAC {self.number} got the unknown word {word:#06x}")
        return ("word", self.number, word)


class Lines:
    """All lines of the board, wired as the table says that the firmware's pins.h is made of."""

    def __init__(self, pins: Path) -> None:
        table = tomllib.loads(pins.read_text(encoding="utf-8"))
        self.ports = dict.fromkeys(_PORTS, 0)
        self.dacs = {d["number"]: Dac(d["number"]) for d in table["dac"]}
        self.select: dict[int, int] = {}
        self.switches = dict.fromkeys(table["switches"], 0)
        self.events: list[Event] = []
        self.rows: dict[int, int] = {}
        self._table = table
        self._on_spi = {d["spi"]: self.dacs[d["number"]] for d in table["dac"] if "spi" in d}
        self._lines = [p for d in table["dac"] for p in (d["din"], d["cs"], d["clk"])]
        self._lines += [*table["switches"].values(), table["select"]["strobe"]]
        self._lines += [table["rows"][name] for name in ("cs", "update", "clear")]
        self._before = dict.fromkeys(self._lines, 0)

    def level(self, pin: str) -> int:
        return self.ports[pin[1]] >> int(pin[2:]) & 1

    def write(self, address: int, value: int) -> None:
        """One register write."""
        if _SPI_DATA.get(address, 0) == self._table["rows"]["spi"]:
            assert not self.level(self._table["rows"]["cs"]), "a row was sent a word without select"
            self.rows[self.select[0]] = value
        if dac := self._on_spi.get(_SPI_DATA.get(address, 0)):
            assert dac.bits is not None, f"DAC {dac.number} was sent a word without chip select"
            dac.bits += [value >> bit & 1 for bit in reversed(range(16))]
        offset = address - _GPIO
        if not 0 <= offset < _STRIDE * len(_PORTS):
            return
        port, register = _PORTS[offset // _STRIDE], offset % _STRIDE
        if register == _BSRR:
            self.ports[port] = (self.ports[port] & ~(value >> 16)) | (value & 0xFFFF)
        elif register == _ODR:
            self.ports[port] = value & 0xFFFF
        else:
            return
        self._look()

    def _look(self) -> None:
        now = {pin: self.level(pin) for pin in self._lines}
        for dac in self._table["dac"]:
            self._look_at_dac(dac, now)
        for name, pin in self._table["switches"].items():
            if now[pin] != self._before[pin]:
                self.switches[name] = now[pin]
                self.events.append(("switch", name, now[pin]))
        for axis in "12":
            both = self.switches[f"preset_{axis}"] and self.switches[f"integrate_{axis}"]
            assert not both, f"preset and integrate {axis} are closed together"
        self._look_at_rows(now)
        strobe = self._table["select"]["strobe"]
        if now[strobe] > self._before[strobe]:
            self._latch()
        self._before = now

    def _look_at_rows(self, now: dict[str, int]) -> None:
        update, clear = (self._table["rows"][name] for name in ("update", "clear"))
        if self._before[update] and not now[update]:
            self.events.append(("rows", dict(self.rows)))
        if self._before[clear] and not now[clear]:
            self.rows = {}
            self.events.append(("rows", {}))

    def _look_at_dac(self, pins: dict[str, Any], now: dict[str, int]) -> None:
        dac, before = self.dacs[pins["number"]], self._before
        cs, clk = pins["cs"], pins["clk"]
        if before[cs] and not now[cs]:
            dac.bits = []
        if before[clk] and not now[clk]:
            assert dac.bits is not None, f"DAC {dac.number} was clocked without its chip select"
            dac.bits.append(now[pins["din"]])
        if now[cs] and not before[cs] and dac.bits is not None:
            self.events.append(dac.word(dac.bits))
            dac.bits = None

    def _latch(self) -> None:
        select = self._table["select"]
        value = sum(self.level(pin) << i for i, pin in enumerate(select["data"]))
        number = sum(self.level(pin) << i for i, pin in enumerate(select["register"]))
        self.select[number] = value
        self.events.append(("select", number, value))

    def place(self, name: str) -> tuple[int, int]:
        """DAC and channel of an output."""
        for dac in self._table["dac"]:
            if name in dac["channels"]:
                return dac["number"], dac["channels"].index(name)
        raise KeyError(name)

    def channel(self, name: str) -> int:
        """The code at an output."""
        dac, channel = self.place(name)
        return self.dacs[dac].outputs[channel]

    def updates(self) -> list[dict[int, tuple[int, ...]]]:
        """Outputs of the DACs that were updated together, one group after the other."""
        groups: list[dict[int, tuple[int, ...]]] = []
        for before, event in zip([("",), *self.events], self.events, strict=False):
            if event[0] == "update":
                if before[0] != "update" or event[1] in groups[-1]:
                    groups.append({})
                groups[-1][event[1]] = event[2]
        return groups


class Trace:
    """Follows a trace that grows."""

    def __init__(self, path: Path, pins: Path = PINS) -> None:
        self._path = path
        self._offset = 0
        self.lines = Lines(pins)

    def follow(self) -> list[Event]:
        """What has happened since the last call."""
        self.lines.events = []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode("ascii", "replace").splitlines():
            if found := _LINE.match(line):
                self.lines.write(int(found[1], 16), int(found[2], 16))
        return self.lines.events
