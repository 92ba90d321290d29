"""The report of a run: plain data in, PNG files and one self-contained HTML page out."""

from pathlib import Path

from hil.report.data import (
    BudgetRow,
    ClassData,
    LayerData,
    LoopRow,
    ProgrammingData,
    ReportData,
    TrajectoryData,
    WaveformData,
)

__all__ = [
    "BudgetRow",
    "ClassData",
    "LayerData",
    "LoopRow",
    "ProgrammingData",
    "ReportData",
    "TrajectoryData",
    "WaveformData",
    "render",
]


def render(data: ReportData, folder: Path) -> Path:
    """Draws every figure into `folder/figures` and writes `folder/report.html`; returns its path.

    Raises:
        RecordError: the folder cannot be written.
    """
    from hil.report import page  # matplotlib is loaded only when something is drawn

    return page.render(data, folder)
