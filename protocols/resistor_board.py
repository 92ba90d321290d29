"""The resistor board: known resistors in the chip's place, one at every cell site.

It fits the chip's socket and is read through the same path as cells, so that a read path can be
checked, and its gain and offset measured, before a chip is at risk. All of it is this project's
choice: four values of 0.1 % metal film along the range of cells, in stripes so that every row and
every column meets all of them, one site left open and one shorted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OHMS = (4.0e3, 10.0e3, 25.0e3, 100.0e3)
"""Site (r, c) has value number (r + c) % 4: 250, 100, 40 and 10 uS."""

TOLERANCE = 1.0e-3
"""Of each resistor, relative."""

OPEN_SITE = (1, 2)
SHORT_SITE = (2, 1)
SHORT_OHM = 100.0
"""A short is a wire with the resistance of the way to it."""


def nominal_siemens(rows: int, columns: int) -> NDArray[np.float64]:
    """Conductance of every site, shape (rows, columns); 0 at the open one.

    An array that is too small to have the open or the shorted site goes without.
    """
    row, column = np.indices((rows, columns))
    siemens = 1.0 / np.array(OHMS)[(row + column) % len(OHMS)]
    for site, value in ((OPEN_SITE, 0.0), (SHORT_SITE, 1.0 / SHORT_OHM)):
        if site[0] < rows and site[1] < columns:
            siemens[site] = value
    return np.asarray(siemens)
