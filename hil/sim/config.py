"""Settings of one simulated board and its chip: seeds, errors and planted deviations.

`protocols.hardware.BoardDescription` holds the nominal figures that both ends of the wire know.
Here stands what only the simulator knows: by how much this board and this chip deviate from them.
No published source states these figures for the macro, so every default is this project's choice,
of the size that general-purpose 12-bit converters, op-amps and four-quadrant multipliers have.

Errors are drawn from normals cut at three standard deviations, keyed by `board_seed`; a planted
value (`loop_gain_*`, `zero_*`, `integrator_offset`) takes the place of the draw, so that a test
can ask a calibration for a number that it knows.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hil.sim.bench_settings import BenchSettings
from hil.sim.chip_faults import ChipFaults
from hil.sim.effects import Effects
from hil.sim.faulty_board import BoardFaults
from hil.sim.upsets import BoardUpsets
from protocols.errors import ConfigError
from protocols.hardware import explain
from protocols.messages import PAYLOAD_BYTES, AdcInput, LoopSource

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=1 << 64)]
Fraction = Annotated[float, Field(ge=-0.5, le=0.5)]
Factor = Annotated[float, Field(ge=0.1, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
ChannelFault = Literal["dead", "railed"]
CellKind = Literal["fitted", "empirical", "physics"]
Kernel = Literal["c", "numpy"]

CUT_SIGMAS = 3.0
"""Where the normals of a board's errors are cut."""

LINES = ("bit_line", "word_line", "embedding_1", "read", "probe")
"""Some names of channels, for a message."""

WAVE_WORDS = 18
"""Words that a tick updates: drift, score, two noise channels, 14 embedding channels."""


class SimSettings(BaseModel):
    """What one simulated board is. Frozen; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # the chip
    chip_id: Annotated[str, Field(min_length=1, max_length=64)] = "sim-001"
    seed: Seed = 1
    profile: str = "rram_1t1r_180nm"
    effects: dict[str, bool] = Field(default_factory=dict)  # switches that differ from "on"
    cells: CellKind = "fitted"  # where the cells' behaviour comes from
    data_folder: str | None = None  # tables of the empirical cells; None: $HIL_MEASURED_DATA
    profile_scale: dict[str, Factor] = Field(default_factory=dict)  # dotted parameter -> factor
    perturb_seed: Seed | None = None  # draws another technology about the profile
    perturb_extent: Annotated[float, Field(ge=0, le=0.3)] = 0.3
    stuck_low_fraction: Share | None = None  # None is the profile's
    stuck_high_fraction: Share | None = None
    weak_fraction: Share | None = None
    swap_polarity: bool = False  # a planted wiring fault: bit and source line exchanged

    # the board's firmware
    board_seed: Seed = 1
    window: Annotated[int, Field(ge=1, le=64)] = 8
    payload_bytes: Annotated[int, Field(ge=64, le=960)] = PAYLOAD_BYTES  # of one frame
    ticks_max: Annotated[int, Field(ge=1, le=4096)] = 1024
    trajectories_max: Annotated[int, Field(ge=1, le=16384)] = 4096
    trace_points_max: Annotated[int, Field(ge=1, le=65535)] = 16384
    tick_us_min: Annotated[int, Field(ge=1)] = 200
    upsets: BoardUpsets = BoardUpsets()  # resets, hangs, late answers
    trajectories_per_poll: Annotated[int, Field(ge=1, le=4096)] = 256
    kernel: Kernel = "c"  # what solves the loop; numpy needs no compiler and is far slower

    # array
    line_resistance_ohm: NotNegative = 0.5  # of one cell pitch, bit line and source line alike
    half_select_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # of the line voltage

    # select transistors (`hil/sim/transistors.py`)
    transistor_siemens_per_volt: Positive = 400.0e-6  # slope of the conductance over the gate
    transistor_threshold_volts: Positive = 0.8
    transistor_threshold_sd_volts: NotNegative = 0.01  # from word line to word line

    # readings (`hil/sim/read_law.py` has the sources)
    read_nonlinearity_per_volt: Annotated[float, Field(ge=0, le=10)] = 2.717  # b of sinh(b V)
    telegraph_fraction: Share = 0.0  # of cells with a two-level trap, beyond the fitted noise
    telegraph_step: Annotated[float, Field(ge=0, le=0.9)] = 0.05  # of such a cell's conductance

    # front end
    dac_gain_sd: NotNegative = 0.002
    dac_offset_sd_codes: NotNegative = 1.0
    dac_bow_sd_codes: NotNegative = 0.5  # integral non-linearity, a parabola over the range
    dac_gain_margin: Positive = 0.01  # the hard limits' codes hold for every gain within it
    dac_offset_margin_codes: NotNegative = 6.0
    adc_gain_sd: NotNegative = 0.002
    adc_offset_sd_codes: NotNegative = 1.0
    adc_noise_sd_codes: NotNegative = 0.5
    adc_bow_sd_codes: NotNegative = 0.0  # as dac_bow_sd_codes
    tia_gain_sd: NotNegative = 0.0  # of a column's trans-impedance stage
    tia_offset_sd_amperes: NotNegative = 0.0
    ladder_error: Fraction = 0.0  # relative, of the voltage that the board calibrates itself by
    reference_ohm_error: Fraction = 0.0  # relative, of all reference resistors
    chip_faults: ChipFaults = ChipFaults()  # broken bonds, stages, references, a wrong chip
    board_faults: BoardFaults = BoardFaults()  # swapped channels and pads, supplies, instruments
    channel_faults: dict[str, ChannelFault] = Field(default_factory=dict)  # by LoopSource, AdcInput
    pulse_settling_s: Positive = 5.0e-9  # time constant of the line drivers
    wave_settling_s: Positive = 10.0e-6  # of the waveform DACs
    word_update_s: NotNegative = 10.0e-6  # from one of the 18 words to the next, no common latch

    # analog loop
    loop_gain_sd: NotNegative = 0.05  # of each path, both axes together: RC and multiplier scale
    axis_gain_sd: NotNegative = 0.005  # of one axis against the other
    stage_gain_sd: NotNegative = 0.002  # trans-impedance and output stages
    zero_sd: NotNegative = 0.005  # zeros of the two words, fraction of full scale
    axis_zero_sd: NotNegative = 0.0005
    noise_zero_sd: NotNegative = 0.001
    integrator_offset_sd_volts_per_s: NotNegative = 0.005
    leak_time_s: Positive = 100.0
    loop_noise_sd_volts: NotNegative = 0.2e-3  # at each layer's output, before the rectifier
    loop_noise_bandwidth_hz: Annotated[float, Field(gt=0, le=1e4)] = 100.0  # held 1 / (2 bandwidth)
    tia_saturation_volts: Positive = 2.5

    # what surrounds the board: supplies, temperature, instruments
    bench: BenchSettings = BenchSettings()

    # planted values; None is drawn
    loop_gain_drift: Factor | None = None  # factor on drift_rate_per_s
    loop_gain_score: Factor | None = None
    loop_gain_noise: Factor | None = None
    zero_drift: Fraction | None = None  # f0, fraction of the word's full scale
    zero_score: Fraction | None = None  # g0
    integrator_offset_volts_per_s: tuple[float, float] | None = None  # d_1, d_2

    @field_validator("effects")
    @classmethod
    def _known_effects(cls, value: dict[str, bool]) -> dict[str, bool]:
        unknown = sorted(set(value) - set(Effects.names()))
        if unknown:
            raise ValueError(
                f"unknown effect {', '.join(unknown)}; known are {', '.join(Effects.names())}"
            )
        return value

    @field_validator("channel_faults")
    @classmethod
    def _known_channels(cls, value: dict[str, ChannelFault]) -> dict[str, ChannelFault]:
        known = {part.name.lower() for kind in (LoopSource, AdcInput) for part in kind}
        if unknown := sorted(set(value) - (known - {"reference"})):
            raise ValueError(f"unknown channel {', '.join(unknown)}; as in {', '.join(LINES)}")
        return value

    @model_validator(mode="after")
    def _margins(self) -> SimSettings:
        offset = CUT_SIGMAS * (self.dac_offset_sd_codes + self.dac_bow_sd_codes)
        if self.dac_gain_margin < CUT_SIGMAS * self.dac_gain_sd:
            raise ValueError("dac_gain_margin must cover three dac_gain_sd")
        if self.dac_offset_margin_codes < offset:
            raise ValueError(f"dac_offset_margin_codes must be at least {offset:g}")
        if WAVE_WORDS * self.word_update_s + self.wave_settling_s > self.tick_us_min * 1e-6:
            raise ValueError("tick_us_min must leave time for 18 word updates and the settling")
        pads = self.board_faults.pads_swapped
        if pads is not None and f"swapped_{pads[0]}" in self.chip_faults.planted:
            raise ValueError(f"board_faults.pads_swapped: bonds of {pads[0]}s are swapped already")
        if self.cells == "empirical" and self.swap_polarity:
            raise ValueError("swap_polarity cannot be had with empirical cells: no table is of it")
        if self.cells == "empirical" and self.chip_faults.reversed_polarity:
            raise ValueError("chip_faults.reversed_polarity cannot be had with empirical cells")
        if self.cells == "empirical" and self.board_faults.pulse_width is not None:
            raise ValueError("board_faults.pulse_width cannot be had with empirical cells")
        if self.cells == "empirical" and self.half_select_fraction > 0:
            raise ValueError("half_select_fraction must be 0 with empirical cells: not measured")
        return self

    def wired(self, *, bonds: bool = True) -> ChipFaults:
        """The faults between drivers and array: the board's own, with or without the chip's."""
        faults = self.chip_faults if bonds else ChipFaults()
        swapped = self.board_faults.pads_swapped
        if swapped is None:
            return faults
        return faults.model_copy(update={f"swapped_{swapped[0]}": swapped[1:]})

    @classmethod
    def ideal(cls, **changes: Any) -> SimSettings:
        """Settings with every effect off; planted values among `changes` hold all the same."""
        return cls.model_validate({"effects": dict.fromkeys(Effects.names(), False)} | changes)

    def switched(self) -> Effects:
        """The effects with this file's overrides."""
        off = [name for name, on in self.effects.items() if not on]
        return Effects.all().without(*off)


def parse_settings(content: dict[str, Any], origin: str) -> SimSettings:
    """Settings from a mapping; `origin` names the file in the error.

    Raises:
        ConfigError: an unknown key or a value that is not allowed, one line each.
    """
    try:
        return SimSettings.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(origin, error)) from error
