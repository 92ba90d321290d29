"""`hil study`: a plan, a table, a list, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hil.cli import app
from hil.cli.commands import study as command_module
from hil.study.runners import Here


@pytest.fixture
def here(monkeypatch, tmp_path, small_text) -> Path:
    """A folder with a study file, and a command that solves in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_module, "Processes", lambda _count: Here())
    path = tmp_path / "my.yaml"
    path.write_text(small_text)
    return path


def run(*arguments: str) -> int:
    return app.run(list(arguments))


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_study_leaves_its_table_and_says_what_it_found(here, capsys) -> None:
    assert run("study", "my.yaml", "--json") == 0
    found = said(capsys)
    assert (found["points"], found["solved_now"], found["failed"]) == (6, 6, 0)
    assert found["simulated"] is True
    lines = found["figures"][0]["lines"]
    assert [line["x"] for line in lines] == [0.0, 0.05]
    assert lines[0]["middle"] == pytest.approx(lines[0]["software"], rel=0.5)
    assert pq.read_table("studies/small/table.parquet").num_rows == 6
    assert Path("studies/small/figures/1-kl_1d-weight_error.png").exists()


def test_progress_and_figures_in_words(here, capsys) -> None:
    assert run("study", "my.yaml", "--out", "elsewhere") == 0
    captured = capsys.readouterr()
    assert "6 points" in captured.err
    assert "solving points" in captured.err
    assert "kl_1d against weight_error (simulated)" in captured.out
    assert Path("elsewhere/table.parquet").exists()


def test_a_dry_run_solves_nothing_that_stays(here, capsys) -> None:
    assert run("study", "my.yaml", "--dry-run", "--json") == 0
    plan = said(capsys)["plan"]
    assert (plan["points"], plan["done before"], plan["depth"]) == (6, 0, "twin")
    assert plan["seconds per point"] > 0
    assert not Path("studies").exists()
    assert run("study", "my.yaml", "--json") == 0
    capsys.readouterr()
    assert run("study", "my.yaml", "--dry-run", "--json") == 0
    assert said(capsys)["plan"]["done before"] == 6


def test_the_shipped_studies_are_listed(here, capsys) -> None:
    assert run("study", "--json") == 0
    assert "KL divergence against" in said(capsys)["studies"]["weight-error"]


@pytest.mark.parametrize(
    ("arguments", "code", "said_so"),
    [
        (["nowhere.yaml"], 2, "shipped ones are"),
        (["my.yaml", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"], 2, "--workers is for"),
        (["bad.yaml"], 2, "no such axis"),
    ],
)
def test_mistakes_end_with_the_documented_code(here, capsys, arguments, code, said_so) -> None:
    (here.parent / "bad.yaml").write_text("name: a\ngrid: {chips: 1}\n")
    assert run("study", *arguments) == code
    assert said_so in " ".join(capsys.readouterr().err.split())


def test_an_unreachable_scheduler_has_its_own_code(here, capsys, monkeypatch) -> None:
    cluster = pytest.importorskip("hil.study.cluster")
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_S", 0.3)
    assert run("study", "my.yaml", "--scheduler", "tcp://127.0.0.1:1") == 11
    assert "no Dask scheduler answers" in " ".join(capsys.readouterr().err.split())


def test_a_changed_study_is_refused(here, capsys) -> None:
    assert run("study", "my.yaml") == 0
    here.write_text(here.read_text().replace("samples: 50", "samples: 40"))
    assert run("study", "my.yaml") == 2
    assert "grid.samples: 50 before, 40 now" in " ".join(capsys.readouterr().err.split())
