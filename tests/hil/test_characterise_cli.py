"""`hil characterise`, in this process: which cells, what is said, what is kept."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from calibration.characterise import ROUTINES
from hil.chip_store import ChipStore
from hil.cli.app import run
from hil.config import load_config
from hil.diffusion.model import load_model
from hil.jobs.characterise import candidates, chosen, estimates
from hil.jobs.network import place
from hil.journal import Journal
from hil.record import RunFolder
from hil.report.characterise import FIGURES, draw
from protocols.errors import InputError, RecordError

BENCH = "sim: {seed: 4, telegraph_fraction: 0.1}\n"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which spare cells were formed and two routines were run on them."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "bench.yaml").write_text(BENCH, encoding="utf-8")
    with chdir(folder):
        assert run(["characterise", "forming", "set-response", "--json"]) == 0
    return folder


@pytest.fixture
def work(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON object of a command."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    assert isinstance(found, dict)
    return found


def test_results_stay_with_the_chip(work: Path) -> None:
    config, _ = load_config(None)
    store = ChipStore.of(config)
    for kind in ("forming_yield", "set_response"):
        found = store.latest(kind)
        assert found is not None
        assert found.simulated
        assert found.result["kind"] == kind
        assert found.figure is not None
        picture = matplotlib.image.imread(found.figure)
        assert picture.shape[1] == 1500
        assert float(np.std(picture)) > 0.05  # something is drawn
        assert found.arrays()
    yields = store.latest("forming_yield")
    assert yields is not None
    assert yields.result["figures"]["yield"]["low"] > 0.97


def test_the_run_and_its_journal(work: Path) -> None:
    folder = RunFolder.latest(Path("runs"), "characterise")
    assert folder.status == "done"
    results = json.loads(folder.file("results.json").read_text(encoding="utf-8"))
    pulses = sum(one["account"]["pulses"] for one in results)
    with Journal.open_read(folder.file("journal.sqlite")) as journal:
        assert sum(len(intent.records) for intent in journal.intents()) == pulses
    assert {one["kind"] for one in results} == {"forming_yield", "set_response"}
    assert all(one["simulated"] for one in results)


def test_another_routine_finds_the_formed_cells(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = called(capsys, "characterise", "current")
    (one,) = found["results"]
    assert one["kind"] == "current_voltage"
    assert one["figures"]["b_80uS"]["low"] > 0.5
    assert Path(one["figure"]).is_file()
    assert Path(one["kept"]).is_file()


def test_no_cell_of_the_network_is_touched(work: Path) -> None:
    config, _ = load_config(None)
    network = place(load_model(config.model), config).cells
    spare = candidates(config, "spare")
    assert not set(spare.rows.tolist()) & set(network.rows.tolist())
    assert not set(spare.columns.tolist()) & set(network.columns.tolist())
    assert len(set(spare)) == len(spare) > 5000
    assert candidates(config, "spare") == spare  # always the same order
    arrays = ChipStore.of(config).latest("forming_yield").arrays()  # type: ignore[union-attr]
    used = set(zip(arrays["rows"].tolist(), arrays["columns"].tolist(), strict=True))
    assert used <= set(spare)


def test_unformed_cells_are_refused(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = called(capsys, "characterise", "read-noise", code=8)["error"]
    assert "hil form" in found["message"]
    assert "hil characterise forming" in found["message"]
    assert "'sim-001'" in found["message"]


def test_a_dry_run_says_what_it_costs_and_drives_nothing(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = called(capsys, "characterise", "--dry-run")["plan"]
    assert list(plan)[: len(ROUTINES)] == [kind.replace("_", " ") for kind in ROUTINES]
    assert "2,000 per cell" in plan["endurance"]
    assert "wears" in plan["wear"]
    assert "h" in plan["together"]
    assert list(empty.iterdir()) == []
    assert run(["characterise", "forming", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "at most 46 per cell" in text
    assert "nothing was driven" in text


def test_a_tour_says_the_sum(empty: Path) -> None:
    config, _ = load_config(None)
    found = estimates(config, chosen([]))
    assert [one.kind for one in found] == list(ROUTINES)
    by_kind = {one.kind: one for one in found}
    assert by_kind["retention"].bench_s > 86400.0
    assert by_kind["set_response"].bench_s < 60.0
    assert max(one.cost.cells for one in found) <= 0.05 * 128 * 128


@pytest.mark.parametrize(
    ("names", "message"),
    [(["nothing"], "no such routine"), (["re"], "several routines"), ([""], "several routines")],
)
def test_names_that_are_no_routine(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen(names)


def test_names_may_be_short(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(["read-noise", "read_noise", "forming"]).kinds == ("read_noise", "forming_yield")
    assert chosen(["response"]).kinds == ("response",)
    assert chosen([]).tour
    called(capsys, "characterise", "forming", "--cells", "some", code=2)
    called(capsys, "characterise", "set-response", "--cells", "network", code=10)


def test_every_routine_has_a_figure(work: Path) -> None:
    assert set(FIGURES) == set(ROUTINES)
    config, _ = load_config(None)
    found = ChipStore.of(config).latest("set_response")
    assert found is not None
    figure = draw(found.result, found.arrays(), simulated=True)
    texts = [text.get_text() for text in figure.findobj() if hasattr(text, "get_text")]
    assert any("(simulated)" in text for text in texts)
    assert any("no silicon" in text for text in texts)
    assert any("word-line voltage (V)" in text for text in texts)
    with pytest.raises(RecordError, match="lacks"):
        draw(found.result, {}, simulated=True)
    with pytest.raises(RecordError, match="no characterisation"):
        draw({"kind": "weather"}, {}, simulated=True)
