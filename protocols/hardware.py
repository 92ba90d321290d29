"""What the codes of one kind of board mean: nominal scales, geometry, limits and timing.

The description is data that both ends of the wire read: the host to turn volts into codes, the
simulated board to turn codes into volts. It holds nominal figures only. What one board deviates by
is measured by calibration on the host's side and drawn from a seed on the simulator's side.

The published sources state few of these figures; each default in `boards/reference.yaml` says
where it comes from, and most are this project's choice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocols.errors import ConfigError, FileError
from protocols.files import MAX_YAML_BYTES, parse_yaml, read_text

Positive = Annotated[float, Field(gt=0)]
LINES_MAX = 512
"""Most rows, and most columns, of an array. The wire has room for more."""

Lines = Annotated[int, Field(ge=1, le=LINES_MAX)]
MAX_FILE_BYTES = MAX_YAML_BYTES
_MOST_FINDINGS = 20
_LONGEST_TEXT = 200


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Converters(_Part):
    """Full scales of the converters; a bipolar one has its zero in the middle of 2**`bits`."""

    bits: Annotated[int, Field(ge=8, le=16)]
    pulse_full_scale_volts: Positive
    read_full_scale_amperes: Positive
    embedding_full_scale_volts: Positive
    initial_full_scale_volts: Positive
    sample_full_scale_volts: Positive
    probe_full_scale_volts: Positive
    multiply_full_scale_volts: Positive
    feedback_ohm_per_code: Positive
    reference_siemens_per_code: Positive
    width_tick_s: Positive


LADDER_STEPS = 16
"""Tap k of the reference ladder is at k / LADDER_STEPS of a converter's span."""


class References(_Part):
    """What a board calibrates itself against, and how far that can be trusted.

    `ohms` are the resistors 1 to 3 of `read_reference`. Tolerances are relative and count as
    standard deviations of a stated uncertainty. Width and settling are what only an oscilloscope
    can measure: they stay nominal, uncertain by these figures.
    """

    ladder_tolerance: Annotated[float, Field(ge=0, le=0.1)]
    ohms: tuple[Positive, Positive, Positive]
    ohm_tolerance: Annotated[float, Field(ge=0, le=0.1)]
    width_uncertainty_s: Positive
    settling_uncertainty: Annotated[float, Field(ge=0, le=1)]


class Loop(_Part):
    """Nominal figures of the analog loop. Rates are those at a word of full scale."""

    drift_rate_per_s: float
    score_rate_per_s: float
    noise_rate_volts_per_s: Positive
    bias_volts: Positive
    output_gain: Positive
    hidden_clamp_volts: Positive
    output_clamp_volts: Positive
    integrator_clamp_volts: Positive
    hidden_width: Annotated[int, Field(ge=1, le=64)]
    preset_settle_s: Positive
    tick_s: Positive


class OperationLimits(_Part):
    """What one kind of pulse may be.

    Slew and energy may be left out: they are then what the largest voltages and the largest width
    make of them, and never bind on their own.
    """

    gate_volts: Positive
    line_volts: Positive
    width_s: Positive
    gate_volts_per_s: Positive | None = None
    line_volts_per_s: Positive | None = None
    energy_joules: Positive | None = None


class HardLimits(_Part):
    """What the board's firmware refuses to exceed, whatever it is sent.

    Attributes:
        edge_s: time constant of the line drivers. A pulse of V volts begins with V / edge_s, so a
            limit of the slew is one of the amplitude.
        cell_siemens: the largest conductance that a cell can have. A pulse leaves at most
            V^2 x cell_siemens x width in it, so a limit of the energy is one of V^2 x width.
    """

    edge_s: Positive
    cell_siemens: Positive
    read_volts: Positive
    set: OperationLimits
    reset: OperationLimits
    form: OperationLimits
    pulses_per_cell: Annotated[int, Field(ge=1)]
    arm_s: Positive
    watchdog_s: Positive

    def gate_volts_of(self, part: OperationLimits) -> float:
        """The largest gate voltage that keeps the limits of volts and slew."""
        return _slower(part.gate_volts, part.gate_volts_per_s, self.edge_s)

    def line_volts_of(self, part: OperationLimits) -> float:
        """The largest line voltage that keeps the limits of volts and slew."""
        return _slower(part.line_volts, part.line_volts_per_s, self.edge_s)

    def energy_of(self, part: OperationLimits) -> float:
        """The largest energy of one pulse in joules."""
        corner = self.line_volts_of(part) ** 2 * self.cell_siemens * part.width_s
        return corner if part.energy_joules is None else min(corner, part.energy_joules)


def _slower(volts: float, volts_per_s: float | None, edge_s: float) -> float:
    return volts if volts_per_s is None else min(volts, volts_per_s * edge_s)


class Timing(_Part):
    """Fixed cost of each primitive in board time; a frame costs its bytes on the line as well.

    `vector_s` is what one vector of `multiply` costs beside its conversions.
    """

    pulse_overhead_s: Positive
    read_s: Positive
    vector_s: Positive
    run_overhead_s: Positive
    frame_overhead_s: Positive
    baud: Annotated[int, Field(ge=300)]


class BoardDescription(_Part):
    """One kind of board."""

    name: str
    rows: Lines
    columns: Lines
    converters: Converters
    references: References
    loop: Loop
    limits: HardLimits
    timing: Timing

    @property
    def code_max(self) -> int:
        """The largest code of a converter."""
        return (1 << self.converters.bits) - 1

    @property
    def code_zero(self) -> int:
        """The code of a bipolar converter's zero."""
        return 1 << (self.converters.bits - 1)


def load_board(name_or_path: str | Path) -> BoardDescription:
    """The description in a file, or one of those that come with the project by its name.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or a value that is not allowed.
    """
    shipped = {file.stem: file for file in (Path(__file__).parent / "boards").glob("*.yaml")}
    path = shipped.get(str(name_or_path), Path(name_or_path))
    try:
        data: Any = parse_yaml(read_text(path, MAX_FILE_BYTES))
    except FileError as error:
        raise ConfigError(
            f"{path}: the board description cannot be read ({error}); shipped ones are: "
            f"{', '.join(sorted(shipped))}"
        ) from error
    try:
        return BoardDescription.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from error


def explain(path: str | Path, error: ValidationError) -> str:
    """One line per finding: file, key, value, and what is allowed."""
    lines = []
    found = error.errors(include_url=False)
    for item in found[:_MOST_FINDINGS]:
        key = ".".join(str(part) for part in item["loc"])[:_LONGEST_TEXT] or "(the whole file)"
        value = "" if isinstance(item["input"], dict) else f" is {_short(item['input'])}"
        if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{path}: {key}: no such key; check the spelling")
        elif item["type"] == "missing":
            lines.append(f"{path}: {key}: missing")
        else:
            lines.append(f"{path}: {key}{value}: {item['msg'].removeprefix('Value error, ')}")
    if len(found) > _MOST_FINDINGS:
        lines.append(f"{path}: and {len(found) - _MOST_FINDINGS} more findings")
    return "\n".join(lines)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
