"""Boards by serial number: descriptors first, then the boards themselves, never a held port."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from drivers import ports
from drivers.ports import Port, board_on, find, holders, listed, own_number
from drivers.stream import SerialStream
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import PortError
from protocols.hardware import load_board

BOARD = load_board("reference")


class PtyBoard:
    """A simulated board behind a pseudo-terminal; without a serial number nobody answers."""

    def __init__(self, serial: int | None) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        self._slave = slave
        self.heard = 0
        self.board = None
        if serial is not None:
            self.board = make_board(SimSettings(board_seed=serial), BOARD)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if data == b"end":
                return
            self.heard += len(data)
            if self.board is not None:
                os.write(self.master, self.board.receive(data))

    def close(self) -> None:
        os.write(self._slave, b"end")
        self._thread.join(10)
        os.close(self._slave)
        os.close(self.master)
        if self.board is not None:
            self.board.close()


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, PtyBoard]]:
    """Four ports: an adapter with a number, two boards without one, and something silent."""
    found = {
        "adapter": PtyBoard(0x11),
        "plain": PtyBoard(0x1A2B),
        "other": PtyBoard(0xCAFE),
        "silent": PtyBoard(None),
    }
    infos = [ListPortInfo(each.device, skip_link_detection=True) for each in found.values()]
    infos[0].serial_number, infos[0].description = "FTDI-77", "USB adapter"
    monkeypatch.setattr(ports.list_ports, "comports", lambda: list(reversed(infos)))
    yield found
    for each in found.values():
        each.close()


def rename(monkeypatch: pytest.MonkeyPatch, boards: list[PtyBoard], numbers: list[str | None]):
    infos = []
    for board, number in zip(boards, numbers, strict=True):
        info = ListPortInfo(board.device, skip_link_detection=True)
        info.serial_number = number
        infos.append(info)
    monkeypatch.setattr(ports.list_ports, "comports", lambda: infos)


def test_ports_are_listed_without_a_byte(plugged):
    found = listed(ask=False)
    assert {port.device for port in found} == {each.device for each in plugged.values()}
    (adapter,) = [port for port in found if port.usb_serial is not None]
    assert (adapter.device, adapter.description) == (plugged["adapter"].device, "USB adapter")
    assert sum(each.heard for each in plugged.values()) == 0


def test_boards_are_asked_for_their_own_number(plugged):
    found = {port.device: port for port in listed(ask=True)}
    serials = {name: found[each.device].board_serial for name, each in plugged.items()}
    assert serials == {"adapter": 0x11, "plain": 0x1A2B, "other": 0xCAFE, "silent": None}
    assert found[plugged["silent"].device].note == "nobody answers"
    assert board_on(plugged["plain"].device) == 0x1A2B, "the port was closed again"


def test_an_adapters_number_is_enough_and_nothing_is_opened(plugged):
    assert find("ftdi-77").device == plugged["adapter"].device
    assert find("FTDI-77").board_serial is None
    assert sum(each.heard for each in plugged.values()) == 0


@pytest.mark.parametrize("number", ["1a2b", "1A2B", "0x1a2b", "0001a2b"])
def test_a_boards_own_number_finds_its_port(plugged, number):
    found = find(number)
    assert (found.device, found.board_serial) == (plugged["plain"].device, 0x1A2B)


def test_a_port_that_is_to_be_left_alone_is(plugged):
    with pytest.raises(PortError, match="left alone"):
        find("1a2b", leave=[plugged["plain"].device])
    assert plugged["plain"].heard == 0


def test_a_number_that_nobody_has_is_said_with_what_is_there(plugged):
    with pytest.raises(PortError) as caught:
        find("ffff")
    said = str(caught.value)
    assert "no board with serial number ffff is connected" in said
    assert f"{plugged['adapter'].device} (USB serial number FTDI-77, board 11)" in said
    assert f"{plugged['silent'].device} (nobody answers)" in said


def test_a_number_that_cannot_be_a_boards_own_disturbs_none(plugged):
    with pytest.raises(PortError, match="no board with serial number FTDI-78 is connected"):
        find("FTDI-78")
    assert sum(each.heard for each in plugged.values()) == 0


def test_a_number_that_two_have_is_refused(plugged, monkeypatch):
    pair = [plugged["plain"], plugged["other"]]
    names = " and ".join(each.device for each in sorted(pair, key=lambda one: one.device))
    rename(monkeypatch, pair, ["SAME", "SAME"])
    with pytest.raises(PortError, match=rf"serial number SAME is that of {names}; unplug all but"):
        find("SAME")


def test_two_boards_with_the_same_number_are_refused(plugged, monkeypatch):
    twin = PtyBoard(0x1A2B)
    rename(monkeypatch, [plugged["plain"], twin], [None, None])
    with pytest.raises(PortError, match="serial number 1a2b is that of"):
        find("1a2b")
    twin.close()


def test_no_ports_at_all(monkeypatch):
    monkeypatch.setattr(ports.list_ports, "comports", list)
    with pytest.raises(PortError, match="Serial ports of this computer: none"):
        find("1a2b")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_a_port_that_another_process_has_is_never_opened(plugged):
    device = plugged["plain"].device
    program = (
        "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY);"
        " print(1, flush=True); input()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline()
        assert f"process {owner.pid} (" in holders([device])[device]
        with pytest.raises(PortError, match=rf"{device} \(open in process {owner.pid} .*not asked"):
            find("1a2b")
        assert plugged["plain"].heard == 0
    finally:
        owner.communicate(b"\n", timeout=20)
    assert find("1a2b").device == device


@pytest.mark.skipif(not Path("/proc/locks").is_file(), reason="needs Linux's list of locks")
def test_a_port_that_is_locked_counts_as_held_whoever_holds_it(plugged):
    stream = SerialStream(plugged["plain"].device)
    try:
        assert str(os.getpid()) in holders([plugged["plain"].device])[plugged["plain"].device]
    finally:
        stream.close()
    assert holders([plugged["plain"].device]) == {}


def test_a_terminal_programs_lock_file_counts_while_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "_LOCKS", tmp_path)
    lock = tmp_path / "LCK..ttyUSB7"
    lock.write_text(f"{os.getpid():>10}\n")
    assert str(os.getpid()) in holders(["/dev/ttyUSB7"])["/dev/ttyUSB7"]
    lock.write_text("  999999999\n")
    assert holders(["/dev/ttyUSB7"]) == {}
    lock.write_text("nonsense")
    assert holders(["/dev/ttyUSB7"]) == {}


def test_own_numbers_are_hexadecimal():
    assert own_number("1a2B") == own_number("0x1A2B") == 0x1A2B
    assert [own_number(text) for text in ("FTDI-77", "", "1" * 17)] == [None] * 3
    assert Port("x", usb_serial="1A2B").has("1a2b")
    assert Port("x", board_serial=0x1A2B).has("0x1a2b")
    assert not Port("x", usb_serial="77").has("78")
