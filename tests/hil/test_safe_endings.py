"""However a host ends, the board behind it is safe, and the next command says why.

The board is a simulated one on a TCP port of this computer, so that it outlives its hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.cli.app import run
from hil.cli.signals import description, ending_well
from hil.config import BenchConfig
from hil.safe_states import LATCHING, MEANING, announcement
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from hil.sim.safety import LATCHING as LATCHED_BY_THE_BOARD
from protocols.errors import LinkError, SafetyError
from protocols.hardware import load_board
from protocols.messages import SafeReason

HIL = [sys.executable, "-c", "from hil.cli.app import main; main()"]
ROOT = Path(__file__).parents[2]


class Served:
    """A board on a port. It falls silent once pulses were driven, until it is let go on."""

    def __init__(self, board: SimBoard) -> None:
        self.board = board
        self.waits = True
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.line: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        return f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                self.line, _ = self._listener.accept()
            except OSError:
                return
            try:
                while data := self.line.recv(4096):
                    self.line.sendall(self._answer(data))
            except OSError:
                pass

    def _answer(self, data: bytes) -> bytes:
        answer = self.board.receive(data)
        if self.waits and self.board.machine.pulses > 0:
            self.waits = False
            self.reached.set()
            assert self.go_on.wait(60)
        return answer

    def refuse(self) -> None:
        """Let nobody connect again."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        self.go_on.set()
        self.refuse()
        self._thread.join(10)
        self.board.close()


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served(make_board(SimSettings(), load_board("reference")))
    yield one
    one.close()


def bench_file(folder: Path, board: str) -> list[str]:
    text = {"board": board, "chip": {"id": "C", "folder": str(folder / "chips")}}
    text |= {name: str(folder / name) for name in ("runs", "boards")}
    text["link"] = {"timeout_s": 0.2, "attempts": 3}
    (folder / "bench.yaml").write_text(json.dumps(text))
    return ["--bench", str(folder / "bench.yaml")]


def start(served: Served, folder: Path, **more) -> subprocess.Popen:
    """`hil form`, up to where the first pulses were driven and their answer is awaited."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    then = more.pop("preexec_fn", None)

    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):  # also where the tests run in the background
            signal.signal(number, signal.SIG_DFL)
        if then is not None:
            then()

    command = [*HIL, "form", *bench_file(folder, served.name)]
    host = subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=prepare, **more)
    assert served.reached.wait(120)
    assert served.board.machine.safety.armed_ns(served.board.chip.now_ns) > 0
    return host


def status_of_the_run(folder: Path) -> tuple[str, str]:
    (path,) = (folder / "runs").glob("*form*/run.json")
    found = json.loads(path.read_text())
    return found["status"], found.get("reason") or ""


def assert_disarmed(served: Served) -> None:
    safety = served.board.machine.safety
    assert safety.armed_ns(served.board.chip.now_ns) == 0
    assert safety.reason is SafeReason.DISARM


@pytest.mark.parametrize(
    ("number", "said"),
    [
        pytest.param(signal.SIGINT, "Stopped from the keyboard", marks=pytest.mark.slow),
        (signal.SIGTERM, "Ended by SIGTERM"),
    ],
)
def test_a_signal_ends_as_ctrl_c_does(served, tmp_path, number, said):
    host = start(served, tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    host.send_signal(number)
    served.go_on.set()
    _, text = host.communicate(timeout=60)
    assert host.returncode == 128 + number, text
    assert said in text
    assert_disarmed(served)
    assert status_of_the_run(tmp_path)[0] == "interrupted"


def test_a_closed_terminal_ends_as_ctrl_c_does(served, tmp_path):
    """The host's terminal goes away, and with it everything that it could write to."""
    keyboard, screen = pty.openpty()

    def own_terminal() -> None:
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    host = start(
        served, tmp_path, stdin=screen, stdout=screen, stderr=screen, preexec_fn=own_terminal
    )
    os.close(screen)
    while select.select([keyboard], [], [], 0.0)[0]:
        os.read(keyboard, 65536)
    os.close(keyboard)
    served.go_on.set()
    assert host.wait(60) == 128 + signal.SIGHUP
    assert_disarmed(served)
    assert status_of_the_run(tmp_path)[0] == "interrupted"


def test_a_killed_host_is_found_out_by_the_watchdog_and_the_next_command_says_so(
    served, tmp_path, capfd, caplog
):
    host = start(served, tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host.kill()
    host.wait(60)
    served.go_on.set()
    served.line.close()
    board = served.board
    board.machine.pass_in_silence(board.machine.hard_limits.watchdog_ns + 1)
    assert board.machine.safety.reason is SafeReason.WATCHDOG
    assert board.machine.safety.armed_ns(board.chip.now_ns) == 0
    assert run(["info", *bench_file(tmp_path, served.name), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["board"]["safe_reason"] == "watchdog"
    assert "the board was put into its safe state: watchdog (its host fell silent)" in caplog.text
    assert f"hil stop --clear watchdog --board {served.name}" in caplog.text
    assert run(["form", *bench_file(tmp_path, served.name)]) == SafetyError.exit_code
    assert run(["stop", "--clear", "watchdog", *bench_file(tmp_path, served.name)]) == 0
    caplog.clear()
    assert run(["info", *bench_file(tmp_path, served.name), "--json"]) == 0
    assert "safe state" not in caplog.text


def test_a_lost_line_is_an_error_and_the_watchdog_ends_it(served, tmp_path):
    host = start(served, tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    served.line.shutdown(socket.SHUT_RDWR)
    served.go_on.set()
    served.refuse()
    _, text = host.communicate(timeout=60)
    assert host.returncode == LinkError.exit_code, text
    assert status_of_the_run(tmp_path)[0] == "failed"
    machine = served.board.machine
    machine.pass_in_silence(machine.hard_limits.watchdog_ns + 1)
    assert machine.safety.reason is SafeReason.WATCHDOG


def _pulse_and_fail(bench: Bench) -> None:
    with bench.macro.armed(10.0):
        bench.macro.pulse(1, 2, "set", 0.1, 0.1, 1e-7)
        raise ZeroDivisionError


@pytest.mark.parametrize("board", ["sim", "native"])
def test_an_exception_in_the_middle_disarms(board, tmp_path, need_firmware):
    if board == "native":
        need_firmware(board)
    config = BenchConfig(board=board, chip={"id": "C", "folder": tmp_path / "chips"})
    with Bench.open(config) as bench:
        with pytest.raises(ZeroDivisionError):
            _pulse_and_fail(bench)
        status = bench.board.status()
        assert (status.armed_s, status.safe_reason) == (0.0, SafeReason.DISARM)


def test_reasons_that_somebody_should_hear_of():
    assert set(LATCHING) == LATCHED_BY_THE_BOARD
    for reason in SafeReason:
        text = announcement(reason, "sim")
        assert bool(text) == (reason in MEANING)
        assert ("--clear" in text) == (reason in LATCHING)


def test_nothing_is_changed_for_a_process_that_ignores_a_hang_up():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_well():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert description(None) == "stopped from the keyboard"
