"""`hil stop` while another process or thread has the board, and one writer per chip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from drivers.shared_stream import SharedStream
from drivers.stream import MemoryStream
from hil.bench import Bench
from hil.chip_lock import ChipLock
from hil.cli.app import run
from hil.config import BenchConfig
from hil.control import Door, door_of, stop_through
from hil.jobs.rows import simulated_bench
from hil.sim.effects import Effects
from protocols.errors import ChipBusyError, LinkTimeout, SafetyError
from protocols.messages import SafeReason


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return BenchConfig(chip={"id": "C7", "folder": tmp_path / "chips"}, runs=tmp_path / "runs")


@pytest.mark.parametrize("board", ["sim", "native"])
def test_a_board_in_use_is_stopped_through_its_door(config, board, need_firmware):
    if board != "sim":
        need_firmware(board)
    config = config.with_changes(board=board)
    assert stop_through(door_of(config)) is None, "nobody has it open"
    with Bench.open(config) as bench:
        bench.board.arm(10.0)
        assert stop_through(door_of(config)) is SafeReason.STOP
        status = bench.board.status()
        assert (status.safe_reason, status.armed_s) == (SafeReason.STOP, 0.0)
        with pytest.raises(SafetyError, match="stop"):
            bench.board.arm(10.0)
    assert stop_through(door_of(config)) is None
    assert not door_of(config).exists()


def test_a_second_bench_of_the_same_board_does_not_stop_the_first(config):
    """A chip in memory beside the one in the socket finds the door taken, and leaves it alone."""
    with Bench.open(config) as bench:
        with simulated_bench(config, Effects.none()):
            pass
        bench.board.arm(10.0)
        assert bench.board.status().safe_reason is SafeReason.NONE
        assert stop_through(door_of(config)) is SafeReason.STOP


def test_a_stop_comes_between_the_calls_of_a_busy_owner(config):
    """The owner reads without a pause in another thread; it then meets the safe state."""
    with Bench.open(config) as bench:
        met = []

        def owner():
            try:
                while True:
                    bench.board.arm(1.0)
                    bench.macro.read_map()
            except SafetyError as error:
                met.append(error)

        thread = threading.Thread(target=owner)
        thread.start()
        time.sleep(0.2)
        assert stop_through(door_of(config)) is SafeReason.STOP
        thread.join(20)
        assert not thread.is_alive()
        assert "stop" in str(met[0])


def test_the_command_reaches_another_process(config, tmp_path, capsys):
    """A second process programs; `hil stop` here ends it with the code for the safe state."""
    text = f"chip: {{id: C7, folder: {config.chip.folder}}}\nruns: {config.runs}\n"
    (tmp_path / "bench.yaml").write_text(text)
    hil = [sys.executable, "-c", "from hil.cli.app import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*hil, "form"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    other = subprocess.Popen(
        [*hil, "program"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        door, deadline = door_of(config), time.monotonic() + 60
        while not door.exists() and other.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert run(["stop", "--bench", str(tmp_path / "bench.yaml"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["safe_reason"] == "stop"
        _, said = other.communicate(timeout=60)
    finally:
        other.kill()
    assert other.returncode == SafetyError.exit_code, said
    assert "stop" in said


def test_what_arrives_meanwhile_is_kept_for_the_owner():
    sent = []

    def peer(data):
        sent.append(data)
        return b"\x00answer\x00"

    stream = SharedStream(MemoryStream(peer))
    with pytest.raises(LinkTimeout, match="switch the supply off"):
        stream.stop(attempts=2, wait_s=0.01)
    assert len(sent) == 2
    assert stream.read(0.0) == b"\x00answer\x00" * 2
    assert stream.read(0.0) == b""


def test_a_door_that_a_dead_process_left_is_replaced(tmp_path):
    path = tmp_path / "x.stop"
    code = (
        "import socket,os,signal;s=socket.socket(socket.AF_UNIX);"
        f"s.bind({str(path)!r});s.listen();os.kill(os.getpid(),signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert path.exists()
    assert stop_through(path) is None
    door = Door(path, SharedStream(MemoryStream(lambda _: b"")))
    assert door.trouble is None
    second = Door(path, SharedStream(MemoryStream(lambda _: b"")))
    assert "cannot reach this process" in second.trouble
    door.close()
    assert not path.exists()


def test_a_second_process_is_told_who_has_the_chip(tmp_path):
    lock = ChipLock(tmp_path / "C7")
    with pytest.raises(ChipBusyError, match=f"process {os.getpid()} has this chip"):
        ChipLock(tmp_path / "C7")
    lock.close()
    ChipLock(tmp_path / "C7").close()


def test_a_killed_process_holds_no_chip(tmp_path):
    code = (
        "import os,signal,pathlib;from hil.chip_lock import ChipLock;"
        f"lock=ChipLock(pathlib.Path({str(tmp_path / 'C7')!r}));"
        "os.kill(os.getpid(),signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    ChipLock(tmp_path / "C7").close()
