"""`hil unload`: confirmed by read-back, journaled, refused where it cannot be confirmed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hil.cli.app import run
from hil.instruments import Instruments
from hil.jobs import unload as job
from hil.journal_reader import JournalReader
from hil.record import RunFolder
from protocols.errors import InstrumentError, LinkTimeout, UnconfirmedError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def events(path: Path) -> list[tuple[str, dict]]:
    with JournalReader(path / "journal.sqlite") as reader:
        return [(one.kind, one.data) for one in reader.events()]


@pytest.mark.parametrize("board", ["sim", "native"])
def test_everything_is_grounded_seen_and_journaled(board, capsys, request):
    if board == "native":
        request.getfixturevalue("need_firmware")("native")
    assert run(["unload", "--board", board, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["may_be_taken_out"]
    assert [one["name"] for one in said["rails"]] == ["logic", "negative", "positive", "drivers"]
    assert all(one["volts"] < 0.1 for one in said["rails"])
    assert (said["outputs"]["reason"], said["outputs"]["findings"]) == ("stop", [])
    folder = RunFolder.latest(Path("runs"), "unload")
    assert folder.info["status"] == "done"
    assert folder.load_json("results.json")["confirmed"]
    kinds = [kind for kind, _ in events(folder.path) if kind in ("stopped", "outputs", "supplies")]
    assert kinds == ["stopped", "outputs", "supplies"]


def test_an_output_that_is_not_at_zero_refuses(here, capsys):
    Path("bench.yaml").write_text("sim: {channel_faults: {word_line: railed}}\n")
    assert run(["unload"]) == UnconfirmedError.exit_code == 7
    said = capsys.readouterr()
    assert "word_line" in said.err + said.out
    assert "may be taken out" not in said.err + said.out
    folder = RunFolder.latest(Path("runs"), "unload")
    assert folder.info["status"] == "failed"
    (outputs,) = [data for kind, data in events(folder.path) if kind == "outputs"]
    assert outputs["findings"], "what was found is in the journal, whatever came of it"
    assert not [kind for kind, _ in events(folder.path) if kind == "supplies"]


def test_without_a_supply_the_rails_are_for_the_hand(here, capsys):
    Path("bench.yaml").write_text("instruments: none\n")
    assert run(["unload"]) == 0
    said = capsys.readouterr()
    text = " ".join((said.out + said.err).split())
    assert "drivers, positive, negative, logic" in text
    assert "once these rails are off" in text


def test_a_rail_that_stays_up_refuses(here, monkeypatch):
    def stays(*_):
        raise UnconfirmedError("still at 5.00 V (rail positive)")

    monkeypatch.setattr(job, "switch_off", stays)
    assert run(["unload"]) == 7
    folder = RunFolder.latest(Path("runs"), "unload")
    assert folder.info["status"] == "failed"
    (supplies,) = [data for kind, data in events(folder.path) if kind == "supplies"]
    assert supplies == {"off": False, "why": "still at 5.00 V (rail positive)"}


def test_a_board_that_does_not_answer_confirms_nothing(here, monkeypatch, capsys):
    def silent(*_, **__):
        raise LinkTimeout("no answer")

    monkeypatch.setattr(job, "session", silent)
    assert run(["unload"]) == LinkTimeout.exit_code
    assert "may be taken out" not in capsys.readouterr().err


class _Supply:
    """What `connect` gives: rails that are off, or one that is not."""

    channels = ("logic", "negative", "positive", "drivers")

    def __init__(self, volts: float) -> None:
        self.volts = volts
        self.off: list[str] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __getattr__(self, name):
        return lambda *_: None

    def output(self, channel, on):
        assert not on
        self.off.append(channel)

    def measure(self, channel):
        return (self.volts if channel == "drivers" else 0.0), 0.0


SUPPLY = "instruments: {supply: {address: 'ASRL1::INSTR', model: auto}}\n"


@pytest.mark.parametrize(("volts", "code"), [(0.0, 0), (6.0, 7)])
def test_a_supply_that_feeds_every_rail_confirms_in_its_place(here, monkeypatch, volts, code):
    def silent(*_, **__):
        raise LinkTimeout("no answer")

    supply = _Supply(volts)
    monkeypatch.setattr(job, "session", silent)
    monkeypatch.setattr(job, "connect_all", lambda *_: Instruments(supply=supply))
    monkeypatch.setattr("time.sleep", lambda _: None)
    Path("bench.yaml").write_text(SUPPLY)
    assert run(["unload"]) == code
    assert supply.off == ["drivers", "positive", "negative", "logic"]
    folder = RunFolder.latest(Path("runs"), "unload")
    assert folder.info["status"] == ("done" if code == 0 else "failed")


def test_a_supply_that_does_not_answer_is_no_confirmation(here, monkeypatch):
    def lost(*_):
        raise InstrumentError("no such supply")

    monkeypatch.setattr(job, "connect_all", lost)
    Path("bench.yaml").write_text(SUPPLY)
    assert run(["unload"]) == InstrumentError.exit_code
    assert RunFolder.latest(Path("runs"), "unload").info["status"] == "failed"
