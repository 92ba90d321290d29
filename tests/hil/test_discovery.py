"""`board: serial-number:...`: the bench finds its board wherever it is plugged in."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from drivers import ports
from drivers.ports import Found
from hil import discovery
from hil.bench import Bench
from hil.cli.app import run as command
from hil.config import BenchConfig, parse_config
from hil.control import door_of, stop_through
from hil.discovery import instrument_ports, line_of
from protocols.errors import ChipBusyError, HandshakeError, PortError
from protocols.messages import SafeReason
from tests.drivers.test_ports import PtyBoard


@pytest.fixture
def two(monkeypatch, tmp_path):
    """Two boards on ports without a number of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "doors"))
    boards = {"left": PtyBoard(0xA1), "right": PtyBoard(0xB2)}
    infos = [ListPortInfo(each.device, skip_link_detection=True) for each in boards.values()]
    monkeypatch.setattr(ports.list_ports, "comports", lambda: infos)
    (tmp_path / "bench.yaml").write_text(
        "boards:\n"
        "  left: {board: 'serial-number:a1'}\n"
        "  right: {board: 'serial-number:B2'}\n"
        "  third: {board: 'serial-number:c3'}\n"
    )
    yield boards
    for each in boards.values():
        each.close()


def bench() -> BenchConfig:
    return parse_config(Path("bench.yaml").read_text(), "bench.yaml")


def hil(*words):
    said = io.StringIO()
    with redirect_stdout(said):
        code = command([*words, "--json"])
    return code, json.loads(said.getvalue())


def test_the_bench_finds_its_board(two):
    for name, serial in (("left", 0xA1), ("right", 0xB2)):
        with Bench.open(bench().on(name)) as opened:
            assert opened.board.identity.serial == serial
    with pytest.raises(PortError, match="no board with serial number c3 is connected"):
        Bench.open(bench().on("third"))


def test_a_failed_search_gives_the_chip_back(two):
    for _ in range(2):
        with pytest.raises(PortError, match="c3"):
            Bench.open(bench().on("third"))


def test_a_board_is_stopped_by_its_number_and_by_its_port(two):
    config = bench().on("left")
    by_port = config.with_changes(board=f"serial:{two['left'].device}")
    for one in (config, by_port):
        with Bench.open(config) as opened:
            opened.board.arm(10.0)
            assert stop_through(door_of(one)) is SafeReason.STOP
            assert opened.board.status().armed_s == 0.0
            opened.board.safe_clear(SafeReason.STOP)
        assert not door_of(one).exists()
        assert not door_of(one).is_symlink()


def test_the_stop_command_finds_a_board_that_nobody_has_open(two):
    code, said = hil("stop", "--on", "right")
    assert (code, said["safe_reason"]) == (0, "stop")
    code, said = hil("stop", "--clear", "stop", "--on", "right")
    assert (code, said["stopped"]) == (0, False)


def test_a_board_that_was_swapped_meanwhile_is_not_taken_for_it(two, monkeypatch):
    swapped = Found(two["right"].device, 0xA1)
    monkeypatch.setattr(discovery, "find", lambda *_, **__: swapped)
    with pytest.raises(HandshakeError, match="board b2 answers where board a1 was a moment ago"):
        Bench.open(bench().on("left"))


def test_boards_says_what_is_where(two):
    code, said = hil("boards")
    assert code == 0
    assert [port["board_serial"] for port in said["ports"]] == ["a1", "b2"]
    assert [port["bench_boards"] for port in said["ports"]] == [["left"], ["right"]]
    found = {each["name"]: each["ports"] for each in said["boards"]}
    assert found == {"left": [two["left"].device], "right": [two["right"].device], "third": []}
    assert said["boards"][2]["note"].startswith("not connected")


def test_boards_leaves_a_port_alone_that_is_in_use(two):
    with Bench.open(bench().on("left")) as opened:
        heard, session = two["left"].heard, opened.link.session
        code, said = hil("boards")
        assert code == 0
        assert two["left"].heard == heard
        assert opened.link.session == session
        assert opened.board.status().armed_s == 0.0
    assert said["ports"][0]["board_serial"] is None
    assert "process" in said["ports"][0]["held_by"]
    assert said["ports"][1]["board_serial"] == "b2"


def test_without_asking_no_byte_is_sent(two):
    code, said = hil("boards", "--no-ask")
    assert code == 0
    assert [port["board_serial"] for port in said["ports"]] == [None, None]
    assert two["left"].heard == two["right"].heard == 0


def test_the_same_chip_is_busy_however_its_board_is_named(two):
    config = bench().on("left")
    with Bench.open(config), pytest.raises(ChipBusyError):
        Bench.open(config.with_changes(board=f"serial:{two['left'].device}"))


def test_ports_of_instruments_are_no_ports_of_boards():
    config = parse_config(
        "instruments: {smu: {address: 'ASRL/dev/ttyUSB5::INSTR'},"
        " thermometer: {address: 'TCPIP::192.0.2.7::INSTR'}}",
        "bench.yaml",
    )
    assert instrument_ports(config) == ["/dev/ttyUSB5"]
    assert instrument_ports(BenchConfig()) == []
    assert line_of(BenchConfig(board="serial:/dev/ttyACM0")).board == "serial:/dev/ttyACM0"
