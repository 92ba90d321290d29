"""`board: serial-number:NUMBER`: from a number to the port that it is on at the moment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.ports import SERIAL_NUMBER, Port, find, is_usb_number, listed
from hil.config import BenchConfig
from hil.named_boards import LINES

_VISA_SERIAL = "ASRL"


@dataclass(frozen=True)
class Line:
    """Where a board is.

    Attributes:
        board: the name of its line, as a bench file could have it.
        board_serial: what the board has to answer; None where nothing says.
    """

    board: str
    board_serial: int | None = None


def line_of(config: BenchConfig) -> Line:
    """The line of a bench's board; a serial number is looked for among the ports that are there.

    Raises:
        PortError: no port has the number, or more than one has.
    """
    if not config.board.startswith(SERIAL_NUMBER):
        return Line(config.board)
    number = config.board.removeprefix(SERIAL_NUMBER)
    found = find(number, config.link.baud, leave=instrument_ports(config))
    return Line(f"serial:{found.device}", found.board_serial)


def instrument_ports(config: BenchConfig) -> list[str]:
    """Serial ports that the bench file gives to instruments: no board is sought there."""
    sections: Any = config.model_dump(mode="json", include={"instruments"}).get("instruments")
    if not isinstance(sections, Mapping):
        return []
    addresses = [one.get("address") for one in sections.values() if isinstance(one, Mapping)]
    return [
        address.removeprefix(_VISA_SERIAL).partition("::")[0]
        for address in addresses
        if isinstance(address, str) and address.startswith(_VISA_SERIAL)
    ]


@dataclass(frozen=True)
class Known:
    """A board of the bench file beside the ports of this computer.

    Attributes:
        name: in the bench file; the chip's id for a file with one board.
        board: how the file says that it is connected.
        chip: the id of its chip.
        ports: those that it is on; one, when all is well.
    """

    name: str
    board: str
    chip: str
    ports: tuple[str, ...]

    @property
    def note(self) -> str:
        """What is odd about it, or empty."""
        if not self.board.startswith((*LINES, SERIAL_NUMBER)):
            return "simulated, in the process that opens it"
        if not self.board.startswith(("serial:", SERIAL_NUMBER)):
            return "on a line of another kind; not asked"
        if len(self.ports) > 1:
            return f"that number is on several ports: {', '.join(self.ports)}"
        return "" if self.ports else "not connected, or another process has it open"


def ports_of(config: BenchConfig, *, ask: bool) -> list[Port]:
    """The serial ports of this computer, asked at the bench's baud rate or only listed."""
    return listed(config.link.baud, ask=ask, leave=instrument_ports(config))


def known_boards(config: BenchConfig, ports: list[Port]) -> list[Known]:
    """Every board of the bench file with its ports."""
    found = []
    for name, bench in config.each_board().items():
        on = tuple(port.device for port in ports if _is_on(bench.board, port))
        found.append(Known(name, bench.board, bench.chip.id, on))
    return found


def _is_on(board: str, port: Port) -> bool:
    if board.startswith(SERIAL_NUMBER):
        number = board.removeprefix(SERIAL_NUMBER)
        return is_usb_number(port, number) or port.has(number)
    if not board.startswith("serial:"):
        return False
    device = board.removeprefix("serial:")
    return os.path.realpath(device) == os.path.realpath(port.device)
