"""The firmware's image on QEMU as the board of a bench."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells
from hil import firmware
from hil.bench import Bench
from hil.boards import with_firmware
from hil.config import BenchConfig
from hil.qemu import QemuStream, command
from hil.sim.config import SimSettings
from protocols import frame
from protocols.errors import ConfigError, FirmwareError, PortError
from protocols.hardware import load_board
from protocols.messages import Port, SafeReason, StopRequest

BOARD = load_board("reference")


@pytest.fixture(autouse=True)
def _needs(need_firmware):
    need_firmware("qemu")


def use(stream) -> None:
    """Enough that a board that has gone is noticed."""
    for _ in range(10):
        stream.write(b"\0" * 100)
        stream.read(0.1)


@pytest.fixture
def opened():
    found = with_firmware("qemu", SimSettings(), BOARD)
    yield found
    found.close()


def test_a_bench_on_the_emulated_chip(tmp_path):
    chip = BenchConfig().chip.model_copy(update={"folder": tmp_path / "chips"})
    with Bench.open(BenchConfig(board="qemu", chip=chip)) as bench:
        assert bench.board.identity.port is Port.QEMU
        assert bench.is_simulated
        wanted = np.full((128, 128), np.nan)
        wanted[5, :3] = [60e-6, 120e-6, 180e-6]
        bench.simulated.set_conductances(wanted)
        found = bench.macro.read(Cells.block(5, 0, 1, 3), samples=16)
        assert found == pytest.approx(wanted[5, :3], rel=0.1)
        assert bench.link.stats.repeated == 0, "the board was awake before the first hello"


def test_it_is_started_so_that_it_cannot_stay_behind(opened):
    words = command(Path("x.elf"), 7)
    assert words[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert " ".join(words[words.index("-icount") :]).startswith("-icount shift=2")


def test_the_same_session_takes_the_same_board_time():
    found = []
    for _ in range(2):
        opened = with_firmware("qemu", SimSettings(), BOARD)
        with Link(opened.stream, nonce=1) as link:
            board = Board(link)
            board.arm(1.0)
            found.append((board.status(), opened.simulated.transactions))
        opened.close()
    assert found[0] == found[1]


def test_an_emulator_that_dies_is_an_honest_error(opened):
    os.kill(opened.stream.process.pid, signal.SIGKILL)
    opened.stream.process.wait()
    with pytest.raises(PortError, match="qemu: the board is gone"):
        use(opened.stream)


@pytest.mark.parametrize("trouble", [ZeroDivisionError, KeyboardInterrupt])
def test_a_front_end_that_fails_is_raised_and_the_board_lives(opened, trouble):
    good, link = opened.simulated.answer, Link(opened.stream)

    def fail(request: bytes) -> bytes:
        raise trouble

    opened.simulated.answer = fail
    with pytest.raises(trouble):
        link.stop()
    opened.simulated.answer = good
    assert link.stop() is SafeReason.STOP


def test_a_board_that_stands_in_semihosting_is_killed(opened):
    """There it hears no other signal."""
    opened.stream.write(frame.encode(frame.Frame(0, 0, StopRequest.CODE, b"")))
    opened.close()
    assert opened.stream.process.returncode == -signal.SIGKILL


def test_nothing_is_left_of_a_closed_emulator(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = with_firmware("qemu", SimSettings(), BOARD)
    assert len(list(tmp_path.iterdir())) == 1
    opened.close()
    opened.close()
    assert list(tmp_path.iterdir()) == []


def test_another_array_than_the_image_was_built_for(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("hil.qemu.built_for", lambda name, target, _: firmware.built(name, target))
    small = BOARD.model_copy(update={"rows": 64})
    with pytest.raises(ConfigError, match=r"built for an array of 128 x 128.*has 64 x 128"):
        with_firmware("qemu", SimSettings(), small)
    assert list(tmp_path.iterdir()) == []


def test_an_array_that_the_chip_has_no_memory_for():
    large = BOARD.model_copy(update={"rows": 512, "columns": 512})
    with pytest.raises(FirmwareError, match="more cells than the memory of an STM32F407"):
        with_firmware("qemu", SimSettings(), large)


@pytest.mark.parametrize(("name", "text"), [("missing.elf", "QEMU says: .*"), ("no.elf", "")])
def test_an_image_that_is_none(tmp_path, monkeypatch, opened, name, text):
    monkeypatch.setattr("hil.lockstep.START_S", 1.0)
    (tmp_path / "no.elf").write_bytes(b"no elf")
    with pytest.raises(FirmwareError, match=f"does not power up. {text}"):
        QemuStream(opened.simulated, tmp_path / name)
