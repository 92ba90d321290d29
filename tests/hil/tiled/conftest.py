"""Stand-ins for macros: cells that are exactly what they should be, and what they multiply."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from hil.diffusion.score_model import ScoreModel


@dataclass
class IdealMacro:
    """Cells (rows, columns) in siemens that multiply exactly; each range ends with an ADC's clip.

    `column_gain` and `row_offset_volts` are errors that a calibration has to find.
    """

    siemens: np.ndarray
    full_scale: float = 60e-6
    column_gain: float = 1.0
    row_offset_volts: float = 0.0
    saturated: int = 0
    calls: list[tuple[int, int, int, int]] = field(default_factory=list)

    def multiply(self, first_row, first_column, columns, volts, samples=1, scale=1):
        rows = slice(first_row, first_row + volts.shape[1])
        block = self.siemens[rows, first_column : first_column + columns]
        assert block.shape == (volts.shape[1], columns)
        amperes = self.column_gain * ((volts + self.row_offset_volts) @ block)
        top = self.multiply_full_scale_amperes(scale)
        self.saturated += int(np.count_nonzero(np.abs(amperes) >= top))
        self.calls.append((first_row, first_column, scale, len(volts)))
        return np.clip(amperes, -top, top)

    def multiply_full_scale_amperes(self, scale=1):
        return scale * self.full_scale


def cells_of(network, name, siemens=None):
    """The array of one macro that holds a network's cells, all others unformed."""
    macro = next(each for each in network.tiling.macros if each.name == name)
    placement = network.placements[name]
    found = np.zeros((macro.rows, macro.columns))
    values = placement.target_siemens if siemens is None else siemens
    found[placement.cells.rows, placement.cells.columns] = values
    return found


def make_model(dimensions=3, width=4, layers=3, classes=0, seed=1, name="toy"):
    """A network with random weights; no training made it."""
    rng = np.random.default_rng(seed)
    sizes = [dimensions, *[width] * (layers - 1), dimensions]
    shapes = [(sizes[k + 1], sizes[k]) for k in range(layers)]
    return ScoreModel(
        name=name,
        weights=tuple(rng.normal(size=s) / np.sqrt(s[1]) for s in shapes),
        biases=tuple(0.1 * rng.normal(size=s[0]) for s in shapes),
        frequencies=rng.normal(size=width // 2),
        class_offsets=0.3 * rng.normal(size=(classes, width)),
        beta_min=0.01,
        beta_max=2.0,
        output_gain=1.5,
    )


@pytest.fixture
def ideal_macro():
    return IdealMacro


@pytest.fixture
def model():
    return make_model()
