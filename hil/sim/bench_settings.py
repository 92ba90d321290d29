"""What surrounds a simulated board: its rails, its temperature, and how good the instruments are.

Accuracies are standard deviations of one reading. They are of the size that data sheets of bench
instruments state for a year after calibration (some 0.02 % of a source-measure unit, 1 to 2 % of an
oscilloscope's 8 bits); the figures themselves are this project's choice.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BenchSettings(_Part):
    """The simulated bench around one board.

    Attributes:
        seed: of every reading; the true figures are those of the board's and the chip's seeds.
        drawn: name or file of the drawn board, whose rails and connector pins these are.
        rail_sd, rail_current_sd: relative, of the true figures from board to board.
        rail_share: where an idle board's current lies within what is drawn for it, 0 to 1.
        celsius: at the chip; `celsius_swing` and `celsius_period_s` of the room's slow wave.
        supply_sd, supply_sd_volts, supply_sd_amperes: relative and absolute, of a read-back.
        smu_sd, smu_sd_amperes, smu_sd_volts: the same of a source-measure unit.
        smu_reading_s: how long one of its readings takes (one cycle of 50 Hz mains).
        smu_pulse_s: its shortest pulse: output on, settled, off again.
        scope_bits, scope_gain_sd, scope_noise: of full scale; `scope_points` in a waveform.
        pulser_sd, pulser_sd_volts: of a pulse's amplitude.
        pulser_width_sd_s: of its width.
        thermometer_sd_celsius: of a reading.
        matrix_settle_s, matrix_ohm: of a cross-point.
    """

    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 1
    drawn: str = "reference"
    rail_sd: NotNegative = 2.0e-3
    rail_current_sd: NotNegative = 0.02
    rail_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    celsius: Annotated[float, Field(ge=-60, le=200)] = 25.0
    celsius_swing: NotNegative = 0.5
    celsius_period_s: Positive = 86_400.0
    supply_sd: NotNegative = 5.0e-4
    supply_sd_volts: NotNegative = 5.0e-3
    supply_sd_amperes: NotNegative = 1.0e-3
    smu_sd: NotNegative = 2.0e-4
    smu_sd_amperes: NotNegative = 0.3e-9
    smu_sd_volts: NotNegative = 0.3e-3
    smu_reading_s: Positive = 0.02
    smu_pulse_s: Positive = 1.0e-3
    scope_bits: Annotated[int, Field(ge=6, le=16)] = 8
    scope_gain_sd: NotNegative = 0.005
    scope_noise: NotNegative = 0.003
    scope_points: Annotated[int, Field(ge=16, le=1 << 20)] = 2000
    pulser_sd: NotNegative = 2.0e-3
    pulser_sd_volts: NotNegative = 2.0e-3
    pulser_width_sd_s: NotNegative = 0.2e-9
    thermometer_sd_celsius: NotNegative = 0.05
    matrix_settle_s: Positive = 5.0e-3
    matrix_ohm: NotNegative = 0.5
