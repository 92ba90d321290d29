"""The record of a bring-up as the acceptance sheet shows it: texts, tables, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hil.report.acceptance_limits import limits_from
from hil.report.tables import Table
from hil.report.text import duration, si
from protocols.errors import RecordError

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
_WORDS = {PASSED: "pass", FAILED: "FAIL", NOT_RUN: "not run"}
_PLAIN_UNITS = ("", "codes", "°C", "%")


@dataclass(frozen=True)
class Sheet:
    """All that stands on an acceptance sheet.

    Attributes:
        title, verdict: of the whole.
        accepted: whether every stage has passed.
        simulated: whether board, chip and instruments are a model.
        facts: (title, [(name, text)]) of chip, board and run.
        summary: one line per stage.
        stages: in order.
    """

    title: str
    verdict: str
    accepted: bool
    simulated: bool
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    summary: Table
    stages: tuple[StagePart, ...]


@dataclass(frozen=True)
class StagePart:
    """One stage: its status, the table of its figures, what was found and what to do.

    `limits` says where they come from.
    """

    name: str
    title: str
    status: str
    word: str
    notes: tuple[str, ...]
    limits: str
    table: Table | None
    data: Mapping[str, Any]
    findings: tuple[Mapping[str, Any], ...]


def sheet_of(results: Mapping[str, Any]) -> Sheet:
    """The sheet of a bring-up's record (`hil.jobs.bringup_record.run_results`).

    Raises:
        RecordError: the record is not complete.
    """
    try:
        stages = tuple(_stage(one) for one in results["stages"])
        return Sheet(
            title=f"Acceptance sheet: chip {results['chip']['id']}",
            verdict=_verdict(stages),
            accepted=all(one.status == PASSED for one in stages),
            simulated=bool(results["simulated"]),
            facts=_facts(results),
            summary=_summary(results["stages"]),
            stages=stages,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the bring-up's record makes no acceptance sheet ({error!r})") from error


def _verdict(stages: Sequence[StagePart]) -> str:
    for number, one in enumerate(stages, 1):
        if one.status == FAILED:
            return f"Not accepted: stage {number} has failed ({one.name.replace('_', ' ')})."
    missing = sum(one.status == NOT_RUN for one in stages)
    if missing:
        return f"Not accepted yet: {missing} of {len(stages)} stages have not been run."
    return f"Accepted: all {len(stages)} stages have passed."


def _facts(results: Mapping[str, Any]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    board = dict(results["board"])
    run = {
        "run": results.get("run"),
        "date": _moment(results["time"]),
        "operator": results["operator"],
        "temperature": _celsius(results),
        "bench": "simulated" if results["simulated"] else "hardware",
    }
    groups = (("Chip", results["chip"]), ("Board", board), ("Bring-up", run))
    return tuple(
        (title, tuple((name.replace("_", " "), _fact(value)) for name, value in group.items()))
        for title, group in groups
    )


def _moment(text: object) -> str:
    """A time of ISO 8601 to the second, as people read it."""
    return str(text or "").replace("T", " ")[:19]


def _fact(value: object) -> str:
    return "not stated" if value in (None, "") else str(value)


def _celsius(results: Mapping[str, Any]) -> str | None:
    """Of the stages, where a thermometer was read; else what was stated."""
    read = [one.get("temperature_celsius") for one in results["stages"]]
    found = [float(value) for value in read if value is not None]
    if found:
        low, high = min(found), max(found)
        return f"{low:.1f} °C" if high - low < 0.05 else f"{low:.1f} to {high:.1f} °C"
    stated = results.get("temperature_celsius")
    return None if stated is None else f"{float(stated):.1f} °C (stated)"


def _summary(stages: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            f"{k}. {_heading(str(one['title']))}",
            _WORDS[one["status"]],
            str(len(one["figures"])),
            duration(float(one["seconds"])) if one["status"] != NOT_RUN else "–",
            _moment(one.get("ended")) or "–",
        )
        for k, one in enumerate(stages, 1)
    )
    return Table("Stages", ("", "result", "figures", "took", "ended"), rows)


def _stage(one: Mapping[str, Any]) -> StagePart:
    status = str(one["status"])
    notes = [str(one["why"])] if one["why"] else []
    notes += [f"To check: {text}" for text in one["to_check"] if text not in one["advice"]]
    notes += [str(text) for text in one["advice"]]
    if source := one.get("taken_from"):
        notes.append(f"Taken over from run {source}")
    return StagePart(
        name=str(one["name"]),
        title=_heading(str(one["title"])),
        status=status,
        word=_WORDS[status],
        notes=tuple(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in notes),
        limits=limits_from(str(one["name"])) if one["figures"] else "",
        table=_figures(one["figures"]),
        data=one["data"],
        findings=tuple(one["findings"]),
    )


def _figures(figures: Sequence[Mapping[str, Any]]) -> Table | None:
    if not figures:
        return None
    rows = tuple(
        (
            str(one["name"]),
            value_text(one["value"], one["unit"]),
            limits_text(one["low"], one["high"], one["unit"]),
            "pass" if one["passed"] else "FAIL",
        )
        for one in figures
    )
    failed = tuple(k for k, one in enumerate(figures) if not one["passed"])
    return Table("", ("figure", "measured", "allowed", ""), rows, highlight=failed)


def value_text(value: float | None, unit: str) -> str:
    """A figure with its unit."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit in _PLAIN_UNITS:
        return f"{_short(value)} {unit}".rstrip()
    return si(value, unit).replace("-", "−")


def limits_text(low: float | None, high: float | None, unit: str) -> str:
    """What is allowed."""
    if low is None and high is None:
        return "no limit"
    if low is None:
        return f"≤ {value_text(high, unit)}"
    if high is None:
        return f"≥ {value_text(low, unit)}"
    if low == high:
        return value_text(low, unit)
    first = _short(low) if unit in _PLAIN_UNITS else value_text(low, unit)
    return f"{first} to {value_text(high, unit)}"


def _short(value: float) -> str:
    whole = value == round(value) or abs(value) >= 1000.0
    text = f"{value:,.0f}" if whole and abs(value) < 1e9 else f"{value:.4g}"
    return text.replace("-", "−")


def _heading(title: str) -> str:
    return title[:1].upper() + title[1:]
