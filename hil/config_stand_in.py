"""Instruments in place of a board's front end: the bench file's section `stand_in`.

    board: instruments
    description: my_array.yaml        rows and columns that are wired, limits
    stand_in: {pulser: true, source_line_column: 33, word_line_column: 65}

Without `instruments` in the bench file they are simulated ones in front of a simulated chip.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from drivers.instruments.stand_in import StandInParams, StandInWiring
from protocols.hardware import BoardDescription

Positive = Annotated[float, Field(gt=0)]
Place = Annotated[int, Field(ge=1, le=4096)]

INSTRUMENTS = "instruments"
"""The name of a board that is none."""

_USUAL = StandInParams()


class StandInSection(BaseModel):
    """How the instruments are wired and used; columns that are left out follow one another.

    Attributes:
        pulser: whether pulses are the pulse generator's; else the source-measure unit's.
        smu_row and so on: rows of the switch matrix, `bit_line_column` and so on the columns of
            line 0 of each kind, all counted from 1.
        the others: as in `drivers.instruments.stand_in.StandInParams`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    pulser: bool = True
    smu_row: Place = 1
    ground_row: Place = 2
    gate_row: Place = 3
    pulser_row: Place = 4
    bit_line_column: Place = 1
    source_line_column: Place | None = None
    word_line_column: Place | None = None
    gate_channel: Annotated[str, Field(min_length=1)] = _USUAL.gate_channel
    gate_amperes: Positive = _USUAL.gate_amperes
    read_gate_volts: Positive | None = _USUAL.read_gate_volts
    read_amperes: Positive = _USUAL.read_amperes
    pulse_amperes: Positive = _USUAL.pulse_amperes
    load_ohms: Positive = _USUAL.load_ohms
    edge_s: Positive = _USUAL.edge_s
    gate_settle_s: Positive = _USUAL.gate_settle_s
    smu_shortest_s: Positive = _USUAL.smu_shortest_s

    def wiring(self, description: BoardDescription) -> StandInWiring:
        """What is plugged in where; raises InputError where two lines have one column."""
        return StandInWiring(
            (description.rows, description.columns),
            self.smu_row,
            self.ground_row,
            self.gate_row,
            self.pulser_row,
            self.bit_line_column,
            self.source_line_column or 0,
            self.word_line_column or 0,
        )

    def params(self) -> StandInParams:
        """How the instruments are used."""
        named = StandInParams.__dataclass_fields__
        return StandInParams(**{name: getattr(self, name) for name in named})
