"""The link when it does not go well: refusals, lost sessions, interrupts, closing."""

from __future__ import annotations

import pytest

from drivers.link import Link
from drivers.stream import MemoryStream
from protocols import frame, messages
from protocols.errors import (
    BoardError,
    HandshakeError,
    LimitError,
    LinkError,
    LinkTimeout,
    MessageError,
    PortError,
    SafetyError,
    SessionLost,
)
from protocols.messages import (
    ArmRequest,
    DisarmRequest,
    ReadRequest,
    ReadRequestEntry,
)

ARM = ArmRequest.CODE


def arms(count: int) -> list[ArmRequest]:
    """Acts that can be told apart."""
    return [ArmRequest(i + 1) for i in range(count)]


# --- refusals ------------------------------------------------------------------------------------


def refusing(numbers_refused, status=8, arguments=(0, 0, 1, 2)):
    def handler(arm):
        if arm.duration_ms in numbers_refused:
            return messages.STATUSES[status].pack(*arguments)
        return messages.ArmResponse(arm.duration_ms * 10)

    return handler


def test_a_refusal_says_which_and_what_became_of_the_rest(link, peer):
    peer.handlers[ARM] = refusing({3, 5}, 13, ())
    heard = []
    with pytest.raises(BoardError, match=r"refused arm \(request 3 of 40\)") as caught:
        link.call_many(arms(40), lambda index, *_: heard.append(index))
    assert caught.value.status == 13
    assert caught.value.request == "arm"
    sent = len(peer.armed)
    assert sent < 40, "nothing new is sent after a refusal"
    assert heard == [i for i in range(sent) if i not in (2, 4)]
    (note,) = caught.value.__notes__
    assert note == (
        f"The 2 requests before it were executed. Of those after it, {sent - 4} were already on"
        f" their way and executed, 1 refused, {40 - sent} not sent."
    )


def test_the_session_goes_on_after_a_refusal(link, peer):
    peer.handlers[ARM] = refusing({2}, 6, ())
    with pytest.raises(SafetyError, match="arm it first"):
        link.call_many(arms(20))
    assert link.call(ArmRequest(99)).until_us == 990


def test_a_refusal_on_a_bad_line(link, line, peer):
    peer.handlers[ARM] = refusing({4}, 13, ())
    line.script.extend(["ok", "drop", "ok", "ok", "damage", "ok", "drop", "drop"])
    with pytest.raises(BoardError, match="request 4 of 20"):
        link.call_many(arms(20))
    done = peer.armed
    assert done == list(range(1, len(done) + 1))
    assert link.call(ArmRequest(50)).until_us == 500


@pytest.mark.parametrize(
    ("status", "arguments", "kind", "words"),
    [
        (1, (0x12,), BoardError, "does not know message code 18"),
        (2, (3, 4), BoardError, "3 bytes, the message needs 4"),
        (3, (0, 1, 200, 0, 15), BoardError, r"field row \(entry 1\) is 200.*cell \(200, 5\)"),
        (3, (1, 0, 9, 1, 8), BoardError, "field samples"),
        (6, (), SafetyError, "arm it first"),
        (7, (3,), SafetyError, r"\(watchdog\); clear it"),
        (
            8,
            (0, 0, 401, 400),
            LimitError,
            "field read_code of entry 0 is 401, the board's limit is",
        ),
        (9, (77,), BoardError, "run 77 is in progress"),
        (10, (2,), BoardError, "its initial conditions; load"),
        (11, (1, 2), BoardError, "CRC 0x00000002"),
        (12, (1, 9, 8), LimitError, r"has had 9 pulses of the 8.*cell \(200, 5\)"),
        (13, (), BoardError, "cannot do that"),
        (14, (5, 3), BoardError, "only 3 are there"),
        (15, (), SafetyError, "interlock is open"),
        (16, (9,), SafetyError, "fault 9"),
        (7, (99,), SafetyError, r"\(99\)"),
    ],
)
def test_each_refusal_is_a_sentence(link, peer, status, arguments, kind, words):
    peer.handlers[ReadRequest.CODE] = lambda _: messages.STATUSES[status].pack(*arguments)
    entries = (ReadRequestEntry(1, 5), ReadRequestEntry(200, 5))
    with pytest.raises(kind, match=words) as caught:
        link.call(ReadRequest(401, 9, entries))
    assert str(caught.value).startswith("board fa4e on fake refused read: ")
    assert "cell" not in str(caught.value) or "200, 5" in str(caught.value) or status == 12


def test_a_field_out_of_range_is_refused_before_a_byte_is_sent(link, peer):
    before = link.stats.bytes_sent
    with pytest.raises(MessageError, match=r"arm\.duration_ms"):
        link.call_many([ArmRequest(1), ArmRequest(0)])
    assert link.stats.bytes_sent == before
    assert link.call(ArmRequest(5)).until_us == 50


def test_an_unknown_status(link, peer):
    peer.handlers[ARM] = lambda _: b"\xee"
    with pytest.raises(MessageError, match="unknown status 238"):
        link.call(ArmRequest(1))


def test_an_unreadable_answer_stops_the_batch(link, peer):
    peer.handlers[ARM] = lambda arm: (
        b"\x00\x01" if arm.duration_ms == 2 else messages.ArmResponse(1)
    )
    with pytest.raises(MessageError, match=r"unreadable answer to arm \(request 2 of 30\)"):
        link.call_many(arms(30))
    assert len(peer.armed) < 30
    assert link.call(DisarmRequest()) == messages.DisarmResponse()


# --- sessions ------------------------------------------------------------------------------------


def test_a_board_that_was_reset(link, peer):
    link.call(ArmRequest(1))
    peer.end_session()
    with pytest.raises(SessionLost, match=r"has ended.*whether arm took effect is not known"):
        link.call(ArmRequest(2))
    assert not link.is_open
    with pytest.raises(SessionLost, match="no session is open, because the board ended"):
        link.call(ArmRequest(3))
    link.open()
    assert link.call(ArmRequest(4)).until_us == 40


def test_a_silent_board(link, line, peer):
    heard = []
    line.script.extend(["ok"] * 8 + ["ok"] * 5 + ["drop"] * 500)
    with pytest.raises(LinkTimeout, match=r"arm \(request 6 of 12\).*after it took effect is not"):
        link.call_many(arms(12), lambda index, *_: heard.append(index))
    assert heard == [0, 1, 2, 3, 4]
    assert not link.is_open


def test_what_is_known_behind_a_gap_is_reported(link, line):
    heard = []
    line.script.extend(["ok"] * 8 + ["ok", "drop"] + ["ok"] * 6 + ["drop"] * 100)
    with pytest.raises(LinkTimeout, match=r"arm \(request 2 of 8\) took effect"):
        link.call_many(arms(8), lambda index, *_: heard.append(index))
    assert heard == [0, 2, 3, 4, 5, 6, 7]


def test_nobody_there():
    link = Link(MemoryStream(lambda _: b"", "nowhere"), timeout_s=0.01, attempts=3)
    with pytest.raises(LinkTimeout, match="board on nowhere: no answer to hello after 3 attempts"):
        link.open()
    with pytest.raises(SessionLost, match="never opened"):
        link.call(ArmRequest(1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol_version": 3}, "version 3, this host version 2; update this project"),
        ({"protocol_version": 0}, "load the firmware of this checkout"),
        ({"fingerprint": 1}, "another message table.*build firmware and host from one"),
        ({"window": 0}, "belongs to another request"),
    ],
)
def test_another_version(make_peer, changes, words):
    window = changes.get("window", 8)
    peer = make_peer(**{**changes, "window": 8})
    peer.hello["window"] = window
    with pytest.raises(HandshakeError, match=words):
        Link(MemoryStream(peer.receive)).open()


def test_a_longer_hello_of_another_version_is_still_understood():
    start = messages.HelloResponse.STRUCT.size

    def peer(data: bytes) -> bytes:
        (one,) = frame.Decoder().feed(data)
        payload = b"\x00" + one.payload + b"\x01\x00" + b"\x09\x00" + bytes(start)
        return frame.encode(frame.Frame(0, 0, 0x81, payload))

    with pytest.raises(HandshakeError, match="speaks protocol version 9"):
        Link(MemoryStream(peer)).open()


@pytest.mark.parametrize("payload", [b"\x00", b"\x00" + bytes(5), messages.STATUSES[1].pack(1)])
def test_a_hello_that_is_none(payload):
    def peer(data: bytes) -> bytes:
        (one,) = frame.Decoder().feed(data)
        start = b"\x00" + one.payload if len(payload) > 5 else payload
        return frame.encode(frame.Frame(0, 0, 0x81, start))

    with pytest.raises(HandshakeError):
        Link(MemoryStream(peer)).open()


# --- interrupts and closing ----------------------------------------------------------------------


def test_an_interrupt_waits_for_what_is_in_flight(link, peer):
    heard = []

    def hear(index, sequence, response):
        heard.append(index)
        if heard == [0, 1, 2]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link.call_many(arms(100), hear)
    assert sorted(set(heard)) == list(range(len(peer.executed)))
    assert len(peer.executed) < 100
    assert link.call(ArmRequest(7)).until_us == 70


def test_an_interrupt_while_writing(peer):
    interrupt = [False]

    def receive(data: bytes) -> bytes:
        if interrupt[0]:
            interrupt[0] = False
            raise KeyboardInterrupt
        return peer.receive(data)

    link = Link(MemoryStream(receive))
    link.open()
    interrupt[0] = True
    with pytest.raises(KeyboardInterrupt):
        link.call_many(arms(20))
    done = len(peer.executed)
    assert done <= 8
    assert link.call(ArmRequest(50)).until_us == 500
    assert [sequence for sequence, _ in peer.executed] == list(range(1, done + 2))


def test_a_listener_that_fails_is_not_called_again_and_the_session_lives(link, peer):
    def hear(index, sequence, response):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        link.call_many(arms(30), hear)
    assert link.call(ArmRequest(9)).until_us == 90
    assert [sequence for sequence, _ in peer.executed] == list(range(1, len(peer.executed) + 1))


def test_an_interrupt_on_a_line_that_dies(link, line, peer):
    heard = []

    def hear(index, sequence, response):
        heard.append(index)
        if heard == [0]:
            line.script.extend(["drop"] * 200)
            raise KeyboardInterrupt

    line.script.extend(["ok"] * 8 + ["ok", "drop", "ok", "ok"] + ["drop"] * 5)
    with pytest.raises(KeyboardInterrupt) as caught:
        link.call_many(arms(8), hear)
    assert "LinkTimeout" in caught.value.__notes__[0]
    assert sorted(set(heard)) == [0, 2, 3], "what is known is reported all the same"
    assert not link.is_open


def test_a_second_interrupt_ends_the_waiting(link, peer):
    def hear(index, sequence, response):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link.call_many(arms(8), hear)
    assert not link.is_open
    link.close()
    assert peer.stops == 1


def test_closing_after_a_failed_reopening_stops_the_board(link, line, peer):
    line.script.extend(["drop"] * 4)
    with pytest.raises(LinkTimeout):
        link.open()
    link.close()
    assert peer.stops == 1


def test_closing_disarms(link, peer):
    link.close()
    assert peer.executed[-1][1] == DisarmRequest()
    assert not link.is_open
    with pytest.raises(SessionLost, match="it was closed"):
        link.call(ArmRequest(1))


def test_closing_without_a_session_does_nothing_to_the_board(peer):
    link = Link(MemoryStream(peer.receive))
    link.close()
    assert (peer.executed, peer.stops) == ([], 0)


def test_closing_after_a_lost_session_stops_the_board(link, line, peer):
    line.script.extend(["drop"] * 100)
    with pytest.raises(LinkTimeout):
        link.call(ArmRequest(1))
    line.script.clear()
    link.close()
    assert peer.stops == 1


def test_closing_after_the_board_ended_the_session_stops_nobody(link, peer):
    peer.end_session()
    with pytest.raises(SessionLost):
        link.call(ArmRequest(1))
    link.close()
    assert peer.stops == 0


def test_errors_of_closing_are_raised_and_the_line_is_closed_all_the_same(link, line):
    line.script.extend(["drop"] * 100)
    with pytest.raises(LinkTimeout, match="whether disarm took effect"):
        link.close()
    with pytest.raises(PortError):
        link.stop()


def test_an_error_of_closing_does_not_hide_the_first(link, line):
    line.script.extend(["drop"] * 100)
    with pytest.raises(ZeroDivisionError) as caught, link:
        raise ZeroDivisionError
    assert "While closing: board fa4e" in caught.value.__notes__[0]


def test_with_opens(peer):
    with Link(MemoryStream(peer.receive)) as link:
        assert link.is_open
    assert peer.executed[-1][1] == DisarmRequest()


def test_a_line_that_breaks(link, peer, monkeypatch):
    def broken(data: bytes) -> bytes:
        raise PortError("fake: unplugged")

    monkeypatch.setattr(peer, "receive", broken)
    link._stream._peer = broken
    with pytest.raises(PortError, match="unplugged") as caught:
        link.call_many(arms(3))
    assert "whether arm (request 1 of 3) and 2 after it took effect" in caught.value.__notes__[0]
    assert not link.is_open


def test_sequence_numbers_run_out(link):
    link._next = 0xFFFF_FFF0
    with pytest.raises(LinkError, match="out of sequence numbers"):
        link.call_many(arms(20))
