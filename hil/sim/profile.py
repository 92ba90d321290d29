"""A technology profile: the statistics of the cells of one technology, as a YAML file.

A chip is a profile plus a seed. The profile says what is known of a technology; the seed says
which die of it this is. Every figure is in SI units. The equations that use these figures stand
in `hil/sim/cell_kernels.py`, beside their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.errors import ConfigError, FileError
from protocols.files import MAX_YAML_BYTES, parse_yaml, read_text
from protocols.hardware import explain

PROFILE_FOLDER = Path(__file__).parent / "profiles"
DEFAULT_PROFILE = "rram_1t1r_180nm"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_rising(name: str, values: tuple[float, ...], strictly: bool = True) -> None:
    pairs = list(pairwise(values))
    if any(b < a or (strictly and b == a) for a, b in pairs):
        raise ValueError(f"{name} must rise from entry to entry")


def _check_same_length(**tables: tuple[Any, ...]) -> None:
    if len({len(values) for values in tables.values()}) != 1:
        raise ValueError(f"{', '.join(tables)} must have the same number of entries")


class Bounds(_Frozen):
    """No pulse, relaxation or drift leaves these conductances (formed cells)."""

    lowest_siemens: Positive
    highest_siemens: Positive

    @model_validator(mode="after")
    def _order(self) -> Bounds:
        if self.highest_siemens <= self.lowest_siemens:
            raise ValueError("highest_siemens must be above lowest_siemens")
        return self


class Pristine(_Frozen):
    """What an unformed cell reads: median and logarithmic spread over cells."""

    median_siemens: Positive
    sigma_ln: NotNegative


class Forming(_Frozen):
    """The line voltage at which a pristine cell breaks down, and the conductance it then has."""

    quantiles: tuple[Fraction, ...] = Field(min_length=2)  # of the forming voltage over cells
    line_volts: tuple[Positive, ...]  # at those quantiles, at `reference_width_s`
    reference_width_s: Positive
    volts_per_decade: NotNegative  # longer pulses form at lower voltage
    gate_threshold_volts: NotNegative  # below it the transistor is off and nothing forms
    siemens: tuple[Positive, ...]  # after forming, at those quantiles and `reference_gate_volts`
    reference_gate_volts: Positive

    @model_validator(mode="after")
    def _tables(self) -> Forming:
        _check_same_length(
            quantiles=self.quantiles, line_volts=self.line_volts, siemens=self.siemens
        )
        _check_rising("quantiles", self.quantiles)
        _check_rising("line_volts", self.line_volts)
        _check_rising("siemens", self.siemens, strictly=False)
        return self


class SetLaw(_Frozen):
    """Conductance that a SET pulse aims at: word-line compliance, limited by the bit line."""

    levels_siemens: tuple[Positive, ...] = Field(min_length=2)
    widths_s: tuple[Positive, ...] = Field(min_length=2)
    gate_volts: tuple[tuple[Positive, ...], ...]  # one row per level, one column per width
    line_levels_siemens: tuple[Positive, ...] = Field(min_length=2)
    line_volts: tuple[Positive, ...]  # bit-line voltage that allows each of line_levels_siemens
    redraw_band_ln: Positive  # how far below the present state an aim still disturbs it
    against: Fraction  # share of a scatter that lowers the conductance which takes effect
    device_gain: NotNegative  # relative sd of the aim over cells
    device_log_width: NotNegative  # sd over cells of log10 of the switching time
    device_line_volts: NotNegative
    cycle_gain: NotNegative  # the same from pulse to pulse
    cycle_log_width: NotNegative
    cycle_line_volts: NotNegative
    cycle_correlation: Annotated[float, Field(ge=0, lt=1)]  # from one SET pulse to the next

    @model_validator(mode="after")
    def _tables(self) -> SetLaw:
        _check_same_length(levels_siemens=self.levels_siemens, gate_volts=self.gate_volts)
        _check_same_length(line_levels_siemens=self.line_levels_siemens, line_volts=self.line_volts)
        _check_rising("levels_siemens", self.levels_siemens)
        _check_rising("widths_s", self.widths_s)
        _check_rising("line_levels_siemens", self.line_levels_siemens)
        _check_rising("line_volts", self.line_volts)
        for column, width in enumerate(self.widths_s):
            volts = tuple(row[column] for row in self.gate_volts if len(row) > column)
            if len(volts) != len(self.levels_siemens):
                raise ValueError("every row of gate_volts needs one voltage per width")
            _check_rising(f"gate_volts at {width:g} s", volts)
        extended = tuple(row[0] + 3.0 * (row[0] - row[1]) for row in self.gate_volts)
        _check_rising("gate_volts extended to short widths", extended)
        return self


class ResetLaw(_Frozen):
    """Logarithmic depth that a RESET pulse aims at, limited by source line and by word line."""

    reference_siemens: Positive  # depth 0
    gate_volts: tuple[Positive, ...] = Field(min_length=2)
    gate_depth_ln: tuple[Finite, ...]
    line_volts: tuple[Positive, ...] = Field(min_length=2)
    line_depth_ln: tuple[Finite, ...]
    reference_width_s: Positive
    volts_per_decade: NotNegative  # a pulse ten times longer acts like this much more voltage
    redraw_band_ln: Positive
    device_depth_ln: NotNegative  # sd over cells of the logarithm of the depth
    cycle_depth_ln: NotNegative  # drawn anew with each pulse
    cycle_gate_volts: NotNegative
    cycle_line_volts: NotNegative
    cycle_correlation: Annotated[float, Field(ge=0, lt=1)]  # of the shift, pulse to pulse

    @model_validator(mode="after")
    def _tables(self) -> ResetLaw:
        _check_same_length(gate_volts=self.gate_volts, gate_depth_ln=self.gate_depth_ln)
        _check_same_length(line_volts=self.line_volts, line_depth_ln=self.line_depth_ln)
        _check_rising("gate_volts", self.gate_volts)
        _check_rising("gate_depth_ln", self.gate_depth_ln, strictly=False)
        _check_rising("line_volts", self.line_volts)
        _check_rising("line_depth_ln", self.line_depth_ln, strictly=False)
        return self


class Drive(_Frozen):
    """How weakly a cell's access path drives it: one skewed figure per cell.

    w = (exp(skew*z) - 1) / skew with z normal, smoothly limited to `limit`: zero in the median
    cell, with a long tail of weak cells. Weak cells reach less in SET and need more in RESET.
    """

    skew: Positive
    limit: Positive
    set_gain: NotNegative  # ln of the SET conductance lost per unit of w
    reset_gate_volts: NotNegative  # word-line voltage that RESET needs more per unit of w
    reset_line_volts: NotNegative  # the same for the source line


class Fluctuation(_Frozen):
    """A relative deviation as a function of the conductance, with heavy tails.

    `sigma` is the standard deviation; `tail` is the sd of the logarithm of a scale that each cell
    draws anew with each programming, so that few cells carry most of the deviation.
    """

    siemens: tuple[Positive, ...] = Field(min_length=2)
    sigma: tuple[NotNegative, ...]
    tail: tuple[NotNegative, ...]

    @model_validator(mode="after")
    def _tables(self) -> Fluctuation:
        _check_same_length(siemens=self.siemens, sigma=self.sigma, tail=self.tail)
        _check_rising("siemens", self.siemens)
        return self


class ReadNoise(Fluctuation):
    """Relative read noise of a settled cell, correlated from one read to the next."""

    correlation: Annotated[float, Field(ge=0, lt=1)]  # lag 1, in reads


class Relaxation(Fluctuation):
    """Movement after programming, in decades of time: `sigma` and `drift` are per decade."""

    onset_s: Positive
    drift: tuple[Finite, ...]  # mean change of ln G per decade

    @model_validator(mode="after")
    def _drift_table(self) -> Relaxation:
        _check_same_length(siemens=self.siemens, drift=self.drift)
        return self


class Faults(_Frozen):
    """Cells that do not work as the statistics say."""

    stuck_low_fraction: Fraction
    stuck_high_fraction: Fraction
    stuck_high_siemens: Positive
    weak_fraction: Fraction
    weak_gain: Fraction  # of the SET conductance that a weak cell reaches


class Endurance(_Frozen):
    """How the RESET depth shrinks with the number of full cycles (RESET by more than e)."""

    depth_loss_per_decade: NotNegative
    onset_cycles: Positive


class Reached(_Frozen):
    """What a fit reached for one figure: measured beside simulated."""

    measured: Finite
    simulated: Finite


class Profile(_Frozen):
    """The statistics of one technology. `load_profile` reads one, `write_profile` writes one."""

    name: str
    source: str
    bounds: Bounds
    pristine: Pristine
    forming: Forming
    set: SetLaw
    reset: ResetLaw
    drive: Drive
    read_noise: ReadNoise
    relaxation: Relaxation
    faults: Faults
    endurance: Endurance
    reached: Mapping[str, Reached] = Field(default_factory=dict)


def profile_path(name_or_path: str | Path) -> Path:
    """The file of a shipped profile's name, or the path itself. Raises ConfigError if absent."""
    shipped = {file.stem: file for file in PROFILE_FOLDER.glob("*.yaml")}
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    try:
        found = path.is_file()
    except OSError:  # no name of a file can be as long as that
        found = False
    if not found:
        names = ", ".join(sorted(shipped))
        raise ConfigError(f"No profile file {path}. Shipped profiles: {names}.")
    return path


def load_profile(name_or_path: str | Path = DEFAULT_PROFILE) -> Profile:
    """Read and check a profile. Raises ConfigError naming file, key, value and what is allowed."""
    path = profile_path(name_or_path)
    try:
        content = parse_yaml(read_text(path, MAX_YAML_BYTES))
    except FileError as error:
        raise ConfigError(f"Profile {path} cannot be read: {error}.") from error
    return parse_profile(content, str(path))


def parse_profile(content: object, origin: str) -> Profile:
    """Check the content of a profile file. Raises ConfigError; `origin` names the file in it."""
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"Profile {origin} is not valid:\n{explain(origin, error)}") from error
