"""Who solves a study makes no difference: processes, or a cluster's workers on the loopback."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest

from hil.study import runners, work
from hil.study.folder import StudyFolder
from hil.study.job import run_study
from hil.study.runners import Here, Processes
from hil.study.work import Batch, Setting, batches_of, solve_batch
from protocols.errors import ClusterError, ConfigError, RecordError


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "table.parquet").read_bytes()).hexdigest()


def test_batches_are_the_missing_points_in_order(small) -> None:
    found = batches_of(small.points, [0, 2, 3, 5], 3)
    assert [one.numbers for one in found] == [(0, 2, 3), (5,)]
    assert found[1].points == (small.points[5],)


def test_a_worker_of_another_version_refuses(small, monkeypatch) -> None:
    setting = small.setting
    monkeypatch.setattr(work, "project_version", lambda: "9.9.9")
    with pytest.raises(ClusterError, match=r"has version 9\.9\.9 of this project"):
        solve_batch(setting, Batch((0,), (small.points[0],)))


def test_a_worker_with_another_model_refuses(small) -> None:
    setting = Setting.of(small.config, {**small.inputs, "model:ring": "0" * 16})
    with pytest.raises(ConfigError, match="model ring is not the one"):
        solve_batch(setting, Batch((0,), (small.points[0],)))


def test_what_is_wrong_with_the_computer_is_no_result_of_a_point(small, monkeypatch) -> None:
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work, "solve_twin", full)
    with pytest.raises(OSError, match="No space left"):
        solve_batch(small.setting, Batch((0,), (small.points[0],)))


def test_any_other_failure_is_the_points_own(small, monkeypatch) -> None:
    def broken(*_arguments):
        raise FloatingPointError("over\nflow " + 600 * "x")

    monkeypatch.setattr(work, "solve_twin", broken)
    (row,) = solve_batch(small.setting, Batch((3,), (small.points[3],)))
    assert row["status"] == "failed"
    assert row["reason"].startswith("FloatingPointError: over flow xxx")
    assert len(row["reason"]) == work.LONGEST_REASON
    assert (row["point"], row["kl_1d"]) == (3, None)


@pytest.mark.slow
def test_two_processes_give_the_table_of_one(small, tmp_path) -> None:
    run_study(small, tmp_path / "here", Here())
    before = dict(os.environ)
    run_study(small, tmp_path / "two", Processes(2))
    assert digest(tmp_path / "two") == digest(tmp_path / "here")
    assert dict(os.environ) == before


def test_a_killed_process_ends_the_study_with_its_rows_kept(small, monkeypatch) -> None:
    class Killed:
        def __init__(self, *_arguments, **_named) -> None:
            pass

        def submit(self, *_arguments):
            raise BrokenProcessPool("killed")

        def shutdown(self, **_named) -> None:
            pass

    monkeypatch.setattr(runners, "ProcessPoolExecutor", Killed)
    batch = Batch((0,), (small.points[0],))
    with pytest.raises(RecordError, match="ended before its time"):
        list(Processes(1).run(small.setting, [batch]))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_study_that_is_ended_leaves_no_process_and_goes_on_later(
    small_text, make_study, tmp_path, how
) -> None:
    text = small_text.replace("count: 3", "count: 400").replace("batch: 2", "batch: 1")
    (tmp_path / "my.yaml").write_text(text)
    command = [sys.executable, "-c", "from hil.cli.app import main; main()"]
    told = ["study", "my.yaml", "--workers", "1"]
    host = subprocess.Popen([*command, *told], cwd=tmp_path, stderr=subprocess.DEVNULL)
    parts = tmp_path / "studies" / "small" / "parts"
    try:
        wait_until(lambda: any(parts.glob("*.parquet")))
        (worker,) = [child for child in psutil.Process(host.pid).children() if is_worker(child)]
        host.send_signal(how)
        assert host.wait(60) == (128 + how if how == signal.SIGTERM else -how)
    finally:
        host.kill()
        host.wait()
    worker.wait(60)
    study = make_study(text)
    with StudyFolder.opened(parts.parent, study.config, study.text, study.inputs) as opened:
        assert 0 < len(opened.rows()) < 800


def wait_until(true) -> None:
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_worker(process: psutil.Process) -> bool:
    return any("spawn_main" in part for part in process.cmdline())
