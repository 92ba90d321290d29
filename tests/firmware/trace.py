"""What the lines of the shipped image did, from QEMU's trace of every register write.

The GPIO ports are followed bit by bit, and models of the DACs, the switches and the select bus look
at the lines that the drawn board gives them. A word that is not whole, a clock without a chip
select, a preset switch closed with its integrate switch or a pulse that its timer does not end is
an error.

A pin is at what it was set to only once it is an output; before that, and after a restart, the
resistors of the drawn board say where it is. What the DACs were told, they keep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocols.board_map import BoardMap, load_map

_LINE = re.compile(r"memory_region_ops_write .*addr 0x([0-9a-f]+) value 0x([0-9a-f]+)")
_GPIO, _STRIDE, _PORTS = 0x40020000, 0x400, "ABCDEFG"
_MODER, _PUPDR, _BSRR, _ODR = 0x00, 0x0C, 0x18, 0x14
_OUTPUT = 1
_SPI_DATA = {0x4001300C: 1, 0x4000380C: 2, 0x40003C0C: 3}
_RCC_CSR = 0x40023874  # the first that a program writes after a restart
_TIM5_CR1, _TIM5_CCMR1, _TIM5_CCER, _TIM5_ARR = 0x40000C00, 0x40000C18, 0x40000C20, 0x40000C2C
_RUN, _ONE_PULSE, _HIGH_TO_THE_END = 1, 8, 7 << 4
_GROUNDED = 0
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
    """All lines of the board, wired as the drawing says that the firmware's pins.h is made of."""

    def __init__(self, board: BoardMap) -> None:
        drawn = board.drawn
        self.board = board
        self.ports = dict.fromkeys(_PORTS, 0)
        self.modes = dict.fromkeys(_PORTS, 0)
        self.dacs = {dac.number: Dac(dac.number) for dac in drawn.dacs}
        self.select: dict[int, int] = {}
        self.switches = {switch.name: 0 for switch in drawn.switches}
        self.events: list[Event] = []
        self.rows: dict[int, int] = {}
        self.restarts = 0
        self.quiet = False  # whether anything that is driven is an error
        self.window = False
        self._timer: dict[int, int] = {}
        self._pulls = {line.pin: int(line.pull == "up") for line in board.mcu_lines if line.pull}
        self._wired = board.wiring.dacs
        self._lines = [p for d in self._wired.values() for p in (d.din, d.cs, d.clk)]
        self._lines += [*(switch.pin for switch in drawn.switches), drawn.select.strobe]
        self._lines += [getattr(drawn.rows_dac, name) for name in ("cs", "update", "clear")]
        self._before = {pin: self.level(pin) for pin in self._lines}

    def level(self, pin: str) -> int:
        """Of an output what it was set to; else what a resistor makes of it."""
        port, number = pin[1], int(pin[2:])
        if self.modes[port] >> (2 * number) & 3 == _OUTPUT:
            return self.ports[port] >> number & 1
        return self._pulls.get(pin, 0)

    def driven(self) -> list[str]:
        """What reaches the array or the loop now."""
        found = [name for name, closed in self.switches.items() if closed]
        line = any(self.channel(f"{kind} line") for kind in ("word", "bit", "source"))
        if line and self.select.get(2, _GROUNDED) != _GROUNDED:
            found.append("a line of the array")
        if self.window:
            found.append("the pulse window")
        if any(code != 2048 for code in self.rows.values()):
            found.append("rows")
        return found

    def restart(self) -> None:
        """The controller's pins are inputs again; its reset line has cleared the latches too."""
        self.restarts += 1
        self.window = False
        self.ports = dict.fromkeys(_PORTS, 0)
        self.modes = dict.fromkeys(_PORTS, 0)
        self._timer = {}
        for dac in self.dacs.values():
            dac.bits = None
        if self.board.drawn.reset.also_clears:
            self.select = {}
        self._look(restarted=True)

    def write(self, address: int, value: int) -> None:
        """One register write."""
        if address == _RCC_CSR:
            self.restart()
        rows = self.board.drawn.rows_dac
        if _SPI_DATA.get(address, 0) == rows.spi:
            assert not self.level(rows.cs), "a row was sent a word without select"
            self.rows[self.select[0]] = value
        elif address in _SPI_DATA:
            self._spi_word(_SPI_DATA[address], value)
        self._look_at_timer(address, value)
        offset = address - _GPIO
        if 0 <= offset < _STRIDE * len(_PORTS):
            self._write_port(_PORTS[offset // _STRIDE], offset % _STRIDE, value)
        if self.quiet:
            assert not self.driven(), f"driven: {', '.join(self.driven())}"

    def _spi_word(self, spi: int, value: int) -> None:
        """All DACs on the bus that are selected take the word."""
        taking = [n for n, pins in self._wired.items() if pins.spi == spi]
        taking = [n for n in taking if not self.level(self._wired[n].cs)]
        assert taking, f"a word was sent on SPI {spi} without chip select"
        for number in taking:
            dac = self.dacs[number]
            assert dac.bits is not None
            dac.bits += [value >> bit & 1 for bit in reversed(range(16))]

    def _write_port(self, port: str, register: int, value: int) -> None:
        """QEMU has no GPIO: what is read before a write is 0, so modes come pin by pin."""
        if register == _BSRR:
            self.ports[port] = (self.ports[port] & ~(value >> 16)) | (value & 0xFFFF)
        elif register == _ODR:
            self.ports[port] = value & 0xFFFF
        elif register == _MODER:
            self.modes[port] |= value
        elif register == _PUPDR:
            ups = [number for number in range(16) if value >> (2 * number) & 3 == 1]
            self.events += [("pulled up", f"P{port}{number}") for number in ups]
            return
        else:
            return
        self._look()

    def _look_at_timer(self, address: int, value: int) -> None:
        """A pulse is one write; what ends it is the timer."""
        self._timer[address] = value
        if address == _TIM5_CR1 and value & _RUN:
            assert value & _ONE_PULSE, "a pulse was begun that does not end by itself"
            assert self._timer.get(_TIM5_CCMR1) == _HIGH_TO_THE_END
            assert self._timer.get(_TIM5_CCER) == 1
            self.window = True
            self.events.append(("pulse", self._timer[_TIM5_ARR]))
        if address == _TIM5_CCER and value == 0:
            self.window = False

    def _look(self, restarted: bool = False) -> None:
        now = {pin: self.level(pin) for pin in self._lines}
        if restarted:
            self._before = now
        for number in self._wired:
            self._look_at_dac(number, now)
        for switch in self.board.drawn.switches:
            if now[switch.pin] != self.switches[switch.name]:
                self.switches[switch.name] = now[switch.pin]
                self.events.append(("switch", switch.name, now[switch.pin]))
        for axis in "12":
            both = self.switches[f"preset_{axis}"] and self.switches[f"integrate_{axis}"]
            assert not both, f"preset and integrate {axis} are closed together"
        self._look_at_rows(now)
        strobe = self.board.drawn.select.strobe
        if now[strobe] > self._before[strobe]:
            self._latch()
        self._before = now

    def _look_at_rows(self, now: dict[str, int]) -> None:
        rows = self.board.drawn.rows_dac
        if self._before[rows.update] and not now[rows.update]:
            self.events.append(("rows", dict(self.rows)))
        if self._before[rows.clear] and not now[rows.clear]:
            self.events.append(("rows", {}))
        if not now[rows.clear]:
            self.rows = {}

    def _look_at_dac(self, number: int, now: dict[str, int]) -> None:
        dac, pins, before = self.dacs[number], self._wired[number], self._before
        cs, clk = pins.cs, pins.clk
        if before[cs] and not now[cs]:
            dac.bits = []
        if pins.spi is None and before[clk] and not now[clk]:
            assert dac.bits is not None, f"DAC {dac.number} was clocked without its chip select"
            dac.bits.append(now[pins.din])
        if now[cs] and not before[cs] and dac.bits is not None:
            self.events.append(dac.word(dac.bits))
            dac.bits = None

    def _latch(self) -> None:
        select = self.board.drawn.select
        value = sum(self.level(pin) << i for i, pin in enumerate(select.data))
        number = sum(self.level(pin) << i for i, pin in enumerate(select.register_))
        self.select[number] = value
        self.events.append(("select", number, value))

    def place(self, name: str) -> tuple[int, int]:
        """DAC and channel of an output."""
        found = self.board.dac_channel(name)
        return found.dac, "ABCD".index(found.output)

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

    def __init__(self, path: Path, board: BoardMap | None = None) -> None:
        self._path = path
        self._offset = 0
        self.lines = Lines(board or load_map())

    def follow(self) -> list[Event]:
        """What has happened since the last call."""
        self.lines.events = []
        for address, value in self.writes():
            self.lines.write(address, value)
        return self.lines.events

    def writes(self) -> list[tuple[int, int]]:
        """Address and value of every register write since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = map(_LINE.match, whole.decode("ascii", "replace").splitlines())
        return [(int(one[1], 16), int(one[2], 16)) for one in found if one]
