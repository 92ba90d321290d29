"""An oscilloscope by SCPI as the instrument that reads the published board."""

from __future__ import annotations

import pytest

from drivers.legacy_capture import ScpiCapture, ScpiWords
from drivers.legacy_clock import HostClock
from protocols.errors import DataError, LinkError, LinkTimeout


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def sleep_s(self, seconds: float) -> None:
        self.time_s += max(seconds, 0.0)


WORDS = ScpiWords(
    setup=[":TRIG:SOUR EXT"],
    arm=[":SING"],
    done=":TRIG:STAT?",
    done_answers=["STOP"],
    x=":MEAS? CH1",
    y=":MEAS? CH2",
)


class FakeResource:
    """What PyVISA opens."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = answers
        self.written: list[str] = []

    def write(self, message: str) -> None:
        self.written.append(message)

    def query(self, message: str) -> str:
        found = self.answers[message]
        return found.pop(0) if len(found) > 1 else found[0]


def test_scpi_capture():
    resource = FakeResource(
        {
            ":TRIG:STAT?": ["WAIT", "WAIT", "STOP\n"],
            ":MEAS? CH1": ["+1.25E-01\n"],
            ":MEAS? CH2": ["-0.5"],
        }
    )
    clock = FakeClock()
    capture = ScpiCapture(resource, WORDS, clock=clock)
    capture.arm()
    assert resource.written == [":TRIG:SOUR EXT", ":SING"]
    assert capture.fetch(1.0) == (0.125, -0.5)
    assert clock.time_s == pytest.approx(0.04)


def test_scpi_capture_without_a_trigger():
    clock = FakeClock()
    capture = ScpiCapture(FakeResource({":TRIG:STAT?": ["WAIT"]}), WORDS, clock=clock)
    with pytest.raises(LinkTimeout, match=r"no trigger within 0\.5 s"):
        capture.fetch(0.5)
    assert clock.time_s == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("answer", ["9.9E37", "nan", "no", ""])
def test_scpi_answers_that_are_no_voltage(answer):
    resource = FakeResource({":TRIG:STAT?": ["STOP"], ":MEAS? CH1": [answer]})
    with pytest.raises(DataError, match="CH1"):
        ScpiCapture(resource, WORDS, clock=FakeClock()).fetch(1.0)


def test_scpi_instrument_that_does_not_answer():
    capture = ScpiCapture(FakeResource({}), WORDS, clock=FakeClock())
    with pytest.raises(LinkError, match="TRIG:STAT"):
        capture.fetch(1.0)


def test_host_clock():
    clock = HostClock()
    before = clock.now_s()
    clock.sleep_s(0.002)
    clock.sleep_s(-1.0)
    assert clock.now_s() - before >= 0.001
