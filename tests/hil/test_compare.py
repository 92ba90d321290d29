"""`hil compare`: chips, dates and runs by name, the verdict, and the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from calibration.startup import ChipMap
from calibration.startup.chip_map import CellMap, LineMap
from hil.chip_store import ChipStore
from hil.cli.app import run
from hil.compare import compare_sides, find_side
from hil.config import BenchConfig, parse_config
from hil.jobs.startup import IDENTITY, LINE_MAP
from hil.record import RunFolder
from protocols.errors import InputError, RecordError

SIZE = 128
BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def chip_map(seed: int, visit: int, programmed: float | None = None) -> ChipMap:
    own, read = np.random.default_rng(seed), np.random.default_rng([seed, visit])
    siemens = 1e-7 * np.exp(own.normal(0, 0.3, (SIZE, SIZE)))
    if programmed is not None:
        siemens[4:40, 4:40] = read.normal(programmed, 5e-6, (36, 36))
    first, second = (siemens + 8e-8 * read.normal(size=siemens.shape) for _ in range(2))
    rows, columns = siemens.sum(axis=1), siemens.sum(axis=0)
    return ChipMap(LineMap(rows, columns), CellMap(first, second))


def keep(chip: str, day: int, found: ChipMap) -> None:
    config = BenchConfig()
    folder = config.chip.folder / chip / "characterisation"
    store = ChipStore(folder, chip, lambda: BEGIN + timedelta(days=day), {"operator": "A. T."})
    store.save(LINE_MAP, {**found.to_dict(), IDENTITY: "same"}, found.arrays())


@pytest.fixture
def visits() -> None:
    keep("C7", 0, chip_map(1, 0))
    keep("C7", 3, chip_map(1, 1, 1e-4))
    keep("C7", 9, chip_map(1, 2, 8e-5))
    keep("C8", 1, chip_map(2, 0, 1e-4))


@pytest.mark.usefixtures("visits")
def test_one_chip_at_two_dates():
    a, b = (find_side(BenchConfig(), name) for name in ("C7@2026-03-05", "C7"))
    assert (a.time, b.time) == (BEGIN + timedelta(days=3), BEGIN + timedelta(days=9))
    found = compare_sides(a, b)
    assert found.likeness.verdict == "same"
    names = {d.name for d in found.comparison.differing}
    assert {"level of formed cells", "the same cells"} <= names
    assert "level of unformed cells" not in names
    assert found.verdict.startswith("The same chip: ")


@pytest.mark.usefixtures("visits")
def test_two_chips_with_the_same_network():
    found = compare_sides(*(find_side(BenchConfig(), n) for n in ("C7@2026-03-05T12:00", "C8")))
    assert found.likeness.verdict == "other"
    assert found.verdict.startswith("Another chip: ")
    assert found.comparison.differing == ()


@pytest.mark.usefixtures("visits")
@pytest.mark.parametrize(("name", "error", "said"), [
    ("C9", RecordError, "no map of chip 'C9'"),
    ("C7@2026-02-01", RecordError, "up to 2026-02-01"),
    ("C7@yesterday", InputError, "is no date"),
])  # fmt: skip
def test_what_is_not_there_is_said(name, error, said):
    with pytest.raises(error, match=said):
        find_side(BenchConfig(), name)


def a_run(**files: dict) -> Path:
    folder = RunFolder.create(Path("runs"), "program", parameters={}, seed=1, bench_text=None)
    folder.update(chip="C7", operator="A. Tester")
    for name, data in files.items():
        folder.save_json(f"{name}.json", data)
    folder.finish()
    return folder.path


def test_runs_compare_the_cells_that_they_read():
    rows, columns = (v.ravel().tolist() for v in np.mgrid[0:10, 0:10])
    place = {"rows": rows, "columns": columns}
    rng = np.random.default_rng(1)
    formed = {**place, "conductance_siemens": [5e-5] * 100}
    programmed = {**place, "reached_siemens": rng.normal(1e-4, 2e-6, 100).tolist()}
    first = a_run(forming=formed, program=programmed)
    second = a_run(verify={**place, "reading_siemens": rng.normal(1.2e-4, 2e-6, 100).tolist()})
    found = compare_sides(*(find_side(BenchConfig(), str(p)) for p in (first, second)))
    assert found.likeness is None
    assert "no whole map of both is on record" in found.verdict
    differing = {d.name for d in found.comparison.differing}
    assert {"the same cells", "level of formed cells"} <= differing
    assert np.isfinite(found.a.siemens).sum() == 100
    assert found.a.facts["operator"] == "A. Tester"
    empty = a_run()
    with pytest.raises(RecordError, match="no readings of cells"):
        find_side(BenchConfig(), str(empty))
    damaged = a_run(verify={"rows": [500], "columns": [0], "reading_siemens": [1e-4]})
    with pytest.raises(RecordError, match="no readings of this array"):
        find_side(BenchConfig(), str(damaged))


@pytest.mark.usefixtures("visits")
def test_the_command_draws_a_page(capsys):
    Path("bench.yaml").write_text("chip: {id: C7}\n")
    assert run(["compare", "@2026-03-05", "C8", "--json", "--out", "both"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["identity"]["verdict"] == "other"
    assert [found[side]["chip"] for side in "ab"] == ["C7", "C8"]
    page = Path("both/compare.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert all(text in page for text in ("Another chip: score", "Simulated.", "A. T."))
    assert {p.name for p in Path("both").iterdir()} == {
        "compare.html", "compare.json", "compare-maps.png", "compare-distributions.png",
    }  # fmt: skip
    assert run(["compare", "C7", "C7@2026-03-05"]) == 0
    assert "What differs" in capsys.readouterr().out
    Path("file").write_text("")
    assert run(["compare", "C7", "C8", "--out", "file"]) == InputError.exit_code


def test_what_is_in_the_socket(capsys):
    config = parse_config("chip: {id: C7}", "bench.yaml")
    assert run(["check"]) == 0
    found = compare_sides(find_side(BenchConfig(), "sim-001"), find_side(BenchConfig(), "now"))
    assert found.likeness.verdict == "same"
    assert found.comparison.differing == ()
    assert find_side(config, "now").chip == "C7"
