"""What stands on the page: sections of tables and figures, or the sentence that one is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib.figure import Figure

from hil.report import figures, tables
from hil.report.data import ReportData
from hil.report.tables import Table


@dataclass(frozen=True)
class FigureBlock:
    """A figure to be drawn: its file name, what it shows, and how to draw it."""

    name: str
    title: str
    caption: str
    draw: Callable[[ReportData], Figure]


@dataclass(frozen=True)
class Absent:
    """A part that this run has no data for."""

    sentence: str


Block: TypeAlias = "FigureBlock | Table | Absent"


@dataclass(frozen=True)
class Section:
    """A heading with its blocks."""

    key: str
    title: str
    intro: str
    blocks: tuple[Block, ...]


def sections(data: ReportData) -> list[Section]:
    """Every section of the page, in order."""
    return [
        Section("samples", "What was generated", _SAMPLES, _samples(data)),
        Section("array", "The array", _ARRAY, _array(data)),
        Section("loop", "The analog loop", _LOOP, _loop(data)),
        Section("budget", "Error budget", _BUDGET, _budget(data)),
        Section("accounts", "Time, kept in separate accounts", _ACCOUNTS, tables.accounts(data)),
    ]


_SAMPLES = (
    "Each set of points is measured against one fixed reference set of the data. The row “data” is "
    "fresh data against that reference: it shows what zero looks like."
)
_ARRAY = (
    "A row is a bit line (input), a column a source line with its word line (output). In the "
    "differential scheme one weight is two neighbouring cells. Cells outside of the blocks are "
    "left as they were."
)
_LOOP = (
    "Gains and zeros are measured on the board before the first sample and put into the waveforms; "
    "none is assumed."
)
_BUDGET = (
    "Each line repeats the run with one effect of the simulated board switched off and everything "
    "else left on. A bar that is much shorter than the line “everything on” names a cause worth "
    "working on; differences of a few per cent lie within the scatter of the samples."
)
_ACCOUNTS = (
    "Bench time is what a clock on the bench would show, host time what this computer spent, and a "
    "modelled figure follows from stated component figures. They are never added to each other."
)


def _samples(data: ReportData) -> tuple[Block, ...]:
    if not data.samples:
        return (Absent("No samples were taken in this run."),)
    if data.classes is not None:
        return _classes(data)
    return (
        FigureBlock(
            "samples",
            "Samples",
            "Generated points in colour over points of the data in grey, the same number of each.",
            figures.samples,
        ),
        FigureBlock(
            "radius_and_angle",
            "Radius and angle",
            "The data are filled. A ring that is too wide or too narrow shows on the left, a "
            "preferred direction on the right.",
            figures.radius_and_angle,
        ),
    )


def _classes(data: ReportData) -> tuple[Block, ...]:
    """What is shown of samples with classes or of pictures."""
    blocks: list[Block] = []
    if data.classes is not None and data.classes.pictures:
        blocks.append(
            FigureBlock(
                "pictures",
                "Pictures",
                "The first samples of each class as pictures, none of them chosen.",
                figures.pictures,
            )
        )
    if data.plane:
        blocks.append(
            FigureBlock(
                "samples",
                "Samples",
                "Generated points; a colour is a class. The software starts from the same initial "
                "conditions as the chip.",
                figures.samples,
            )
        )
    table = tables.classes(data)
    if table is not None:
        figure = FigureBlock(
            "class_distances",
            "Distance of each class",
            "Sliced W₁ of each class from its own data, as many points of each.",
            figures.class_distances,
        )
        blocks += [table, figure]
    return tuple(blocks)


def _array(data: ReportData) -> tuple[Block, ...]:
    cells = data.programming
    if cells is None:
        return (Absent("No cells were programmed in this run."),)
    formed: Block = Absent("No cell was formed in this run.")
    if cells.forming_volts is not None:
        formed = FigureBlock(
            "forming",
            "Forming voltage",
            "Line voltage of the ramp's step at which each cell's reading passed the threshold.",
            figures.forming,
        )
    return (
        tables.programming(data),
        FigureBlock(
            "conductance_maps",
            "Conductance maps",
            "Target, the last verify reading, and their difference. Grey cells are not used.",
            figures.conductance_maps,
        ),
        FigureBlock(
            "errors",
            "Programming error",
            "Difference of the last verify reading, which holds read noise itself, and the target.",
            figures.errors,
        ),
        FigureBlock(
            "pulses",
            "Pulses per cell",
            "SET and RESET pulses together; each was followed by one verify read.",
            figures.pulses,
        ),
        formed,
        tables.failed_cells(cells),
    )


def _loop(data: ReportData) -> tuple[Block, ...]:
    blocks: list[Block] = [tables.loop(data) or Absent("The loop was not calibrated in this run.")]
    parts: Mapping[str, tuple[bool, Block, str]] = {
        "waveforms": (
            data.waveforms is not None,
            FigureBlock(
                "waveforms",
                "Waveforms",
                "What the 18 channels drove, held for each tick: the words f and g², two channels "
                "that carry offset and noise, and 14 embedding voltages.",
                figures.waveforms,
            ),
            "No waveforms were loaded in this run.",
        ),
        "layers": (
            bool(data.layers),
            FigureBlock(
                "layers",
                "Layer outputs",
                "Output voltage of each layer at probed inputs against that of the network as "
                "trained; the dashed line is equality.",
                figures.layers,
            ),
            "No layer outputs were probed in this run.",
        ),
        "trajectories": (
            data.trajectories is not None,
            FigureBlock(
                "trajectories",
                "Trajectories",
                "Whole solves of the chip; dashed, the software from the same initial conditions.",
                figures.trajectories,
            ),
            "No trajectories were captured in this run.",
        ),
    }
    for there, figure, sentence in parts.values():
        blocks.append(figure if there else Absent(sentence))
    return tuple(blocks)


def _budget(data: ReportData) -> tuple[Block, ...]:
    if not figures.budget_rows(data):
        return (Absent("No error budget was computed in this run."),)
    figure = FigureBlock(
        "error_budget",
        "Error budget",
        "The metric with one effect off at a time, the largest improvement on top.",
        figures.error_budget,
    )
    return (figure, tables.budget(data))
