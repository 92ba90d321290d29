"""`hil stop`: any board on a line, whoever has its session; and the way back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from hil.cli.app import run
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols import frame
from protocols.errors import BoardError, InputError, LinkTimeout, PortError, SafetyError
from protocols.hardware import load_board
from protocols.messages import (
    ArmRequest,
    HelloRequest,
    HelloResponse,
    SafeReason,
    StatusRequest,
    StatusResponse,
    StopRequest,
)


@dataclass
class Server:
    """A simulated board on a TCP port of this computer, one connection after the other."""

    board: SimBoard
    deaf: bool = False
    heard: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def name(self) -> str:
        return f"socket://127.0.0.1:{self.listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            with line:
                while data := line.recv(4096):
                    self.heard += data
                    if not self.deaf:
                        line.sendall(self.board.receive(data))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(make_board(SimSettings(), load_board("reference")))
    yield one
    one.close()
    one.board.close()


class Owner:
    """Somebody else who has the board's session, armed."""

    def __init__(self, board: SimBoard) -> None:
        self.board = board
        hello = HelloResponse.unpack(self._ask(0, 0, HelloRequest(77))[1:])
        self.session = hello.session
        assert self._ask(self.session, 1, ArmRequest(60_000))[0] == 0

    def _ask(self, session: int, sequence: int, request) -> bytes:
        data = frame.encode(frame.Frame(session, sequence, request.CODE, request.pack()))
        (answer,) = frame.Decoder().feed(self.board.receive(data))
        return answer.payload

    def status(self) -> StatusResponse:
        return StatusResponse.unpack(self._ask(self.session, 2, StatusRequest())[1:])


def test_an_armed_board_of_another_host_is_stopped(server: Server, capsys) -> None:
    owner = Owner(server.board)
    assert run(["stop", "--board", server.name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"board": server.name, "stopped": True, "safe_reason": "stop"}
    status = owner.status()  # its session is still open
    assert (status.armed_ms, status.safe_reason) == (0, SafeReason.STOP)


def test_the_frame_needs_no_session_and_comes_after_a_zero(server: Server, capsys) -> None:
    assert run(["stop", "--board", server.name]) == 0
    assert bytes(server.heard) == b"\0" + frame.encode(frame.Frame(0, 0, StopRequest.CODE, b""))
    text = capsys.readouterr().out
    assert "it was stopped" in text
    assert f"hil stop --clear stop --board {server.name}" in text


def test_an_earlier_reason_stands_and_is_said(server: Server, capsys) -> None:
    server.board.open_interlock()
    assert run(["stop", "--board", server.name]) == 0
    assert "its interlock was open" in capsys.readouterr().out


def test_a_reason_is_cleared_by_its_name_alone(server: Server, capsys) -> None:
    assert run(["stop", "--board", server.name]) == 0
    assert run(["stop", "--board", server.name, "--clear", "fault"]) == SafetyError.exit_code
    assert run(["stop", "--board", server.name, "--clear", "banana"]) == InputError.exit_code
    assert "reasons that latch are stop" in capsys.readouterr().err
    assert run(["stop", "--board", server.name, "--clear", "stop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stopped"], found["safe_reason"]) == (False, "none")


@pytest.mark.parametrize("board", ["sim", "native", "native-process", "qemu"])
def test_a_simulated_board_cannot_be_reached(board: str, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # where nobody has a chip
    assert run(["stop", "--board", board]) == InputError.exit_code
    assert "lives only inside of the process" in capsys.readouterr().err


def test_a_line_that_cannot_be_opened_says_what_else_helps(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert run(["stop", "--board", f"socket://127.0.0.1:{port}"]) == PortError.exit_code
    assert "Ctrl-C there makes the outputs safe" in capsys.readouterr().err


def test_a_board_without_an_answer_is_an_error(server: Server, tmp_path, capsys) -> None:
    server.deaf = True
    bench = tmp_path / "bench.yaml"
    bench.write_text("link: {timeout_s: 0.02, attempts: 3}")
    code = run(["stop", "--bench", str(bench), "--board", server.name])
    assert code == LinkTimeout.exit_code != BoardError.exit_code
    assert "no answer to stop after 3 attempts" in capsys.readouterr().err
    assert server.heard.count(b"\x02") >= 3
