"""The hard limits of a board as codes, and the lowered ones of a session.

A limit of V volts becomes the largest code that stays at or below V whatever the converter's
errors within the stated margins are:

    code = floor(V / full scale / (1 + dac_gain_margin) * code_max - dac_offset_margin_codes)

so the highest voltage that a host gets is up to `dac_gain_margin` below the limit. Widths have no
margin: their clock is a crystal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hil.sim.chip import NANOSECONDS
from hil.sim.config import SimSettings
from hil.sim.refusal import RefusedError
from protocols.hardware import BoardDescription, OperationLimits
from protocols.messages import LimitsLowerRequest, Operation

GATE, LINE, WIDTH = 3, 4, 5
"""Fields of an entry of `pulse_read`."""


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """Largest codes, width and number of pulses of one operation."""

    gate_max: int
    line_max: int
    width_max: int
    pulses_per_cell_max: int

    def lowered(self, request: LimitsLowerRequest) -> PulseLimits:
        """These limits, lowered. Raises RefusedError where a value is above the one in force."""
        wanted = (
            request.gate_max,
            request.line_max,
            request.width_max,
            request.pulses_per_cell_max,
        )
        present = (self.gate_max, self.line_max, self.width_max, self.pulses_per_cell_max)
        for field, (value, limit) in enumerate(zip(wanted, present, strict=True), start=1):
            if value > limit:
                raise RefusedError("over_limit", field, 0, value, limit)
        return PulseLimits(*wanted)


@dataclass(frozen=True)
class CodeLimits:
    """Every limit of a board in the units of the wire."""

    read_code_max: int
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
            return PulseLimits(
                code(part.gate_volts), code(part.line_volts), ticks, limits.pulses_per_cell
            )

        return cls(
            read_code_max=code(limits.read_volts),
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

    def lower(self, request: LimitsLowerRequest) -> CodeLimits:
        """These limits with one operation's lowered. Raises RefusedError for a value above them."""
        parts = list(self.operations)
        parts[request.operation] = parts[request.operation].lowered(request)
        lowered = (parts[Operation.SET], parts[Operation.RESET], parts[Operation.FORM])
        return replace(self, operations=lowered)


def _code(volts: float, description: BoardDescription, settings: SimSettings) -> int:
    full = description.converters.pulse_full_scale_volts * (1.0 + settings.dac_gain_margin)
    code = volts / full * description.code_max - settings.dac_offset_margin_codes
    return max(0, min(description.code_max, math.floor(code)))
