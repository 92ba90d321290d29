"""The wear of a chip as maps: pulses, estimated energy and the highest line voltage per cell."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hil.report.style import SEQUENTIAL, bare, look, new_figure
from hil.wear_cells import Wear

UNTOUCHED = "#ECEEF1"
MAPS = (
    ("pulses", 1.0, "pulses"),
    ("energy_joules", 1e9, "energy, estimated (nJ)"),
    ("line_volts", 1.0, "highest line voltage (V)"),
)


def wear_figure(wear: Wear, chip: str, *, simulated: bool) -> Figure:
    """Three maps of the touched part of the array."""
    with look():
        figure = new_figure(f"Wear of chip {chip}", 4.2, simulated=simulated)
        axes = figure.subplots(1, 3)
        for ax, (what, scale, label) in zip(axes, MAPS, strict=True):
            values = wear.map(what) * scale
            rows, columns = (np.flatnonzero(np.isfinite(values).any(axis=k)) for k in (1, 0))
            top, left = (int(at.min()) if at.size else 0 for at in (rows, columns))
            bottom, right = (int(at.max()) if at.size else 0 for at in (rows, columns))
            picture = ax.imshow(
                values[top : bottom + 1, left : right + 1],
                cmap=mpl.colormaps[SEQUENTIAL].with_extremes(bad=UNTOUCHED),
                extent=(left - 0.5, right + 0.5, bottom + 0.5, top - 0.5),
                interpolation="nearest",
                aspect="auto",
            )
            bare(ax)
            ax.set(xlabel="column", ylabel="row (bit line)")
            bar = figure.colorbar(picture, ax=ax, orientation="horizontal", shrink=0.85)
            bar.set_label(label)
    return figure
