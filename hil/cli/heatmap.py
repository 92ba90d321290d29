"""A conductance map for a terminal: two cells per character, or shades where there is no colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from drivers.rram.geometry import Cells
from hil.report.text import si
from protocols.errors import InputError

Floats = NDArray[np.float64]
MAX_LINES = 24  # this project's choice: leaves room for progress on a terminal of 40 lines
SCALE_STEP_SIEMENS = 50e-6  # the top of the scale moves in these steps, so that colours stand still
LEVELS = 48

# Nine points of matplotlib's viridis (S. van der Walt, N. Smith, 2015, CC0), linear in between.
_VIRIDIS = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ],
    dtype=np.float64,
)
_ASCII, _SHADES = " .:-=+*#%@", " ░▒▓█"


def _colours() -> list[Color]:
    at = np.linspace(0, len(_VIRIDIS) - 1, LEVELS)
    parts = [np.interp(at, range(len(_VIRIDIS)), _VIRIDIS[:, k]) for k in range(3)]
    return [Color.from_rgb(*(round(float(c)) for c in rgb)) for rgb in zip(*parts, strict=True)]


_COLOURS = _colours()


def shrink(block: Floats, height: int, width: int) -> Floats:
    """The mean of whole tiles, so that the block fits in height x width; NaN where nothing is."""
    rows, columns = block.shape
    tall, wide = math.ceil(rows / height), math.ceil(columns / width)
    padded = np.full((math.ceil(rows / tall) * tall, math.ceil(columns / wide) * wide), np.nan)
    padded[:rows, :columns] = block
    tiles = padded.reshape(padded.shape[0] // tall, tall, padded.shape[1] // wide, wide)
    known = np.isfinite(tiles)
    count = known.sum(axis=(1, 3))
    total = np.where(known, tiles, 0.0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass
class ConductanceMap:
    """Draws the last readings of some cells at their places in the array.

    Attributes:
        cells: the cells, in the order of the readings.
        siemens: their readings, NaN for a cell that was not read; None draws nothing.
        top_siemens: upper end of the colour scale; it grows with the readings.
        unit: of the values, where they are something else than conductances.
        step: in which the upper end grows.
    """

    cells: Cells
    siemens: Floats | None = None
    top_siemens: float = SCALE_STEP_SIEMENS
    unit: str = "S"
    step: float = SCALE_STEP_SIEMENS

    def show(self, siemens: Floats) -> None:
        """Takes new readings, shape (n,).

        Raises:
            InputError: not one reading per cell.
        """
        if np.shape(siemens) != (len(self.cells),):
            raise InputError(
                f"{np.size(siemens)} readings cannot be drawn as a map of {len(self.cells)} cells."
            )
        self.siemens = np.asarray(siemens, dtype=np.float64)
        known = self.siemens[np.isfinite(self.siemens)]
        if known.size:
            steps = math.ceil(float(known.max()) / self.step)
            self.top_siemens = max(self.top_siemens, steps * self.step)

    def levels(self, height: int, width: int) -> Floats:
        """Readings as fractions of the scale, no larger than height x width; NaN for no cell."""
        rows, columns = self.cells.rows, self.cells.columns
        top, left = int(rows.min()), int(columns.min())
        block = np.full((int(rows.max()) - top + 1, int(columns.max()) - left + 1), np.nan)
        block[rows - top, columns - left] = self.siemens
        return np.clip(shrink(block, height, width) / self.top_siemens, 0.0, 1.0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.siemens is None or not len(self.cells):
            return
        levels = self.levels(2 * MAX_LINES, max(options.max_width - 2, 1))
        coloured = console.color_system is not None and not console.no_color
        for at in range(0, len(levels), 2):
            upper = levels[at]
            lower = levels[at + 1] if at + 1 < len(levels) else np.full_like(upper, np.nan)
            yield Segment("  ")
            if coloured:
                yield from (_pair(u, v) for u, v in zip(upper, lower, strict=True))
            else:
                ramp = _ASCII if options.ascii_only else _SHADES
                yield Segment(
                    "".join(_shade(u, v, ramp) for u, v in zip(upper, lower, strict=True))
                )
            yield Segment.line()
        yield from self._legend(coloured, options)

    def _legend(self, coloured: bool, options: ConsoleOptions) -> RenderResult:
        yield Segment("  0 ")
        if coloured:
            yield from (_pair(x, x) for x in np.linspace(0, 1, 16))
        else:
            yield Segment(_ASCII if options.ascii_only else _SHADES)
        known = self.siemens[np.isfinite(self.siemens)] if self.siemens is not None else np.empty(0)
        middle = f", median {si(float(np.median(known)), self.unit)}" if known.size else ""
        text = f" {si(self.top_siemens, self.unit)}{middle}"
        yield Segment(text.replace("µ", "u") if options.ascii_only else text)
        yield Segment.line()


def _level(fraction: float) -> Color | None:
    return _COLOURS[round(fraction * (LEVELS - 1))] if math.isfinite(fraction) else None


def _pair(upper: float, lower: float) -> Segment:
    """One character for two cells, one above the other."""
    top, bottom = _level(upper), _level(lower)
    if top is None and bottom is None:
        return Segment(" ")
    if top is None:
        return Segment("▄", Style(color=bottom))
    return Segment("▀", Style(color=top, bgcolor=bottom))


def _shade(upper: float, lower: float, ramp: str) -> str:
    known = [value for value in (upper, lower) if math.isfinite(value)]
    if not known:
        return " "
    mean = sum(known) / len(known)
    return ramp[1 + round(mean * (len(ramp) - 2))]
