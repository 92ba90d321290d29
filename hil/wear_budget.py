"""What the cells of a chip may take over their lives: the bench file's section `wear`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class WearSection(BaseModel):
    """What a cell may take over its whole life; beyond it pulses are refused.

    The defaults are this project's choice: so generous that they stop a run-away program and not
    an experiment. 1e-2 J is ten million pulses of 1 us at 2.5 V and 160 uS.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    pulses_per_cell: Annotated[int, Field(ge=1)] = 1_000_000
    energy_joules_per_cell: Annotated[float, Field(gt=0)] = 1e-2
