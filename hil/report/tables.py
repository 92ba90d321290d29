"""The tables of the report, as text ready to be shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hil.report.data import METRICS, ProgrammingData, ReportData
from hil.report.text import HEADERS, duration, number, si

MAX_FAILED_LISTED = 200  # this project's choice; the rest is counted

METRIC_NOTES = (
    "KL, 1-D: published definition, both coordinates in one histogram of 50 bins over ±4; kept for "
    "comparison. KL, 2-D: 50 × 50 bins over ±1.2, compares sets of equal size only. Sliced W₁: "
    "mean Wasserstein-1 distance over fixed directions, in model units. Radius and spread in "
    "model units. Kuiper: distance of the angles from a uniform law. Every distance reads higher "
    "for fewer samples: compare rows of the same number."
)
_STATUS = {
    "budget": "pulse budget used up",
    "stuck_low": "stays below its target",
    "stuck_high": "stays above its target",
    "unformed": "not formed",
    "moved": "moved out after programming",
}


@dataclass(frozen=True)
class Table:
    """A table of texts. The first column holds names; the others are set flush right."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    highlight: tuple[int, ...] = ()


def metrics(data: ReportData) -> Table | None:
    """One line per set of points; None when there are no metrics."""
    if not data.rows:
        return None
    names = [name for name in METRICS if any(name in row for row in data.rows.values())]
    rows = tuple(
        (data.row_title(key), *(_metric(name, row.get(name)) for name in names))
        for key, row in data.rows.items()
    )
    header = ("", *(HEADERS[name] for name in names))
    marked = tuple(i for i, key in enumerate(data.rows) if key.startswith("chip"))
    return Table("Metrics", header, rows, METRIC_NOTES, marked)


def classes(data: ReportData) -> Table | None:
    """Sliced Wasserstein-1 distance of every class, a line per row; None without classes."""
    found = data.classes
    if found is None or not found.names:
        return None
    rows = tuple(
        (data.row_title(key), *(number(float(value)) for value in values), number(values.mean()))
        for key, values in found.sliced_w1.items()
    )
    marked = tuple(i for i, key in enumerate(found.sliced_w1) if key.startswith("chip"))
    header = ("", *(f"class {name}" for name in found.names), "mean")
    return Table("Sliced W₁ of each class from its own data", header, rows, "", marked)


def _metric(name: str, value: float | int | None) -> str:
    if name == "samples" and value is not None:
        return number(int(value))
    return number(value)


def programming(data: ReportData) -> Table:
    """The figures of programming on one line each."""
    cells = data.programming
    if cells is None:
        return Table("Programming", ("", ""), ())
    facts, error = cells.summary(), cells.error_siemens[cells.in_tolerance]
    n, inside = len(cells.rows), int(cells.in_tolerance.sum())
    rms = float(np.sqrt(np.mean(error**2))) if len(error) else math.nan
    tolerance = [float(np.min(cells.tolerance_siemens)), float(np.max(cells.tolerance_siemens))]
    limits = si(tolerance[0], "S")
    if tolerance[1] > tolerance[0]:
        limits += f" to {si(tolerance[1], 'S')}"
    rows = (
        ("cells", number(n)),
        ("in tolerance", f"{inside:,} ({100 * inside / n:.1f} %)"),
        ("tolerance", limits),
        ("rms error of the cells in tolerance", si(rms, "S")),
        ("pulses per cell, mean", f"{facts['pulses_mean']:.1f}"),
        ("pulses per cell, 99 % of cells at most", f"{facts['pulses_p99']:.0f}"),
        ("pulses in all", number(int(np.sum(cells.pulses)))),
        ("round trips to the board", number(cells.round_trips)),
    )
    return Table("Programming", ("", ""), rows)


def failed_cells(cells: ProgrammingData) -> Table:
    """Every cell that is not in tolerance."""
    failed = np.flatnonzero(~cells.in_tolerance)
    rows = tuple(
        (
            f"({cells.rows[k]}, {cells.columns[k]})",
            si(float(cells.target_siemens[k]), "S"),
            si(float(cells.reached_siemens[k]), "S"),
            number(int(cells.pulses[k])),
            _STATUS.get(str(cells.status[k]), str(cells.status[k]).replace("_", " ")),
        )
        for k in failed[:MAX_FAILED_LISTED]
    )
    note = "" if len(failed) else "Every cell is in tolerance."
    if len(failed) > MAX_FAILED_LISTED:
        note = f"{len(failed) - MAX_FAILED_LISTED:,} more are in the run's results."
    names = ("cell (row, column)", "target", "reads", "pulses", "why")
    header = names if rows else ("",) * len(names)
    return Table(f"Cells not in tolerance: {len(failed):,}", header, rows, note)


def loop(data: ReportData) -> Table | None:
    """Calibrated gains and zeros; None when there are none."""
    if not data.loop:
        return None
    rows = tuple(
        (
            row.name,
            _short(row.value, 4),
            "–" if row.uncertainty is None else f"± {_short(row.uncertainty, 2)}",
            "–" if row.nominal is None else _short(row.nominal, 4),
            row.unit,
        )
        for row in data.loop
    )
    header = ("", "measured", "uncertainty", "nominal", "unit")
    return Table("Loop calibration", header, rows)


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}g}".replace("-", "−")


def budget(data: ReportData) -> Table:
    """Every line of the error budget with all its metrics."""
    used = [
        name for name in METRICS if any(row.figures.get(name) is not None for row in data.budget)
    ]
    rows = tuple(
        (row.name, *(_metric(name, row.figures.get(name)) for name in used)) for row in data.budget
    )
    marked = tuple(i for i, row in enumerate(data.budget) if row.kind != "one_off")
    header = ("", *(HEADERS[name] for name in used))
    return Table("Error budget", header, rows, "", marked)


def accounts(data: ReportData) -> tuple[Table, ...]:
    """The three accounts, each in its own table."""
    missing = "No figure in this run."
    bench = tuple((name, duration(value)) for name, value in data.bench_time.items())
    host = tuple((name, duration(value)) for name, value in data.host_time.items())
    modelled = tuple((name, si(value, unit)) for name, (value, unit) in data.modelled.items())
    clock = "Bench time (simulated clock)" if data.simulated else "Bench time"
    return (
        Table(clock, ("", ""), bench, "" if bench else missing),
        Table("Host time", ("", ""), host, "" if host else missing),
        Table("Modelled figures", ("", ""), modelled, "" if modelled else missing),
    )
