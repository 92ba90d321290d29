"""SET response: the conductance that one SET pulse reaches over word line, bit line and width."""

from __future__ import annotations

from dataclasses import dataclass, field

from calibration.characterise.common import Characterisation, Rig
from calibration.characterise.sweeps import Pulse, SweepParams, sweep

KIND = "set_response"


@dataclass(frozen=True)
class SetResponseParams(SweepParams):
    """As `SweepParams`. Voltages span what the measured cells need at 200 ns; 50 pulses a cell."""

    gate_volts: tuple[float, ...] = (1.6, 1.75, 1.85, 1.95, 2.05, 2.15, 2.3, 2.5, 2.8, 3.1)
    line_volts: tuple[float, ...] = (0.42, 0.46, 0.5, 0.7, 1.0, 1.6)
    widths_s: tuple[float, ...] = (100e-9, 400e-9, 1e-6, 5e-6)
    middle: Pulse = field(default_factory=lambda: Pulse(2.05, 2.0, 200e-9))
    gate_sweep_line_volts: float = 2.0
    line_sweep_gate_volts: float = 3.0
    prepare: Pulse = field(default_factory=lambda: Pulse(3.5, 2.8, 200e-9))
    threshold_siemens: float = 100e-6


def run(rig: Rig, params: SetResponseParams) -> Characterisation:
    """Every point from the high-resistance side; see `sweeps.sweep`."""
    return sweep(rig, "set", KIND, params)
