"""The study file: what is varied, how deep a point goes, and what is drawn of it.

Read once, checked whole, as a bench file is: an unknown key or a value that is not allowed is one
clear `ConfigError` that names file, key and value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hil.chip_section import Name
from hil.config import BenchConfig, validated_config
from hil.sim.effects import Effects
from hil.study.axes import AXES, MAX_POINTS, Values, read_values
from hil.study.columns import FIGURES
from protocols.errors import ConfigError, FileError
from protocols.files import parse_yaml, read_text
from protocols.hardware import MAX_FILE_BYTES, explain

EXAMPLES = Path(__file__).parent / "examples"
OWN_BENCH_KEYS = (
    *("board", "boards", "name", "macros", "seed", "model", "runs", "curves", "chip"),
)
"""Of a bench file: what a study sets itself."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RandomSection(_Section):
    """A sample of `points` points, drawn by `seed`: each axis of `over` on its own.

    Without `chip` among the axes every point is another chip: number k has seed k + 1.
    """

    points: Annotated[int, Field(ge=1, le=MAX_POINTS)]
    seed: Seed = 1
    over: dict[str, Any] = {}


class CurveSection(_Section):
    """A figure: column `y` over axis `x`, median and quartiles over chips, a line per `by`."""

    kind: Literal["curve"] = "curve"
    x: str
    y: str = "kl_1d"
    by: str | None = None
    log_x: bool = False
    log_y: bool = False


class YieldSection(_Section):
    """A figure: share of chips whose `y` is at most `most`, over axis `x`, a line per `by`."""

    kind: Literal["yield"]
    x: str
    y: str = "kl_1d"
    most: float
    by: str | None = None
    log_x: bool = False


class StudyConfig(_Section):
    """The whole study file.

    Attributes:
        name: of the study and its folder.
        about: for a reader.
        depth: "twin", a model of a programmed chip, or "board", the whole job on the simulated one.
        seed: keys initial conditions, noise and weight errors; the same for every point, so that
            two points differ by what the study varies.
        grid, random: one of the two.
        effects: the non-idealities that are on, all others off; None leaves them to the bench.
        bench: keys of a bench file, but for those that the study sets itself.
        batch: points that are handed out and written together; None: 10 twins or 1 board.
        workers: processes; None is one per core.
        figures: what is drawn.
    """

    name: Name
    about: Annotated[str, Field(max_length=2000)] = ""
    depth: Literal["twin", "board"] = "twin"
    seed: Seed = 1
    grid: dict[str, Any] | None = None
    random: RandomSection | None = None
    effects: list[str] | None = None
    bench: dict[str, Any] = {}
    batch: Annotated[int, Field(ge=1, le=10_000)] | None = None
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    figures: list[Annotated[CurveSection | YieldSection, Field(discriminator="kind")]] = []

    @model_validator(mode="after")
    def _one_way(self) -> StudyConfig:
        if (self.grid is None) == (self.random is None):
            raise ValueError("name either a grid or a random sample, and not both")
        return self

    @model_validator(mode="before")
    @classmethod
    def _curve_by_default(cls, data: Any) -> Any:
        figures = data.get("figures") if isinstance(data, dict) else None
        if not isinstance(figures, list):
            return data
        named = [{"kind": "curve", **one} if isinstance(one, dict) else one for one in figures]
        return {**data, "figures": named}

    def values(self, source: str) -> dict[str, Values]:
        """What the file says of each axis that it names, in the order of `AXES`.

        Raises:
            ConfigError: no such axis, or a value that it does not take; `source` names the file.
        """
        given = self.grid if self.grid is not None else self.sample.over
        random = self.grid is None
        where = "random.over" if random else "grid"
        if not given and not random:
            raise ConfigError(f"{source}: grid: empty: name at least one axis with its values")
        found = {
            name: read_values(name, value, f"{source}: {where}.{name}", random=random)
            for name, value in given.items()
        }
        return {name: found[name] for name in AXES if name in found}

    @property
    def sample(self) -> RandomSection:
        """The random sample; only where there is no grid."""
        if self.random is None:
            raise ConfigError(f"study {self.name}: this study is a grid, not a random sample")
        return self.random

    def bench_config(self, source: str) -> BenchConfig:
        """The bench of all points, before a point's own values.

        Raises:
            ConfigError: a key that the study sets itself, an unknown one, or a value not allowed.
        """
        if own := sorted(set(self.bench) & set(OWN_BENCH_KEYS)):
            raise ConfigError(
                f"{source}: bench.{own[0]}: set by the study itself (axes model, chip; seed, depth)"
            )
        return validated_config(dict(self.bench), f"{source}: bench")


def load_study(path: Path) -> tuple[StudyConfig, str, str]:
    """The study in a file, or the shipped one of that name; the file's name and its text.

    Raises:
        ConfigError: the file cannot be read or holds no valid study.
    """
    shipped = {file.stem: file for file in EXAMPLES.glob("*.yaml")}
    file = path if path.suffix else shipped.get(str(path), path)
    try:
        text = read_text(file, MAX_FILE_BYTES)
    except FileError as error:
        raise ConfigError(
            f"{path}: the study file cannot be read ({error}); shipped ones are: "
            f"{', '.join(sorted(shipped))}"
        ) from error
    return parse_study(text, str(file)), str(file), text


def parse_study(text: str, source: str) -> StudyConfig:
    """The study in a YAML text; `source` names it in errors.

    Raises:
        ConfigError: not YAML, an unknown key, or a value that is not allowed.
    """
    try:
        data = parse_yaml(text)
    except FileError as error:
        raise ConfigError(f"{source}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: a study file is a list of keys with values, not {data!r:.80}")
    try:
        study = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(source, error)) from error
    study.values(source)
    study.bench_config(source)
    _check_effects(study, source)
    for number, figure in enumerate(study.figures):
        _check_figure(figure, f"{source}: figures.{number}")
    return study


def _check_effects(study: StudyConfig, source: str) -> None:
    try:
        Effects.none().only(*(study.effects or ()))
    except ConfigError as error:
        raise ConfigError(f"{source}: effects: {error}") from error


def _check_figure(figure: CurveSection | YieldSection, where: str) -> None:
    for key in ("x", "by"):
        name = getattr(figure, key)
        if name is not None and name not in AXES:
            raise ConfigError(f"{where}.{key}: no such axis {name!r}; known are {', '.join(AXES)}")
    if figure.y not in FIGURES:
        raise ConfigError(f"{where}.y: no such column {figure.y!r}; known are {', '.join(FIGURES)}")
