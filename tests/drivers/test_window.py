"""The bookkeeping of the window, without a line."""

from __future__ import annotations

import pytest

from drivers.window import Pending, Window
from protocols.frame import Frame


def window(count=5, size=3, first=10) -> Window:
    return Window([Pending(0x20, bytes([i])) for i in range(count)], first, size)


def answer(sequence, code=0xA0, payload=b"\x00") -> Frame:
    return Frame(1, sequence, code, payload)


def test_fresh_frames_keep_the_window():
    one = window()
    assert one.fresh() == [b"\x00", b"\x01", b"\x02"]
    assert one.fresh() == []
    one.accept(1, b"x")
    assert one.fresh() == [], "the first one is still unanswered"
    assert one.unanswered() == [b"\x00", b"\x02"]
    one.accept(0, b"x")
    assert one.fresh() == [b"\x03", b"\x04"]
    assert not one.settled
    for index in (2, 3, 4):
        one.accept(index, b"x")
    assert one.settled


@pytest.mark.parametrize(
    ("frame", "index"),
    [
        (answer(10), 0),
        (answer(12), 2),
        (answer(13), None),  # not sent yet
        (answer(9), None),  # of an earlier batch
        (answer(11), None),  # answered already
        (answer(10, code=0xA1), None),
        (answer(10, code=0x20), None),
        (answer(10, payload=b""), None),
    ],
)
def test_which_request_a_frame_answers(frame, index):
    one = window()
    one.fresh()
    one.accept(1, b"x")
    assert one.index_of(frame) == index


def test_a_gap_is_reported_once():
    one = window()
    one.fresh()
    assert not one.report_missing(13)
    assert not one.report_missing(9)
    assert one.report_missing(11)
    assert not one.report_missing(11)
    assert one.report_missing(12)


def test_halting_waits_for_what_is_out():
    one = window()
    one.fresh()
    one.halt()
    one.accept(0, b"x")
    assert one.fresh() == []
    assert not one.settled
    one.accept(1, b"x")
    one.accept(2, b"x")
    assert one.settled
    assert (one.sent, one.answers[3:]) == (3, [None, None])


def test_nothing_to_do_is_done():
    assert window(count=0).settled
