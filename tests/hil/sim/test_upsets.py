"""Boards that reset, sag, hang, answer late or lose input: what the host sees and what it drove."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.stream import MemoryStream
from hil.native import NativeBoard
from hil.sim.board import SimBoard
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.upsets import BoardUpsets, PowerSupply, UpsetBoard
from hil.sim.virtual import VirtualFrontEnd
from protocols.errors import LinkError, LinkTimeout, SafetyError
from protocols.hardware import load_board
from protocols.messages import PulseReadRequestEntry, SafeReason

READ_CODE = 300


def entries(count: int) -> list[PulseReadRequestEntry]:
    return [PulseReadRequestEntry(k // 16, k % 16, 0, 1200, 1200, 10) for k in range(count)]


class Bed:
    """A board with upsets, the chip behind it, and a link to it."""

    def __init__(self, kind: str, **upsets: float) -> None:
        description = load_board("reference")
        settings = SimSettings(upsets=BoardUpsets(**upsets))
        self.chip = Chip.open(None, settings, description)
        if kind == "sim":
            board = SimBoard(description, settings, self.chip)
            self.supply = board.machine.front_end.supply
            self.upset = UpsetBoard(board.power_up_again, settings.upsets)
        else:
            front_end = VirtualFrontEnd(description, settings, self.chip)
            self.supply = front_end.machine.front_end.supply
            self.upset = UpsetBoard(lambda: NativeBoard(front_end), settings.upsets)
        self.link = Link(MemoryStream(self.upset.receive), attempts=20)
        self.link.open()
        self.board = Board(self.link)

    @property
    def driven(self) -> np.ndarray:
        return self.chip.cells.state["pulse_count"][:2048]


@pytest.fixture(params=["sim", "native"])
def kind(request, need_firmware):
    if request.param == "native":
        need_firmware("native")
    return request.param


@pytest.fixture
def make_bed(kind):
    return lambda **upsets: Bed(kind, **upsets)


@pytest.mark.parametrize("after", [0, 1, 7, 18, 30])
def test_a_reset_in_the_middle_of_a_batch_drives_just_what_came_before(make_bed, after):
    bed = make_bed()
    bed.board.arm(10.0)
    bed.supply.plant_reset(after)
    with pytest.raises(LinkError) as caught:
        bed.board.pulse_read(READ_CODE, entries(40))
    assert "not known" in str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    counts = np.array([bed.chip.cells.state["pulse_count"][e.row * 128 + e.column]
                       for e in entries(40)])  # fmt: skip
    assert counts.tolist() == [1] * after + [0] * (40 - after)
    assert bed.upset.count == 1


def test_after_a_reset_nothing_is_armed_and_the_reason_is_power_up(make_bed):
    bed = make_bed()
    bed.board.arm(10.0)
    bed.supply.plant_reset(2)
    with pytest.raises(LinkError):
        bed.board.pulse_read(READ_CODE, entries(4))
    assert bed.link.open().safe_reason == SafeReason.POWER_UP
    with pytest.raises(SafetyError):
        bed.board.pulse_read(READ_CODE, entries(1))


def test_a_sagging_supply_gives_the_last_pulse_half_its_voltage(make_bed):
    moved = {}
    for rate in (0.0, 1.0):
        bed = make_bed(brown_out=rate, seed=3)
        strong = PulseReadRequestEntry(0, 0, 2, 1600, 2800, 10_000)
        bed.board.arm(10.0)
        if rate:
            with pytest.raises(LinkError):
                bed.board.pulse_read(READ_CODE, [strong])
        else:
            bed.board.pulse_read(READ_CODE, [strong])
        moved[rate] = float(bed.chip.cells.conductance([0], bed.chip.now_s)[0])
    assert moved[0.0] > 20e-6, "formed by the whole pulse"
    assert moved[1.0] < 2e-6, "and not by half of it"


def test_random_resets_come_at_their_rate():
    supply = PowerSupply(BoardUpsets(reset=0.01, seed=1))
    resets = 0
    for _ in range(5_000):
        supply.lasts_for(20)
        resets += supply.lost
        supply.lost = False
    expected = 5_000 * (1 - 0.99**20)
    assert abs(resets - expected) <= 5.0 * expected**0.5


def test_a_hung_board_is_reset_by_its_watchdog_and_answers_again(make_bed):
    bed = make_bed(hang=0.2, hang_pieces=3, seed=2)
    opened = 0
    for _ in range(40):
        try:
            bed.board.status()
        except LinkError:
            bed.link.open()
            opened += 1
    assert bed.upset.met["hang"] >= 3
    assert opened >= 3


def test_a_board_that_never_comes_back_is_given_up_in_bounded_time(make_bed):
    bed = make_bed(hang=0.0)
    bed.upset._hung = 10_000
    sent = bed.link.stats.frames_sent
    with pytest.raises(LinkTimeout, match="no answer after 20 attempts"):
        bed.board.status()
    assert bed.link.stats.frames_sent - sent <= 20


@pytest.mark.parametrize("upset", [{"late": 0.3}, {"overrun": 0.3, "buffer_bytes": 100}])
def test_late_answers_and_full_buffers_lose_nothing(make_bed, upset):
    bed = make_bed(**upset, seed=4)
    for _ in range(6):
        bed.board.arm(10.0)
        got = bed.board.pulse_read(READ_CODE, entries(160))
        assert len(got.codes) == 160
    index = [e.row * 128 + e.column for e in entries(160)]
    assert set(bed.chip.cells.state["pulse_count"][index].tolist()) == {6}
    assert sum(bed.upset.met.values()) > 0
    assert bed.upset.count == 0
