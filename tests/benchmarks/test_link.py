"""The modelled line by hand, and that a missed bar is an exit status."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from drivers.stream import MemoryStream

FOLDER = Path(__file__).parents[2] / "benchmarks"
BAUD = 10_000  # one byte takes 1 ms


def load(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """A script as a module of its own, leaving the module search path as it was."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    for helper in ("_common", "_line"):
        monkeypatch.setitem(sys.modules, helper, None)
        monkeypatch.delitem(sys.modules, helper)
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(monkeypatch):
    return load(monkeypatch, "link")


@pytest.fixture
def make_line(monkeypatch):
    module = load(monkeypatch, "_line")

    def make(peer: Callable[[bytes], bytes], host_factor: float = 0.0):
        return module.ModelledLine(MemoryStream(peer), BAUD, host_factor)

    return make


def frames(count: int, size: int) -> bytes:
    return (b"x" * (size - 1) + b"\0") * count


# --- the model -----------------------------------------------------------------------------------


def test_one_exchange_takes_the_bytes_there_and_back(make_line):
    line = make_line(lambda _: frames(1, 5))
    line.write(frames(1, 20))
    assert line.read(1.0) == frames(1, 5)
    assert line.now_s == pytest.approx(0.025)
    assert line.out_share == pytest.approx(20 / 25)
    assert line.back_share == pytest.approx(5 / 25)


def test_the_two_directions_work_at_once(make_line):
    """Ten requests of 10 ms in one piece, answers of 10 ms: the last comes after 11 x 10 ms."""
    line = make_line(lambda _: frames(1, 10))
    line.write(frames(10, 10))
    got = b""
    while len(got) < 100:
        got += line.read(1.0)
    assert line.now_s == pytest.approx(0.110)
    assert line.out_share == line.back_share == pytest.approx(100 / 110)


def test_answers_queue_behind_each_other(make_line):
    line = make_line(lambda _: frames(1, 30))
    line.write(frames(2, 10))
    assert line.read(1.0) == frames(1, 30)
    assert line.now_s == pytest.approx(0.040)
    assert line.read(1.0) == frames(1, 30)
    assert line.now_s == pytest.approx(0.070)  # not 0.050: the line back was busy


def test_requests_queue_behind_each_other_and_a_pause_is_a_pause(make_line):
    line = make_line(lambda _: frames(1, 1))
    line.write(frames(1, 10))
    line.write(frames(1, 10))
    assert line.read(1.0) + line.read(1.0) == frames(2, 1)
    assert line.now_s == pytest.approx(0.021)
    line.write(frames(1, 10))  # after all answers: the line was idle for the last millisecond
    line.read(1.0)
    assert line.now_s == pytest.approx(0.032)


def test_a_read_does_not_wait_longer_than_it_may(make_line):
    line = make_line(lambda _: frames(1, 100))
    line.write(frames(1, 100))
    assert line.read(0.05) == b""
    assert line.read(0.5) == frames(1, 100)


def test_a_silent_board_gives_nothing(make_line):
    line = make_line(lambda _: b"")
    line.write(frames(1, 10))
    assert line.read(1.0) == b""


def test_parts_of_frames_are_refused(make_line):
    with pytest.raises(ValueError, match="whole frames"):
        make_line(lambda _: b"").write(b"abc")


def test_the_hosts_own_time_counts_when_asked_for(make_line):
    lines = [make_line(lambda _: frames(1, 5), factor) for factor in (0.0, 1.0)]
    for line in lines:
        line.write(frames(1, 20))
        line.read(1.0)
        sum(range(200_000))
        line.write(frames(1, 20))
        line.read(1.0)
    assert lines[0].now_s == pytest.approx(0.050)
    assert lines[1].now_s > lines[0].now_s


# --- bars ----------------------------------------------------------------------------------------

BOARD = {
    "round trip us": 40.0,
    "bytes per second": 1e6,
    "reads per frame": 0.2,
    "read us per frame": 20.0,
    "pulse_read us per frame": 15.0,
}
LINE = {"share": 0.9, "share out": 0.9, "share back": 0.5, "seconds": 1.0, "bytes": 1000}


def outcome(bench, monkeypatch, tmp_path, boards, read=0.9, write=0.9):
    """Exit status and figures of the benchmark with these results."""
    monkeypatch.setattr(bench, "runnable", lambda: list(boards))
    monkeypatch.setattr(bench, "board_figures", lambda name, quick: {**BOARD, **boards[name]})
    shares = {
        "full-array read": {**LINE, "share": read},
        "write-verify": {**LINE, "share": write},
    }
    monkeypatch.setattr(bench, "line_figures", lambda _: shares)
    out = tmp_path / "figures.json"
    status = bench.main(["--json", str(out), "--quick"])
    return status, json.loads(out.read_text())


def test_good_figures_pass(bench, monkeypatch, tmp_path, capsys):
    edge = {"sim": {"read us per frame": 30.0}, "native": {}}
    status, figures = outcome(bench, monkeypatch, tmp_path, edge, read=0.85, write=0.70)
    assert (status, figures["missed"]) == (0, [])
    assert figures["boards"]["native"]["round trip us"] == 40.0
    assert figures["simulated"] is True
    assert "modelled line" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("boards", "shares", "sentence"),
    [
        ({"sim": {"read us per frame": 30.1}}, {}, "sim: host us per frame of read is 30.1"),
        ({"native": {"pulse_read us per frame": 31.0}}, {}, "native: host us per frame of pulse"),
        ({"sim": {}}, {"read": 0.849}, "share of the line, full-array read is 0.849"),
        ({"sim": {}}, {"write": 0.699}, "share of the line, write-verify is 0.699"),
    ],
)
def test_each_bar_can_be_missed(bench, monkeypatch, tmp_path, capsys, boards, shares, sentence):
    status, figures = outcome(bench, monkeypatch, tmp_path, boards, **shares)
    assert status == 1
    assert len(figures["missed"]) == 1
    assert figures["missed"][0].startswith(sentence)
    assert "BAR MISSED" in capsys.readouterr().out


def test_boards_of_other_processes_are_reported_without_a_bar(bench, monkeypatch, tmp_path):
    slow = {"qemu": {"read us per frame": 90.0}, "native-process": {"read us per frame": 40.0}}
    status, figures = outcome(bench, monkeypatch, tmp_path, slow)
    assert status == 0
    assert figures["boards"]["qemu"]["read us per frame"] == 90.0


def test_what_cannot_run_here_is_said(bench, monkeypatch, capsys):
    lacking = {"native": "", "native-process": "", "qemu": "board qemu needs qemu-system-arm"}
    monkeypatch.setattr(bench.firmware, "what_is_missing", lacking.__getitem__)
    assert bench.runnable() == ["sim", "native", "native-process"]
    assert "skipped: board qemu needs qemu-system-arm" in capsys.readouterr().out


# --- for real ------------------------------------------------------------------------------------


def test_figures_of_the_simulated_board(bench):
    found = bench.board_figures("sim", quick=True)
    assert set(found) == set(BOARD)
    assert all(value > 0 for value in found.values())


@pytest.mark.slow
def test_the_protocol_uses_the_line(bench):
    found = bench.line_figures(0.0)
    assert found["full-array read"]["share"] >= 0.85
    assert found["write-verify"]["share"] >= 0.70
    assert found["full-array read"]["share back"] > found["full-array read"]["share out"]
    assert found["write-verify"]["share out"] > found["write-verify"]["share back"]
