"""Results of a chip: kept whole, found by time, refused when they are not what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from calibration.cell_model import CellModel
from hil.chip_store import CELL_MODEL, ChipStore
from hil.config import BenchConfig
from hil.sim.profile import DEFAULT_PROFILE, profile_path
from protocols.errors import CalibrationError, RecordError

RESULT = {"figures": {"yield": {"value": 0.99}}, "nothing": float("nan")}


class Clock:
    """A clock that goes on by a minute at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> ChipStore:
    return ChipStore(tmp_path / "characterisation", "chip-7", Clock())


def test_round_trip(store: ChipStore) -> None:
    arrays = {"volts": np.array([1.0, np.nan]), "rows": np.zeros(3, [("a", "<u2"), ("b", "<f8")])}
    store.save("read_noise", RESULT, arrays, b"\x89PNG", board="abc", simulated=False)
    found = store.latest("read_noise")
    assert found is not None
    assert found.result == {"figures": {"yield": {"value": 0.99}}, "nothing": None}
    assert (found.kind, found.chip, found.board, found.simulated) == (
        "read_noise",
        "chip-7",
        "abc",
        False,
    )
    assert found.time == datetime(2026, 3, 1, 9, 31, tzinfo=UTC)
    assert found.figure is not None
    assert found.figure.read_bytes() == b"\x89PNG"
    back = found.arrays()
    np.testing.assert_array_equal(back["volts"], arrays["volts"])
    assert back["rows"].dtype == arrays["rows"].dtype


def test_history_is_in_order_and_by_kind(store: ChipStore) -> None:
    assert store.latest("read_noise") is None
    assert store.history("read_noise") == []
    first = store.save("read_noise", {"n": 1})
    store.save("noise", {"n": 9})  # the end of the other's name
    second = store.save("read_noise", {"n": 2})
    assert store.history("read_noise") == [first.path, second.path]
    latest, other = store.latest("read_noise"), store.latest("noise")
    assert latest is not None
    assert other is not None
    assert (latest.result, other.result) == ({"n": 2}, {"n": 9})
    assert latest.figure is None
    assert latest.arrays() == {}


def test_a_clock_that_goes_back_is_said(store: ChipStore) -> None:
    store.save("response", {})
    store._clock = lambda: datetime(2020, 1, 1, tzinfo=UTC)  # type: ignore[method-assign]
    with pytest.raises(RecordError, match="dated later than now"):
        store.save("response", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "no JSON object"),
        ("[" * 100_000, "cannot be read"),
        ('{"format": "other"}', "format is 'other'"),
        (
            '{"format": "chip-result-1", "kind": "response", "chip": "chip-8"}',
            "chip is 'chip-8', 'chip-7' is expected",
        ),
        ('{"format": "chip-result-1", "kind": "response", "chip": "chip-7"}', "missing or wrong"),
    ],
)
def test_a_damaged_latest_result_is_refused(store: ChipStore, content: str, message: str) -> None:
    store.save("response", {"n": 1})
    newest = store.save("response", {"n": 2})
    newest.path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        store.latest("response")


def test_damaged_arrays_are_refused(store: ChipStore) -> None:
    kept = store.save("response", {}, {"a": np.arange(4)})
    kept.path.with_suffix(".npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(RecordError, match="cannot be read"):
        kept.arrays()


def test_too_large_a_file_is_not_read(store: ChipStore) -> None:
    kept = store.save("response", {})
    with kept.path.open("r+b") as stream:
        stream.truncate(17 << 20)
    with pytest.raises(RecordError, match="larger than"):
        store.latest("response")


@pytest.mark.parametrize("kind", ["", "Read", "a/b", "../x", "a-b", "x" * 40])
def test_kinds_that_cannot_be(store: ChipStore, kind: str) -> None:
    with pytest.raises(RecordError, match="no kind of result"):
        store.save(kind, {})


def test_what_has_no_json_form_leaves_nothing(store: ChipStore) -> None:
    with pytest.raises(RecordError, match="cannot be written"):
        store.save("response", {"x": object()}, {"a": np.arange(3)})
    assert not store.folder.exists()


def test_the_cell_model_of_a_chip(store: ChipStore) -> None:
    assert store.model() is None
    model = CellModel.from_profile(profile_path(DEFAULT_PROFILE))
    store.save_model(model)
    assert store.model() == model
    store.save(CELL_MODEL, {"format": "something"})
    with pytest.raises(CalibrationError, match="not a cell model"):
        store.model()


def test_the_folder_of_a_bench() -> None:
    store = ChipStore.of(BenchConfig())
    assert store.folder == Path("chips/sim-001/characterisation")
    assert store.chip == "sim-001"


def test_the_file_says_whose_it_is(store: ChipStore) -> None:
    kept = store.save("telegraph", {"n": 1}, board="1f")
    data = json.loads(kept.path.read_text(encoding="utf-8"))
    assert data["chip"] == "chip-7"
    assert data["time"] == "2026-03-01T09-31-00.000000Z"
    assert kept.path.name == "2026-03-01T09-31-00.000000Z-telegraph.json"
