"""What can be wrong with a board, its resistor board and the instruments around it.

Faults of the chip and its bonds are those of `chip_faults.py`; those of single converter channels
that are dead or railed are `SimSettings.channel_faults`. Without a fault nothing of this module
takes part.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocols.errors import InputError
from protocols.hardware import LINES_MAX
from protocols.messages import AdcInput, ArrayLine, LoopSource

Line = Annotated[int, Field(ge=0, lt=LINES_MAX)]
Site = tuple[Line, Line]
Factor = Annotated[float, Field(ge=0.1, le=10)]
LineName = Literal["bit_line", "source_line", "word_line"]
RailName = Annotated[str, Field(min_length=1, max_length=32)]

ROLES = ("supply", "smu", "scope", "pulser", "thermometer", "matrix")
"""Instruments that a bench may lack."""

_EMBEDDINGS = frozenset(s.name.lower() for s in LoopSource if s.name.startswith("EMBEDDING"))
SWAPPABLE = (
    frozenset(line.name.lower() for line in ArrayLine),
    frozenset({"drift", "score"}),
    frozenset({"initial_1", "initial_2"}),
    _EMBEDDINGS,
)
"""Channels that stand side by side on a board; two of a group can change places."""


class BoardFaults(BaseModel):
    """Planted faults; None (or an empty tuple) is none.

    Attributes:
        dac_swapped: two DAC channels (`LoopSource` in lower case) whose outputs changed places.
        adc_gain: an ADC input and the relative deviation of its gain.
        supply_low: a rail and the factor of its voltage.
        rail_over_current: a rail and the factor of its current.
        pads_swapped: kind of line and the two pads whose connector pins changed places.
        resistor_wrong: site of the resistor board and the factor of its resistance.
        resistor_open: site of the resistor board that is open where it should not be.
        pulse_width: factor of the width of every pulse.
        pulse_amplitude: factor of the line voltage of every pulse, as behind a loaded driver.
        absent_instruments: those that are not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dac_swapped: tuple[str, str] | None = None
    adc_gain: tuple[str, Annotated[float, Field(ge=-0.5, le=0.5)]] | None = None
    supply_low: tuple[RailName, Factor] | None = None
    rail_over_current: tuple[RailName, Factor] | None = None
    pads_swapped: tuple[LineName, Line, Line] | None = None
    resistor_wrong: tuple[Line, Line, Factor] | None = None
    resistor_open: Site | None = None
    pulse_width: Factor | None = None
    pulse_amplitude: Annotated[float, Field(ge=0.1, le=1)] | None = None
    absent_instruments: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        pair = self.dac_swapped
        if pair is not None and not any(len(set(pair) & group) == 2 for group in SWAPPABLE):
            raise ValueError(
                f"dac_swapped: {pair[0]!r} and {pair[1]!r} are no two DAC channels that stand side "
                "by side; as in embedding_3 and embedding_4"
            )
        if self.adc_gain is not None and self.adc_gain[0] not in _INPUTS:
            raise ValueError(f"adc_gain: {self.adc_gain[0]!r}; allowed are {', '.join(_INPUTS)}")
        if self.pads_swapped is not None and self.pads_swapped[1] == self.pads_swapped[2]:
            raise ValueError("pads_swapped: two different pads are needed")
        if unknown := sorted(set(self.absent_instruments) - set(ROLES)):
            named, known = ", ".join(unknown), ", ".join(ROLES)
            raise ValueError(f"absent_instruments: {named}; allowed are {known}")
        return self

    @property
    def planted(self) -> tuple[str, ...]:
        """The names of the faults that are there."""
        return tuple(k for k in KINDS if getattr(self, k) not in (None, ()))

    @property
    def partner(self) -> dict[str, str]:
        """The DAC channel whose output a channel's code really reaches, where it is another."""
        pair = self.dac_swapped
        return {} if pair is None else {pair[0]: pair[1], pair[1]: pair[0]}

    def check_places(self, rows: int, columns: int) -> None:
        """Raises InputError for a line or site that this array does not have."""
        for name in ("resistor_wrong", "resistor_open"):
            place = getattr(self, name)
            if place is not None and (place[0] >= rows or place[1] >= columns):
                raise InputError(
                    f"board_faults: {name}: this array has no site ({place[0]}, {place[1]}), only "
                    f"{rows} x {columns}"
                )
        if self.pads_swapped is not None:
            kind, *pads = self.pads_swapped
            count = rows if kind == "bit_line" else columns
            if max(pads) >= count:
                raise InputError(
                    f"board_faults: pads_swapped: this array has no {kind} {max(pads)}, only 0 to "
                    f"{count - 1}"
                )


KINDS = tuple(BoardFaults.model_fields)
_INPUTS = tuple(kind.name.lower() for kind in AdcInput)
