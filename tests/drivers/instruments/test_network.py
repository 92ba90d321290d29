"""A real line: PyVISA-py over TCP to an instrument that is switched off in the middle."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from drivers.instruments.catalogue import Wanted, connect
from drivers.instruments.limits import InstrumentLimits, InstrumentSettings
from protocols.errors import InstrumentLost, InstrumentTimeout

SETTINGS = InstrumentSettings(InstrumentLimits(5.0, 0.1), timeout_s=5.0)


class Served(socketserver.ThreadingTCPServer):
    """A Keithley 2450 as far as its driver asks."""

    daemon_threads = True
    answers = {  # noqa: RUF012
        "*IDN?": "KEITHLEY INSTRUMENTS,MODEL 2450,04012345,1.7.12b",
        "*LANG?": "SCPI",
        ":SYST:ERR?": '0,"No error;0;0 0"',
        ':READ? "defbuffer1", SOUR, READ': "1.0,1.0E-4",
        ":SOUR:VOLT:ILIM:TRIP?": "0",
    }

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[str] = []
        self.dies_at = ""
        self.silent_at = ""
        self.unfinished_at = ""

    @property
    def address(self) -> str:
        return f"TCPIP0::127.0.0.1::{self.server_address[1]}::SOCKET"


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Served)
        for line in self.rfile:
            text = line.decode().strip()
            server.heard.append(text)
            if server.dies_at and text == server.dies_at:
                return
            if text in server.answers and text != server.silent_at:
                end = "" if text == server.unfinished_at else "\n"
                self.wfile.write((server.answers[text] + end).encode())


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def smu_at(served: Served, settings: InstrumentSettings = SETTINGS):
    return connect(Wanted("smu", served.address, settings), "@py")


def test_a_measurement_over_the_network(served):
    with smu_at(served) as smu:
        smu.source_volts(1.0, 1e-3)
        smu.output(True)
        assert smu.measure().amperes == pytest.approx(1e-4)
    heard = [text for text in served.heard if text != ":SYST:ERR?"]
    assert heard[-2:] == list(smu.SAFE)
    on = heard.index(":OUTP ON")
    assert heard.index(":SOUR:VOLT:ILIM 0.001") < heard.index(":SOUR:VOLT 1") < on


def work(served: Served) -> None:
    """A point; answers are waited for only shortly once it is open."""
    with smu_at(served) as smu:
        smu.session.line._resource.timeout = 300
        smu.source_volts(1.0, 1e-3)
        smu.output(True)
        smu.measure()


def test_switched_off_in_the_middle(served):
    served.dies_at = ":OUTP ON"
    with pytest.raises((InstrumentLost, InstrumentTimeout)) as caught:
        work(served)  # and does not hang
    assert any("off by hand" in note for note in caught.value.__notes__)


def test_one_that_says_no_more_is_still_told_to_switch_off(served):
    served.silent_at = ":SOUR:VOLT:ILIM:TRIP?"
    with pytest.raises(InstrumentTimeout):
        work(served)
    heard = [text for text in served.heard if text != ":SYST:ERR?"]
    assert heard[-2:] == [":SOUR:VOLT 0", ":OUTP OFF"]


def test_an_answer_that_is_cut_short(served):
    served.unfinished_at = ":SOUR:VOLT:ILIM:TRIP?"
    with pytest.raises(InstrumentTimeout):
        work(served)
