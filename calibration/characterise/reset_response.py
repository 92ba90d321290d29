"""RESET response: what one RESET pulse leaves of a well-set cell, over gate, line and width."""

from __future__ import annotations

from dataclasses import dataclass, field

from calibration.characterise.common import Characterisation, Rig
from calibration.characterise.sweeps import Pulse, SweepParams, sweep

KIND = "reset_response"


@dataclass(frozen=True)
class ResetResponseParams(SweepParams):
    """As `SweepParams`. Voltages span what the measured cells need at 200 ns; 50 pulses a cell."""

    gate_volts: tuple[float, ...] = (2.1, 2.25, 2.35, 2.45, 2.55, 2.7, 2.85, 3.0, 3.5)
    line_volts: tuple[float, ...] = (0.6, 0.8, 0.9, 1.0, 1.15, 1.4, 1.8, 2.4)
    widths_s: tuple[float, ...] = (100e-9, 400e-9, 1e-6, 5e-6)
    middle: Pulse = field(default_factory=lambda: Pulse(2.5, 2.8, 200e-9))
    gate_sweep_line_volts: float = 2.8
    line_sweep_gate_volts: float = 3.5
    prepare: Pulse = field(default_factory=lambda: Pulse(2.3, 2.0, 1e-6))
    threshold_siemens: float = 100e-6
    threshold_half_width: float = 0.015


def run(rig: Rig, params: ResetResponseParams) -> Characterisation:
    """Every point from the low-resistance side; see `sweeps.sweep`."""
    return sweep(rig, "reset", KIND, params)
