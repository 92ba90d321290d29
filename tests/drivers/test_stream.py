"""Streams: memory, pyserial's loop, a pseudo-terminal and a TCP port, all with the same link."""

from __future__ import annotations

import os
import select
import socket
import threading
import tty

import pytest
import serial

from drivers.link import Link
from drivers.stream import MemoryStream, SerialStream, open_stream
from protocols.errors import PortError
from protocols.messages import ArmRequest


class Served:
    """A peer behind a file descriptor, in a thread of its own until `stop`."""

    def __init__(self, peer, descriptor: int) -> None:
        self._peer, self._descriptor = peer, descriptor
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ending.is_set():
            ready, _, _ = select.select([self._descriptor], [], [], 0.02)
            if ready:
                try:
                    data = os.read(self._descriptor, 4096)
                except OSError:  # the other end of the pseudo-terminal is closed
                    return
                answer = self._peer.receive(data)
                while answer:
                    answer = answer[os.write(self._descriptor, answer) :]

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(5.0)


@pytest.fixture
def arming(make_peer):
    return make_peer()


@pytest.fixture
def terminal(arming):
    """The name of a pseudo-terminal with a peer at its other end."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    served = Served(arming, ours)
    yield os.ttyname(theirs)
    served.stop()
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def port(arming):
    """The URL of a TCP port with a peer behind it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        served = []

        def accept() -> None:
            connection, _ = server.accept()
            served.append((connection, Served(arming, connection.fileno())))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5.0)
        for connection, one in served:
            one.stop()
            connection.close()


def test_memory_stream_answers_in_the_write():
    stream = MemoryStream(bytes.upper, "shout")
    stream.write(b"ab")
    stream.write(b"c")
    assert stream.read(10.0) == b"ABC"
    assert stream.read(10.0) == b"", "it never waits"
    stream.close()
    stream.close()
    with pytest.raises(PortError, match="shout: the stream was closed"):
        stream.write(b"x")
    with pytest.raises(PortError):
        stream.read(0.0)


def test_loop_url_gives_back_all_that_is_waiting():
    stream = open_stream("loop://")
    data = bytes(range(256)) * 4
    stream.write(data)
    assert stream.read(1.0) == data
    assert stream.read(0.0) == b""
    stream.close()
    stream.close()
    with pytest.raises(PortError, match="was closed"):
        stream.read(0.0)


def use(link: Link, peer) -> None:
    """A session of some traffic."""
    with link:
        found = link.call_many([ArmRequest(i + 1) for i in range(100)])
        assert [one.until_us for one in found] == [10 * (i + 1) for i in range(100)]
        assert link.keep_alive().time_us == 5_000_000
    assert [sequence for sequence, _ in peer.executed] == list(range(1, 102))


def test_link_over_a_serial_port(terminal, arming):
    use(Link(open_stream(f"serial:{terminal}"), timeout_s=5.0), arming)


def test_link_over_tcp(port, arming):
    use(Link(open_stream(port), timeout_s=5.0), arming)


@pytest.fixture
def unix(arming, tmp_path):
    """A unix socket that the board listens on."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "line"))
        server.listen(1)
        stream = open_stream(f"unix://{tmp_path / 'line'}")
        connection, _ = server.accept()
    with connection:
        served = Served(arming, connection.fileno())
        yield stream
        served.stop()


def test_link_over_a_unix_socket(unix, arming):
    use(Link(unix, timeout_s=5.0), arming)


def test_a_unix_socket_is_read_at_once_and_with_a_time_out(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "line"))
        server.listen(1)
        port = serial.serial_for_url(f"unix://{tmp_path / 'line'}", timeout=0.05)
        connection, _ = server.accept()
    with connection:
        connection.sendall(bytes(3000))
        assert port.in_waiting == 3000
        assert len(port.read(2000)) == 2000
        assert len(port.read(2000)) == 1000, "what was there when the time was over"
        connection.sendall(b"old")
        port.reset_input_buffer()
        port.reset_output_buffer()
        assert port.in_waiting == 0
    with pytest.raises(serial.SerialException, match="has closed the line"):
        port.read(1)
    port.close()
    port.close()
    with pytest.raises(serial.SerialException):
        port.write(b"x")


def test_a_port_belongs_to_one_host(terminal):
    first = SerialStream(terminal)
    with pytest.raises(PortError, match="cannot be opened"):
        SerialStream(terminal)
    first.close()
    SerialStream(terminal).close()


def test_a_tcp_peer_that_goes_away():
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = open_stream(f"socket://127.0.0.1:{server.getsockname()[1]}")
        connection, _ = server.accept()
        connection.close()
        with pytest.raises(PortError, match="the line broke"):
            stream.read(5.0)
        stream.close()


@pytest.mark.parametrize(
    "spec",
    ["serial:/dev/no-such-port", "/dev/no-such-port", "socket://:::", "unix:///no/line", "unix://"],
)
def test_a_port_that_is_not_there(spec):
    with pytest.raises(PortError, match=r"cannot be opened.*Serial ports of this computer"):
        open_stream(spec)


@pytest.mark.parametrize("spec", ["", "sim", "http://example", "board-3"])
def test_a_name_that_is_no_line(spec):
    with pytest.raises(PortError, match="names no line to a board; write serial:PORT"):
        open_stream(spec)
