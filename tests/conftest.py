"""What all tests share: reproducible property tests, a bad line, and the boards of conformance."""

from __future__ import annotations

import argparse
import os
import random
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from hil.firmware import what_is_missing

BOARDS = ("sim", "native", "qemu")
LINES = ("serial:", "unix://", "socket://")

# The same examples on every run and machine; no deadline, because machines are shared.
settings.register_profile("project", derandomize=True, deadline=None, database=None)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--board",
        action="append",
        type=_board,
        metavar="BOARD",
        help=f"run the conformance tests on this board only ({', '.join(BOARDS)}, native-process, "
        "serial:PORT, unix://PATH or socket://HOST:PORT); may be given more than once",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, or one worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


def _board(name: str) -> str:
    if name in (*BOARDS, "native-process") or name.startswith(LINES):
        return name
    raise argparse.ArgumentTypeError(f"{name!r} is no board")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "board_name" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--board") or BOARDS
        metafunc.parametrize("board_name", chosen, scope="session")


class BadLine:
    """Between a host and a peer: frames are lost, repeated, damaged or late, both ways, by a seed.

    `rates` gives the probability of each fault; `script` instead names the fate of each frame in
    turn (of both directions together): "ok", "drop", "repeat", "damage" or "delay".
    """

    def __init__(self, peer: Callable[[bytes], bytes], seed: int = 0, **rates: float) -> None:
        self._peer = peer
        self._rng = random.Random(seed)
        self._rates = rates
        self._late: dict[str, list[bytes]] = {"out": [], "back": []}
        self.script: deque[str] = deque()
        self.clean = False

    def receive(self, data: bytes) -> bytes:
        """Bytes from the host; what arrives of the peer's answers."""
        return self._pass(self._peer(self._pass(data, "out")), "back")

    def _pass(self, data: bytes, way: str) -> bytes:
        if self.clean:
            return data
        out = []
        for block in data.split(b"\x00")[:-1]:
            late, self._late[way] = self._late[way], []
            out += self._fate(block + b"\x00", way) + late
        return b"".join(out)

    def _fate(self, whole: bytes, way: str) -> list[bytes]:
        if len(whole) == 1:
            return [whole]
        match self._draw():
            case "drop":
                return []
            case "repeat":
                return [whole, whole]
            case "damage":
                at = self._rng.randrange(len(whole))
                flip = 1 << self._rng.randrange(8)
                return [whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]]
            case "delay":
                self._late[way].append(whole)
                return []
        return [whole]

    def _draw(self) -> str:
        if self.script:
            return self.script.popleft()
        at = self._rng.random()
        for fault, rate in self._rates.items():
            at -= rate
            if at < 0:
                return fault
        return "ok"


@pytest.fixture(scope="session", autouse=True)
def _own_doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Processes that test at the same time must not stop each other's boards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("doors")))
        yield


@pytest.fixture(scope="session")
def make_line() -> type[BadLine]:
    return BadLine


@pytest.fixture(scope="session")
def need_firmware() -> Callable[[str], None]:
    """Skips a test whose board cannot run here; in continuous integration that is a failure."""

    def need(board: str) -> None:
        if reason := what_is_missing(board):
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)

    return need
