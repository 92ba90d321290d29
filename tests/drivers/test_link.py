"""The link: order, window, repetition, exactly once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.link import Link
from drivers.stream import MemoryStream
from protocols import frame, messages
from protocols.errors import (
    LinkTimeout,
)
from protocols.messages import (
    ArmRequest,
    DisarmRequest,
)

ARM = ArmRequest.CODE


def arms(count: int) -> list[ArmRequest]:
    """Acts that can be told apart."""
    return [ArmRequest(i + 1) for i in range(count)]


# --- the good case -------------------------------------------------------------------------------


def test_hello(link, peer):
    assert link.hello.board_serial == 0xFA4E
    assert link.session == peer.session == 1
    assert link.is_open
    assert link.name == "board fa4e on fake"


def test_call(link, peer):
    assert link.call(ArmRequest(7)) == messages.ArmResponse(70)
    assert peer.executed == [(1, ArmRequest(7))]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_call_many_keeps_order(link, peer, count):
    heard = []
    found = link.call_many(arms(count), lambda *one: heard.append(one))
    assert [one.until_us for one in found] == [10 * (i + 1) for i in range(count)]
    assert peer.armed == list(range(1, count + 1))
    assert heard == [(i, i + 1, found[i]) for i in range(count)]
    assert link.stats.repeated == 0
    assert link.stats.round_trips == (1 if count else 0)


def test_no_more_in_flight_than_the_window(make_peer):
    peer = make_peer(window=3)
    sizes = []

    def count(data: bytes) -> bytes:
        sizes.append(len([b for b in data.split(b"\x00") if b]))
        return peer.receive(data)

    link = Link(MemoryStream(count))
    link.open()
    link.call_many(arms(10))
    assert max(sizes) == 3


def test_stats(link):
    link.call_many(arms(3))
    stats = link.stats
    assert (stats.frames_sent, stats.frames_received) == (4, 4)
    assert (stats.repeated, stats.dropped, stats.stale) == (0, 0, 0)
    assert stats.bytes_sent > 40
    assert stats.bytes_received > 40


def test_keep_alive_and_stop_need_no_session(peer):
    link = Link(MemoryStream(peer.receive))
    assert link.keep_alive().time_us == 5_000_000
    assert link.stop() is messages.SafeReason.STOP
    assert peer.stops == 1


# --- a bad line ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "repeat", "damage", "delay"])
@pytest.mark.parametrize("at", range(0, 20, 3))
def test_one_fault_anywhere(link, line, peer, fault, at):
    line.script.extend(["ok"] * at + [fault])
    found = link.call_many(arms(12))
    assert [one.until_us for one in found] == [10 * (i + 1) for i in range(12)]
    assert peer.armed == list(range(1, 13))


def test_a_lost_request_is_missed_at_once_and_sent_again_once(link, line, peer):
    line.script.extend(["drop"])
    link.call_many(arms(8))
    assert peer.armed == list(range(1, 9))
    # Seven complaints come back, the window goes again once.
    assert link.stats.repeated == 8
    assert link.stats.stale == 0


def test_a_lost_answer_is_answered_from_memory(link, line, peer):
    line.script.extend(["ok", "drop"])
    assert link.call(ArmRequest(3)) == messages.ArmResponse(30)
    assert (peer.armed, peer.repeated, link.stats.repeated) == ([3], 1, 1)


def test_only_what_is_unanswered_goes_again(link, line, peer):
    line.script.extend(["ok"] * 8 + ["ok", "ok", "drop"])
    link.call_many(arms(8))
    assert (peer.repeated, link.stats.repeated) == (1, 1)


def test_an_answer_of_another_kind_is_not_taken(make_peer):
    peer = make_peer()

    def confused(data: bytes) -> bytes:
        wrong = frame.Frame(1, 1, DisarmRequest.CODE | frame.RESPONSE_BIT, b"\x00")
        return frame.encode(wrong) + peer.receive(data)

    link = Link(MemoryStream(confused), nonce=1)
    link.open()
    assert link.call(ArmRequest(1)) == messages.ArmResponse(10)


def test_the_whole_answer_window_lost(link, line, peer):
    line.script.extend(["ok"] * 8 + ["drop"] * 8)
    link.call_many(arms(8))
    assert peer.armed == list(range(1, 9))
    assert peer.repeated == 8


def test_hello_is_repeated_until_answered(peer, make_line):
    line = make_line(peer.receive)
    line.script.extend(["drop", "ok", "damage", "ok", "ok"])
    link = Link(MemoryStream(line.receive))
    link.open()
    assert peer.session == 1
    link.call(DisarmRequest())


def test_old_answers_are_not_taken_for_new_ones(link, line, peer):
    line.script.extend(["ok", "repeat", "repeat", "repeat", "ok"])
    assert link.call(ArmRequest(1)).until_us == 10
    assert link.call(ArmRequest(2)).until_us == 20
    assert link.call(ArmRequest(3)).until_us == 30
    assert link.stats.stale >= 2


def test_an_old_stop_answer_does_not_stand_for_a_new_stop(link, line, peer):
    link.stop()
    old = messages.StopResponse(messages.SafeReason.STOP).pack()
    link._stream._inbox += frame.encode(frame.Frame(0, 0, 0x82, b"\x00" + old))
    line.script.extend(["drop"])
    link.stop()
    assert peer.stops == 2


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    rates=st.tuples(*[st.floats(0, 0.2)] * 4),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    window=st.integers(1, 16),
)
def test_exactly_once_in_order_or_an_honest_error(make_peer, make_line, seed, rates, sizes, window):
    peer = make_peer(window=window)
    faults = dict(zip(("drop", "repeat", "damage", "delay"), rates, strict=True))
    link = Link(MemoryStream(make_line(peer.receive, seed, **faults).receive), nonce=1, attempts=6)
    sent, heard = 0, []
    try:
        link.open()
        for size in sizes:
            batch = [ArmRequest(sent + i + 1) for i in range(size)]
            sent += size
            found = link.call_many(batch, lambda i, s, response: heard.append(response.until_us))
            assert [one.until_us for one in found] == [10 * arm.duration_ms for arm in batch]
    except LinkTimeout:
        assert not link.is_open
    else:
        assert peer.armed == list(range(1, sent + 1))
    done = peer.armed
    assert done == list(range(1, len(done) + 1)), "executed once and in order"
    assert heard == sorted(heard)
    assert set(heard) <= {10 * number for number in done}, "only what was executed was reported"


def test_random_bytes_from_the_board_are_survived(peer):
    rng = random.Random(5)

    def noisy(data: bytes) -> bytes:
        return rng.randbytes(rng.randrange(30)) + b"\x00" + peer.receive(data) + rng.randbytes(3)

    link = Link(MemoryStream(noisy), attempts=20)
    link.open()
    for _ in range(20):
        link.call_many(arms(5))
    assert link.stats.dropped > 0
