"""What a chip keeps of its bring-up: cells that no network uses, readings of a verify."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.bringup import StageResult
from calibration.mapping_knowledge import CellKind, ChipKnowledge
from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.bringup_chip import keep_stage
from hil.jobs.mapping import load_knowledge, map_model
from hil.jobs.programming import VERIFY_READS, kept_reads, programming_params
from protocols.errors import MappingError, RecordError

LOST = [[r, c] for r in range(0, 8) for c in range(0, 4)]
READS = {
    "reads": 3,
    "measured_on": "cells",
    "averaged": [1, 2, 4],
    "shares_of_tolerance": [1, 1, 1],
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pilot(**more) -> StageResult:
    data = {"sacrificed": LOST, "sacrificed_siemens": [12e-6] * len(LOST), **more}
    return StageResult("pilot", data=data)


def kept(result: StageResult, config: BenchConfig | None = None) -> tuple[str, ...]:
    with Bench.open(config or BenchConfig()) as bench:
        return keep_stage(bench, result)


def test_sacrificed_cells_are_left_out_of_a_network():
    said = kept(pilot())
    assert "32 cells are marked as sacrificed" in said[0]
    known = load_knowledge(BenchConfig())
    assert known.counts()["sacrificed"] == 32
    assert (known.kind[:8, :4] == CellKind.STUCK).all()
    mapped = map_model(load_model("ring"), BenchConfig(), known)
    used = mapped.placement.cells
    if mapped.placement.fixed is not None:
        used = used[np.flatnonzero(~mapped.placement.fixed)]
    assert not {tuple(cell) for cell in LOST} & set(used)


def test_they_are_marked_after_a_stage_that_failed_too():
    broken = StageResult("pilot", pilot().figures, data=pilot().data, findings=(object(),))
    assert kept(broken)
    assert load_knowledge(BenchConfig()).counts()["sacrificed"] == 32


def test_a_second_block_adds_to_the_first():
    kept(pilot())
    kept(StageResult("pilot", data={"sacrificed": [[9, 9]], "sacrificed_siemens": [10e-6]}))
    assert load_knowledge(BenchConfig()).counts()["sacrificed"] == 33


def test_readings_of_a_verify_are_kept_and_taken_by_programming():
    config = BenchConfig()
    assert kept_reads(config) is None
    assert "3 readings per verify" in kept(pilot(verify_reads=READS))[1]
    assert kept_reads(config) == 3
    with Bench.open(config) as bench:
        assert programming_params(config, bench.limits).confirm_samples == 3


def test_what_the_bench_file_says_of_them_holds():
    kept(pilot(verify_reads=READS))
    config = BenchConfig()
    stated = config.with_changes(programming={"algorithm": "predictive", "confirm_samples": 16})
    with Bench.open(config) as bench:
        assert programming_params(stated, bench.limits).confirm_samples == 16


def test_what_resistors_say_is_not_what_cells_need():
    assert (
        kept(StageResult("read_noise", data={"verify_reads": {**READS, "measured_on": "x"}})) == ()
    )
    assert kept_reads(BenchConfig()) is None


def test_a_damaged_number_is_refused():
    ChipStore.of(BenchConfig()).save(VERIFY_READS, {"reads": 0})
    with pytest.raises(RecordError, match="no number of readings"):
        kept_reads(BenchConfig())


def test_the_map_of_a_chip_keeps_them(tmp_path):
    from drivers.rram.geometry import Geometry

    known = ChipKnowledge.blank("C7", Geometry(16, 16))
    cells = Cells.of([(1, 2), (15, 15)])
    known = known.with_sacrificed(cells, [5e-6, 100e-6])
    path = tmp_path / "map.json"
    known.save(path)
    found = ChipKnowledge.load(path)
    assert np.argwhere(found.sacrificed).tolist() == [[1, 2], [15, 15]]
    assert found.highest_siemens[15, 15] == pytest.approx(100e-6)
    plain = known.to_dict() | {"sacrificed": [[1, 99]]}
    with pytest.raises(MappingError, match="outside"):
        ChipKnowledge.from_dict(plain)
    before = known.to_dict()
    del before["sacrificed"]  # a map that was written before there were any
    assert ChipKnowledge.from_dict(before).sacrificed is None
