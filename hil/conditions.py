"""Under which conditions something was done: who, to which chip, at which temperature.

They stand in every record: of a run (`run.json` and an event of its journal, anew with each session
of it), and of what is kept with a chip. A temperature says where it comes from: the thermometer of
the bench, or the bench file; where neither has one, that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from drivers.instruments.catalogue import connect
from drivers.instruments.interfaces import Thermometer
from hil.config import BenchConfig
from hil.sim.back_doors import BackDoors

EVENT = "conditions"
"""The kind of event in a journal."""
STATED, UNKNOWN = "bench file", "not known"


@dataclass(frozen=True)
class Conditions:
    """Who, what and how warm.

    Attributes:
        operator: as the bench file names them, "" where it does not.
        chip: id and origin of the chip.
        temperature_celsius: None where nobody said; `temperature_source` says who did.
    """

    operator: str
    chip: Mapping[str, str]
    temperature_celsius: float | None = None
    temperature_source: str = UNKNOWN

    def facts(self) -> dict[str, Any]:
        """For a record; `chip` apart, which a run has by its id already."""
        return {
            "operator": self.operator,
            "chip_record": dict(self.chip),
            "temperature_celsius": self.temperature_celsius,
            "temperature_source": self.temperature_source,
        }


def conditions(config: BenchConfig) -> Conditions:
    """What the bench file says."""
    stated = config.temperature_celsius
    source = UNKNOWN if stated is None else STATED
    return Conditions(config.operator, config.chip.facts(), stated, source)


def measured(config: BenchConfig, simulated: BackDoors | None) -> Conditions:
    """The same with the temperature now, if the bench has a thermometer or is simulated.

    Raises:
        InstrumentError: the thermometer that the bench file names does not answer.
    """
    stated, section = conditions(config), config.instruments
    if section is not None and (wanted := section.of("thermometer")):
        with connect(wanted[0], section.visa) as opened:
            thermometer = cast(Thermometer, opened)
            celsius, source = thermometer.celsius(), f"thermometer {thermometer.identity}"
    elif section is None and simulated is not None and stated.temperature_celsius is None:
        celsius, source = simulated.nodes.celsius, "simulated bench"
    else:
        return stated
    return replace(stated, temperature_celsius=celsius, temperature_source=source)
