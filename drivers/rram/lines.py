"""What the lines of an array add to its cells, in the first order.

A cell's current passes (column + 1) pitches of its row's line (bit line) and (row + 1) of its
column's (source line); what other cells send down the same lines is not added. A read and a layer
of a network see a cell through them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.rram.geometry import Cells
from protocols.errors import MappingError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lines:
    """Resistance of one cell pitch of each line, in ohm; 0 leaves the lines out.

    With R of its way a cell of conductance G shows G / (1 + G R), in a read as in a layer.
    """

    bit_ohm: float = 0.0
    source_ohm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("bit_ohm", "source_ohm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise MappingError(f"{name}={value}: a resistance of 0 ohm or more is needed.")

    def path_ohm(self, cells: Cells) -> Floats:
        """(n,) resistance in series with each cell."""
        return np.asarray(
            self.bit_ohm * (cells.columns + 1.0) + self.source_ohm * (cells.rows + 1.0)
        )

    def shown(self, cells: Cells, siemens: Floats) -> Floats:
        """(n,) what cells of conductance `siemens` (n,) show through their lines."""
        return np.asarray(siemens / (1.0 + siemens * self.path_ohm(cells)))

    def needed(self, cells: Cells, shown_siemens: Floats) -> Floats:
        """(n,) what the cells themselves must have to show `shown_siemens` (n,).

        The inverse of `shown`: the targets of a routine that sets cells without reading them
        through the array, and what a reading says of the cell itself (`Macro.lines`). Write-verify
        of a network needs none of it: the reading that it compares with the target has passed the
        same lines as the current of a layer.

        Raises:
            MappingError: the lines alone have more resistance than a target allows.
        """
        left = 1.0 - shown_siemens * self.path_ohm(cells)
        if np.any(left <= 0.0):
            k = int(np.argmin(left))
            raise MappingError(
                f"Cell ({cells.rows[k]}, {cells.columns[k]}) cannot show "
                f"{shown_siemens[k] * 1e6:.4g} uS behind {self.path_ohm(cells)[k]:.4g} ohm of "
                "lines; place the network nearer to the corner."
            )
        return np.asarray(shown_siemens / left)
