"""The component figures of the modelled chip: what is known, what is assumed, what is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hil.diffusion.score_model import ScoreModel
from protocols.errors import ConfigError, FileError
from protocols.files import MAX_YAML_BYTES, parse_yaml, read_text

COMPONENTS_FILE = Path(__file__).parents[1] / "components.yaml"
Unit = Literal["hidden", "output", "coordinate", "embedding", "solve"]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Strict):
    """A number with its source; unknown where `value` is None, assumed where `assumed` is set."""

    value: Positive | None = None
    source: str | None = None
    note: str = ""
    assumed: Positive | None = None
    assumption: str | None = None

    @model_validator(mode="after")
    def _said(self) -> Figure:
        if self.value is not None and not self.source:
            raise ValueError("a value needs a source")
        if self.assumed is not None and not self.assumption:
            raise ValueError("an assumed value needs its assumption in words")
        return self

    @property
    def used(self) -> float | None:
        """The value, or what is assumed in its place; None is unknown."""
        return self.value if self.value is not None else self.assumed

    @property
    def is_assumed(self) -> bool:
        """Whether an assumption stands in for an unknown value."""
        return self.value is None and self.assumed is not None


class Component(Figure):
    """Power of one piece, in watts, and how many of them a network takes."""

    name: str
    count: Mapping[Unit, int] = Field(default_factory=dict)
    computed: Literal["cells"] | None = None


class Published(_Strict):
    """One published claim."""

    task: Literal["unconditional", "conditional"]
    source: str
    speed_up: Positive | None = None
    energy_ratio: Positive | None = None
    energy_change: Finite | None = None
    chip_seconds: Positive | None = None
    chip_joules: Positive | None = None
    software_seconds: Positive | None = None
    software_joules: Positive | None = None

    @property
    def ratio(self) -> float | None:
        """Energy of the software over that of the chip, whichever way it is stated."""
        if self.energy_ratio is not None or self.energy_change is None:
            return self.energy_ratio
        return 1.0 / (1.0 + self.energy_change)


class Components(_Strict):
    """The file."""

    solve: Figure
    components: tuple[Component, ...]
    host: Figure
    published: tuple[Published, ...]


@dataclass(frozen=True)
class Part:
    """One line of the chip's energy: `joules` None is unknown."""

    name: str
    count: int
    watts: float | None
    joules: float | None
    assumed: bool
    origin: str


@dataclass(frozen=True)
class ChipEnergy:
    """Energy of one sample on the modelled chip.

    Attributes:
        parts: line by line.
        joules: sum of the lines that are known or assumed; None when there is none.
    """

    parts: tuple[Part, ...]
    joules: float | None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Lines without a figure; with any, the sum is a lower bound."""
        return tuple(part.name for part in self.parts if part.joules is None)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Lines that rest on an assumption."""
        return tuple(part.name for part in self.parts if part.assumed)

    @property
    def is_complete(self) -> bool:
        """Whether every line has a figure."""
        return not self.unknown


def load_components(path: Path | None = None) -> Components:
    """The file of component figures, by default the one that ships with the project.

    Raises:
        ConfigError: it cannot be read, or says something that it may not; names the key.
    """
    source = COMPONENTS_FILE if path is None else path
    try:
        data = parse_yaml(read_text(source, MAX_YAML_BYTES))
    except FileError as error:
        raise ConfigError(f"{source}: no component figures: {error}") from error
    try:
        return Components.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{source}: {where}: {first['msg']}") from error


def counts(model: ScoreModel) -> dict[Unit, int]:
    """How many pieces of each kind a network takes."""
    return {
        "hidden": sum(len(bias) for bias in model.biases[:-1]),
        "output": sum(len(bias) for bias in model.biases),
        "coordinate": model.dimensions,
        "embedding": model.channels,
        "solve": 1,
    }


def chip_energy(components: Components, model: ScoreModel, cells_watts: float | None) -> ChipEnergy:
    """Energy of one sample; `cells_watts` is what the cells take while the loop runs."""
    seconds, there = components.solve.used, counts(model)
    parts = []
    for component in components.components:
        number = sum(there[unit] * each for unit, each in component.count.items())
        watts = cells_watts if component.computed else component.used
        number = 1 if component.computed else number
        joules = None if watts is None or seconds is None else number * watts * seconds
        parts.append(
            Part(
                component.name,
                number,
                watts,
                joules,
                joules is not None and (component.is_assumed or components.solve.is_assumed),
                component.source or component.assumption or component.note,
            )
        )
    known = [part.joules for part in parts if part.joules is not None]
    return ChipEnergy(tuple(parts), sum(known) if known else None)
