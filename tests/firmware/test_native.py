"""The firmware on this machine: the same answers as the simulated board, byte for byte."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from hil.sim.board import make_board
from hil.sim.chip import Chip
from hil.sim.limits import CodeLimits
from protocols import frame
from protocols import messages as m
from tests.firmware import dialogue
from tests.firmware.boards import FIRMWARE, NativeBoard, ProcessBoard
from tests.firmware.dialogue import Host
from tests.firmware.physics import INTERLOCK_OPEN, LATE, Physics

pytestmark = pytest.mark.usefixtures("host")


def physics_of(description, settings) -> Physics:
    return Physics(description, settings, Chip.open(None, settings, description))


def give_weights(sim, physics, rng) -> None:
    """The same conductances on both chips, at the same time."""
    targets = np.full((128, 128), np.nan)
    targets[:64, 30:60] = rng.uniform(100e-6, 230e-6, (64, 30))
    cells = np.flatnonzero(~np.isnan(targets))
    chip = physics.machine.chip
    chip.advance_ns(sim.chip.now_ns - chip.now_ns)
    sim.set_conductances(targets)
    chip.cells.set_conductance(cells, targets.ravel()[cells], chip.now_s)


class Pair:
    """The simulated board and the firmware, asked the same."""

    def __init__(self, board, settings, description, physics: Physics) -> None:
        self.sim = make_board(settings, description)
        self.physics = physics
        self.hosts = (Host(self.sim), Host(board))
        for host in self.hosts:
            host.hello()

    def ask(self, request) -> bytes:
        wanted, got = (host.ask(request) for host in self.hosts)
        socket = hasattr(self.hosts[1].board, "hello")
        if socket and isinstance(request, m.StatusRequest):  # a repeated hello is a frame, too
            wanted, got = wanted[:25], got[:25]
        assert got == wanted, f"{request}: {got.hex()} instead of {wanted.hex()}"
        return got


def test_hard_limits_are_those_of_the_simulated_board(description, settings):
    hello = Host(NativeBoard()).hello()
    limits = CodeLimits.of(description, settings)
    set_, reset, form = limits.operations
    assert hello.read_code_max == limits.read_code_max
    assert (hello.set_gate_max, hello.set_line_max, hello.set_width_max) == (
        set_.gate_max, set_.line_max, set_.width_max,
    )  # fmt: skip
    assert (hello.reset_gate_max, hello.reset_line_max) == (reset.gate_max, reset.line_max)
    assert (hello.form_gate_max, hello.form_line_max) == (form.gate_max, form.line_max)
    assert (hello.reset_width_max, hello.form_width_max) == (reset.width_max, form.width_max)
    assert hello.pulses_per_cell_max == set_.pulses_per_cell_max
    assert (hello.arm_ms_max, hello.watchdog_ms) == (limits.arm_ms_max, limits.watchdog_ms)
    assert (hello.protocol_version, hello.fingerprint) == (m.PROTOCOL_VERSION, m.FINGERPRINT)
    assert (hello.port, hello.payload_bytes) == (m.Port.HOST, m.PAYLOAD_BYTES)


@pytest.mark.parametrize("ticks_per_transaction", [0, 1])
def test_runs_give_the_codes_of_the_simulated_board(description, settings, ticks_per_transaction):
    """All effects and all noise on: pulses, reads, probes, samples and traces agree to the bit."""
    physics = physics_of(description, settings)
    physics.ticks_per_transaction = ticks_per_transaction
    pair = Pair(NativeBoard(physics), settings, description, physics)
    rng = np.random.default_rng(3)
    for request in [*dialogue.waves(rng), *dialogue.layers(), *dialogue.initial(rng, 60)]:
        assert pair.ask(request)[0] == 0
    give_weights(pair.sim, physics, rng)
    assert pair.ask(m.ProbeRequest(0, (1800, 2200), 4))[0] == 0
    for number, noise in enumerate(m.Noise):
        for request in dialogue.run(number, 60, noise):
            assert pair.ask(request)[0] == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_requests_get_the_answers_of_the_simulated_board(description, settings, seed):
    physics = physics_of(description, settings)
    pair = Pair(NativeBoard(physics), settings, description, physics)
    rng = np.random.default_rng(seed)
    for request in [*dialogue.waves(rng), *dialogue.layers(), *dialogue.initial(rng, 60)]:
        pair.ask(request)
    statuses = {pair.ask(dialogue.some(rng))[0] for _ in range(600)}
    assert len(statuses) >= 6, "the requests were too tame"


def test_late_ticks_stop_a_run(description, settings):
    physics = physics_of(description, settings)
    physics.ticks_per_transaction = 1
    host = Host(NativeBoard(physics))
    host.hello()
    rng = np.random.default_rng(1)
    for request in [*dialogue.waves(rng), *dialogue.layers(), *dialogue.initial(rng, 5)]:
        assert host.ask(request)[0] == 0
    assert host.ask(m.RunRequest(1, 0, 5, 10, 0, 0, 0, 0, 0))[0] == 0
    physics.inputs = LATE
    progress = m.ProgressResponse.unpack(host.ask(m.ProgressRequest())[1:])
    assert (progress.run_state, progress.done) == (m.RunState.LATE, 0)
    physics.inputs = 0
    assert host.ask(m.RunRequest(2, 0, 5, 10, 0, 0, 0, 0, 0))[0] == 0
    progress = m.ProgressResponse.unpack(host.ask(m.ProgressRequest())[1:])
    assert (progress.run_state, progress.done) == (m.RunState.DONE, 5)


def test_an_interlock_that_opens_is_seen_before_the_next_request(description, settings):
    physics = physics_of(description, settings)
    host = Host(NativeBoard(physics))
    host.hello()
    assert host.ask(m.ArmRequest(1000))[0] == 0
    physics.inputs = INTERLOCK_OPEN
    status = m.StatusResponse.unpack(host.ask(m.StatusRequest())[1:])
    assert (status.safe_reason, status.armed_ms) == (m.SafeReason.INTERLOCK, 0)


def test_many_boards_live_in_one_process():
    boards = [Host(NativeBoard()) for _ in range(20)]
    for nonce, host in enumerate(boards):
        host.hello(nonce)
    assert len({host.session for host in boards}) == 20
    for count, host in enumerate(boards):
        for _ in range(count):
            host.ask(m.StatusRequest())
    for count, host in enumerate(boards):
        status = m.StatusResponse.unpack(host.ask(m.StatusRequest())[1:])
        assert status.frames == count + 2


def test_the_process_answers_as_the_library(tmp_path, description, settings):
    physics = physics_of(description, settings)
    board = ProcessBoard(tmp_path, physics)
    try:
        pair = Pair(board, settings, description, physics)
        rng = np.random.default_rng(9)
        for request in [*dialogue.waves(rng), *dialogue.layers(), *dialogue.initial(rng, 60)]:
            pair.ask(request)
        for _ in range(100):
            pair.ask(dialogue.some(rng))
    finally:
        board.close()
    assert board.process.returncode == 0


def test_a_host_may_leave_and_come_back(tmp_path):
    board = ProcessBoard(tmp_path)
    try:
        host = Host(board)
        host.hello()
        before = host.ask(m.StatusRequest())
        board.line.close()
        board.line = board.connect()
        again = host.exchange(host.session, 1, m.StatusRequest.CODE, b"")
        assert again == before, "answered from memory"
    finally:
        board.close()


def test_the_process_ends_with_its_front_end(tmp_path, description, settings):
    physics = physics_of(description, settings)
    board = ProcessBoard(tmp_path, physics)
    try:
        Host(board).hello()
        physics.answer = None  # the front end dies at the next transaction
        data = frame.encode(frame.Frame(0, 0, m.StopRequest.CODE, b""))
        board.line.sendall(data)
        assert board.process.wait(10) == 3
    finally:
        board.close()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 1),
        (["--socket"], 1),
        (["--what", "x"], 1),
        (["--socket", "line", "--front-end", "nobody"], 2),
        (["--socket", "no/such/folder/line"], 2),
        (["--socket", "x" * 200], 2),
    ],
)
def test_wrong_calls_are_explained(tmp_path, arguments, code):
    command = [str(FIRMWARE / "build" / "host" / "fw_host"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=10)
    assert done.returncode == code
    assert "fw_host" in done.stderr
