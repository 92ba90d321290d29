"""`hil stop` during commands: the board is safe at once, and nothing is driven after it."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from benchmarks._stops import COMMANDS, SAFE_WITHIN_S, Stop, campaign
from hil.sim.safety import Safety
from protocols.messages import SafeReason


@pytest.fixture(autouse=True)
def own_door(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize("board", ["sim", "native"])
def test_forming_is_stopped_at_any_moment(board, need_firmware):
    if board == "native":
        need_firmware(board)
    tally = campaign(1, seed=2, boards=(board,), names=("form",))
    assert (len(tally.stops), tally.good) == (1, 1), tally.stops
    (stop,) = tally.stops
    assert stop.exit_code == 7
    assert tally.longest_s <= SAFE_WITHIN_S
    assert stop.asked_s <= stop.arrived_s <= stop.safe_s


def test_a_board_that_does_not_keep_its_stop_is_found_out():
    with patch.object(Safety, "require_safe_to_drive", lambda _: None):
        tally = campaign(1, seed=2, boards=("sim",), names=("form",))
    assert tally.good == 0
    assert tally.stops[0].driven_after > 0


def test_what_makes_a_stop_a_good_one():
    good = {"asked_s": 1.0, "arrived_s": 1.0, "safe_s": 1.05, "answer": SafeReason.STOP}
    one = Stop("form", "sim", 1, **good, exit_code=7)
    assert one.good
    for bad in (
        {"safe_s": 1.2},
        {"safe_s": None},
        {"answer": None},
        {"driven_after": 1},
        {"running_after": True},
        {"exit_code": 1},
        {"arrived_s": None, "answer": None},
    ):
        fields = {**good, "exit_code": 7, **bad}
        assert not Stop("form", "sim", 1, **fields).good, bad


def test_a_door_that_nobody_opens_is_no_good_stop():
    closed = patch("benchmarks._stops.stop_through", lambda _: None)
    with closed, patch("benchmarks._stops._TRIES", 1):
        tally = campaign(1, seed=2, boards=("sim",), names=("form",))
    assert (tally.good, tally.missed) == (0, 1)
    assert not tally.stops[0].landed


@pytest.mark.slow
def test_every_command_is_stopped(need_firmware):
    need_firmware("native")
    tally = campaign(len(COMMANDS), seed=4)
    assert tally.good == len(tally.stops) == len(COMMANDS), tally.stops
    assert {stop.board for stop in tally.stops} == {"sim", "native"}
