"""Signals wait until a board in this process has answered."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from hil.uninterrupted import uninterrupted


def board(*signals):
    done = []

    def receive(data):
        done.append("begun")
        for one in signals:
            os.kill(os.getpid(), one)
        sum(range(1000))  # where an interrupt would strike
        done.append("answered")
        return data[::-1]

    return uninterrupted(receive), done


def test_an_interrupt_strikes_when_the_board_has_answered():
    receive, done = board(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        receive(b"ab")
    assert done == ["begun", "answered"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_a_signal_nothing_is_different():
    receive, _ = board()
    assert receive(b"ab") == b"ba"


def test_an_ignored_signal_stays_ignored_and_a_handler_hears_it():
    heard = []
    before = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: heard.append(number)),
    }
    try:
        receive, done = board(signal.SIGHUP, signal.SIGTERM)
        assert receive(b"ab") == b"ba"
        assert (heard, done) == ([signal.SIGTERM], ["begun", "answered"])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_a_boards_own_failure_passes():
    def receive(_data):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        uninterrupted(receive)(b"")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_it_is_the_board_itself():
    receive, _ = board()
    found = []
    thread = threading.Thread(target=lambda: found.append(receive(b"ab")))
    thread.start()
    thread.join()
    assert found == [b"ba"]
