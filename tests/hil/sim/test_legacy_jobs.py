"""`hil legacy` on the emulated board: samples on the disk, resume, refusals."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hil.cli.commands.legacy import app
from hil.jobs.legacy import SampleFile, legacy_bench, load_scope_words
from protocols.errors import ConfigError, InputError, LimitError, RecordError


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> dict:
        found = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    return call


def folder_of(results: dict) -> str:
    return results["run"]


def test_predict(call):
    assert "54 of 241" in call("predict", "--table", "2")["overflows"]
    found = call("predict")
    assert found["overflows"] == "none"
    assert found["codes"]["g2"] == [1946, 2560]


def test_samples_resume_and_equal_one_go(call, tmp_path):
    whole = call("run", "--samples", "5", "--table", "4", "--seed", "9")
    first = call("run", "--samples", "2", "--table", "4", "--seed", "9")
    assert (first["samples"], first["simulated"]) == (2, True)
    path = tmp_path / folder_of(first)
    with (path / "samples.jsonl").open("ab") as file:
        file.write(b'{"index": 2, "x_vo')  # the power went
    arguments = ("run", "--samples", "5", "--table", "4", "--seed", "9", "--resume", str(path))
    assert call(*arguments)["samples"] == 5
    there = SampleFile(path / "samples.jsonl").load()
    assert there == SampleFile(tmp_path / folder_of(whole) / "samples.jsonl").load()
    assert len(set(there.values())) == 5
    with pytest.raises(InputError, match="same settings"):
        call("run", "--samples", "5", "--table", "0", "--resume", str(path))


def test_overflow_leaves_no_run_behind(call, tmp_path):
    with pytest.raises(LimitError):
        call("run", "--table", "2")
    assert not (tmp_path / "runs").exists()


def test_a_damaged_sample_file(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"index": 0}\n')
    with pytest.raises(RecordError, match="damaged"):
        SampleFile(path).load()


def test_a_bench_needs_a_board_and_an_instrument(tmp_path):
    for spec in ("sim", "legacy:/dev/null"):
        with pytest.raises(ConfigError), legacy_bench(spec, None, None, 1):
            pass


def test_scope_files(tmp_path):
    path = tmp_path / "scope.yaml"
    path.write_text("arm: [':SING']\ndone: ':STAT?'\ndone_answers: [STOP]\nx: ':X?'\ny: ':Y?'\n")
    assert load_scope_words(path).arm == [":SING"]
    path.write_text("arm: [':SING']\n")
    with pytest.raises(ConfigError, match="done_answers"):
        load_scope_words(path)
