"""Macros open side by side: what one of them does never leaves another one open."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from hil.tiled.rack import open_rack
from protocols.errors import PortError, SafetyError


class Bench:
    """What a session would have opened, and what became of it."""

    def __init__(self, name, fails=None):
        self.name, self.fails, self.log = name, fails, []
        self.threads = set()

    @contextmanager
    def session(self):
        self.threads.add(threading.get_ident())
        if self.fails is not None:
            raise self.fails
        self.log.append("open")
        try:
            yield f"run of {self.name}", self
        except BaseException as error:
            self.log.append(type(error).__name__)
            raise
        finally:
            self.threads.add(threading.get_ident())
            self.log.append("closed")


@pytest.fixture
def benches():
    return {"a": Bench("a"), "b": Bench("b")}


def openers(benches):
    return {name: bench.session for name, bench in benches.items()}


def test_each_macro_is_opened_used_and_closed_in_a_thread_of_its_own(benches):
    with open_rack(openers(benches)) as rack:
        found = rack.each(lambda member: (member.run, threading.get_ident()))
        assert [run for run, _ in found.values()] == ["run of a", "run of b"]
        for name, (_, thread) in found.items():
            assert benches[name].threads == {thread}
    assert found["a"][1] != found["b"][1]
    assert [bench.log for bench in benches.values()] == [["open", "closed"]] * 2
    for name, (_, thread) in found.items():
        assert benches[name].threads == {thread}


def test_jobs_run_at_the_same_time(benches):
    both = threading.Barrier(2)
    with open_rack(openers(benches)) as rack:
        rack.each(lambda member: both.wait(timeout=10.0))


def test_a_macro_that_does_not_open_closes_the_others(benches):
    benches["b"].fails = PortError("no such port")
    with pytest.raises(PortError) as refused, open_rack(openers(benches)):
        pass
    assert "on macro 'b'" in refused.value.__notes__
    assert benches["a"].log == ["open", "PortError", "closed"]


def test_a_failure_on_one_macro_stops_the_routines_of_the_others(benches):
    def job(member, tell):
        if member.name == "b":
            raise SafetyError("stopped")
        for done in range(1000):  # a routine that would go on for long
            halted.wait(0.02)
            tell(done, 1000, "round")
        raise AssertionError("was not stopped")

    halted = threading.Event()

    def both():
        with open_rack(openers(benches)) as rack:
            tell = rack.progress(lambda *_: None, "working", {"a": 1, "b": 1})
            rack.some({name: (lambda member, n=name: job(member, tell[n])) for name in benches})

    with pytest.raises(SafetyError):
        both()
    assert benches["a"].log == ["open", "SafetyError", "closed"]
    assert benches["b"].log == ["open", "SafetyError", "closed"]


def test_one_bar_follows_all_macros(benches):
    seen = []
    with open_rack(openers(benches)) as rack:
        tell = rack.progress(lambda *what: seen.append(what), "forming", {"a": 30, "b": 10})
        tell["a"](1, 2, "round 1")
        tell["b"](5, 5, "round 1")
        tell["a"](0, 0, "done")
    assert [(done, total) for done, total, _ in seen] == [(15, 40), (25, 40), (40, 40)]
    assert seen[0][2] == "forming: macro a, round 1"


def test_stopping_from_the_keyboard_closes_all(benches):
    with pytest.raises(KeyboardInterrupt), open_rack(openers(benches)):
        raise KeyboardInterrupt
    assert all(bench.log == ["open", "KeyboardInterrupt", "closed"] for bench in benches.values())
