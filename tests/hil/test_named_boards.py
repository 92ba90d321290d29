"""`boards:` of a bench file and `--on`: each board its own bench, and none by accident."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.cli.app import run as command
from hil.config import BenchConfig, parse_config, validated_config
from hil.jobs.session import session
from hil.record import RunFolder
from protocols.errors import ChipBusyError, ConfigError

THREE = """
seed: 7
read_volts: 0.1
limits: {set: {line_volts: 2.5}}
chip: {id: C1, folder: drawer}
sim: {seed: 3, board_seed: 5, effects: {read_noise: false}}
boards:
  left: {}
  right:
    board: native
    chip: {id: r2}
    limits: {pulses_per_cell: 9}
    seed: 40
    sim: {effects: {telegraph: false}}
    programming: {algorithm: ispp}
  bench2: {board: "serial-number:1a2B", chip: {id: C9, folder: other}, model: digits3}
"""


def bench(text: str) -> BenchConfig:
    return parse_config(text, "bench.yaml")


def test_what_a_board_leaves_out_is_as_the_rest_of_the_file_says():
    left = bench(THREE).on("left")
    assert (left.name, left.board, left.read_volts, left.seed) == ("left", "sim", 0.1, 7)
    assert (left.chip.id, str(left.chip.folder)) == ("left", "drawer")
    assert left.limits.values() == {"set.line_volts": 2.5}
    assert left.boards == {}
    assert left.macros == ()


def test_an_own_section_is_laid_over_the_files_key_by_key():
    right = bench(THREE).on("right")
    assert right.limits.values() == {"set.line_volts": 2.5, "pulses_per_cell": 9}
    assert right.sim.effects == {"read_noise": False, "telegraph": False}
    assert (right.sim.seed, right.sim.board_seed, right.seed) == (40, 40, 7)
    assert type(right.programming).__name__ == "IsppParams"
    other = bench(THREE).on("bench2")
    assert (other.chip.id, str(other.chip.folder), other.model) == ("C9", "other", "digits3")
    assert (other.sim.seed, other.sim.board_seed, other.sim.chip_id) == (5, 7, "C9")


def test_a_chips_own_facts_are_not_another_boards():
    config = bench("chip: {id: C1, label: the good one}\nboards: {a: {}, b: {chip: {label: new}}}")
    assert config.on("a").chip.label == ""
    assert config.on("b").chip.label == "new"


def test_a_bench_of_several_boards_survives_its_record():
    config = bench(THREE)
    again = validated_config(json.loads(json.dumps(config.model_dump(mode="json"))), "config.json")
    for name, each in config.each_board().items():
        assert again.on(name).model_dump(mode="json") == each.model_dump(mode="json")


def test_a_folder_of_curves_is_still_understood():
    assert str(bench("boards: drawer/boards").curves) == "drawer/boards"
    assert bench("boards: drawer/boards").boards == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("boards: {a: {}, b: {chip: {id: a}}}", r"same chip id: a \(a and b\)"),
        (
            "board: serial:/dev/ttyUSB0\nboards: {a: {}, b: {}}",
            "two of the boards are on serial:/d",
        ),
        (
            "boards: {a: {board: 'serial-number:AB'}, b: {board: 'serial-number:ab'}}",
            "two of the boards are on",
        ),
        ("boards: {a: {bord: sim}}", "boards: a: bord: no such key"),
        ("boards: {a: {board: nowhere}}", "boards: a: board is 'nowhere'"),
        ("boards: {a: {board: 'serial-number:'}}", "boards: a: board is 'serial-number:'"),
        ("boards: {a: {runs: elsewhere}}", r"boards\.a\.runs: all boards of a bench file share it"),
        ("boards: {a: {boards: {b: {}}}}", r"boards\.a\.boards: all boards"),
        ("boards: {a: 3}", r"boards\.a is 3"),
        ("boards: {a b: {}}", "String should match"),
        ("boards: {a: {chip: 3}}", "chip is 3"),
        ("boards: {a: {limits: {set: {line_volts: -1}}}}", r"limits\.set\.line_volts is -1"),
        ("boards: {a: {sim: [1], seed: 3}}", r"sim is \[1\]"),
        ("boards: {a: {sim: {seed: x}}}", "sim.seed is 'x'"),
        ("boards: [1]\nmacros: [{name: a}]", r"boards is \[1\]"),
        ("macros: [{name: [1]}]", r"macros\.0\.name is \[1\]"),
        ("name: a\nboards: {a: {}}", "the boards have names of their own"),
        ("boards: {a: {}}\nmacros: [a, b]", "'b' is none of the boards"),
        ("boards: {a: {}}\nmacros: [a, a]", "two macros with the same name: a"),
        ("boards: {a: {}}\nmacros: [{name: a}]", "two macros with the same name: a"),
    ],
)
def test_what_cannot_be_is_refused_when_the_file_is_read(text, reason):
    with pytest.raises(ConfigError, match=reason):
        bench(text)


def test_macros_choose_among_the_boards():
    config = bench("boards: {a: {}, b: {}, c: {}}\nmacros: [c, a]")
    assert list(config.each_macro()) == ["c", "a"]
    assert list(config.each_board()) == ["a", "b", "c"]
    assert list(bench("boards: {a: {}, b: {}}").each_macro()) == ["a", "b"]


# --- the command line -------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text("boards: {left: {}, right: {seed: 9}}\n")
    return tmp_path


def hil(*words: str) -> tuple[int, dict]:
    said = io.StringIO()
    with redirect_stdout(said):
        code = command([*words, "--json"])
    return code, json.loads(said.getvalue())


def test_a_command_for_one_board_asks_which(here):
    for words in (
        ("info",),
        ("form",),
        ("program", "ring", "--dry-run"),
        ("stop", "--clear", "stop"),
    ):
        code, said = hil(*words)
        assert code == 2
        assert "several boards (left, right); say which one with --on" in said["error"]["message"]
    code, said = hil("info", "--on", "middle")
    assert code == 2
    assert "no board is called 'middle'; the bench file has left, right" in said["error"]["message"]


def test_a_board_is_addressed_by_name(here):
    assert hil("info", "--on", "right")[1]["chip"]["id"] == "right"
    assert hil("info", "--on", "right")[1]["board"]["serial"] == "9"
    assert hil("info", "--on", "left")[1]["board"]["serial"] == "1"


def test_the_only_board_needs_no_name_and_a_named_line_none_either(here):
    assert hil("info", "--board", "sim")[1]["chip"]["id"] == "sim-001"
    (here / "bench.yaml").write_text("boards: {alone: {}}\n")
    assert hil("info")[1]["chip"]["id"] == "alone"


def test_what_has_no_board_needs_no_name(here):
    code, said = hil("report")
    assert code == 10
    assert "no run here has a report yet" in said["error"]["message"]


def test_runs_say_which_board_they_are_of(here):
    config = bench("boards: {left: {}, right: {}}\nread_volts: 0.2")
    for name in ("left", "right", "left"):
        with session(config.on(name), "check", parameters={}) as (_, opened):
            assert opened.config.name == name
    found = RunFolder.all(config.runs)
    assert sorted(run.path.name.split("-", 3)[3] for run in found) == [
        "check-left-001",
        "check-left-002",
        "check-right-001",
    ]
    assert [run.info["on"] for run in found] == ["left", "right", "left"]
    assert {run.info["chip"] for run in found} == {"left", "right"}


def test_each_board_has_its_own_lock(here):
    config = bench("boards: {left: {}, right: {}}")
    first, second = (Bench.open(config.on(name)) for name in ("left", "right"))
    with first, second, pytest.raises(ChipBusyError):
        Bench.open(config.on("left"))


def test_each_board_has_its_own_limits(here):
    config = bench("boards: {left: {limits: {set: {line_volts: 1.5}}}, right: {}}")
    found = {}
    for name, each in config.each_board().items():
        with Bench.open(each) as opened:
            found[name] = opened.limits.bounds["set.line_volts"].value
    assert found["left"] == 1.5
    assert found["right"] > 1.5


def test_stop_without_a_name_stops_all(here):
    config = bench("boards: {left: {}, right: {}}")
    with Bench.open(config.on("left")) as left, Bench.open(config.on("right")) as right:
        for opened in (left, right):
            opened.board.arm(10.0)
        code, said = hil("stop")
        assert (code, said["boards"]) == (0, {"left": "stop", "right": "stop"})
        for opened in (left, right):
            assert opened.board.status().armed_s == 0.0
    assert hil("stop")[1]["boards"] == dict.fromkeys(("left", "right"), "not open in any process")


def test_a_board_that_cannot_be_stopped_does_not_keep_the_others(here):
    (here / "bench.yaml").write_text("boards: {gone: {board: serial:/dev/nowhere}, left: {}}\n")
    config = bench((here / "bench.yaml").read_text())
    with Bench.open(config.on("left")) as left:
        left.board.arm(10.0)
        code, said = hil("stop")
        assert code == 4
        assert "on board 'gone'; the others: left stopped" in said["error"]["message"]
        assert left.board.status().armed_s == 0.0


def test_resume_takes_the_board_from_the_run(here):
    code, said = hil("form", "--resume", "nothing", "--on", "left")
    assert code == 2
    assert "leave out --on" in said["error"]["message"]
