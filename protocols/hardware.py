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

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocols.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Lines = Annotated[int, Field(ge=1, le=256)]
MAX_FILE_BYTES = 1 << 20


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
    feedback_ohm_per_code: Positive
    reference_siemens_per_code: Positive
    width_tick_s: Positive


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
    """Largest gate and line voltage and width of one kind of pulse."""

    gate_volts: Positive
    line_volts: Positive
    width_s: Positive


class HardLimits(_Part):
    """What the board's firmware refuses to exceed, whatever it is sent."""

    read_volts: Positive
    set: OperationLimits
    reset: OperationLimits
    form: OperationLimits
    pulses_per_cell: Annotated[int, Field(ge=1)]
    arm_s: Positive
    watchdog_s: Positive


class Timing(_Part):
    """Fixed cost of each primitive in board time; a frame costs its bytes on the line as well."""

    pulse_overhead_s: Positive
    read_s: Positive
    run_overhead_s: Positive
    frame_overhead_s: Positive
    baud: Annotated[int, Field(ge=300)]


class BoardDescription(_Part):
    """One kind of board."""

    name: str
    rows: Lines
    columns: Lines
    converters: Converters
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
    shipped = Path(__file__).parent / "boards" / f"{name_or_path}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: over {MAX_FILE_BYTES} bytes; not a board description")
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in (Path(__file__).parent / "boards").glob("*.yaml")))
        raise ConfigError(
            f"{path}: the board description cannot be read ({error}); shipped ones are: {known}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    try:
        return BoardDescription.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from error


def explain(path: str | Path, error: ValidationError) -> str:
    """One line per finding: file, key, value, and what is allowed."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(the whole file)"
        value = "" if isinstance(item["input"], dict) else f" is {item['input']!r}"
        if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{path}: {key}: no such key; check the spelling")
        elif item["type"] == "missing":
            lines.append(f"{path}: {key}: missing")
        else:
            lines.append(f"{path}: {key}{value}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
