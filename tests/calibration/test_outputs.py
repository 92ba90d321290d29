"""Outputs read back: what stands at zero passes, what does not is named."""

from __future__ import annotations

import pytest

from calibration.outputs import OutputParams, read_back
from drivers.board import Board
from drivers.link import Link
from drivers.stream import MemoryStream
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import InputError, UnconfirmedError
from protocols.hardware import load_board

DESCRIPTION = load_board("reference")


def opened(settings: SimSettings | None = None) -> tuple[Board, Link]:
    simulated = make_board(settings or SimSettings(), DESCRIPTION)
    link = Link(MemoryStream(simulated.receive, "sim"))
    link.open()
    return Board(link), link


@pytest.mark.parametrize("seed", range(12))
def test_a_sound_board_is_seen_to_be_at_zero(seed: int):
    board, link = opened(SimSettings(board_seed=seed))
    with link:
        board.arm(60.0)
        before = board.status()
        found = read_back(board, DESCRIPTION)
        found.require()
        after = board.status()
    assert found.findings == ()
    assert found.armed_s == 0.0, "an armed board is disarmed"
    assert (after.pulses, after.reads) == (before.pulses, before.reads), "no cell is selected"
    assert len(found.outputs) == 3 + 20 + 3


@pytest.mark.parametrize(
    ("channel", "code"), [("bit_line", 4095), ("word_line", 4095), ("embedding_3", 4095)]
)
def test_an_output_that_is_not_at_zero_is_named(channel: str, code: int):
    board, link = opened(SimSettings(channel_faults={channel: "railed"}))
    with link:
        found = read_back(board, DESCRIPTION)
    assert any(f"DAC channel {channel} stands at code {code}" in said for said in found.findings)
    with pytest.raises(UnconfirmedError, match=channel):
        found.require()
    assert found.to_dict()["findings"] == list(found.findings)


def test_it_holds_while_a_stop_is_latched():
    board, link = opened()
    with link:
        board.stop()
        found = read_back(board, DESCRIPTION)
    assert (found.reason, found.findings) == ("stop", ())
    assert not found.running


def test_a_tolerance_has_a_range():
    with pytest.raises(InputError):
        OutputParams(tolerance_codes=0.0)
    with pytest.raises(InputError):
        OutputParams(conversions=0)
