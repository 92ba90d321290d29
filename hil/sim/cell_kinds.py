"""The kinds of simulated cells, and how settings choose one.

fitted      the profile's own equations (`cells.py`)
empirical   measured rows, drawn again (`empirical.py`); answers measured pulses alone
physics     the JART VCM model behind a select transistor (`physics.py`)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim.cells import CellArray
from hil.sim.config import SimSettings
from hil.sim.physics import PhysicsCells
from hil.sim.profile import Profile


def build_cells(settings: SimSettings, profile: Profile, state: NDArray[np.void]) -> CellArray:
    """The cells of a chip, of the kind that the settings name.

    Raises:
        DataError: the measured tables of empirical cells are missing or damaged.
        ConfigError: no folder of them is named.
    """
    effects, swapped = settings.switched(), settings.swap_polarity
    if settings.cells == "empirical":
        # Here, because the readers of the tables would slow down the start of every command.
        from hil.sim.empirical import EmpiricalCells, measured_rows

        rows = measured_rows(settings.data_folder)
        return EmpiricalCells(profile, settings.seed, state, effects, rows=rows)
    kind = PhysicsCells if settings.cells == "physics" else CellArray
    return kind(profile, settings.seed, state, effects, swapped=swapped)


def kind_identity(cells: CellArray) -> dict[str, int | str]:
    """What a chip file says of its cells' kind."""
    return {"cells": cells.kind, "cells_fingerprint": cells.fingerprint}
