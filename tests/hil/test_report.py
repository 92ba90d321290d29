"""The data of a report come back whole, and the page needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from calibration.forming import FormParams, FormResult
from calibration.programming import ProgramResult
from drivers.rram.geometry import Cells, Geometry
from hil.record import RunFolder
from hil.report import ReportData, render
from hil.report.collect import programming_data
from hil.report.facts import UNKNOWN_FACTS
from hil.report.text import duration, number, si
from protocols.errors import RecordError

FIGURES = (
    "conductance_maps",
    "errors",
    "pulses",
    "forming",
    "samples",
    "radius_and_angle",
    "trajectories",
    "waveforms",
    "layers",
    "error_budget",
)


@pytest.fixture(scope="module")
def data(report_data):
    return report_data


# --- data ----------------------------------------------------------------------------------------


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def run_folder(root):
    return RunFolder.create(root, "demo", parameters={}, seed=1, bench_text=None)


def test_saved_data_come_back_whole(tmp_path, data):
    run = run_folder(tmp_path)
    data.save(run)
    loaded = ReportData.load(RunFolder.open(run.path))
    for field in fields(ReportData):
        assert same(getattr(data, field.name), getattr(loaded, field.name)), field.name


def test_a_report_of_almost_nothing_is_saved_too(tmp_path):
    run = run_folder(tmp_path)
    ReportData("Read map").save(run)
    assert same(ReportData.load(run), ReportData("Read map"))


def test_missing_or_foreign_data_are_record_errors(tmp_path, data):
    run = run_folder(tmp_path)
    with pytest.raises(RecordError, match=r"report\.json"):
        ReportData.load(run)
    data.save(run)
    run.save_json("report.json", {"title": "x", "colour": "blue"})
    with pytest.raises(RecordError, match="not the report data of this version"):
        ReportData.load(run)
    run.save_json("report.json", {"title": "x", "programming": {"rows": {"$array": "gone"}}})
    with pytest.raises(RecordError, match="not the report data of this version"):
        ReportData.load(run)


def test_data_of_the_wrong_shape_are_refused(data):
    with pytest.raises(RecordError, match="pulses is not one entry"):
        replace(data.programming, pulses=np.zeros(3))
    with pytest.raises(RecordError, match="tolerance"):
        replace(data.programming, tolerance_siemens=np.zeros(3))
    with pytest.raises(RecordError, match=r"not \(n, d\)"):
        ReportData("x", samples={"data": np.zeros(4)})
    with pytest.raises(RecordError, match="no metric"):
        ReportData("x", budget_metric="beauty")


def test_the_summary_of_programming(data):
    summary = data.programming.summary()
    assert (summary["cells"], summary["in_tolerance"], summary["round_trips"]) == (564, 562, 214)
    assert summary["pulses_mean"] == pytest.approx(data.programming.pulses.mean())


def test_programming_data_from_results():
    geometry, cells = Geometry(8, 8), Cells.of([(0, 1), (2, 3), (4, 5)])
    result = ProgramResult(
        algorithm="ispp",
        cells=cells,
        target_siemens=np.array([1e-4, 2e-4, 2e-4]),
        tolerance_siemens=np.full(3, 3e-6),
        reached_siemens=np.array([1e-4, 2.01e-4, 1e-5]),
        sets=np.array([3, 4, 9]),
        resets=np.array([1, 0, 2]),
        reads=np.array([12, 12, 19]),
        status=np.array([0, 0, 2]),
        rounds=9,
        round_trips=11,
        bench_s=0.1,
    )
    formed = FormResult(
        params=FormParams(),
        cells=Cells.of([(2, 3), (0, 1)]),
        conductance_siemens=np.full(2, 1e-4),
        formed=np.ones(2, bool),
        volts=np.array([3.2, 3.0]),
        pulses=np.ones(2, int),
        rounds=1,
        bench_s=0.0,
    )
    found = programming_data(result, geometry, forming=formed)
    assert found.status.tolist() == ["in_tolerance", "in_tolerance", "stuck_low"]
    assert found.pulses.tolist() == [4, 4, 11]
    np.testing.assert_array_equal(found.forming_volts, [3.0, 3.2, np.nan])


# --- page ----------------------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.text, self.sources, self.open, self.ids, self.links = "", [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [found[key] for key in ("src", "srcset", "data") if key in found]
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text


@pytest.fixture(scope="module")
def rendered(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = render(data, folder)
    return path, path.read_text(encoding="utf-8")


def test_the_page_needs_nothing_but_itself(rendered):
    path, text = rendered
    page = Page(text)
    assert page.open == []
    assert len(page.sources) == len(FIGURES)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not re.search(r"<script|<link|@import|url\(|https?://", text)
    assert path.name == "report.html"


def test_the_png_files_lie_beside_the_page(rendered):
    path, _ = rendered
    files = {file.name for file in (path.parent / "figures").iterdir()}
    assert files == {f"{name}.png" for name in FIGURES}
    assert all(
        file.read_bytes().startswith(b"\x89PNG") for file in (path.parent / "figures").iterdir()
    )


def test_the_front_page_says_what_is_simulated_and_what_is_unknown(rendered):
    text = Page(rendered[1]).text
    assert "is simulated" in text
    for fact in UNKNOWN_FACTS:
        assert fact.quantity in text
    assert text.index("Material and geometry of the cell stack") < text.index("is measured against")
    assert "sim-001" in text
    assert "562 (99.6 %)" in text
    assert "80 min 12 s" in text
    assert "stays below its target" in text


def test_a_run_with_nothing_says_so_instead_of_breaking(tmp_path):
    text = Page(render(ReportData("Empty", simulated=False), tmp_path).read_text()).text
    for sentence in (
        "No samples were taken",
        "No cells were programmed",
        "was not calibrated",
        "No waveforms",
        "No layer outputs",
        "No trajectories",
        "No error budget",
        "No metrics",
    ):
        assert sentence in text
    assert "Measured on a board" in text
    assert not (tmp_path / "figures").exists()


def test_text_is_escaped(tmp_path):
    data = ReportData("<b>x</b>", notes=("<script>alert(1)</script>",), chip={"id": "<i>"})
    text = render(data, tmp_path).read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "<i>" not in text


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be written"):
        render(ReportData("x"), tmp_path / "file")


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.3e-4, "S", "230 µS"),
        (2.2e-6, "S", "2.20 µS"),
        (0.0, "V", "0 V"),
        (-3.25, "V", "-3.25 V"),
        (999.9999e-6, "S", "1.00 mS"),
        (12_500.0, "Ohm", "12.5 kOhm"),
        (None, "S", "–"),
        (float("nan"), "S", "–"),
        (3e-12, "A", "0.00 nA"),
    ],
)
def test_si(value, unit, text):
    assert si(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12.3 ms"), (4.5, "4.50 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "–")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_numbers_of_tables():
    assert [number(v) for v in (0.0002, 0.0, 12, 50_000, float("inf"), None, 2e-7, -0.5)] == [
        "0.0002",
        "0.0000",
        "12",
        "50,000",
        "–",
        "–",
        "2.0e−07",
        "−0.5000",
    ]
