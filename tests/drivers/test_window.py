"""The bookkeeping of the window, without a line."""

from __future__ import annotations

import pytest

from drivers.window import Pace, Pending, Window
from protocols.frame import Frame


def window(count=5, size=3, first=10) -> Window:
    return Window([Pending(0x20, bytes([i])) for i in range(count)], first, Pace(size))


def answer(sequence, code=0xA0, payload=b"\x00") -> Frame:
    return Frame(1, sequence, code, payload)


def test_frames_keep_the_window():
    one = window()
    assert one.due() == ([b"\x00", b"\x01", b"\x02"], 0)
    assert one.due() == ([], 0)
    one.accept(1, b"x")
    assert one.due() == ([], 0), "the first one is still unanswered"
    one.accept(0, b"x")
    assert one.due() == ([b"\x03", b"\x04"], 0)
    assert not one.settled
    for index in (2, 3, 4):
        one.accept(index, b"x")
    assert one.settled


def test_after_a_loss_what_is_unanswered_goes_again_in_a_smaller_window():
    one = window(count=9, size=4)
    one.due()
    one.accept(1, b"x")
    one.rewind()
    assert one.due() == ([b"\x00"], 1)
    one.accept(0, b"x")
    assert one.due() == ([b"\x02", b"\x03"], 2)
    one.accept(2, b"x")
    one.accept(3, b"x")
    assert one.due() == ([b"\x04", b"\x05"], 0)


def test_an_overtaken_answer_is_asked_for_once():
    one = window(count=8, size=8)
    one.due()
    assert one.overtaken() == []
    one.accept(2, b"x")
    assert one.overtaken() == [b"\x00", b"\x01"]
    assert one.overtaken() == []
    one.accept(5, b"x")
    assert one.overtaken() == [b"\x03", b"\x04"]


def test_the_pace_halves_and_recovers():
    pace = Pace(8)
    pace.lost()
    pace.lost()
    assert pace.size == 2
    for _ in range(2 * Pace.STRETCH):
        pace.arrived()
    assert pace.size == 3
    for _ in range(1000):
        pace.arrived()
    assert pace.size == 8
    for _ in range(5):
        pace.lost()
    assert pace.size == 1


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
    one.due()
    one.accept(1, b"x")
    assert one.index_of(frame) == index


def test_a_gap_is_reported_once_per_transmission():
    one = window(count=8, size=8)
    one.due()
    assert not one.report_missing(18, 12)
    assert not one.report_missing(9, 12)
    assert one.report_missing(11, 12)
    assert not one.report_missing(11, 13)
    assert not one.report_missing(11, 14)
    assert one.report_missing(11, 12), "its repetition was lost too"
    assert not one.report_missing(11, 13)
    assert one.report_missing(12, 13)


def test_halting_waits_for_what_is_out():
    one = window()
    one.due()
    one.halt()
    one.accept(0, b"x")
    assert one.due() == ([], 0)
    assert not one.settled
    one.accept(1, b"x")
    one.accept(2, b"x")
    assert one.settled
    assert (one.sent, one.answers[3:]) == (3, [None, None])


def test_nothing_to_do_is_done():
    assert window(count=0).settled
