"""The bench file: what is connected, which chip, and how it is to be treated.

Read once, checked whole: an unknown key, a value out of range or a broken file is one clear
`ConfigError` that names the file, the key, the value and what is allowed. Every key has a default,
so an empty file is a simulated bench. `bench.yaml` in the documentation shows all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from calibration.drive import DriveParams
from calibration.forming import FormParams
from calibration.loop import LoopParams
from calibration.mapping import MappingOptions
from calibration.programming import SETTLE_LONG_S
from calibration.programming.ispp import IsppParams
from hil.firmware import BOARDS
from hil.sim.config import SimSettings
from protocols.errors import ConfigError, InputError
from protocols.hardware import MAX_FILE_BYTES, BoardDescription, explain, load_board

_LINES = ("serial:", "socket://", "rfc2217://", "unix://")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ChipSection(_Section):
    """Which chip is in the socket. Records, wear and the lock are keyed by `id`."""

    id: Name = "sim-001"
    folder: Path = Path("chips")


class LinkSection(_Section):
    """How long the host waits for an answer and how often it asks again."""

    timeout_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    baud: Annotated[int, Field(ge=1200, le=12_000_000)] = 921_600


class OperationSection(_Section):
    """Lower limits than the board's own for one kind of pulse; None leaves the board's."""

    gate_volts: Annotated[float, Field(gt=0)] | None = None
    line_volts: Annotated[float, Field(gt=0)] | None = None
    width_s: Annotated[float, Field(gt=0)] | None = None


class LimitsSection(_Section):
    """Limits of this bench. They can only lower what the board enforces."""

    set: OperationSection = OperationSection()
    reset: OperationSection = OperationSection()
    form: OperationSection = OperationSection()
    pulses_per_cell: Annotated[int, Field(ge=1)] | None = None

    def values(self) -> dict[str, float]:
        """What differs from the board's own limits, by the drivers' names (`set.gate_volts`)."""
        found: dict[str, float] = {}
        for kind in ("set", "reset", "form"):
            section: OperationSection = getattr(self, kind)
            found |= {f"{kind}.{k}": v for k, v in section.model_dump(exclude_none=True).items()}
        if self.pulses_per_cell is not None:
            found["pulses_per_cell"] = self.pulses_per_cell
        return found


class LoopSection(_Section):
    """How a solve is laid out in time and where initial conditions are clipped."""

    tick_s: Annotated[float, Field(ge=1e-4, le=1.0)] = 5e-3
    ticks: Annotated[int, Field(ge=2, le=4096)] = 200
    initial_clip_volts: Annotated[float, Field(gt=0)] = 0.4
    trim_drive: bool = True
    trim_again: bool = True


class BenchConfig(_Section):
    """The whole bench file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    board: str = "sim"
    description: str = "reference"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    model: str = "ring"
    read_volts: Annotated[float, Field(gt=0, le=1.0)] = 0.2
    runs: Path = Path("runs")
    chip: ChipSection = ChipSection()
    link: LinkSection = LinkSection()
    limits: LimitsSection = LimitsSection()
    mapping: MappingOptions = MappingOptions()
    forming: FormParams = FormParams()
    programming: IsppParams = IsppParams(settle_s=SETTLE_LONG_S)
    pair_trim: bool = False
    loop: LoopSection = LoopSection()
    loop_calibration: LoopParams = LoopParams()
    drive_trim: DriveParams = DriveParams()
    sim: SimSettings = SimSettings()

    @field_validator("board")
    @classmethod
    def _known_board(cls, value: str) -> str:
        if value in ("sim", *BOARDS) or value.startswith(_LINES):
            return value
        raise ValueError(
            f"allowed are sim, {', '.join(BOARDS)}, serial:PORT, socket://HOST:PORT, "
            "rfc2217://HOST:PORT and unix://PATH"
        )

    def load_description(self) -> BoardDescription:
        """The board description that the file names."""
        return load_board(self.description)

    def with_changes(self, source: str = "command line", **changes: Any) -> BenchConfig:
        """A copy with some keys replaced, checked again; `source` names them in an error.

        Raises:
            ConfigError: a value is not allowed.
        """
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return _validated({**own, **changes}, source)


def parse_config(text: str, source: str) -> BenchConfig:
    """The bench in a YAML text; `source` names it in errors.

    Raises:
        ConfigError: not YAML, not a mapping, an unknown key or a value that is not allowed.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {_place_of(error)}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: a bench file is a list of keys with values, not {data!r}")
    return _validated(data, source)


def _place_of(error: yaml.YAMLError) -> str:
    """Line, column and what the parser stumbled over, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _validated(data: dict[str, Any], source: str) -> BenchConfig:
    try:
        return BenchConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(source, error)) from error
    except InputError as error:  # a section's own check, which does not know the file
        raise ConfigError(f"{source}: {error}") from error


def load_config(path: Path | None) -> tuple[BenchConfig, str]:
    """The bench file and its text; without a path `bench.yaml` here, if there is one.

    Raises:
        ConfigError: the file cannot be read or does not hold a valid bench.
    """
    if path is None:
        here = Path("bench.yaml")
        if not here.is_file():
            return BenchConfig(), ""
        path = here
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes; not a bench file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the bench file cannot be read ({error})") from error
    return parse_config(text, str(path)), text
