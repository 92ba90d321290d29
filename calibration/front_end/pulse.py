"""Amplitude and width of pulses: what the board can check itself, and what needs an oscilloscope.

The amplitude of a line while nothing switches is what the loop-back sees, so it is tried out:
wanted voltages become codes by the curves found, and the board converts what comes out. Edges,
settling and width of a pulse of 100 ns are far below what the board's ADC can follow (a conversion
takes microseconds): they stay nominal, with the uncertainty that the board's description states,
until somebody has looked at the pad of the array with an oscilloscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.front_end.dac import LINES, largest_code, measure
from calibration.front_end.params import FrontEndParams
from drivers.board import Board
from drivers.curves import ChannelCurve
from drivers.transfer import Transfer
from protocols.errors import CalibrationError
from protocols.hardware import BoardDescription
from protocols.messages import AdcInput, LoopSource

SIGMAS = 4.0
NEEDS_SCOPE = "width and edges of a pulse at the array's pad: an oscilloscope is needed"


@dataclass(frozen=True, eq=False)
class LineCheck:
    """One line, tried out at voltages of its range.

    Attributes:
        wanted_volts, measured_volts: (n,) what was asked and what came out.
        step_volts: of the converter; a voltage can be missed by half of it.
        sd_volts: (n,) standard deviation of the curve, the reference's tolerance left out: the
            same reference measured both.
        uncertainty_volts: (n,) stated standard deviation of the static amplitude at the line's
            driver, the reference's tolerance included.
    """

    wanted_volts: FloatArray
    measured_volts: FloatArray
    step_volts: float
    sd_volts: FloatArray
    uncertainty_volts: FloatArray

    @property
    def worst_steps(self) -> float:
        """Largest miss in steps of the converter."""
        return float(np.abs(self.measured_volts - self.wanted_volts).max() / self.step_volts)

    def to_dict(self) -> dict[str, Any]:
        """Figures for JSON."""
        return {
            "wanted_volts": self.wanted_volts.tolist(),
            "measured_volts": self.measured_volts.tolist(),
            "step_volts": self.step_volts,
            "uncertainty_volts": self.uncertainty_volts.tolist(),
            "worst_steps": self.worst_steps,
        }


@dataclass(frozen=True, eq=False)
class PulseResult:
    """Amplitudes as checked, and what stays nominal.

    Attributes:
        lines: by name.
        width_sd_s: standard deviation of a nominal width.
        settling_sd: relative, of the amplitude of a short pulse against the static one.
        needs: what only an instrument can tell.
    """

    lines: Mapping[str, LineCheck]
    width_sd_s: float
    settling_sd: float
    needs: str = NEEDS_SCOPE

    def to_dict(self) -> dict[str, Any]:
        """Figures for JSON."""
        return {
            "lines": {name: check.to_dict() for name, check in self.lines.items()},
            "width": {"source": "nominal", "sd_s": self.width_sd_s},
            "settling": {"source": "nominal", "relative_sd": self.settling_sd},
            "needs": self.needs,
        }


def run(
    board: Board,
    description: BoardDescription,
    adc: ChannelCurve,
    lines: Mapping[str, Transfer],
    params: FrontEndParams | None = None,
) -> PulseResult:
    """Each line at voltages between the points that its curve was made of. The board is armed.

    Raises:
        CalibrationError: a line misses a voltage by more than half a step and its uncertainty.
    """
    p, references = params or FrontEndParams(), description.references
    checks = {
        s.name.lower(): _one(board, description, adc, (s, lines[s.name.lower()]), p) for s in LINES
    }
    return PulseResult(checks, references.width_uncertainty_s, references.settling_uncertainty)


def _one(
    board: Board,
    description: BoardDescription,
    adc: ChannelCurve,
    line: tuple[LoopSource, Transfer],
    params: FrontEndParams,
) -> LineCheck:
    source, curve = line
    last = float(curve.to_si(largest_code(source, board.identity, description)))
    first = max(curve.minimum, 0.0) + 0.02 * last
    wanted = np.linspace(first, 0.98 * last, params.verify_points)
    codes = curve.to_code(wanted, source.name.lower())
    points = measure(board, description, adc, (source, AdcInput.READ), codes, params)
    measured = points.effective * curve.gain + curve.offset
    sd_codes = getattr(curve, "sd_codes", 0.0)
    sd = np.full(wanted.size, abs(curve.gain) * float(np.hypot(sd_codes, points.sd)))
    relative = description.references.ladder_tolerance * wanted
    check = LineCheck(wanted, measured, abs(curve.gain), sd, np.hypot(sd, relative))
    miss = np.abs(measured - wanted) - 0.5 * check.step_volts - SIGMAS * sd
    if (miss > 0).any():
        at = int(np.argmax(miss))
        raise CalibrationError(
            f"{source.name.lower()}: {wanted[at]:.4g} V were wanted, {measured[at]:.4g} V came out;"
            f" half a step of {check.step_volts:.3g} V and {SIGMAS:g} standard deviations of"
            f" {sd[at]:.2g} V are allowed. Something moves: warm up, then calibrate again."
        )
    return check
