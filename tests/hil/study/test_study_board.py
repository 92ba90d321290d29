"""A point at the depth "board": the whole job, in a folder that nobody sees."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from hil.study import whole_job
from hil.study.config import parse_study
from hil.study.points import points_of
from hil.study.settings import bench_of
from hil.study.whole_job import solve_board
from hil.study.work import figures_of
from protocols.errors import ConfigError, MappingError

QUICK = """\
name: a
depth: {depth}
grid: {{chip: 2, samples: 200, tolerance_siemens: 1.2e-5}}
bench:
  loop: {{trim_drive: false}}
  programming: {{settle_s: [0.0, 0.0, 1.0]}}
"""


@pytest.mark.slow
def test_a_board_and_its_twin_are_alike(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = {}
    for depth in ("board", "twin"):
        study = parse_study(QUICK.format(depth=depth), "f")
        found[depth] = figures_of(study, "f", points_of(study)[0])
    board, twin = found["board"], found["twin"]
    assert board["weight_rms"] == pytest.approx(twin["weight_rms"], rel=0.25)
    assert board["sliced_w1"] == pytest.approx(twin["sliced_w1"], rel=0.6)
    assert board["software_kl_1d"] == twin["software_kl_1d"]
    assert board["in_tolerance"] > 0.97
    assert not list(tmp_path.iterdir())  # nothing is left behind


def point_and_bench(axes: str):
    study = parse_study(f"name: a\ndepth: board\ngrid: {axes}", "f")
    (point,) = points_of(study)
    return point, bench_of(study, point)


def test_a_board_has_no_tolerance_of_nothing() -> None:
    point, config = point_and_bench("{tolerance_siemens: 0}")
    with pytest.raises(ConfigError, match="tolerance_siemens 0 is for twins"):
        solve_board(config, point)


def test_a_board_has_converters_of_at_least_eight_bits(tmp_path) -> None:
    point, config = point_and_bench("{dac_bits: 6}")
    with pytest.raises(ConfigError, match="dac_bits 6: all converters"):
        solve_board(config, point)
    point, config = point_and_bench("{dac_bits: 10}")
    assert whole_job._placed(config, point, tmp_path).load_description().converters.bits == 10


def test_a_reason_does_not_name_a_folder_of_the_moment(monkeypatch) -> None:
    def fails(config, _point):
        raise MappingError(f"{config.runs}/x: does not fit")

    monkeypatch.setattr(whole_job, "_solved", fails)
    point, config = point_and_bench("{chip: 1}")
    with pytest.raises(MappingError) as caught:
        solve_board(config, point)
    assert str(caught.value) == "FOLDER/runs/x: does not fit"


def test_everything_of_a_point_stays_in_its_folder(tmp_path) -> None:
    point, config = point_and_bench("{chip: 3, age_s: 5}")
    placed = whole_job._placed(config, point, tmp_path)
    for path in (placed.runs, placed.curves, placed.chip.folder):
        assert Path(path).is_relative_to(tmp_path)
    assert placed.sim.seed == 3
    assert np.isfinite(placed.seed)
