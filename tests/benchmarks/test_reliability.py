"""What the fault campaigns' figures are made of."""

from __future__ import annotations

import pytest

from benchmarks import reliability
from fuzz.campaign import Row, Tally

LINE = Row("decoder", 9_000_000, 5, 1.0, 0.01)
READER = Row("bench_text", 100_000, 7, 1.0, 0.01)


def fuzzed(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> tuple[dict[str, object], dict]:
    monkeypatch.setattr(reliability._fuzz, "campaign", lambda *_: Tally(rows, 1, 2.0))
    return reliability.fuzz(False, 1)


def test_findings_are_counted_and_said(monkeypatch, capsys):
    found = Row("journal", 80_000, 1, 1.0, 0.01, {"ValueError": 17, "hang": 40})
    figures, bars = fuzzed(monkeypatch, LINE, READER, found)
    assert figures["findings"] == 2
    assert bars["findings"] == reliability.NONE
    assert figures["fewest inputs to a file reader"] == 80_000
    assert "--only 17" in capsys.readouterr().out


def test_a_clean_campaign_has_none(monkeypatch):
    figures, _ = fuzzed(monkeypatch, LINE, READER)
    assert figures["findings"] == 0
    assert figures["inputs to decoder and dispatcher"] == 9_000_000
