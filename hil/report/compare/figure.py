"""Two maps of conductances on one scale, their difference, and their distributions."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from calibration.chip_compare import Comparison
from hil.report.style import BLUE, DIVERGING, GREY, ORANGE, SEQUENTIAL, bare, look, new_figure

MICRO = 1e6
UNSEEN = "#ECEEF1"
Floats = NDArray[np.float64]
TOP_QUANTILE, LEAST_TOP = 0.998, 1.0
"""The scale ends above all but the highest cells, and never below 1 uS."""


def map_figure(compared: Comparison, names: tuple[str, str], *, simulated: bool) -> Figure:
    """A, B and B less A, as they stand in the array."""
    maps = [each * MICRO for each in (compared.a, compared.b)]
    seen = np.concatenate([each[np.isfinite(each)] for each in maps])
    top = max(float(np.quantile(seen, TOP_QUANTILE)), LEAST_TOP)
    change = compared.change * MICRO
    moved = np.abs(change[np.isfinite(change)])
    span = max(float(np.quantile(moved, TOP_QUANTILE)) if moved.size else 0.0, 0.01 * top)
    with look():
        figure = new_figure("Conductances of both, on one scale", 4.3, simulated=simulated)
        axes = figure.subplots(1, 3, sharey=True)
        for ax, values, letter, name in zip(axes, maps, "AB", names, strict=False):
            picture = _map(ax, values, f"{letter}: {name}", SEQUENTIAL, 0.0, top)
        figure.colorbar(
            picture, ax=axes[:2], orientation="horizontal", shrink=0.5, extend="max"
        ).set_label("conductance (µS)")
        picture = _map(axes[2], change, "difference, B − A", DIVERGING, -span, span)
        figure.colorbar(
            picture, ax=axes[2], orientation="horizontal", shrink=0.9, extend="both"
        ).set_label("B − A (µS)")
        axes[0].set_ylabel("row (bit line)")
    return figure


def _map(ax: Axes, values: Floats, name: str, colours: str, low: float, high: float) -> AxesImage:
    picture = ax.imshow(
        values,
        cmap=mpl.colormaps[colours].with_extremes(bad=UNSEEN),
        vmin=low,
        vmax=high,
        interpolation="nearest",
        aspect="equal",
    )
    bare(ax)
    ax.set(xlabel="column", title=name)
    return picture


def distribution_figure(compared: Comparison, *, simulated: bool) -> Figure:
    """Formed and unformed cells of both as distributions, and every cell of B over A."""
    limit = compared.params.unformed_siemens
    with look():
        figure = new_figure("Distributions, and cell by cell", 4.0, simulated=simulated)
        axes = figure.subplots(1, 3)
        for ax, formed in ((axes[0], True), (axes[1], False)):
            for values, name, colour in ((compared.a, "A", BLUE), (compared.b, "B", ORANGE)):
                chosen = values[(values >= limit) if formed else (values < limit)]
                _cumulative(ax, chosen * MICRO, f"{name}: {chosen.size:,} cells", colour)
            ax.set(title="formed cells" if formed else "unformed cells")
            ax.set(xlabel="conductance (µS)", ylim=(0.0, 1.0))
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
        axes[0].set_ylabel("share of cells below")
        _scatter(axes[2], compared)
    return figure


def _cumulative(ax: Axes, values: Floats, label: str, colour: str) -> None:
    ordered = np.sort(values)
    if not ordered.size:
        ax.plot([], [], color=colour, label=label)
        return
    shares = np.arange(1, ordered.size + 1) / ordered.size
    ax.plot(ordered, shares, color=colour, label=label, drawstyle="steps-post")


def _scatter(ax: Axes, compared: Comparison) -> None:
    both = np.isfinite(compared.a) & np.isfinite(compared.b)
    both &= np.maximum(compared.a, compared.b) >= compared.params.unformed_siemens
    a, b = compared.a[both] * MICRO, compared.b[both] * MICRO
    ax.plot(a, b, ".", color=BLUE, markersize=2.5, alpha=0.5, rasterized=True)
    top = float(max(a.max(initial=1.0), b.max(initial=1.0)))
    ax.plot([0.0, top], [0.0, top], color=GREY, linewidth=1.0, zorder=0)
    ax.set(title="cells formed in A or B", xlabel="A (µS)", ylabel="B (µS)", aspect="equal")
