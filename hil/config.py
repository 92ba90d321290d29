"""The bench file: what is connected, which chip, and how it is to be treated.

Read once, checked whole: an unknown key, a value out of range or a broken file is one clear
`ConfigError` that names the file, the key, the value and what is allowed. Every key has a default,
so an empty file is a simulated bench. `bench.yaml` in the documentation shows all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)

from calibration.drive import DriveParams
from calibration.forming import FormParams
from calibration.loop import LoopParams
from calibration.mapping import MappingOptions
from calibration.mapping_chip import ChipOptions
from calibration.programming import SETTLE_LONG_S, ProgramParams
from calibration.programming.choose import algorithm, plain_params, read_menu, read_model
from calibration.programming.predictive import PredictiveParams
from calibration.repair import RepairParams
from calibration.retrim import RetrimParams
from drivers.faults import LineFaults
from drivers.ports import SERIAL_NUMBER
from hil.chip_section import Celsius, ChipSection, Name, Words
from hil.config_bringup import BringupSection
from hil.config_instruments import Instruments
from hil.config_stand_in import INSTRUMENTS, StandInSection
from hil.firmware import BOARDS
from hil.named_boards import (
    LINES,
    MOST_BOARDS,
    check_names,
    clashes,
    in_todays_form,
    needed,
    own_changes,
)
from hil.sim.config import SimSettings
from hil.wear_budget import WearSection
from protocols.errors import CalibrationError, ConfigError, FileError, InputError
from protocols.files import parse_yaml, read_text
from protocols.hardware import MAX_FILE_BYTES, BoardDescription, explain, load_board


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    gate_volts_per_s: Annotated[float, Field(gt=0)] | None = None
    line_volts_per_s: Annotated[float, Field(gt=0)] | None = None
    energy_joules: Annotated[float, Field(gt=0)] | None = None


class LimitsSection(_Section):
    """Limits of this bench. They can only lower what the board enforces.

    `arm_s` is the longest time that the board stays armed without being told so anew.
    """

    set: OperationSection = OperationSection()
    reset: OperationSection = OperationSection()
    form: OperationSection = OperationSection()
    pulses_per_cell: Annotated[int, Field(ge=1)] | None = None
    arm_s: Annotated[float, Field(ge=1e-3)] | None = None

    def values(self) -> dict[str, float]:
        """What differs from the board's own limits, by the drivers' names (`set.gate_volts`)."""
        found: dict[str, float] = {}
        for kind in ("set", "reset", "form"):
            section: OperationSection = getattr(self, kind)
            found |= {f"{kind}.{k}": v for k, v in section.model_dump(exclude_none=True).items()}
        for name in ("pulses_per_cell", "arm_s"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found


class LoopSection(_Section):
    """How a solve is laid out in time and where initial conditions are clipped."""

    tick_s: Annotated[float, Field(ge=1e-4, le=1.0)] = 5e-3
    ticks: Annotated[int, Field(ge=2, le=4096)] = 200
    initial_clip_volts: Annotated[float, Field(gt=0)] = 0.4
    trim_drive: bool = True
    trim_again: bool = True


class SteppedSection(_Section):
    """How networks are run that outgrow the analog loop: products on macros, the rest in code.

    Attributes:
        ticks: held ticks of a solve, two evaluations of the network each.
        input_volts: of the largest input of each vector.
        conversions: per column and vector, averaged.
        centred: the common mode of the inputs is taken out and made up for in code.
        batch: samples that are solved side by side.
    """

    ticks: Annotated[int, Field(ge=2, le=4096)] = 50
    input_volts: Annotated[float, Field(gt=0, le=1.0)] = 0.2
    conversions: Annotated[int, Field(ge=1, le=16)] = 1
    centred: bool = True
    batch: Annotated[int, Field(ge=1, le=4096)] = 100


class BenchConfig(_Section):
    """The whole bench file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    name: Name | None = None
    board: str = "sim"
    description: str = "reference"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    model: str = "ring"
    read_volts: Annotated[float, Field(gt=0, le=1.0)] = 0.2
    runs: Path = Path("runs")
    curves: Path = Path("boards")
    chip: ChipSection = ChipSection()
    operator: Words = ""
    temperature_celsius: Celsius | None = None
    instruments: Instruments = None
    stand_in: StandInSection = StandInSection()
    link: LinkSection = LinkSection()
    line_faults: LineFaults | None = None
    limits: LimitsSection = LimitsSection()
    wear: WearSection = WearSection()
    mapping: MappingOptions = MappingOptions()
    chip_mapping: ChipOptions = ChipOptions()
    forming: FormParams = FormParams()
    programming: InstanceOf[ProgramParams] = PredictiveParams(settle_s=SETTLE_LONG_S)
    pair_trim: bool = False
    retrim: RetrimParams = RetrimParams()
    loop: LoopSection = LoopSection()
    loop_calibration: LoopParams = LoopParams()
    drive_trim: DriveParams = DriveParams()
    repair: RepairParams = RepairParams()
    sim: SimSettings = SimSettings()
    stepped: SteppedSection = SteppedSection()
    bringup: BringupSection = BringupSection()
    boards: Annotated[dict[Name, dict[str, Any]], Field(max_length=MOST_BOARDS)] = {}
    macros: Annotated[tuple[Name, ...], Field(max_length=MOST_BOARDS)] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_todays_form(cls, value: Any) -> Any:
        return in_todays_form(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _names_fit(self) -> BenchConfig:
        check_names(self.name, self.boards, self.macros)
        return self

    @field_validator("board")
    @classmethod
    def _known_board(cls, value: str) -> str:
        if value in ("sim", INSTRUMENTS, *BOARDS) or value.startswith(LINES):
            return value
        if value.startswith(SERIAL_NUMBER) and len(value) > len(SERIAL_NUMBER):
            return value
        raise ValueError(
            f"allowed are sim, {', '.join(BOARDS)}, {INSTRUMENTS}, serial:PORT, "
            "serial-number:NUMBER, socket://HOST:PORT, rfc2217://HOST:PORT and unix://PATH"
        )

    @field_serializer("programming")
    def _plain_programming(self, value: ProgramParams) -> dict[str, Any]:
        return plain_params(value)

    def each_macro(self) -> dict[str, BenchConfig]:
        """The bench of every macro of a network by name, in order.

        They are those of `macros`, else all `boards`; a bench without either is its own only one.

        Raises:
            ConfigError: a board's value is not allowed.
        """
        names = self.macros or tuple(self.boards)
        return {name: self.on(name) for name in names} or {self.chip.id: self}

    def each_board(self) -> dict[str, BenchConfig]:
        """The bench of every board by name; one without `boards` is its own only one.

        Raises:
            ConfigError: a board's value is not allowed.
        """
        found = {name: self.on(name) for name in self.boards}
        return found or {self.name or self.chip.id: self}

    def on(self, name: str, source: str = "") -> BenchConfig:
        """The bench of one of the boards by its name.

        Raises:
            ConfigError: there is none of that name, or one of its values is not allowed.
        """
        if name == self.name:
            return self
        if name not in self.boards:
            known = ", ".join(self.boards) or "none; add boards: {NAME: {...}}"
            raise ConfigError(f"{source}no board is called {name!r}; the bench file has {known}")
        own = self.boards[name]
        shared = self.model_dump(mode="json", include=needed(own))
        changes = own_changes(name, list(self.boards).index(name), own, shared)
        source = f"{source}boards: {name}"
        return self.with_changes(source, **changes, boards={}, macros=(), name=name)

    @property
    def is_simulated(self) -> bool:
        """Whether the board is one of this computer, and so every figure of it a simulated one."""
        by_hand = self.board == INSTRUMENTS and self.instruments is not None
        return not (by_hand or self.board.startswith(LINES))

    def load_description(self) -> BoardDescription:
        """The board description that the file names."""
        return load_board(self.description)

    def with_changes(self, source: str = "command line", **changes: Any) -> BenchConfig:
        """A copy with some keys replaced, checked again; `source` names them in an error.

        Raises:
            ConfigError: a value is not allowed.
        """
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return validated_config({**own, **changes}, source)


def parse_config(text: str, source: str) -> BenchConfig:
    """The bench in a YAML text; `source` names it in errors.

    Raises:
        ConfigError: not YAML, not a mapping, an unknown key or a value that is not allowed.
    """
    try:
        data = parse_yaml(text)
    except FileError as error:
        raise ConfigError(f"{source}: {error}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: a bench file is a list of keys with values, not {data!r:.80}")
    config = validated_config(data, source)
    _check_boards(config, source)
    return config


def _check_boards(config: BenchConfig, source: str) -> None:
    """Every board's own values, and what no two boards may share. Raises ConfigError."""
    benches = {name: config.on(name, f"{source}: ") for name in config.boards}
    clash = clashes({n: (b.chip.id, b.chip.folder, b.board) for n, b in benches.items()})
    if clash is not None:
        raise ConfigError(f"{source}: {clash}")


_SECTIONS: dict[type[ProgramParams], type[BaseModel]] = {}


def _programming(value: object) -> object:
    """The parameters of the algorithm that a bench file's section names, predictive if none."""
    if not isinstance(value, dict):
        return value
    rest = {"settle_s": SETTLE_LONG_S, **value}
    params = algorithm(str(rest.pop("algorithm", "predictive"))).params
    for key, read in (("menu", read_menu), ("model", read_model)):
        if key in rest:
            rest[key] = read(rest[key])
    return _section_of(params).model_validate({"programming": rest}).programming  # type: ignore[attr-defined]


def _section_of(params: type[ProgramParams]) -> type[BaseModel]:
    """What checks an algorithm's section; it takes longer to make than to use, so it is kept."""
    if params not in _SECTIONS:
        _SECTIONS[params] = create_model(
            "ProgrammingSection", __config__=BenchConfig.model_config, programming=(params, ...)
        )
    return _SECTIONS[params]


def validated_config(data: dict[str, Any], source: str) -> BenchConfig:
    """The bench in plain values; `source` names them in errors.

    Raises:
        ConfigError: an unknown key or a value that is not allowed.
    """
    try:
        if "programming" in data:
            data = {**data, "programming": _programming(data["programming"])}
        return BenchConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(source, error)) from error
    except (InputError, CalibrationError) as error:  # a section's check, which knows no file
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
        text = read_text(path, MAX_FILE_BYTES)
    except FileError as error:
        raise ConfigError(f"{path}: the bench file cannot be read ({error})") from error
    return parse_config(text, str(path)), text
