"""The campaign itself: every target is hit, findings are found, named and can be made again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fuzz import campaign, cover, line, targets, worker
from fuzz.targets import FindingError
from protocols.errors import RecordError

INPUTS = 60


def made(name: str, folder: Path) -> tuple[targets.Target, Path]:
    (folder / "made").mkdir()
    (folder / "work").mkdir()
    return targets.make(name, folder / "made"), folder / "work"


@pytest.mark.parametrize("name", targets.names())
def test_a_reader_takes_what_is_good_and_survives_what_is_not(name, tmp_path):
    target, work = made(name, tmp_path)
    if name != "curves":  # its good input is the body, which gets its checksum when it is spoiled
        assert not any(target.check(work, good) for good in target.good)
    tally = worker.hammer(target, work, INPUTS, seed=11)
    assert tally["findings"] == {}
    assert tally["inputs"] == INPUTS
    assert tally["refused"] > 0 or name == "legacy_board"
    assert target.make(3, 7) == target.make(3, 7), "the same input whenever it is asked for"


def test_the_decoder_and_the_board_survive():
    assert line.feed_decoder(20_000, seed=5) >= 20_000
    assert line.feed_board(1_000, seed=5) >= 1_000


def test_what_escapes_is_found_and_named(tmp_path):
    def read(path: Path) -> None:
        content = path.read_bytes()
        if b"[" in content:
            raise KeyError("x")
        if b"9" in content:
            raise RecordError("something is wrong")

    target = targets.Target("t", (b"abc" * 20,), targets.spoil_bytes, read, "f")
    tally = worker.hammer(target, tmp_path, 400, seed=1)
    whole = " ".join(tally["findings"])
    assert "KeyError" in whole
    assert "does not name the file" in whole
    number = next(k for what, k in tally["findings"].items() if "KeyError" in what)
    with pytest.raises(KeyError):
        target.check(tmp_path, target.make(1, number))


def test_a_decoder_that_loses_a_frame_is_found(monkeypatch):
    feed = line.Decoder.feed
    monkeypatch.setattr(line.Decoder, "feed", lambda self, data: feed(self, data)[1:])
    with pytest.raises(FindingError, match="blocks"):
        line.feed_decoder(1_000, seed=1)


def test_a_process_that_dies_is_a_finding_and_the_next_target_has_its_turn(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        "import json, os, struct, sys\n"
        "path = [a for a in sys.argv if a.startswith('--progress=')][0][11:]\n"
        "open(path, 'wb').write(struct.pack('<Q', 41))\n"
        "if sys.argv[1] == 'first': os.abort()\n"
        "print(json.dumps({'target': sys.argv[1], 'inputs': 5, 'refused': 1, 'cpu_s': 0.1,"
        " 'slowest_s': 0.0, 'findings': {}}))\n"
    )
    rows = campaign.run_job(campaign.Job(("first", "second"), 5), 1, (str(script),))
    assert [row.target for row in rows] == ["first", "second"]
    assert list(rows[0].findings.values()) == [41]
    assert "ended with -6" in next(iter(rows[0].findings))
    page = campaign.Tally(tuple(rows), 7, 0.0).page()
    assert "python -m fuzz.worker first --seed 7 --only 41" in page


def test_without_atheris_the_search_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert cover.main(["--seconds=1"]) == cover.MISSING
    assert "not installed" in capsys.readouterr().err


def test_the_modules_that_are_searched_by_coverage_exist():
    for name in cover.INSTRUMENTED:
        __import__(name)
