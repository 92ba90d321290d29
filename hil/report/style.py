"""One look for every figure: sizes, fonts, and a palette for all eyes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from hil.record import write_whole

# M. Okabe and K. Ito, "Color Universal Design" (2008): distinct with any kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#AA4499"
SKY, AMBER, BLACK, GREY = "#56B4E9", "#E69F00", "#222222", "#8A8F98"
ROW_COLOURS = {
    "data": GREY,
    "software": BLACK,
    "software_sde": PURPLE,
    "loop_ideal": GREEN,
    "chip_ode": BLUE,
    "chip_sde": ORANGE,
}
SEQUENTIAL, DIVERGING = "viridis", "PuOr"  # both keep their order in grey and for all eyes
DPI = 150
WIDTH_INCH = 10.0

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.edgecolor": "#55595F",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E4E7EB",
    "grid.linewidth": 0.7,
    "xtick.color": "#55595F",
    "ytick.color": "#55595F",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.facecolor": "white",
    "figure.titlesize": 12.5,
    "figure.titleweight": "bold",
    "lines.linewidth": 1.4,
    "svg.hashsalt": "hil",
}


@contextmanager
def look() -> Iterator[None]:
    """The project's style, for the drawing and for the saving of a figure."""
    with mpl.rc_context(_STYLE):
        yield


def png(figure: Figure, metadata: Mapping[str, str | None] | None = None) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with look():
        figure.savefig(buffer, format="png", metadata=metadata)
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes a figure as PNG, whole or not at all (RecordError)."""
    return write_whole(path, png(figure))


def new_figure(title: str, height_inch: float, *, simulated: bool) -> Figure:
    """An empty figure on its own canvas; a simulated board is named in it."""
    figure = Figure(figsize=(WIDTH_INCH, height_inch), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title + (" (simulated)" if simulated else ""), x=0.01, ha="left")
    return figure


def bare(axes: Axes) -> None:
    """No grid and no ticks, for maps and pictures."""
    axes.grid(visible=False)
    axes.spines[["top", "right"]].set_visible(True)


OUTLINE = [withStroke(linewidth=2.0, foreground="white")]


def class_colour(place: int, count: int) -> str:
    """The colour of one of `count` classes; beyond ten they lie on a wheel of colours."""
    few = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK, "#882255", "#999933", GREY)
    if count <= len(few):
        return few[place]
    return str(to_hex(mpl.colormaps["twilight"](0.1 + 0.8 * place / count)))


def colour(row: str, position: int) -> str:
    """The fixed colour of a known row, else one of the palette by its position."""
    spare = (SKY, AMBER, GREEN, PURPLE)
    return ROW_COLOURS.get(row, spare[position % len(spare)])
