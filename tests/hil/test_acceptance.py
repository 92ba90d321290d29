"""The acceptance sheet: says what was measured and whether it passed, alike in HTML and PDF."""

from __future__ import annotations

import copy
import re
import zlib

import numpy as np
import pytest

from hil.report.acceptance import HTML_NAME, PDF_NAME, acceptance
from hil.report.acceptance_data import limits_text, sheet_of, value_text
from hil.report.acceptance_figures import PICTURES
from hil.report.acceptance_limits import limits_from
from protocols.errors import RecordError


def figure(name, value, low=None, high=None, unit="", passed=True):
    return {"name": name, "value": value, "unit": unit, "low": low, "high": high,
            "passed": passed, "what": ""}  # fmt: skip


def stage(name, title, status="passed", figures=(), data=None, **more):
    return {
        "name": name, "title": title, "status": status, "passed": status == "passed", "why": "",
        "figures": list(figures), "findings": [], "to_check": [], "advice": [],
        "data": data or {}, "ended": "2026-03-01T10:00:07+00:00", "seconds": 1.25,
        "temperature_celsius": 24.5, "taken_from": "", **more,
    }  # fmt: skip


def noise_data():
    numbers = [1, 2, 4, 8]
    return {
        "averaged": numbers, "integration_s": [50e-6 * n for n in numbers],
        "scatter_codes": [0.58, 0.41, 0.29, 0.2], "code_siemens": 73e-9,
        "hum_hertz": 50.0, "hum_codes": 0.05, "cells_read": 0,
        "verify_reads": {"averaged": numbers, "shares_of_tolerance": [0.2, 0.15, 0.1, 0.08],
                         "reads": 4, "share_of_tolerance": 0.1, "measured_on": "cells"},
    }  # fmt: skip


def transistor_data():
    gate = np.linspace(0.3, 3.5, 12)
    siemens = 12e-6 / (1 + np.exp(-(gate - 0.8) / 0.1))
    return {
        "gate_volts": gate.tolist(), "siemens": [siemens.tolist()] * 4, "cells_per_line": 128,
        "threshold_volts": [0.8, 0.81, None, 0.79], "typical_threshold_volts": 0.8,
    }  # fmt: skip


def results(**changes):
    record = {
        "run": "2026-03-01-bringup-001",
        "board": {"name": "sim", "description": "reference", "serial": "2a"},
        "chip": {"id": "C7", "wafer": "W3", "die": "4,5"},
        "operator": "A. <Person>",
        "simulated": True,
        "time": "2026-03-01T10:00:00.123456+00:00",
        "temperature_celsius": None,
        "stages": [
            stage("supplies", "supplies and rail currents",
                  figures=[figure("volts of rail vdd", 3.29, 3.1, 3.5, "V")]),
            stage("transistors", "Transistor curves", data=transistor_data(),
                  figures=[figure("threshold", 0.8, 0.3, 1.2, "V")]),
            stage("read_noise", "Read noise", data=noise_data(),
                  figures=[figure("scatter", 0.58, None, 1.2, "codes")]),
        ],
    }  # fmt: skip
    return {**record, **changes}


def words(path) -> str:
    """The text that the PDF draws, by its uncompressed streams."""
    content = path.read_bytes()
    parts = []
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", content, re.S):
        try:
            parts.append(zlib.decompress(found[1]))
        except zlib.error:
            continue
    return b"\n".join(parts).decode("latin-1")


def test_both_files_are_written_and_are_the_same_again(tmp_path):
    html, pdf = acceptance(results(), tmp_path / "a")
    assert (html.name, pdf.name) == (HTML_NAME, PDF_NAME)
    again = acceptance(results(), tmp_path / "b")
    assert html.read_bytes() == again[0].read_bytes()
    assert pdf.read_bytes() == again[1].read_bytes()
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert b"CreationDate" not in pdf.read_bytes()


def test_the_page_needs_nothing_but_itself_and_says_what_counts(tmp_path):
    html, _ = acceptance(results(), tmp_path)
    page = html.read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    for said in ("chip C7", "2a", "A. &lt;Person&gt;", "24.5 °C", "3.29 V", "3.10 V to 3.50 V",
                 "≤ 1.2 codes", "Accepted: all 3 stages have passed.", "Simulated.",
                 "2026-03-01 10:00:00"):  # fmt: skip
        assert said in page, said
    assert page.count('<img src="data:image/png;base64,') == 2
    assert (tmp_path / "figures" / "acceptance-transistors.png").is_file()


def test_the_pdf_is_searchable(tmp_path):
    _, pdf = acceptance(results(), tmp_path)
    assert len(re.findall(rb"/Type /Page\b", pdf.read_bytes())) >= 2
    assert "Tj" in words(pdf) or "TJ" in words(pdf)


def test_a_failed_stage_is_named_and_what_was_not_run_is_said(tmp_path):
    record = results()
    broken = record["stages"][1]
    broken |= {"status": "failed", "why": "word line 9 is weak", "to_check": ["Check its bond."]}
    broken["figures"] = [figure("threshold", 2.0, 0.3, 1.2, "V", passed=False)]
    broken["data"] = {}
    record["stages"][2] = stage("read_noise", "Read noise", "not run", ended="", seconds=0.0)
    html, _ = acceptance(record, tmp_path)
    page = html.read_text()
    assert "Not accepted: stage 2 has failed (transistors)." in page
    assert "Word line 9 is weak." in page
    assert "To check: Check its bond." in page
    assert "This stage has not been run." in page
    assert 'class="fail">FAIL' in page
    assert "data:image" not in page  # nothing was measured that could be drawn


def test_a_bench_that_is_real_is_not_called_simulated(tmp_path):
    html, pdf = acceptance(results(simulated=False), tmp_path)
    assert "imulated" not in html.read_text().replace(".banner", "")
    assert "Measured on a board." in html.read_text()
    _, other = acceptance(results(), tmp_path / "sim")
    assert pdf.read_bytes() != other.read_bytes()


def test_unfinished_is_not_accepted():
    record = results()
    record["stages"][2] = stage("read_noise", "Read noise", "not run")
    sheet = sheet_of(record)
    assert not sheet.accepted
    assert "1 of 3 stages have not been run" in sheet.verdict


@pytest.mark.parametrize("missing", ["chip", "stages", "operator", "simulated"])
def test_half_a_record_makes_no_sheet(missing, tmp_path):
    record = copy.deepcopy(results())
    del record[missing]
    with pytest.raises(RecordError, match="no acceptance sheet"):
        acceptance(record, tmp_path)
    assert not (tmp_path / HTML_NAME).exists()


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        (None, None, "V", "no limit"),
        (None, 1e-3, "A", "≤ 1.00 mA"),
        (0.5, None, "", "≥ 0.5"),
        (-20.0, 20.0, "codes", "−20 to 20 codes"),
        (128.0, 128.0, "", "128"),
        (-0.05, 0.05, "V", "−50.0 mV to 50.0 mV"),
    ],
)
def test_limits_as_text(low, high, unit, text):
    assert limits_text(low, high, unit) == text


def test_figures_as_text():
    assert value_text(float("nan"), "V") == "–"
    assert value_text(None, "V") == "–"
    assert value_text(14745.6, "") == "14,746"
    assert value_text(-0.0604, "codes") == "−0.0604 codes"


def test_every_picture_belongs_to_a_stage():
    from calibration.bringup import STAGES

    assert {one.stage for one in PICTURES} <= {stage.name for stage in STAGES}
    assert len({one.name for one in PICTURES}) == len(PICTURES)


def test_every_stage_says_where_its_limits_come_from(tmp_path):
    from calibration.bringup import STAGES

    for each in STAGES:
        assert limits_from(each.name).startswith("Limits. ")
        assert "{" not in limits_from(each.name)
    page = acceptance(results(), tmp_path)[0].read_text()
    assert "bringup.transistors" in page
