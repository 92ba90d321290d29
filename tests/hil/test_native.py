"""The firmware in this process and in one of its own, as boards of a bench."""

from __future__ import annotations

import contextlib
import gc
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
from hil.boards import simulated, with_firmware
from hil.config import BenchConfig
from hil.native import NativeBoard, NativeStream
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols import frame
from protocols.errors import BoardError, ChipBusyError, ConfigError, FirmwareError, PortError
from protocols.hardware import load_board
from protocols.messages import HelloRequest, HelloResponse, Port, PulseReadRequestEntry

BOARD = load_board("reference")
NAMES = ["native", "native-process"]


@pytest.fixture(autouse=True)
def _needs(need_firmware):
    need_firmware("native")


def config_in(folder: Path, board: str) -> BenchConfig:
    chip = BenchConfig().chip.model_copy(update={"folder": folder / "chips"})
    return BenchConfig(board=board, chip=chip)


def hello(board: NativeBoard, nonce: int = 1) -> HelloResponse:
    request = frame.Frame(0, 0, HelloRequest.CODE, HelloRequest(nonce).pack())
    (answer,) = frame.Decoder().feed(board.receive(frame.encode(request)))
    return HelloResponse.unpack(answer.payload[1:])


def use(stream) -> None:
    """Enough that a board that has gone is noticed."""
    for _ in range(10):
        stream.write(b"\0" * 100)
        stream.read(0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_on_the_firmware(tmp_path, name):
    with Bench.open(config_in(tmp_path, name)) as bench:
        assert bench.board.identity.port is Port.HOST
        assert bench.is_simulated
        wanted = np.full((128, 128), np.nan)
        wanted[5, :3] = [60e-6, 120e-6, 180e-6]
        bench.simulated.set_conductances(wanted)
        found = bench.macro.read(Cells.block(5, 0, 1, 3), samples=16)
        assert found == pytest.approx(wanted[5, :3], rel=0.1)
        assert found == pytest.approx(bench.simulated.true_conductances()[5, :3], rel=0.1)
        before = bench.board.status().time_s
        bench.wait(3600.0)
        assert bench.board.status().time_s - before == pytest.approx(3600.0, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_chip_outlives_the_board(tmp_path, name):
    config = config_in(tmp_path, name)
    with Bench.open(config) as bench:
        cells = np.full((128, 128), np.nan)
        cells[1, 1] = 100e-6
        bench.simulated.set_conductances(cells)
        time_ns = bench.simulated.chip.now_ns
        with pytest.raises(ChipBusyError):
            Bench.open(config)
    with Bench.open(config) as bench:
        assert bench.simulated.chip.now_ns >= time_ns
        assert bench.macro.read(Cells.block(1, 1, 1, 1), 16) == pytest.approx(100e-6, rel=0.1)


def test_many_boards_live_in_one_process():
    opened = [with_firmware("native", SimSettings(board_seed=k), BOARD) for k in range(1, 6)]
    boards = [NativeBoard(one.simulated) for one in opened]
    assert [hello(board).board_serial for board in boards] == [1, 2, 3, 4, 5]
    for one in opened:
        one.close()


def test_without_a_front_end_there_is_a_stub():
    board = NativeBoard()
    assert hello(board).port == Port.HOST
    assert board.time_ns == 0
    board.close()
    board.close()
    for use in (lambda: board.receive(b""), lambda: board.time_ns):
        with pytest.raises(PortError, match="was switched off"):
            use()


def test_a_board_that_nobody_holds_is_switched_off():
    board = NativeBoard()
    destroy = board._destroy
    del board
    gc.collect()
    assert not destroy.alive


@pytest.mark.parametrize("trouble", [ZeroDivisionError, KeyboardInterrupt])
def test_what_goes_wrong_in_the_front_end_is_raised_where_the_host_writes(trouble):
    opened = with_firmware("native", SimSettings(), BOARD)
    assert isinstance(opened.stream, NativeStream)

    def fail(request: bytes) -> bytes:
        raise trouble

    good, opened.simulated.answer = opened.simulated.answer, fail
    stop = frame.encode(frame.Frame(0, 0, 0x02, b""))
    with pytest.raises(trouble):
        opened.stream.write(stop)
    opened.simulated.answer = good
    opened.stream.write(stop)
    assert opened.stream.read(0.0)
    opened.close()


@pytest.mark.parametrize("name", ["sim", "native", "native-process"])
def test_a_board_may_have_512_rows_and_columns(name):
    large = BOARD.model_copy(update={"rows": 512, "columns": 512})
    settings = SimSettings.ideal()
    opened = (
        simulated(make_board(settings, large))
        if name == "sim"
        else with_firmware(name, settings, large)
    )
    siemens = np.full((512, 512), np.nan)
    siemens[511, 300] = 100e-6
    opened.simulated.set_conductances(siemens)
    with Link(opened.stream) as link:
        board = Board(link)
        assert (board.identity.rows, board.identity.columns) == (512, 512)
        codes = board.read(163, [511, 511], [300, 44]).codes
        assert codes[0] == round(163 / 4095 * 5.0 * 100e-6 / 60e-6 * 4095)
        assert codes[1] < 10
        sums = board.multiply(500, 299, 3, np.full((1, 12), 2048 + 410)).codes
        assert sums[0, 1] - 2048 == pytest.approx(
            0.1 * 100e-6 / 60e-6 * 2048, abs=6
        )  # virgin cells leak
        with pytest.raises(BoardError, match=r"row \(entry 0\) is 512, allowed are 0 to 511"):
            board.read(163, [512], [0])
        board.arm(10.0)
        board.pulse_read(163, [PulseReadRequestEntry(511, 300, 1, 3000, 2500, 100)])
        assert board.read(163, [511, 510], [300, 300]).codes[0] < codes[0]
    opened.close()


def test_a_description_raises_no_limit_of_the_firmware():
    """Rows and columns are the description's; whatever else is in it is not compiled in."""
    limits = BOARD.limits.model_copy(update={"read_volts": 2.0, "pulses_per_cell": 10**6})
    bold = BOARD.model_copy(update={"name": "bold", "rows": 100, "limits": limits})
    with contextlib.closing(with_firmware("native", SimSettings(), bold)) as opened:
        found = hello(opened.stream._board)
    with contextlib.closing(with_firmware("native", SimSettings(), BOARD)) as opened:
        usual = hello(opened.stream._board)
    assert (found.rows, found.columns) == (100, 128)
    assert found.read_code_max == usual.read_code_max
    assert found.pulses_per_cell_max == usual.pulses_per_cell_max
    one = BOARD.model_copy(update={"name": "another", "limits": limits})
    built = firmware.built("native", firmware.LIBRARY)
    assert firmware.built_for("native", firmware.LIBRARY, one) == built


def test_another_array_than_the_firmware_was_built_for(monkeypatch):
    monkeypatch.setattr(
        "hil.native.built_for", lambda name, target, _: firmware.built(name, target)
    )
    small = BOARD.model_copy(update={"rows": 64})
    with pytest.raises(ConfigError, match=r"built for an array of 128 x 128.*has 64 x 128"):
        with_firmware("native", SimSettings(), small)


def test_a_process_that_dies_is_an_honest_error():
    opened = with_firmware("native-process", SimSettings(), BOARD)
    os.kill(opened.stream.process.pid, signal.SIGKILL)
    opened.stream.process.wait()
    with pytest.raises(PortError, match="native-process: the board is gone"):
        use(opened.stream)
    opened.close()
    with pytest.raises(PortError, match="was closed"):
        opened.stream.read(0.0)


def test_nothing_is_left_of_a_closed_process(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = with_firmware("native-process", SimSettings(), BOARD)
    process = opened.stream.process
    assert len(list(tmp_path.iterdir())) == 1
    opened.close()
    opened.close()
    assert process.returncode is not None
    assert list(tmp_path.iterdir()) == []


def test_a_firmware_that_does_not_compile_says_why(monkeypatch, tmp_path):
    (tmp_path / "Makefile").write_text("thing:\n\t@echo no such chip >&2; exit 3\n")
    monkeypatch.setattr(firmware, "FOLDER", tmp_path)
    with pytest.raises(FirmwareError, match=r"(?s)make .* thing failed:.*no such chip"):
        firmware.built("native", "thing")


def test_missing_tools_are_named(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda tool: None)
    reason = firmware.what_is_missing("qemu")
    for part in ("arm-none-eabi-gcc", "qemu-system-arm", "debian-packages.txt"):
        assert part in reason
    with pytest.raises(FirmwareError, match="native needs make, gcc; install"):
        firmware.built("native", "another")
