"""The hard limits of a board as codes, and the lowered ones of a session.

A limit of V volts becomes the largest code that stays at or below V whatever the converter's
errors within the stated margins are:

    code = floor(V / full scale / (1 + dac_gain_margin) * code_max - dac_offset_margin_codes)

so the highest voltage that a host gets is up to `dac_gain_margin` below the limit. Widths have no
margin: their clock is a crystal. Slew is a limit of amplitude, energy one of line code^2 x ticks
(`protocols.energy`); a pulse over it is refused by its width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hil.sim.chip import NANOSECONDS
from hil.sim.config import SimSettings
from hil.sim.refusal import RefusedError
from protocols.energy import ENERGY_UNIT, energy_code, energy_corner
from protocols.hardware import BoardDescription, OperationLimits
from protocols.messages import LimitsLowerRequest, LoopSource, Operation

GATE, LINE, WIDTH = 3, 4, 5
"""Fields of an entry of `pulse_read`."""

_ARM = 6
"""Field of `limits_lower`."""


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """Largest codes, width, number of pulses and energy (1024 code^2 ticks) of one operation."""

    gate_max: int
    line_max: int
    width_max: int
    pulses_per_cell_max: int
    energy_max: int

    def width_at(self, line: int) -> int:
        """The longest width of a pulse with this line code: by its own limit and by the energy."""
        if line == 0:
            return self.width_max
        return min(self.width_max, self.energy_max * ENERGY_UNIT // line**2)

    def lowered(self, request: LimitsLowerRequest) -> PulseLimits:
        """These limits, lowered. Raises RefusedError where a value is above the one in force."""
        wanted = (
            request.gate_max,
            request.line_max,
            request.width_max,
            request.pulses_per_cell_max,
            request.energy_max,
        )
        present = (
            self.gate_max,
            self.line_max,
            self.width_max,
            self.pulses_per_cell_max,
            self.energy_max,
        )
        for field, (value, limit) in enumerate(zip(wanted, present, strict=True), start=1):
            if value > limit:
                raise RefusedError("over_limit", field, 0, value, limit)
        return PulseLimits(*wanted)


@dataclass(frozen=True)
class CodeLimits:
    """Every limit of a board in the units of the wire."""

    read_code_max: int
    multiply_code_max: int  # from the middle
    operations: tuple[PulseLimits, PulseLimits, PulseLimits]  # indexed by Operation
    arm_ms_max: int
    watchdog_ms: int

    @classmethod
    def of(cls, description: BoardDescription, settings: SimSettings) -> CodeLimits:
        """The compiled-in limits of a board."""
        limits = description.limits

        def code(volts: float) -> int:
            return _code(volts, description, settings)

        def operation(part: OperationLimits) -> PulseLimits:
            ticks = math.floor(part.width_s / description.converters.width_tick_s + 1e-9)
            gate, line = code(limits.gate_volts_of(part)), code(limits.line_volts_of(part))
            energy = _energy(part, description, settings, line, ticks)
            return PulseLimits(gate, line, ticks, limits.pulses_per_cell, energy)

        return cls(
            read_code_max=code(limits.read_volts),
            multiply_code_max=_multiply_code(description, settings),
            operations=(operation(limits.set), operation(limits.reset), operation(limits.form)),
            arm_ms_max=round(limits.arm_s * 1e3),
            watchdog_ms=round(limits.watchdog_s * 1e3),
        )

    @property
    def watchdog_ns(self) -> int:
        """Longest silence of the host while armed or running."""
        return self.watchdog_ms * (NANOSECONDS // 1000)

    def of_operation(self, operation: int) -> PulseLimits:
        """The limits of SET, RESET or forming."""
        return self.operations[operation]

    def loopback_max(self, source: int) -> int | None:
        """The largest code that a line of the array may get in a loop-back; None: no such line."""
        set_, reset, form = self.operations
        lines = {
            LoopSource.BIT_LINE: max(set_.line_max, form.line_max),
            LoopSource.SOURCE_LINE: reset.line_max,
            LoopSource.WORD_LINE: max(set_.gate_max, reset.gate_max, form.gate_max),
        }
        return lines.get(LoopSource(source))

    def lower(self, request: LimitsLowerRequest) -> CodeLimits:
        """These limits with one operation's lowered, and the arming's.

        Raises RefusedError for a value above them.
        """
        parts = list(self.operations)
        parts[request.operation] = parts[request.operation].lowered(request)
        lowered = (parts[Operation.SET], parts[Operation.RESET], parts[Operation.FORM])
        if request.arm_ms_max > self.arm_ms_max:
            raise RefusedError("over_limit", _ARM, 0, request.arm_ms_max, self.arm_ms_max)
        return replace(self, operations=lowered, arm_ms_max=request.arm_ms_max)


def _energy(
    part: OperationLimits,
    description: BoardDescription,
    settings: SimSettings,
    line_max: int,
    ticks: int,
) -> int:
    if part.energy_joules is None:
        return energy_corner(line_max, ticks)
    scales = description.converters
    step = scales.pulse_full_scale_volts * (1.0 + settings.dac_gain_margin) / description.code_max
    volts = [(code + settings.dac_offset_margin_codes) * step for code in range(line_max + 1)]
    siemens = description.limits.cell_siemens
    return energy_code(part.energy_joules, siemens, scales.width_tick_s, volts, ticks)


def _multiply_code(description: BoardDescription, settings: SimSettings) -> int:
    """The largest distance from the middle of a row's code that stays at the read level."""
    full = description.converters.multiply_full_scale_volts * (1.0 + settings.dac_gain_margin)
    size = description.limits.read_volts / full * description.code_zero
    code = math.floor(size - settings.dac_offset_margin_codes)
    return max(0, min(description.code_zero - 1, code))


def _code(volts: float, description: BoardDescription, settings: SimSettings) -> int:
    full = description.converters.pulse_full_scale_volts * (1.0 + settings.dac_gain_margin)
    code = volts / full * description.code_max - settings.dac_offset_margin_codes
    return max(0, min(description.code_max, math.floor(code)))
