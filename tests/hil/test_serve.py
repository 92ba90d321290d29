"""The served board: on this computer's own address unless told otherwise, and it says so."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from drivers.link import Link
from drivers.stream import MemoryStream, open_stream
from hil.cli.commands import sim
from hil.cli.tree import invoke
from hil.config import BenchConfig
from hil.serve import LOOPBACK, Server, is_loopback, warning
from hil.sim.board import make_board
from protocols.errors import LinkError, PortError
from protocols.messages import StatusRequest


@contextmanager
def served():
    config = BenchConfig()
    board = make_board(config.sim, config.load_description())
    with Server(MemoryStream(board.receive, "sim")) as server:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield server
        server.stop()
        thread.join(5.0)


def test_one_host_after_the_other():
    with served() as server:
        assert server.address.startswith("127.0.0.1:")
        for _ in range(2):
            with Link(open_stream(f"socket://{server.address}"), timeout_s=5.0) as link:
                assert link.call(StatusRequest()).safe_reason is not None
        with socket.create_connection(("127.0.0.1", int(server.address.split(":")[1]))) as rude:
            rude.sendall(b"\xff" * 100_000)
        with Link(open_stream(f"socket://{server.address}"), timeout_s=5.0) as link:
            assert link.is_open


def test_a_cable_that_is_pulled_is_an_error_of_the_line():
    with served() as server:
        link = Link(open_stream(f"socket://{server.address}"), timeout_s=0.2, attempts=2)
        link.open()
        server.stop()
        with pytest.raises(LinkError):
            link.call_many([StatusRequest()] * 100)


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("127.8.8.8", True), ("0.0.0.0", False)]
)
def test_which_addresses_are_this_computers_own(host, own):
    assert is_loopback(host) is own
    assert (warning(host) == "") is own
    if not own:
        assert "no password" in warning(host)


def test_addresses_that_cannot_be_listened_on():
    with pytest.raises(PortError, match="cannot be listened on"):
        Server(MemoryStream(bytes), "192.0.2.1", 1)
    with pytest.raises(PortError, match="no address"):
        is_loopback("a" * 300)


def test_the_command_listens_on_loopback_and_warns_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    heard: list[str] = []
    monkeypatch.setattr(sim.Server, "run", lambda self: heard.append(self.address))
    assert invoke(["sim", "serve"]) == 0
    assert heard[0].startswith(f"{LOOPBACK}:")
    assert "WARNING" not in capsys.readouterr().out
    assert invoke(["sim", "serve", "--host", "0.0.0.0"]) == 0
    assert "no password" in " ".join(capsys.readouterr().out.split())
    assert invoke(["sim", "serve", "--board", "serial:/dev/x"]) == 2
