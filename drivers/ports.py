"""Serial ports of this computer: which board is on which, by serial number and not by name.

A port's name depends on the order in which things were plugged in. Two numbers stay: the serial
number in the descriptor of the USB adapter, which is read without opening anything, and the board's
own, which it says in its answer to `hello`. A port that a process has open is never opened here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from serial.tools import list_ports

from drivers.link import Link
from drivers.stream import DEFAULT_BAUD, SerialStream
from protocols.errors import HilError, LinkTimeout, PortError

SERIAL_NUMBER = "serial-number:"
"""How a bench file names a board by its number."""
ASK_TIMEOUT_S, ASK_ATTEMPTS = 0.3, 2
"""How long a port may be silent before it is taken for one without a board (a choice of this
project; a board answers within milliseconds)."""
_OWN = re.compile(r"(0x)?[0-9a-f]{1,16}", re.IGNORECASE)
_LOCKS = Path("/var/lock")
_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Port:
    """One serial port.

    Attributes:
        device: its name.
        usb_serial: serial number of its USB descriptor, None where there is none.
        description: what it calls itself.
        held_by: the process that has it open, None where nobody has.
        board_serial: of the board that answered on it, None where it was not asked or none did.
        note: why nothing is known of a board on it.
    """

    device: str
    usb_serial: str | None = None
    description: str = ""
    held_by: str | None = None
    board_serial: int | None = None
    note: str = ""

    def has(self, number: str) -> bool:
        """Whether a serial number is that of the adapter or of the board."""
        return is_usb_number(self, number) or (
            self.board_serial is not None and self.board_serial == own_number(number)
        )

    def __str__(self) -> str:
        known = [] if self.usb_serial is None else [f"USB serial number {self.usb_serial}"]
        if self.board_serial is not None:
            known.append(f"board {self.board_serial:x}")
        if self.held_by is not None:
            known.append(f"open in {self.held_by}, so not asked")
        elif self.note:
            known.append(self.note)
        return f"{self.device} ({', '.join(known) or 'no number'})"


def own_number(number: str) -> int | None:
    """A board's own number in the hexadecimal digits that `hil info` shows; None if it is none."""
    return int(number, 16) if _OWN.fullmatch(number) else None


def is_usb_number(port: Port, number: str) -> bool:
    """Whether a serial number is that of the port's USB descriptor, in either case of letters."""
    return port.usb_serial is not None and port.usb_serial.casefold() == number.casefold()


def listed(baud: int = DEFAULT_BAUD, *, ask: bool, leave: Collection[str] = ()) -> list[Port]:
    """The serial ports of this computer, in the order of their names.

    Args:
        baud: the ports are asked at.
        ask: say `hello` on every port that is free; a board that a host had armed is disarmed.
        leave: ports that are not asked, because something else is known to be on them.
    """
    infos = sorted(list_ports.comports())
    held = holders([info.device for info in infos])
    ports = [
        Port(
            device=info.device,
            usb_serial=info.serial_number or None,
            description=info.description if info.description != "n/a" else "",
            held_by=held.get(info.device),
            note="left alone" if _is_among(info.device, leave) else "",
        )
        for info in infos
    ]
    return asked(ports, baud) if ask else ports


def asked(ports: Sequence[Port], baud: int) -> list[Port]:
    """The same ports, with the boards that answer on those that are free."""
    free = [port for port in ports if port.held_by is None and not port.note]
    if not free:
        return list(ports)
    with ThreadPoolExecutor(len(free), thread_name_prefix="hello") as pool:
        found = dict(zip((p.device for p in free), pool.map(_ask_at(baud), free), strict=True))
    return [found.get(port.device, port) for port in ports]


def _ask_at(baud: int) -> Callable[[Port], Port]:
    def answered(port: Port) -> Port:
        try:
            return replace(port, board_serial=board_on(port.device, baud))
        except LinkTimeout:
            return replace(port, note="nobody answers")
        except HilError as error:
            return replace(port, note=str(error).splitlines()[0])

    return answered


def board_on(device: str, baud: int = DEFAULT_BAUD) -> int:
    """Serial number of the board that answers `hello` on a port; the port is closed again.

    Raises:
        PortError: the port cannot be opened, for instance because a process has it.
        LinkTimeout: nobody answers.
        HandshakeError: a board of another version.
    """
    stream = SerialStream(device, baud)
    with Link(stream, timeout_s=ASK_TIMEOUT_S, attempts=ASK_ATTEMPTS) as link:
        return link.hello.board_serial


@dataclass(frozen=True)
class Found:
    """The port of a serial number.

    Attributes:
        device: its name.
        board_serial: what the board on it has to answer; None where the adapter's number decided.
    """

    device: str
    board_serial: int | None = None


def find(number: str, baud: int = DEFAULT_BAUD, leave: Collection[str] = ()) -> Found:
    """The port with this serial number: the USB descriptor's, else the board's own.

    Only where no descriptor has the number are boards asked, on the ports that are free.

    Raises:
        PortError: no port has it, or more than one; lists the ports.
    """
    ports = listed(baud, ask=False, leave=leave)
    matching = [port for port in ports if is_usb_number(port, number)]
    if not matching and own_number(number) is not None:
        ports = asked(ports, baud)
        matching = [port for port in ports if port.has(number)]
    if len(matching) == 1:
        return Found(matching[0].device, matching[0].board_serial)
    shown = "; ".join(map(str, ports)) or "none"
    if matching:
        names = " and ".join(port.device for port in matching)
        raise PortError(
            f"serial number {number} is that of {names}; unplug all but one, or name the port with"
            " serial:PORT"
        )
    raise PortError(
        f"no board with serial number {number} is connected. Serial ports of this computer: {shown}"
    )


# --- who has a port ---------------------------------------------------------------------------


def holders(devices: Collection[str]) -> dict[str, str]:
    """The devices that another process has open or locked, with the process in words.

    Nothing is opened. What is looked at: open files and locks as Linux lists them (those of other
    users' processes by their locks alone), and the lock files that terminal programs write.
    """
    real = {os.path.realpath(device): device for device in devices}
    found = _by_lock_file(real) | _by_lock(real)
    for folder in _PROCESSES.glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        for path in _open_files(folder) & real.keys():
            found[real[path]] = _named(folder.name)
    return found


def _open_files(process: Path) -> set[str]:
    found = set()
    try:
        for entry in (process / "fd").iterdir():
            try:
                found.add(str(entry.readlink()))
            except OSError:
                continue  # closed meanwhile
    except OSError:
        return set()  # ended meanwhile, or another user's
    return found


def _by_lock(real: dict[str, str]) -> dict[str, str]:
    """Devices with a lock of the kind that opening a port exclusively leaves."""
    places = {}
    for path, device in real.items():
        try:
            status = Path(path).stat()
        except OSError:
            continue
        places[_place(status)] = device
    try:
        lines = (_PROCESSES / "locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[5] in places:
            found[places[words[5]]] = _named(words[4])
    return found


def _place(status: os.stat_result) -> str:
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def _by_lock_file(real: dict[str, str]) -> dict[str, str]:
    found = {}
    for path, device in real.items():
        try:
            text = (_LOCKS / f"LCK..{Path(path).name}").read_text(encoding="ascii", errors="ignore")
            number = int(text.split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if (_PROCESSES / str(number)).exists():
            found[device] = _named(str(number))
    return found


def _named(number: str) -> str:
    try:
        name = (_PROCESSES / number / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {number}"
    return f"process {number} ({name})"


def _is_among(device: str, others: Collection[str]) -> bool:
    return os.path.realpath(device) in {os.path.realpath(other) for other in others}
