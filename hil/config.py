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
from hil.firmware import BOARDS
from hil.sim.config import SimSettings
from hil.wear_budget import WearSection
from protocols.errors import CalibrationError, ConfigError, FileError, InputError
from protocols.files import parse_yaml, read_text
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


class MacroChip(_Section):
    """The chip of one of several macros; without a folder it is kept where the bench's chip is."""

    id: Name
    folder: Path | None = None


class MacroSection(_Section):
    """One macro of a bench that has several; what is left out is as the rest of the file says.

    Attributes:
        name: what commands, records and errors call it.
        board: how it is connected.
        description: its kind of board, which says how many rows and columns it has.
        chip: the chip in its socket; left out, one that is called as the macro is.
        seed: of a simulated chip and its board; left out, the bench's plus the place in the list.
        limits, link: of its own.
    """

    name: Name
    board: str | None = None
    description: str | None = None
    chip: MacroChip | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    limits: LimitsSection | None = None
    link: LinkSection | None = None


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
    boards: Path = Path("boards")
    chip: ChipSection = ChipSection()
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
    macros: Annotated[tuple[MacroSection, ...], Field(max_length=64)] = ()

    @field_validator("macros")
    @classmethod
    def _macros_apart(cls, value: tuple[MacroSection, ...]) -> tuple[MacroSection, ...]:
        names = [each.name for each in value]
        chips = [each.chip.id if each.chip else each.name for each in value]
        for what, found in (("name", names), ("chip id", chips)):
            twice = sorted({one for one in found if found.count(one) > 1})
            if twice:
                raise ValueError(f"two macros with the same {what}: {', '.join(twice)}")
        return value

    @field_validator("board")
    @classmethod
    def _known_board(cls, value: str) -> str:
        if value in ("sim", *BOARDS) or value.startswith(_LINES):
            return value
        raise ValueError(
            f"allowed are sim, {', '.join(BOARDS)}, serial:PORT, socket://HOST:PORT, "
            "rfc2217://HOST:PORT and unix://PATH"
        )

    @field_serializer("programming")
    def _plain_programming(self, value: ProgramParams) -> dict[str, Any]:
        return plain_params(value)

    def each_macro(self) -> dict[str, BenchConfig]:
        """The bench of every macro by name, in order; one without `macros` is its own only macro.

        Raises:
            ConfigError: a macro's value is not allowed.
        """
        if not self.macros:
            return {self.chip.id: self}
        found = {each.name: self._of(place, each) for place, each in enumerate(self.macros)}
        lines = [each.board for each in found.values() if each.board.startswith(_LINES)]
        for line in lines:
            if lines.count(line) > 1:
                raise ConfigError(f"macros: two of them are on {line}; each needs its own board")
        return found

    def _of(self, place: int, macro: MacroSection) -> BenchConfig:
        own = macro.model_dump(include={"board", "description"}, exclude_none=True)
        parts = {"limits": macro.limits, "link": macro.link}
        own |= {name: part for name, part in parts.items() if part is not None}
        named = macro.chip or MacroChip(id=macro.name)
        chip = ChipSection(id=named.id, folder=named.folder or self.chip.folder)
        die = self.sim.seed + place if macro.seed is None else macro.seed
        board = self.sim.board_seed + place if macro.seed is None else macro.seed
        sim = self.sim.model_copy(
            update={"chip_id": chip.id, "seed": die % 2**64, "board_seed": board % 2**64}
        )
        return self.with_changes(f"macros: {macro.name}", macros=(), chip=chip, sim=sim, **own)

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
    return validated_config(data, source)


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
