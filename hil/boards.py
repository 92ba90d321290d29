"""Opens a board by the name that a bench file or `--board` gives it.

sim              the simulated board, firmware and physics, in this process
native           the firmware's shared library in this process, simulated physics
native-process   the firmware as a process of its own, simulated physics
qemu             the firmware's image on an emulated STM32F405, simulated physics
instruments      no board: laboratory instruments and a switch matrix (`hil/stand_in.py`)
serial:PORT      a board on a serial port
serial-number:N  the board with this serial number, on whatever port it is
socket://...     whatever pyserial opens by URL; also rfc2217:// and unix://PATH
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from drivers.faults import FaultyStream
from drivers.stream import MemoryStream, Stream, open_stream
from hil import firmware
from hil.chip_lock import ChipLock
from hil.config import BenchConfig
from hil.config_stand_in import INSTRUMENTS
from hil.discovery import line_of
from hil.native import NativeBoard, NativeStream
from hil.native_process import ProcessStream
from hil.qemu import QemuStream
from hil.sim.back_doors import BackDoors
from hil.sim.board import SimBoard, make_board
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.upsets import BoardUpsets, UpsetBoard
from hil.sim.virtual import VirtualFrontEnd
from hil.uninterrupted import uninterrupted
from protocols.errors import ConfigError
from protocols.hardware import BoardDescription


@dataclass(frozen=True)
class OpenBoard:
    """The near end of the line, and the simulated physics behind it where there are any."""

    stream: Stream
    simulated: BackDoors | None = None
    lock: ChipLock | None = None
    real: bool = False
    """Whether a real chip is there, whatever runs the firmware."""
    line: str | None = None
    """The name of the line where it is not the bench file's: a serial number was looked for."""
    board_serial: int | None = None
    """What the board has to answer, where it was chosen by its own serial number."""

    def close(self) -> None:
        """Give the line back, end a board that was started here, let go of its chip."""
        try:
            self.stream.close()
        finally:
            if self.simulated is not None:
                self.simulated.close()
            if self.lock is not None:
                self.lock.close()


def open_board(
    config: BenchConfig, description: BoardDescription, state_path: Path | None
) -> OpenBoard:
    """The board that the bench file names.

    Args:
        config: the bench.
        description: the kind of board.
        state_path: where a simulated chip lives; None keeps it in memory. Its folder holds the
            lock of a real chip.

    Raises:
        PortError: the port cannot be opened.
        FirmwareError: the firmware cannot be built or started on this computer.
        ChipBusyError: another process has this chip.
        ConfigError: the firmware was built for another board than the one described.
    """
    opened = _open_board(config, description, state_path)
    if config.line_faults is None:
        return opened
    return replace(opened, stream=FaultyStream(opened.stream, config.line_faults))


def _open_board(
    config: BenchConfig, description: BoardDescription, state_path: Path | None
) -> OpenBoard:
    name = config.board
    if name == INSTRUMENTS:
        return _stand_in(config, description, state_path)
    if name != "sim" and name not in firmware.BOARDS:
        return _on_a_line(config, state_path)
    if state_path is not None:
        state_path.parent.mkdir(parents=True, exist_ok=True)
    if name == "sim":
        return simulated(make_board(config.sim, description, state_path))
    return with_firmware(name, config.sim, description, state_path)


def _on_a_line(config: BenchConfig, state_path: Path | None) -> OpenBoard:
    """A board that lives on its own. A simulated chip's file is a lock itself."""
    lock = None if state_path is None else ChipLock(state_path.parent)
    try:
        line = line_of(config)
        stream = open_stream(line.board.removeprefix("serial:"), config.link.baud)
        elsewhere = None if line.board == config.board else line.board
        return OpenBoard(stream, lock=lock, line=elsewhere, board_serial=line.board_serial)
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def _stand_in(
    config: BenchConfig, description: BoardDescription, state_path: Path | None
) -> OpenBoard:
    """Instruments in place of a board: those of the bench file, else simulated ones."""
    from hil import stand_in  # here, because few benches need it

    if config.instruments is None:
        if state_path is not None:
            state_path.parent.mkdir(parents=True, exist_ok=True)
        board, stream = stand_in.simulated_stand_in(config, description, state_path)
        return OpenBoard(stream, board)
    lock = None if state_path is None else ChipLock(state_path.parent)
    try:
        _, stream = stand_in.real_stand_in(config, description)
        return OpenBoard(stream, lock=lock, real=True)
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def simulated(board: SimBoard) -> OpenBoard:
    """The line to a simulated board in this process."""
    upsets = board.machine.settings.upsets
    if upsets == BoardUpsets():
        return OpenBoard(MemoryStream(uninterrupted(board.receive), "sim"), board)
    upset = UpsetBoard(board.power_up_again, upsets, board.machine.chip.now_ns)
    return OpenBoard(MemoryStream(uninterrupted(upset.receive), "sim (with upsets)"), board)


def with_firmware(
    name: str,
    settings: SimSettings,
    description: BoardDescription,
    state_path: Path | None = None,
    *,
    ticks_per_transaction: int = 0,
) -> OpenBoard:
    """A board of `firmware.BOARDS` that was just powered up, in front of a simulated chip.

    `ticks_per_transaction` is how many ticks the board sends at once; 1 is lock-step, 0 as many as
    it can keep, which is faster and changes no code.

    Raises:
        FirmwareError, ChipBusyError, ConfigError: as `open_board`.
    """
    chip = Chip.open(state_path, settings, description)
    try:
        front_end = VirtualFrontEnd(description, settings, chip)
        front_end.ticks_per_transaction = ticks_per_transaction
        return OpenBoard(_line(name, front_end), front_end)
    except BaseException:
        chip.close()
        raise


def _line(name: str, front_end: VirtualFrontEnd) -> Stream:
    upsets = front_end.machine.settings.upsets
    if upsets != BoardUpsets():
        if name != "native":
            raise ConfigError(
                f"sim.upsets: board {name} cannot be upset; sim and native can, in this process"
            )
        chip = front_end.machine.chip
        upset = UpsetBoard(lambda: NativeBoard(front_end), upsets, chip.now_ns)
        return MemoryStream(uninterrupted(upset.receive), "native (with upsets)")
    if name == "native":
        return NativeStream(NativeBoard(front_end))
    if name == "native-process":
        return ProcessStream(front_end)
    return QemuStream(front_end)
