"""A run folder is unique, whole, kept inside itself, and says how the run ended."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from hil.record import RunFolder, write_whole
from protocols.errors import LimitError, RecordError


def new(root, kind="program", **more):
    given = {"parameters": {"cells": 3}, "seed": 5, "bench_text": "board: sim\n", **more}
    return RunFolder.create(root, kind, **given)


def test_a_new_run_says_what_it_is(tmp_path):
    run = new(tmp_path / "deep" / "runs")
    info = json.loads((run.path / "run.json").read_text())
    assert info["status"] == "running"
    assert (info["kind"], info["seed"]) == ("program", 5)
    assert info["parameters"] == {"cells": 3}
    assert set(info["versions"]) >= {"python", "numpy", "torch", "analog-diffusion-hil"}
    assert (run.path / "bench.yaml").read_text() == "board: sim\n"
    assert run.path.name.endswith("-program-001")


def test_folders_are_never_used_twice(tmp_path):
    names = [new(tmp_path, kind).path.name for kind in ("read", "read", "form", "read")]
    assert [name[-8:] for name in names] == ["read-001", "read-002", "form-001", "read-003"]
    first = min(tmp_path.glob("*-read-001"))
    first.rename(tmp_path / "kept")
    assert new(tmp_path, "read").path.name.endswith("read-004")


def test_latest_by_kind_and_over_all(tmp_path):
    new(tmp_path, "read")
    second = new(tmp_path, "program")
    third = new(tmp_path, "read")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    (tmp_path / "undated").mkdir()
    info = {"version": 1, "kind": "read", "status": "done", "started": "soon", "seed": 1}
    (tmp_path / "undated" / "run.json").write_text(json.dumps(info))
    assert RunFolder.latest(tmp_path).path == third.path
    assert [run.path for run in RunFolder.all(tmp_path)][:2] == [third.path, second.path]
    assert len(RunFolder.all(tmp_path)) == 3
    assert RunFolder.all(tmp_path / "nowhere") == []
    assert RunFolder.latest(tmp_path, "program").path == second.path
    with pytest.raises(RecordError, match="no readable run of kind 'form'"):
        RunFolder.latest(tmp_path, "form")
    with pytest.raises(RecordError, match="no readable run here"):
        RunFolder.latest(tmp_path / "nowhere")


def ended(path):
    info = RunFolder.open(path).info
    return info["status"], info["reason"], info["ended"] is not None


def test_the_context_manager_marks_the_end(tmp_path):
    with new(tmp_path) as run:
        run.journal.event("x", {})
    assert ended(run.path) == ("done", None, True)
    with pytest.raises(LimitError), new(tmp_path) as run:
        raise LimitError("4.0 V is over the limit")
    assert ended(run.path) == ("failed", "LimitError: 4.0 V is over the limit", True)
    with pytest.raises(KeyboardInterrupt), new(tmp_path) as run:
        raise KeyboardInterrupt
    assert ended(run.path) == ("interrupted", "stopped from the keyboard", True)
    with pytest.raises(SystemExit), new(tmp_path) as run:
        raise SystemExit(0)
    assert ended(run.path)[0] == "done"


@pytest.mark.parametrize("error", [None, LimitError("4.0 V is over the limit")])
def test_ctrl_c_in_the_middle_of_the_end_leaves_no_run_that_seems_to_go_on(
    tmp_path, monkeypatch, error
):
    run = new(tmp_path)
    saved = interrupted_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt), run:
        leave(run, error)
    assert saved == ["run.json"]
    assert ended(run.path)[0] == ("done" if error is None else "failed")


def test_ctrl_c_while_a_run_is_begun_marks_it(tmp_path, monkeypatch):
    interrupted_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        new(tmp_path)
    (run,) = RunFolder.all(tmp_path)
    assert ended(run.path) == ("interrupted", "stopped from the keyboard", True)


def leave(run, error):
    run.journal.event("x", {})
    if error is not None:
        raise error


def interrupted_once(monkeypatch):
    """The next file of a run is not written because of a Ctrl-C; its name."""
    names, save = [], RunFolder.save_json

    def saving(self, name, data):
        if not names:
            names.append(name)
            raise KeyboardInterrupt
        return save(self, name, data)

    monkeypatch.setattr(RunFolder, "save_json", saving)
    return names


def test_a_failing_disk_does_not_hide_the_first_error(tmp_path, monkeypatch):
    run = new(tmp_path)
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(LimitError) as caught, run:
        raise LimitError("first")
    assert "No space left" in caught.value.__notes__[0]


def _no_space(handle):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_keeps_the_old_file_and_leaves_no_litter(tmp_path, monkeypatch):
    run = new(tmp_path)
    run.save_json("results.json", {"n": 1})
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(RecordError, match=r"results\.json: cannot be written \(No space left"):
        run.save_json("results.json", {"n": 2})
    monkeypatch.undo()
    assert run.load_json("results.json") == {"n": 1}
    assert not list(run.path.glob("*.tmp"))
    assert not list(run.path.glob(".*"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be made"):
        new(tmp_path / "file")
    with pytest.raises(RecordError, match="no kind of run"):
        new(tmp_path, "../evil")


def test_paths_stay_inside(tmp_path):
    run = new(tmp_path)
    (run.path / "out").symlink_to(tmp_path)
    for name in ("../x", "/etc/x", "figures/../../x", "out/x", ""):
        with pytest.raises(RecordError, match="outside"):
            run.file(name)
    assert run.save_text("figures/a.txt", "a").parent == run.path / "figures"


def test_json_has_no_nan(tmp_path):
    run = new(tmp_path)
    values = {
        "a": float("nan"),
        "b": np.float64("inf"),
        "c": np.array([1.0, np.nan]),
        "d": Path("x"),
    }
    run.save_json("results.json", values)
    assert "NaN" not in (run.path / "results.json").read_text()
    assert run.load_json("results.json") == {"a": None, "b": None, "c": [1.0, None], "d": "x"}
    with pytest.raises(RecordError, match="no plain JSON form"):
        run.save_json("results.json", {"x": object()})


def test_arrays_without_pickle(tmp_path):
    run = new(tmp_path)
    arrays = {"samples/chip": np.linspace(0, 1, 6).reshape(3, 2), "status": np.array(["a", "bc"])}
    run.save_arrays("results.npz", arrays)
    loaded = run.load_arrays("results.npz")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
    with pytest.raises(RecordError, match="plain values"):
        run.save_arrays("bad.npz", {"x": np.array([object()])})
    np.savez(run.path / "pickle.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RecordError, match="cannot be read"):
        run.load_arrays("pickle.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"{" * 100])
def test_damaged_files_are_record_errors(tmp_path, content):
    run = new(tmp_path)
    for name in ("bad.npz", "bad.json"):
        (run.path / name).write_bytes(content)
    with pytest.raises(RecordError, match=r"bad\.npz"):
        run.load_arrays("bad.npz")
    with pytest.raises(RecordError, match=r"bad\.json"):
        run.load_json("bad.json")


def test_opening_what_is_no_run(tmp_path):
    with pytest.raises(RecordError, match="not a run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"kind": "read"}')
    with pytest.raises(RecordError, match="not the description of a run"):
        RunFolder.open(tmp_path)


def test_the_journal_is_continued_when_a_run_is_opened_again(tmp_path):
    with new(tmp_path) as run:
        run.journal.event("first", {})
    again = RunFolder.open(run.path)
    again.journal.event("second", {})
    again.finish("interrupted", "test")
    with again.journal.open_read(again.file("journal.sqlite")) as reader:
        assert [event.kind for event in reader.events()] == ["first", "second"]
        assert reader.meta["run"] == run.path.name
    again.close()


def test_write_whole_makes_its_folder(tmp_path):
    assert write_whole(tmp_path / "a" / "b.txt", b"x").read_bytes() == b"x"
