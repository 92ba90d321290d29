"""A controller that goes in the middle of a pulse: what its next start does before anything else.

`test_qemu.py` has the same for the shipped image, line by line.
"""

from __future__ import annotations

import contextlib

import pytest

from hil.sim.chip import Chip
from hil.sim.virtual import HEAD, Op
from protocols import messages as m
from tests.firmware.boards import NativeBoard, ProcessBoard
from tests.firmware.dialogue import Host
from tests.firmware.physics import Physics

pytestmark = pytest.mark.usefixtures("host")
PULSE = m.PulseReadRequestEntry(17, 99, m.Operation.FORM, 1000, 1234, 50000)


class Watched(Physics):
    """Writes down what it is asked for, and calls somebody in the middle of a pulse."""

    def __init__(self, *of) -> None:
        super().__init__(*of)
        self.asked: list[Op] = []
        self.in_a_pulse = lambda: None

    def answer(self, request: bytes) -> bytes:
        op = Op(HEAD.unpack_from(request)[1])
        self.asked.append(op)
        if op is Op.PULSE_READ:
            self.in_a_pulse()
        return super().answer(request)


@pytest.fixture
def physics(description, settings) -> Watched:
    return Watched(description, settings, Chip.open(None, settings, description))


def safe_before_anything(host: Host, physics: Watched) -> None:
    """The start after it: outputs safe first, not armed, and no pulse until somebody arms."""
    assert host.hello(nonce=9).safe_reason == m.SafeReason.POWER_UP
    assert physics.asked[:2] == [Op.OPEN, Op.SAFE]
    status = m.StatusResponse.unpack(host.ask(m.StatusRequest())[1:])
    assert (status.armed_ms, status.pulses) == (0, 0)
    refused = host.ask(m.PulseReadRequest(163, (PULSE,)))
    assert m.STATUSES[refused[0]].name == "not_armed"
    assert Op.PULSE_READ not in physics.asked


def test_a_process_that_is_killed_in_a_pulse_starts_safe(physics, description, settings, tmp_path):
    (tmp_path / "first").mkdir()
    board = ProcessBoard(tmp_path / "first", physics)
    host = Host(board)
    host.hello()
    assert host.ask(m.ArmRequest(1000))[0] == 0
    physics.in_a_pulse = board.process.kill
    with contextlib.suppress(OSError):
        host.ask(m.PulseReadRequest(163, (PULSE,)))
    board.process.wait(10)
    board.close()
    assert physics.asked[-1] is Op.PULSE_READ, "nothing came after it"
    after = Watched(description, settings, Chip.open(None, settings, description))
    (tmp_path / "second").mkdir()
    again = ProcessBoard(tmp_path / "second", after)
    safe_before_anything(Host(again), after)
    again.close()


def test_a_board_that_starts_again_has_its_outputs_safe_first(physics, description, settings):
    host = Host(NativeBoard(physics))
    host.hello()
    assert host.ask(m.ArmRequest(1000))[0] == 0
    assert host.ask(m.PulseReadRequest(163, (PULSE,)))[0] == 0
    after = Watched(description, settings, Chip.open(None, settings, description))
    safe_before_anything(Host(NativeBoard(after)), after)
