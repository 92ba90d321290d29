"""The laboratory instruments of a bench: the bench file's section `instruments`.

    instruments:
      visa: "@py"
      smu: {address: "TCPIP::192.0.2.7::INSTR", model: auto, max_volts: 5, max_amperes: 0.01}
      supply:
        - {address: "USB0::0x1AB1::0x0E11::DP8A::INSTR", channels: {logic: 3, positive: 1}}
        - {address: "USB0::0x1AB1::0x0E11::DP8B::INSTR", channels: {negative: 1, drivers: 2}}

Several supplies are one to whoever asks for a rail. A role that is left out is absent,
`instruments: none` means all of them; without the key a simulated board has simulated ones and any
other board none.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from drivers.instruments.catalogue import AUTO, MODELS, Wanted, models_for
from drivers.instruments.interfaces import ROLES
from drivers.instruments.limits import InstrumentLimits, InstrumentSettings

Positive = Annotated[float, Field(gt=0)]
NO_LIMIT = InstrumentLimits(0.0, 0.0, "a role that drives nothing")


class InstrumentSection(BaseModel):
    """One instrument: where it is and which one is meant.

    Attributes:
        address: its VISA address; `hil instruments` lists what is there.
        model: the name of a driver, or `auto` for the one that its identity asks for.
        serial: refuse an instrument with another serial number.
        timeout_s: how long an answer, or a trigger, is waited for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    address: Annotated[str, Field(min_length=1)]
    model: str = AUTO
    serial: str = ""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0

    @field_validator("model")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == AUTO or value in MODELS:
            return value
        raise ValueError(f"allowed are {AUTO}, {', '.join(MODELS)}")

    def settings(self, role: str) -> InstrumentSettings:
        """What the driver needs; `role` is named in errors."""
        limits = NO_LIMIT
        if isinstance(self, DrivingSection):
            source = f"the bench file's instruments.{role}"
            limits = InstrumentLimits(self.max_volts, self.max_amperes, source)
        return InstrumentSettings(
            limits=limits,
            timeout_s=self.timeout_s,
            channels=self.channels if isinstance(self, SupplySection | ScopeSection) else {},
            probe=self.probe if isinstance(self, ScopeSection) else 1.0,
            sensor=self.sensor if isinstance(self, ThermometerSection) else "",
        )


class DrivingSection(InstrumentSection):
    """An instrument that can drive something, with limits that are kept before anything is sent.

    The defaults of all of them are this project's choice: enough for an array of 1T1R cells.
    """

    max_volts: Positive = 5.0
    max_amperes: Positive = 0.01


class SupplySection(DrivingSection):
    """`channels` are the supply's rails, by name, in the order in which they go on."""

    max_volts: Positive = 6.5
    max_amperes: Positive = 1.0
    channels: dict[str, Annotated[int, Field(ge=1, le=16)]] = {}


class PulserSection(DrivingSection):
    """The amperes are those that its volts drive through the load."""

    max_amperes: Positive = 0.1


class ScopeSection(InstrumentSection):
    """`channels` names its inputs; `probe` is the attenuation of its probes (10 for 10:1)."""

    channels: dict[str, Annotated[int, Field(ge=1, le=16)]] = {}
    probe: Annotated[float, Field(ge=0.1, le=1000)] = 1.0


class ThermometerSection(InstrumentSection):
    """`sensor` is the input, or the kind of thermocouple; empty for the model's first one."""

    sensor: str = ""


Named = InstrumentSection | tuple[InstrumentSection, ...] | None


def _one_is_a_list(value: object) -> object:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


class InstrumentsSection(BaseModel):
    """All instruments; `visa` is the VISA library, as PyVISA names it (`@py` needs no other)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    visa: str = ""
    supply: Annotated[tuple[SupplySection, ...], BeforeValidator(_one_is_a_list)] = ()
    smu: DrivingSection | None = None
    scope: ScopeSection | None = None
    pulser: PulserSection | None = None
    thermometer: ThermometerSection | None = None
    matrix: InstrumentSection | None = None

    def wanted(self) -> list[Wanted]:
        """The instruments that are named, in the order in which they are opened."""
        sections = {role: getattr(self, role) for role in ROLES}
        return [
            Wanted(role, each.address, each.settings(role), each.model, each.serial)
            for role, named in sections.items()
            for each in (named if isinstance(named, tuple) else (named,))
            if each is not None
        ]

    def of(self, role: str) -> list[Wanted]:
        """The instruments of one role."""
        return [one for one in self.wanted() if one.role == role]

    @field_validator("supply", "smu", "scope", "pulser", "thermometer", "matrix")
    @classmethod
    def _right_kind(cls, value: Named, info: ValidationInfo) -> Named:
        role = str(info.field_name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and each.model != AUTO and role != MODELS[each.model].ROLE:
                kinds = ", ".join(models_for(role))
                raise ValueError(f"model {each.model} is no {role}; those are {kinds}")
        return value


def _none_is_empty(value: object) -> object:
    return {} if value == "none" else value


Instruments = Annotated[InstrumentsSection | None, BeforeValidator(_none_is_empty)]
"""The type of the bench file's key; `none` is a section without a role, None is left out."""
