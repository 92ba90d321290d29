"""What a study keeps: resumed where it was cut off, refused where it was changed."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hil.study import folder as folder_module
from hil.study.columns import FIGURES, TABLE, TIMES
from hil.study.folder import StudyFolder
from hil.study.job import missing_points, run_study, seconds_per_point
from hil.study.runners import Here
from hil.study.work import Batch, Setting
from protocols.errors import ConfigError, RecordError


class Counting(Here):
    """This process; remembers what it was asked, may be cut off, may go backwards."""

    def __init__(self, most: int | None = None, backwards: bool = False) -> None:
        self.points: list[int] = []
        self._most, self._backwards = most, backwards

    def run(self, setting: Setting, batches: Sequence[Batch]):
        ordered = list(reversed(batches)) if self._backwards else list(batches)
        for number, rows in enumerate(super().run(setting, ordered)):
            if number == self._most:
                raise KeyboardInterrupt
            self.points += [row["point"] for row in rows]
            yield rows


def digest(path: Path) -> str:
    return hashlib.sha256((path / "table.parquet").read_bytes()).hexdigest()


def test_the_table_has_every_point_in_order_and_no_host_time(small, tmp_path) -> None:
    result = run_study(small, tmp_path / "s", Here())
    table = pq.read_table(tmp_path / "s" / "table.parquet")
    assert table.schema.equals(TABLE)
    assert table.schema.metadata[b"simulated"] == b"true"
    assert table["point"].to_pylist() == list(range(6))
    assert table["chip"].to_pylist() == [1, 1, 2, 2, 3, 3]
    assert table["status"].to_pylist() == ["done"] * 6
    assert not set(TIMES.names) & set(TABLE.names) - {"point"}
    times = pq.read_table(tmp_path / "s" / "times.parquet")
    assert all(value > 0 for value in times["host_s"].to_pylist())
    assert (result.points, result.solved, result.failed) == (6, 6, 0)
    assert [path.exists() for path in result.figures] == [True, True]
    assert not list((tmp_path / "s" / "parts").iterdir())


def test_order_and_interruption_change_nothing(small, tmp_path) -> None:
    run_study(small, tmp_path / "whole", Here())
    run_study(small, tmp_path / "backwards", Counting(backwards=True))
    cut = Counting(most=1)
    with pytest.raises(KeyboardInterrupt):
        run_study(small, tmp_path / "cut", cut)
    assert cut.points == [0, 1]
    assert not (tmp_path / "cut" / "table.parquet").exists()
    rest = Counting()
    assert run_study(small, tmp_path / "cut", rest).solved == 4
    assert rest.points == [2, 3, 4, 5]
    assert digest(tmp_path / "whole") == digest(tmp_path / "backwards") == digest(tmp_path / "cut")


def test_a_finished_study_solves_nothing_again(small, tmp_path) -> None:
    first = run_study(small, tmp_path, Here())
    again = Counting()
    second = run_study(small, tmp_path, again)
    assert (second.solved, again.points) == (0, [])
    assert second.summaries == first.summaries


def test_a_changed_study_is_refused_with_what_changed(
    small, small_text, make_study, tmp_path
) -> None:
    run_study(small, tmp_path, Here())
    changed = small_text.replace("count: 3", "count: 4").replace("samples: 50", "samples: 60")
    with pytest.raises(ConfigError) as caught:
        run_study(make_study(changed), tmp_path, Here())
    said = str(caught.value)
    assert "grid.chip.count: 3 before, 4 now" in said
    assert "grid.samples: 50 before, 60 now" in said
    assert "weight_error" not in said


def test_what_changes_no_row_may_change(small, small_text, make_study, tmp_path) -> None:
    run_study(small, tmp_path, Here())
    other = small_text.replace("batch: 2", "batch: 3\nworkers: 1\nabout: more").replace(
        "y: kl_1d, log_y: true", "y: radius_mean"
    )
    result = run_study(make_study(other), tmp_path, Here())
    assert result.solved == 0
    assert "radius_mean" in result.figures[0].name


def test_another_model_of_the_same_name_is_refused(small, tmp_path, monkeypatch) -> None:
    run_study(small, tmp_path, Here())
    inputs = {**small.inputs, "model:ring": "0" * 16}
    with pytest.raises(ConfigError, match=r"inputs\.model:ring"):
        StudyFolder.opened(tmp_path, small.config, small.text, inputs).__enter__()


def test_two_at_a_time_are_refused(small, tmp_path) -> None:
    with (
        StudyFolder.opened(tmp_path, small.config, small.text, small.inputs),
        pytest.raises(RecordError, match="another process works on this study"),
    ):
        run_study(small, tmp_path, Here())


def test_a_full_disk_keeps_what_is_done_and_goes_on_later(small, tmp_path, monkeypatch) -> None:
    real, written = folder_module.replace_whole, []

    def full(path: Path, content: bytes) -> None:
        if path.parent.name == "parts" and len(written) == 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)
        written.extend([path] if path.parent.name == "parts" else [])

    monkeypatch.setattr(folder_module, "replace_whole", full)
    with pytest.raises(RecordError, match=r"No space left on device.*are kept"):
        run_study(small, tmp_path, Here())
    monkeypatch.undo()
    rest = Counting()
    assert run_study(small, tmp_path, rest).failed == 0
    assert rest.points == [2, 3, 4, 5]


def test_a_damaged_part_is_named(small, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_study(small, tmp_path, Counting(most=1))
    (part,) = (tmp_path / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(RecordError, match=part.name):
        run_study(small, tmp_path, Here())


def test_a_table_of_other_columns_is_refused(small, tmp_path) -> None:
    run_study(small, tmp_path, Here())
    table = pq.read_table(tmp_path / "table.parquet")
    pq.write_table(table.drop_columns(["kl_1d"]), tmp_path / "table.parquet")
    with pytest.raises(RecordError, match="not those of a study of this version"):
        run_study(small, tmp_path, Here())


def test_a_point_that_fails_has_its_reason_and_can_be_tried_again(make_study, tmp_path) -> None:
    study = make_study(
        "name: a\ngrid: {stuck_fraction: [0, 0.9], tolerance_siemens: 0, samples: 20}\n"
        "effects: [stuck_cells]\nbench: {loop: {trim_drive: false}}\n"
        "figures: [{kind: yield, x: stuck_fraction, most: 10}]\n"
    )
    result = run_study(study, tmp_path, Here())
    rows = pq.read_table(tmp_path / "table.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert rows[1]["reason"].startswith("MappingError: Too few good cells")
    assert all(rows[1][name] is None for name in FIGURES)
    assert rows[0]["reason"] is None
    assert result.failed == 1
    assert result.reasons == [rows[1]["reason"]]
    lines = result.summaries[0].lines
    assert [(line.x, line.middle, line.failed) for line in lines] == [(0.0, 1.0, 0), (0.9, 0.0, 1)]
    assert run_study(study, tmp_path, Here()).solved == 0
    assert run_study(study, tmp_path, Here(), retry=True).solved == 1


def test_a_plan_says_what_is_missing_and_what_a_point_costs(small, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_study(small, tmp_path, Counting(most=2))
    with StudyFolder.opened(tmp_path, small.config, small.text, small.inputs) as folder:
        rows = folder.rows()
    assert missing_points(small, rows) == [4, 5]
    spent = [row["host_s"] for row in rows.values()]
    assert seconds_per_point(small, rows) == pytest.approx(sum(spent) / 4)
    assert seconds_per_point(small, {}) > 0
