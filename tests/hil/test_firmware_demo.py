"""The whole main job on the firmware: `hil demo` gives what it gives on the simulated board.

Noise, variation and every error of the converters are on: forming, write-verify, the calibration of
the loop and both ways of sampling meet the same chip with the same requests at the same times, so
every figure of the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from functools import cache
from typing import Any

import pytest

from hil.cli.app import run
from hil.record import RunFolder

BENCH = """
programming: {settle_s: [1.0, 0.0]}  # one look back is enough for what is compared
sim:  # as much as the firmware holds
  ticks_max: 512
  trajectories_max: 2048
  trace_points_max: 4096
"""
DEMO = ("demo", "--bench", "bench.yaml", "--samples", "10", "--baseline", "100", "--no-budget")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    @cache
    def of(board: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(board)
        (folder / "bench.yaml").write_text(BENCH)
        with chdir(folder):
            assert run([*DEMO, "--board", board, "--json"]) == 0
        found = RunFolder.latest(folder / "runs", "demo")
        assert found.status == "done"
        assert (found.path / "report.html").stat().st_size > 100_000
        content: dict[str, Any] = found.load_json("results.json")
        del content["time"]["host_s"]
        return content

    return of


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.parametrize("board", ["qemu"])
def test_the_main_job(need_firmware, results, board):
    need_firmware(board)
    found = results(board)
    assert found["programming"]["cells"] == 564
    assert found["rows"]["chip_ode"]["samples"] == found["rows"]["chip_sde"]["samples"] == 10
    assert found == results("sim")


def test_the_demo_refuses_a_board_with_a_chip_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["demo", "--board", "serial:/dev/ttyACM0"]) == 2
    assert "native" in capsys.readouterr().err
