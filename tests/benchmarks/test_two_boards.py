"""The judgement of the benchmark on two boards; the measurement itself needs a quiet machine."""

from __future__ import annotations

import json
import subprocess

import pytest

from benchmarks import two_boards
from benchmarks.two_boards import BAR, RATIO, Batch, differences, judged, main, ratio_of


def done(boards, code=0, **result):
    step = {"host_s": 10.0, "cpu_s": 9.5, "result": {"cells": 564, "run": "x", **result}}
    said = {"boards": {name: {"steps": [step, step]} for name in boards}}
    return subprocess.CompletedProcess([], code, json.dumps(said), "")


def test_a_run_of_the_command_is_read():
    batch = judged(2, 22.0, done(("board1", "board2"), formed=564))
    assert batch.workers == [(20.0, 19.0)] * 2
    assert batch.results == [[{"cells": 564, "formed": 564}] * 2] * 2
    assert batch.share == pytest.approx(0.95)
    assert batch.trouble == ""


def test_a_run_that_failed_is_no_measurement():
    assert judged(1, 5.0, done(("board1",), code=8)).trouble.startswith("exit code 8")
    silent = subprocess.CompletedProcess([], 1, "", "no such thing")
    assert judged(1, 5.0, silent).trouble == "no result (1): no such thing"


def batches(*walls):
    return [Batch(count, wall, [(wall, wall)] * count, [[{}]] * count) for count, wall in walls]


def test_the_ratio_is_that_of_medians():
    found = ratio_of(batches((1, 10.0), (2, 10.9), (2, 30.0), (1, 11.0), (1, 10.5), (2, 11.0)))
    assert found[RATIO] == pytest.approx(11.0 / 10.5)


def test_boards_that_came_out_differently_are_named():
    same = Batch(1, 1.0, [(1.0, 1.0)], [[{"cells": 4}]])
    other = Batch(2, 1.0, [(1.0, 1.0)] * 2, [[{"cells": 4}], [{"cells": 5}]])
    assert differences([same, same]) == []
    assert len(differences([same, other])) == 1


@pytest.mark.parametrize(("two", "code"), [(10.9, 0), (11.2, 1)])
def test_the_bar_decides(two, code, monkeypatch, tmp_path):
    walls = {1: 10.0, 2: two}
    monkeypatch.setattr(two_boards.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(two_boards.os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(
        two_boards, "run_batch", lambda count, *_: batches((count, walls[count]))[0]
    )
    assert main(["--quick", "--json", str(tmp_path / "x.json")]) == code
    kept = json.loads((tmp_path / "x.json").read_text())
    assert kept["simulated"] is True
    assert kept[RATIO] == pytest.approx(two / 10.0)
    assert (kept["missed"] == []) == (kept[RATIO] <= BAR[RATIO][1])
